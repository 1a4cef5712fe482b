# SPDX-License-Identifier: Apache-2.0
"""The servers of a whole cloud, each with what decides its serial.

What many servers share is read once, as lists, before the servers: hosts, flavors and
images. Raw records end here: each server becomes a small object that points to the case
that it is in, which it shares with many others.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import gc
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from osc_uniqserial import policy
from osc_uniqserial.api import background, hosts, inventory, records
from osc_uniqserial.api.pages import Gap, ServerPages
from osc_uniqserial.api.records import FlavorCopy, ImageRef, ServerRecord
from osc_uniqserial.api.rest import CloudError, Rest, Unreadable, parsing
from osc_uniqserial.api.validator import extra_spec_validator
from osc_uniqserial.model.cloud import (
    UNREADABLE,
    Case,
    Configuration,
    Flavor,
    FlavorPart,
    Fleet,
    GivenModes,
    Host,
    Image,
    ImagePart,
    Sighting,
    Unchecked,
    Validator,
    Volume,
    has_sysinfo,
)
from osc_uniqserial.policy import Evidence, HostInput, SettingInput

_Thing = TypeVar("_Thing")

#: 2.98 shows the image properties that a server was built with. Later ones add
#: scheduler hints, which cost more and tell nothing here.
COMPUTE_NEWEST = "2.98"
_NO_FLAVOR = FlavorCopy()
#: How many combinations of host, flavor and image are remembered.
_KEPT = 20_000
#: What decides the case of a server: host, node, flavor part, image part, flags.
_Key = tuple[str | None, str | None, int, int, bool, bool, bool, bool]


class Servers:
    """The servers of a cloud or a part of it; they can be read once."""

    def __init__(
        self,
        survey: Survey,
        pages: ServerPages[Sequence[Sighting]],
        volumes: inventory.Volumes,
    ) -> None:
        self._survey = survey
        self._pages = pages
        self._volumes = volumes
        self._down: tuple[str, ...] | None = ()

    def __iter__(self) -> Iterator[Sequence[Sighting]]:
        """Yield all servers in the order of their IDs, some at a time.

        Those of cells that are down come last.
        """
        with _few_collections():
            yield from self._pages
            # Nova leaves out a cell that went down meanwhile without a word.
            self._down = hosts.known_of_down_cells(self._survey.rest)
            if self._pages.of_down_cells:
                yield self._survey.digest(self._pages.of_down_cells)

    @property
    def expected(self) -> int | None:
        """About how many servers there are; None until the first page was read."""
        return self._pages.expected

    @property
    def gaps(self) -> Sequence[Gap]:
        """What could not be read, so far."""
        return self._pages.gaps

    @property
    def unlisted_cells(self) -> bool:
        """Whether Nova may have left out servers of cells that are down."""
        listed = not self._pages.unlisted_cells
        if self._down is None:
            # Whether one is down is hidden from this user; a short list tells it all.
            return not listed
        fleet = self._survey.configuration.fleet
        before = fleet.hosts_of_down_cells if isinstance(fleet, Fleet) else fleet.hosts
        return bool(before or self._down) and not (listed and set(self._down) <= set(before))

    @property
    def volumes_unread(self) -> str | None:
        """Why the volumes could not be read; None when they were, or nobody needed them."""
        return self._volumes.unread.reason if self._volumes.unread else None

    @property
    def volumes_with_wrong_keys(self) -> Sequence[Volume]:
        """Bootable volumes with keys that are wrong there, as far as volumes were read."""
        return self._volumes.with_wrong_keys


class Survey:
    """Reads a cloud, or a part of it.

    :ivar configuration: hosts, flavors and images
    """

    def __init__(self, rest: Rest, given: GivenModes) -> None:
        """Read what the servers rest on, the independent parts at once.

        :raises CloudError: when Nova is too old, or tells nothing at all
        """
        self.rest = rest
        self._given = given
        self._microversion = rest.compute_microversion(COMPUTE_NEWEST)
        fleet = background.start(read_fleet, rest, given)
        flavors = background.start(_unless_unreadable, inventory.read_flavors, rest)
        images = background.start(_unless_unreadable, inventory.read_images, rest)
        validator = background.start(_validator, rest)
        known = Configuration(fleet.result(), flavors.result(), images.result())
        self.configuration = known
        self._shows_frozen = validator.result() is Validator.LOADED
        self._hosts = _by_node(known.fleet) if isinstance(known.fleet, Fleet) else {}
        self._flavors: dict[str, Flavor] = {}
        if not isinstance(known.flavors, Unchecked):
            self._flavors = {each.name: each for each in known.flavors}
        self._images: Mapping[str, Image] = {}
        if not isinstance(known.images, Unchecked):
            self._images = known.images
        self._parts: dict[object, Any] = {}
        self._flavor_parts: dict[object, FlavorPart] = {}
        self._image_parts: dict[object, ImagePart] = {}
        self._inputs: dict[object, HostInput] = {}
        self._by_parts: dict[object, Case] = {}
        self._cases: dict[_Key, tuple[Host | None, Case]] = {}

    def sees_all_projects(self) -> bool:
        """Tell whether Nova lets this user list the servers of all projects.

        Where it does not tell, the list itself will.
        """
        query = {"all_tenants": "true", "limit": "1"}
        try:
            self.rest.get("compute", "/servers/detail", query, self._microversion)
        except Unreadable as error:
            return error.status != 403
        return True

    def servers(
        self,
        filters: Mapping[str, str],
        workers: int,
        *,
        marker: str | None = None,
        limit: int | None = None,
    ) -> Servers:
        """Return the servers, to be read.

        :param filters: of Nova's list of servers; ``all_tenants`` is one
        :param workers: the most requests at the same time
        :param marker: the ID of the server after which to begin
        :param limit: how many are wanted, about; all of them where it is None
        """
        self._volumes = inventory.Volumes(self.rest, all_projects="all_tenants" in filters)
        pages = ServerPages(
            self.rest,
            self._microversion,
            filters,
            workers,
            self.digest,
            marker=marker,
            limit=limit,
        )
        return Servers(self, pages, self._volumes)

    def changed_since(self, filters: Mapping[str, str], when: datetime.datetime) -> frozenset[str]:
        """Return the IDs of servers that were made, changed or deleted since.

        :param filters: of Nova's list of servers; ``all_tenants`` is one
        :param when: in UTC, as Nova's clock has it
        :raises Unreadable: when Nova does not tell
        """
        since = {**filters, "changes-since": when.strftime("%Y-%m-%dT%H:%M:%SZ")}
        with parsing("compute"):
            return frozenset(
                item["id"]
                for item in self.rest.pages(
                    "compute", "/servers", "servers", since, self._microversion
                )
            )

    # --- one server -----------------------------------------------------

    def digest(self, items: Sequence[ServerRecord]) -> Sequence[Sighting]:
        """Return what records of servers tell."""
        return [self._sighting(record) for record in items]

    def _sighting(self, record: ServerRecord) -> Sighting:
        # The one place that runs for each server: every lookup counts.
        host = record.host or None
        copy = record.flavor or _NO_FLAVOR
        specs = copy.extra_specs
        flavor_key = (copy.original_name, None if specs is None else tuple(specs.items()))
        flavor = self._flavor_parts.get(flavor_key)
        if flavor is None:
            flavor = self._flavor(flavor_key, specs)
        image_id, image = self._image(record)
        placed = visible = True
        if host is None:
            placed, visible = record.has_host, record.shows_host
        key = (
            host,
            record.node,
            id(flavor),
            id(image),
            placed,
            visible,
            record.is_reachable,
            record.is_pinned,
        )
        found = self._cases.get(key)
        if found is None:
            found = self._case(key, flavor, image)
        return Sighting(
            record.id,
            record.name or None,
            record.project_id,
            record.status,
            host,
            found[1],
            copy.original_name,
            image_id,
            found[0],
        )

    def _case(self, key: _Key, flavor: FlavorPart, image: ImagePart) -> tuple[Host | None, Case]:
        host, node, _flavor, _image, placed, visible, reachable, pinned = key
        on = self._hosts.get((host, node))
        required = placed and self._requires_unique(flavor, image)
        where = (host, node, image.architecture, required, visible)
        known = self._inputs.get(where)
        if known is None:
            known = self._host_input(
                host,
                on,
                image.architecture,
                required,
                may_have_host=host is not None or not visible,
            )
            known = self._inputs[where] = self._shared(known)
        flags = (visible, reachable, pinned, placed)
        same = (id(flavor), id(image), id(known), flags)
        case = self._by_parts.get(same)
        if case is None:
            case = self._by_parts.setdefault(same, Case(flavor, image, known, *flags))
        if len(self._cases) >= _KEPT:
            self._cases.clear()
        self._cases[key] = (on, case)
        return on, case

    def _shared(self, part: _Thing) -> _Thing:
        """Return the one object of this value, so that equal parts lead to one case."""
        shared: _Thing = self._parts.setdefault(part, part)
        return shared

    def _flavor(
        self, key: tuple[str | None, object], specs: Mapping[str, str] | None
    ) -> FlavorPart:
        current = self._flavors.get(key[0]) if key[0] else None
        now = None
        if current and current.extra_specs is not None:
            now = policy.parse(current.extra_specs.get(policy.FLAVOR_KEY))
        part = self._flavor_parts[key] = self._shared(records.flavor_part(specs, now))
        return part

    def _image(self, record: ServerRecord) -> tuple[str | None, ImagePart]:
        image = record.image
        if image == "":
            return None, self._volumes.root_of(record) or self._shared(ImagePart())
        if not isinstance(image, ImageRef):
            return None, self._shared(ImagePart())
        image_id = image.id
        frozen = image.properties
        current = self._images.get(image_id)
        # ISO 8601 in UTC from both services: text compares like time.
        as_booted = current is not None and current.updated <= record.created
        said = frozen.get(policy.IMAGE_KEY) if frozen else None
        guest = None
        if frozen and ("hw_architecture" in frozen or "hw_emulation_architecture" in frozen):
            guest = records.architecture(frozen)
        key = (image_id, as_booted, said, guest, frozen is None)
        part = self._image_parts.get(key)
        if part is None:
            part = self._shared(self._image_part(current, frozen, as_booted))
            self._image_parts[key] = part
        return image_id, part

    def _image_part(
        self, current: Image | None, frozen: Mapping[str, Any] | None, as_booted: bool
    ) -> ImagePart:
        now = policy.parse(current.properties.get(policy.IMAGE_KEY)) if current else None
        properties = {**(current.properties if current else {}), **(frozen or {})}
        used = UNREADABLE
        if frozen is not None and policy.IMAGE_KEY in frozen:
            used = SettingInput(policy.parse(frozen[policy.IMAGE_KEY]), Evidence.FROZEN)
        elif as_booted:
            used, now = SettingInput(now, Evidence.CURRENT_IMAGE), None
        elif frozen is not None and self._shows_frozen:
            used = SettingInput(policy.UNSET, Evidence.FROZEN)
        else:
            now = None
        return records.image_part(used, now, properties, as_booted=as_booted)

    # --- its host -------------------------------------------------------

    @staticmethod
    def _requires_unique(flavor: FlavorPart, image: ImagePart) -> bool:
        if not (flavor.needs or image.needs):
            return False
        return dict(image.needs + flavor.needs).get(policy.TRAIT_UNIQUE) == "required"

    def _host_input(
        self,
        name: str | None,
        on: Host | None,
        architecture: str | None,
        required: bool,
        *,
        may_have_host: bool,
    ) -> HostInput:
        known = hosts.evidence(
            on.traits if on else None,
            Evidence.UNREADABLE if may_have_host else None,
            required=required,
        )
        if may_have_host:
            known, _note = hosts.with_given(known, name, self._given)
        writes = on.hypervisor.writes_sysinfo(architecture) if on else has_sysinfo(architecture)
        known = dataclasses.replace(known, smbios=writes)
        if on and on.declared and hosts.needs_declaration(known):
            known = hosts.with_declaration(known)
        return known


@contextlib.contextmanager
def _few_collections() -> Iterator[None]:
    """Let Python look for reference cycles seldom: a page has many objects and no cycle.

    It would look at everything that a page is made of several times while it is parsed, and
    at all else again and again.
    """
    thresholds = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()


def read_fleet(rest: Rest, given: GivenModes) -> Fleet | Unchecked:
    """Read every compute host; what is left of them where a cell is down."""
    try:
        return hosts.read_fleet(rest, given)
    except Unreadable as error:
        down = hosts.of_down_cells(rest) if error.status == 500 else ()
        if not down:
            return Unchecked(str(error))
        try:
            return hosts.read_fleet_past_down_cells(rest, given, down)
        except Unreadable:
            return Unchecked(str(error), down)


def _validator(rest: Rest) -> Validator | Unchecked:
    try:
        return extra_spec_validator(rest)
    except CloudError as error:
        return Unchecked(str(error))


def _unless_unreadable(read: Any, rest: Rest) -> Any:
    try:
        return read(rest)
    except Unreadable as error:
        return Unchecked(str(error))


def _by_node(fleet: Fleet) -> dict[tuple[str | None, str | None], Host]:
    return {(each.hypervisor.host, each.hypervisor.hostname): each for each in fleet.hosts}
