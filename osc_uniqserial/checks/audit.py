# SPDX-License-Identifier: Apache-2.0
"""What is wrong in a cloud: facts in, findings out, lazily. Pure.

Servers that share a cause make one finding: what has to be repaired is a host, a flavor
or an image. So there are as many findings as causes, however many servers there are.
"""

from __future__ import annotations

import collections
import dataclasses
import enum
import functools
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence

from osc_uniqserial import policy
from osc_uniqserial.checks import readiness
from osc_uniqserial.effective.explanation import HOST_SOURCES, pending_changes
from osc_uniqserial.effective.migration_targets import Destinations, Outlook
from osc_uniqserial.metadefs import Comparison
from osc_uniqserial.model.cloud import (
    Aggregate,
    Case,
    Configuration,
    Flavor,
    Fleet,
    Host,
    Image,
    Needs,
    Sighting,
    Unchecked,
)
from osc_uniqserial.model.finding import SHOWN, UNLISTED, Coverage, Finding, ServerIds, unread
from osc_uniqserial.policy import (
    FLAVOR_KEY,
    IMAGE_KEY,
    TRAIT_UNIQUE,
    EffectivePolicy,
    Evidence,
    HostInput,
    HostMode,
    SerialSource,
    Setting,
    SettingInput,
    Value,
)

_METADEFS = {
    "metadefs-missing": "It is not there, or private to another project: Horizon does not offer"
    " the keys",
    "metadefs-private": "It is private: only one project and administrators see it in Horizon",
    "metadefs-outdated": "It differs from the one of this version",
    "metadefs-conflict": "It offers a key that ours offer too: Horizon shows it twice",
}
_TELL_MODE = (
    "Tell it with --host-mode HOST=MODE, or everybody with a trait CUSTOM_SYSINFO_SERIAL_... in the"
    " host's provider.yaml"
)


class _By(enum.Enum):
    """What servers of one finding share."""

    HOST = "host"
    FLAVOR = "flavor"
    IMAGE = "image"
    FLAVOR_AND_IMAGE = "flavor and image"
    NOTHING = "nothing"


@dataclasses.dataclass(slots=True, eq=False)
class _Judged:
    """What holds for every server of a case.

    :ivar groups: the findings that its servers belong to: ID, what they share, and more
        words
    :ivar elsewhere: the hosts that would change the serial of its servers
    :ivar required: our traits that scheduling requires of a host
    """

    source: SerialSource
    unknown: tuple[str, ...]
    groups: tuple[tuple[str, _By, str], ...]
    outlook: Outlook | None
    elsewhere: str
    required: Needs
    servers: int = 0


class Audit:
    """Looks at a configuration, then at its servers, then at what they have in common.

    :ivar coverage: how much was checked, so far
    """

    def __init__(
        self,
        configuration: Configuration,
        definitions: Iterable[Comparison] = (),
    ) -> None:
        """Prepare to look; nothing is done yet.

        :param definitions: Glance's metadata definitions, compared with ours
        """
        self._known = configuration
        self._definitions = definitions
        fleet = configuration.fleet
        self._fleet = fleet if isinstance(fleet, Fleet) else Fleet(())
        self._destinations = Destinations(self._fleet)
        self._judged: dict[Case, _Judged] = {}
        self._groups: dict[tuple[str, str | tuple[str, str], str], ServerIds] = {}
        self.coverage = Coverage()

    def sources(self) -> Mapping[SerialSource, int]:
        """Return how many servers have which serial source, so far."""
        counts: collections.Counter[SerialSource] = collections.Counter()
        for judged in self._judged.values():
            counts[judged.source] += judged.servers
        return counts

    # --- what the servers rest on ---------------------------------------

    def configuration(self) -> Iterator[Finding]:
        """Yield what is found without a look at any server."""
        yield from self._unread()
        yield from self._metadefs()
        if not isinstance(self._known.flavors, Unchecked):
            for flavor in self._known.flavors:
                if flavor.extra_specs is not None:
                    yield from self._flavor(flavor, flavor.extra_specs)
        if not isinstance(self._known.images, Unchecked):
            for image in sorted(
                self._known.images.values(), key=lambda each: (each.name or "", each.id)
            ):
                if image.properties:
                    yield from self._image(image)
        for aggregate in self._fleet.aggregates:
            yield from self._aggregate(aggregate)
        for host in self._fleet.hosts:
            yield from self._host(host)

    def _unread(self) -> Iterator[Finding]:
        known, fleet = self._known, self._fleet
        parts: list[tuple[str, str, str | None]] = []
        if isinstance(known.fleet, Unchecked):
            parts.append(("hosts-unreadable", "the hypervisors", known.fleet.reason))
        parts.append(("traits-unreadable", "the traits of the hosts", fleet.traits_unread))
        parts.append(("aggregates-unreadable", "the host aggregates", fleet.aggregates_unread))
        if isinstance(known.flavors, Unchecked):
            parts.append(("flavors-unreadable", "the flavors", known.flavors.reason))
        if isinstance(known.images, Unchecked):
            parts.append(("images-unreadable", "the images", known.images.reason))
        flavors = () if isinstance(known.flavors, Unchecked) else known.flavors
        hidden = sum(1 for flavor in flavors if flavor.extra_specs is None)
        if hidden:
            yield Finding(
                "flavors-unreadable",
                "cloud",
                None,
                None,
                f"Nova hides the extra specs of flavors from this user ({hidden:,} of them)",
            )
        for id_, what, reason in parts:
            if reason:
                yield Finding(id_, "cloud", None, None, f"Could not read {what}: {reason}")
        if fleet.hosts_of_down_cells:
            yield Finding(
                "hosts-unreadable",
                "cloud",
                None,
                None,
                f"A cell is down, with {_some(fleet.hosts_of_down_cells)}: Nova lists no"
                " hypervisor then, so all hosts are taken for libvirt with KVM or QEMU on x86",
                "See the log of nova-api for the cell's database, then run the audit again",
            )

    def _metadefs(self) -> Iterator[Finding]:
        for trouble in readiness.troubles(self._definitions):
            name = None if trouble.namespace == "*" else trouble.namespace
            remedy = readiness.TROUBLES[trouble.kind][2]
            yield Finding(
                trouble.kind,
                "namespace",
                name,
                name,
                _METADEFS.get(trouble.kind) or f"It could not be read: {trouble.reason}",
                remedy.removeprefix("Run: ") if remedy else None,
            )

    def _flavor(self, flavor: Flavor, specs: Mapping[str, str]) -> Iterator[Finding]:
        about = ("flavor", flavor.id, flavor.name)
        value = policy.parse(specs.get(FLAVOR_KEY))
        name = shlex.quote(flavor.id)
        if value.setting is Setting.INVALID:
            yield Finding(
                "invalid-value",
                *about,
                f"{FLAVOR_KEY}={value.raw!r} is no boolean and counts as not set; from"
                f" microversion 2.86 on Nova refuses it on a write{_null(value)}",
                f"openstack flavor set --unique-serial {name}"
                f" (or --no-unique-serial, or flavor unset --unique-serial)",
            )
        for key in sorted(specs):
            if key == IMAGE_KEY or policy.is_near_miss(key):
                filtered = (
                    ""
                    if ":" in key
                    else "; worse, AggregateInstanceExtraSpecsFilter wants it on a host"
                    " aggregate, so that servers may find no host"
                )
                yield Finding(
                    "misplaced-key",
                    *about,
                    f"{key}={specs[key]!r} has no effect on a flavor: the key there is"
                    f" {FLAVOR_KEY}{filtered}",
                    f"openstack flavor unset --property {shlex.quote(key)} {name}",
                )
        yield from self._request("flavor", about, value.setting, specs, name)

    def _image(self, image: Image) -> Iterator[Finding]:
        about = ("image", image.id, image.name)
        value = policy.parse(image.properties.get(IMAGE_KEY))
        name = shlex.quote(image.id)
        found: list[Finding] = []
        if value.setting is Setting.INVALID:
            found.append(
                Finding(
                    "invalid-value",
                    *about,
                    f"{IMAGE_KEY}={value.raw!r} is no boolean and counts as not set, where Nova's"
                    f" own booleans would read it as false{_null(value)}",
                    f"openstack image set --unique-serial {name}"
                    f" (or --no-unique-serial, or image unset --unique-serial)",
                )
            )
        for key in sorted(image.properties):
            if key == FLAVOR_KEY or policy.is_near_miss(key):
                found.append(
                    Finding(
                        "misplaced-key",
                        *about,
                        f"{key}={image.properties[key]!r} has no effect on an image: the key"
                        f" there is {IMAGE_KEY}",
                        f"openstack image unset --property {shlex.quote(key)} {name}",
                    )
                )
        found += self._request("image", about, value.setting, image.properties, name)
        if image.is_snapshot and value.raw is not None:
            found.append(
                Finding(
                    "inherited-key",
                    *about,
                    f"This snapshot has {IMAGE_KEY}={value.raw!r} from the server that it was"
                    " made of, and hands it on to every server that is built from it",
                    f"openstack image unset --unique-serial {name}, if its servers are to follow"
                    " their own flavor; [DEFAULT] non_inheritable_image_properties keeps the"
                    " property out of new snapshots",
                )
            )
        exposed = [
            host for host in self._able if readiness.image_exposes(host) and host.input.honours
        ]
        exposed = [host for host in exposed if host.input.mode is not None]
        if value.setting is Setting.HOST and image.visibility != "public" and exposed:
            found.append(
                Finding(
                    "tenant-image-shows-host",
                    *about,
                    f"{IMAGE_KEY}={value.raw!r} of an image that is {image.visibility} shows the"
                    f" host's identity to guests on {_hosts(exposed)}, where they would have their"
                    " own UUID (OSSN-0028)",
                    "Set [unique_serial] image_may_show_host = false on these hosts, or:"
                    f" openstack image unset --unique-serial {name}",
                )
            )
        for each in found:
            yield dataclasses.replace(each, project_id=image.owner)

    def _request(
        self,
        what: str,
        about: tuple[str, str, str | None],
        setting: Setting,
        properties: Mapping[str, str],
        name: str,
    ) -> Iterator[Finding]:
        """Look at what a flavor or an image asks for, and whether any host can give it."""
        steered = policy.requires_unique(properties)
        if setting is Setting.HOST and steered:
            yield Finding(
                "contradicting-request",
                *about,
                f"It asks for the host's own serial, and requires trait {TRAIT_UNIQUE}, which"
                " hosts have that give a unique one",
                f"openstack {what} unset --unique-serial-hosts {name}"
                f" (or {what} set --unique-serial)",
            )
        yield from self._honoured(what, about, setting)
        required = {
            trait for trait in policy.TRAITS if properties.get(f"trait:{trait}") == "required"
        }
        ready = [host for host in self._able if _is_ready(host)]
        if (
            required
            and self._traits_known
            and not any(required <= (host.traits or frozenset()) for host in ready)
        ):
            yield Finding(
                "no-valid-host",
                *about,
                f"It requires {', '.join(sorted(required))}, and no host that is up and enabled"
                " has it: a server finds no valid host",
                f"openstack {what} unset --property trait:{sorted(required)[0]} {name}, or provide"
                " such a host",
            )
        bounded = any(key.startswith("aggregate_instance_extra_specs:") for key in properties)
        if setting is Setting.UNIQUE and not steered and not bounded:
            others = [host for host in self._enabled if _meets(host) is False]
            if others and any(_meets(host) for host in self._enabled):
                yield Finding(
                    "not-steered",
                    *about,
                    "It asks for a unique serial, but nothing keeps its servers from"
                    f" {_hosts(others)}, where they do not get one",
                    f"openstack {what} set --unique-serial-hosts supported {name}",
                )

    def _honoured(
        self, what: str, about: tuple[str, str, str | None], setting: Setting
    ) -> Iterator[Finding]:
        able = self._able
        if not able or any(host.input.honours is None for host in able):
            return
        if setting is Setting.UNIQUE and all(_meets(host) is False for host in able):
            said = "a unique serial, and no host gives one"
        elif setting is Setting.HOST and not any(host.input.honours for host in able):
            said = "the host's own serial, and no host honours the keys"
        else:
            return
        yield Finding(
            "key-not-honoured",
            *about,
            f"The {what} asks for {said}: it has no effect",
            "Install nova-uniqserial on the compute hosts (its guide tells how)",
        )

    def _aggregate(self, aggregate: Aggregate) -> Iterator[Finding]:
        about = ("aggregate", aggregate.id, aggregate.name)
        name = shlex.quote(aggregate.id)
        values = {key: policy.parse(aggregate.metadata.get(key)) for key in (FLAVOR_KEY, IMAGE_KEY)}
        for key, value in values.items():
            if value.setting is Setting.INVALID:
                yield Finding(
                    "invalid-value",
                    *about,
                    f"{key}={value.raw!r} is no boolean and says nothing{_null(value)}",
                    f"openstack aggregate set --unique-serial {name}"
                    " (or --no-unique-serial, or aggregate unset --unique-serial)",
                )
        said = _said(aggregate)
        if len(said) > 1:
            yield Finding(
                "aggregate-conflict",
                *about,
                f"{FLAVOR_KEY}={values[FLAVOR_KEY].raw!r} and"
                f" {IMAGE_KEY}={values[IMAGE_KEY].raw!r} contradict each other",
                f"openstack aggregate set --unique-serial {name} (or --no-unique-serial)",
            )
            return
        if not said:
            return
        (setting,) = said
        against = {
            host: other.name
            for other in self._fleet.aggregates
            if other.id != aggregate.id and _said(other) - said
            for host in other.hosts & aggregate.hosts
        }
        if against:
            yield Finding(
                "aggregate-conflict",
                *about,
                f"It says {'true' if setting is Setting.UNIQUE else 'false'}, and aggregate"
                f" {_some(sorted(set(against.values())))} says otherwise of"
                f" {_some(sorted(against))}",
                f"openstack aggregate unset --unique-serial {name}, here or there",
            )
        wrong = [
            host
            for host in self._fleet.hosts
            if host.hypervisor.host in aggregate.hosts
            and _meets(host) is (setting is not Setting.UNIQUE)
        ]
        if wrong:
            claim, truth = (
                ("true", "do not give a unique serial")
                if setting is Setting.UNIQUE
                else ("false", "give a unique serial to who asks")
            )
            yield Finding(
                "aggregate-host-mismatch",
                *about,
                f"It says {claim}, but {_hosts(wrong)} {truth}",
                f"openstack aggregate remove host {name} HOST for each, or correct what it says",
            )

    def _host(self, host: Host) -> Iterator[Finding]:
        about = ("host", host.hypervisor.id, host.hypervisor.host)
        fix = (
            f"openstack --os-placement-api-version 1.6 resource provider trait list"
            f" {host.hypervisor.id}; 'trait set' replaces all of them: repeat those that are to"
            " stay, and correct the host's provider.yaml"
        )
        if not host.input.smbios:
            if host.traits:
                yield Finding(
                    "wrong-traits",
                    *about,
                    "Nova writes no serial number here, but it has traits that promise or"
                    f" describe one: {', '.join(sorted(host.traits))}",
                    fix,
                )
            return
        if host.input.contradiction:
            yield Finding(
                "contradicting-traits",
                *about,
                f"Its traits contradict each other: {', '.join(host.input.contradiction)}",
                fix,
            )
        if policy.is_incomplete(host.traits or frozenset()):
            yield Finding(
                "incomplete-traits",
                *about,
                f"It has {policy.TRAIT_KEYS}, but not all that the compute driver reports with"
                " it: it was not the driver that set it, or it does not work",
                fix,
            )
        if host.input.honours and readiness.image_exposes(host):
            yield Finding(
                "image-may-show-host",
                *about,
                f"An image with {IMAGE_KEY}=false shows the host's identity to its guests"
                " (OSSN-0028), where they would have their own UUID",
                "Set [unique_serial] image_may_show_host = false in its nova.conf",
            )

    @functools.cached_property
    def _able(self) -> list[Host]:
        return [host for host in self._fleet.hosts if host.input.smbios]

    @functools.cached_property
    def _enabled(self) -> list[Host]:
        return [host for host in self._able if host.hypervisor.enabled]

    @functools.cached_property
    def _unique_already(self) -> frozenset[str]:
        """The names of hosts in mode unique."""
        return frozenset(
            host.hypervisor.host for host in self._fleet.hosts if host.input.mode is HostMode.UNIQUE
        )

    @property
    def _traits_known(self) -> bool:
        return bool(self._fleet.hosts) and self._fleet.traits_unread is None

    # --- servers --------------------------------------------------------

    def see(self, sightings: Iterable[Sighting]) -> None:
        """Look at servers, and note what they have in common with others."""
        coverage = self.coverage
        for sighting in sightings:
            coverage.seen += 1
            judged = self._judged.get(sighting.case)
            if judged is None:
                judged = self._judged[sighting.case] = self._judge(sighting.case)
            judged.servers += 1
            if not judged.unknown:
                coverage.checked += 1
            if not (judged.groups or judged.outlook or judged.required):
                continue
            for kind, by, more in judged.groups:
                key = (kind, _subject(by, sighting), more)
                group = self._groups.get(key)
                if group is None:
                    group = self._groups[key] = ServerIds()
                    group.provider = sighting.on.hypervisor.id if sighting.on else None
                group.add(sighting)
            if sighting.on and (judged.outlook or judged.required):
                self._look_elsewhere(sighting, sighting.on, judged)

    def _look_elsewhere(self, sighting: Sighting, on: Host, judged: _Judged) -> None:
        """Note what depends on the other hosts, or on the traits of this one."""
        here = on.hypervisor.id
        found = []
        if judged.outlook and judged.outlook.changes(here):
            found.append(("changes-on-move", sighting.flavor or "", ""))
        if judged.required:
            traits = ", ".join(trait for trait, _need in judged.required)
            if not self._destinations.other_with(judged.required, here):
                found.append(("cannot-move", on.hypervisor.host, traits))
            needed = {trait for trait, _need in judged.required}
            if on.traits is not None and not needed <= on.traits:
                found.append(("host-lacks-trait", on.hypervisor.host, traits))
        for key in found:
            group = self._groups.get(key)
            if group is None:
                group = self._groups[key] = ServerIds()
                group.provider, group.elsewhere = here, judged.elsewhere
            group.add(sighting)

    def _judge(self, case: Case) -> _Judged:
        flavor, image = case.flavor.used, case.image.used
        effective = policy.resolve(flavor, image, case.host)
        needs = dict(case.image.needs + case.flavor.needs)
        steered = needs.get(TRAIT_UNIQUE) == "required"
        outlook = None
        if effective.source is SerialSource.INSTANCE_UUID and not (
            effective.requested is Setting.UNIQUE and steered
        ):
            outlook = self._destinations.outlook(case)
        return _Judged(
            effective.source,
            _unknown(case, effective),
            tuple(_groups(case, effective)),
            outlook,
            _hosts(outlook.changing.values()) if outlook else "",
            tuple(sorted((trait, need) for trait, need in needs.items() if need == "required")),
        )

    # --- what servers have in common ------------------------------------

    def summary(
        self,
        gaps: Sequence[tuple[str, int | None]] = (),
        *,
        unlisted_cells: bool = False,
        volumes_unread: str | None = None,
    ) -> Iterator[Finding]:
        """Yield what is found about many servers at once, and what could not be checked.

        :param gaps: why servers could not be read, and how many they are, about
        :param unlisted_cells: Nova may have left out servers of cells that are down
        """
        for (kind, key, more), servers in sorted(
            self._groups.items(), key=lambda item: (item[0][0], str(item[0][1]), item[0][2])
        ):
            # Servers without an image were built from a volume.
            kind = "volume-unreadable" if (kind, key) == ("image-unreadable", "") else kind
            yield from self._shared(kind, key, more, servers)
        yield from self._silent()
        notes = self.coverage.notes
        down = self._groups.get(("server-in-down-cell", "", ""))
        if down or unlisted_cells:
            more = " or more" if unlisted_cells else ""
            notes.append(f"{len(down or ()):,}{more} in a down cell")
        if unlisted_cells:
            yield UNLISTED
        if volumes_unread:
            yield Finding(
                "volumes-unreadable",
                "cloud",
                None,
                None,
                f"Could not read the volumes: {volumes_unread}",
            )
        for reason, count in gaps:
            self.coverage.unread += count or 0
            found = unread(reason, count)
            yield found
            notes.append(found.evidence[:1].lower() + found.evidence[1:])
        for id_, one, many in (
            ("image-unreadable", "image unreadable", "images unreadable"),
            ("host-unknown", "host unknown", "hosts unknown"),
            ("flavor-unreadable", "flavor unreadable", "flavors unreadable"),
        ):
            count = sum(1 for kind, key, _more in self._groups if kind == id_ and key)
            if count:
                notes.append(f"{count:,} {one if count == 1 else many}")
        for id_, why in (
            ("image-unreadable", "with an unreadable root volume"),
            ("host-unknown", "on a host that is hidden from this user"),
        ):
            hidden = self._groups.get((id_, "", ""))
            if hidden:
                notes.append(f"{len(hidden):,} {why}")

    def _silent(self) -> Iterator[Finding]:
        """Yield the hosts of which nothing is known, and no server tells so."""
        if self._fleet.traits_unread:
            return
        told = {key for kind, key, _more in self._groups if kind == "host-unknown"}
        for host in self._able:
            name = host.hypervisor.host
            if name not in told and (host.input.mode is None or host.input.honours is None):
                yield Finding(
                    "host-mode-unknown",
                    "host",
                    host.hypervisor.id,
                    name,
                    "Which serial servers would get here is unknown, because the mode or the driver"
                    " of the host is",
                    _TELL_MODE,
                )

    def _shared(
        self, kind: str, shared: str | tuple[str, str], more: str, servers: ServerIds
    ) -> Iterator[Finding]:
        key, other = shared if isinstance(shared, tuple) else (shared, "")
        many = f"{len(servers):,} {'server' if len(servers) == 1 else 'servers'}"
        many = f"{many} ({_first(servers)})"
        flavor = ("flavor", self._flavor_id(key), key)
        image = ("image", key or None, self._image_name(key))
        host = ("host", servers.provider, key)
        if kind == "host-identity-shown":
            yield from self._identity(host, servers, many)
        elif kind == "setting-conflict":
            yield Finding(
                kind,
                *flavor,
                f"{many}: flavor and image ({other or 'of the root volume'}) ask for opposites;"
                " true wins",
                "Correct the flavor or the image (openstack flavor set, image set); a resize or a"
                " rebuild applies it",
                servers=servers,
            )
        elif kind == "flavor-changed":
            yield Finding(
                kind,
                *flavor,
                f"{many} {_verb(servers, 'use')} {more}",
                "openstack server resize --flavor FLAVOR SERVER applies it, to another flavor that"
                " says the same; a hard reboot does not",
                servers=servers,
            )
        elif kind == "image-changed":
            yield Finding(
                kind,
                *image,
                f"{many} {_verb(servers, 'use')} {more}",
                "openstack server rebuild SERVER applies it, and erases the root disk; a hard"
                " reboot does not",
                servers=servers,
            )
        elif kind.startswith("invalid-value-in-use"):
            about = flavor if kind.endswith("flavor") else image
            text = f"{many} {_verb(servers, 'carry')} {more}, which counts as not set"
            yield Finding("invalid-value-in-use", *about, text, servers=servers)
        elif kind == "unique-not-effective":
            yield Finding(
                kind,
                *host,
                f"{many} {_verb(servers, 'ask')} for a unique serial, but the host {more}",
                "Move the servers to hosts with libvirt and KVM or QEMU on x86"
                if "writes no" in more
                else "Install nova-uniqserial on the host, or set [libvirt]sysinfo_serial = unique"
                " there; restart nova-compute and hard reboot the servers",
                servers=servers,
            )
        elif kind == "changes-on-move":
            yield Finding(
                kind,
                *flavor,
                f"{many} {_verb(servers, 'have')} the server's UUID as serial now, and another one"
                f" after a move, for example to {servers.elsewhere}; flavor and image"
                " keep them from none of it",
                "openstack server resize --flavor FLAVOR SERVER, to a flavor made with"
                " --unique-serial --unique-serial-hosts supported",
                servers=servers,
            )
        elif kind == "cannot-move":
            yield Finding(
                kind,
                *host,
                f"{many} {_verb(servers, 'require')} {more}, and no other enabled host has that:"
                " they cannot be moved or evacuated",
                "Enable or start another host that has it, or provide one",
                servers=servers,
            )
        elif kind == "host-lacks-trait":
            yield Finding(
                kind,
                *host,
                f"{many}: flavor or image require {more}, which their host does not have (any"
                " more): a rebuild to another image that requires it fails, and none would be"
                " placed here again",
                "openstack server migrate SERVER, or restore the trait of the host",
                servers=servers,
            )
        else:
            yield self._unchecked(kind, key, servers, many)

    def _identity(
        self, about: tuple[str, str | None, str], servers: ServerIds, many: str
    ) -> Iterator[Finding]:
        remedy = (
            "Set [libvirt]sysinfo_serial = unique on the host, restart nova-compute and hard reboot"
            " the servers; where the host honours the keys: resize them to a flavor made with"
            " --unique-serial"
        )
        if about[2] in self._unique_already:
            remedy = (
                "Take hw:unique_serial=false out of their flavor and resize them, or"
                " hw_unique_serial=false out of their image and rebuild them; against images,"
                " [unique_serial] image_may_show_host = false on the host helps too"
            )
        if not about[2]:
            # Hidden from this user: they may be on different hosts.
            about = ("cloud", None, "")
        elif len(servers) > 1:
            yield Finding(
                "serial-shared",
                *about,
                f"{many} have one serial number, the host's: licences and"
                " inventories take them for one machine",
                remedy,
                servers=servers,
            )
        yield Finding(
            "host-identity-shown",
            *about,
            f"{many} {_verb(servers, 'show')} the identity of the host to whoever is in the guest"
            " (OSSN-0028), and another one after a move",
            remedy,
            servers=servers,
        )

    def _unchecked(self, kind: str, key: str, servers: ServerIds, many: str) -> Finding:
        if kind == "host-unknown":
            if not key:
                text = f"{many}: their host is hidden from this user"
                return Finding(kind, "cloud", None, None, text, servers=servers)
            return Finding(
                kind,
                "host",
                servers.provider,
                key,
                f"{many}: which serial they have is unknown, because the mode or the driver of"
                " their host is",
                _TELL_MODE,
                servers=servers,
            )
        if kind == "image-unreadable":
            return Finding(
                kind,
                "image",
                key or None,
                self._image_name(key),
                f"{many}: what the image said when they were built is unknown (it was deleted,"
                " changed since, or is hidden), and on their host it matters",
                "Install nova-uniqserial on the controllers: from microversion 2.98 (2025.1) on,"
                " Nova's API then tells what a server was built with",
                servers=servers,
            )
        if kind == "flavor-unreadable":
            text = f"{many}: what the flavor says is hidden from this user"
            return Finding(kind, "flavor", None, key or None, text, servers=servers)
        if kind == "server-in-down-cell":
            text = f"{many}: their cell is down, and Nova tells nothing of them"
            return Finding(kind, "cloud", None, None, text, servers=servers)
        text = f"{many}: what their root volume says is unknown"
        return Finding(kind, "cloud", None, None, text, servers=servers)

    def _flavor_id(self, name: str) -> str | None:
        if isinstance(self._known.flavors, Unchecked):
            return None
        return next((each.id for each in self._known.flavors if each.name == name), None)

    def _image_name(self, image_id: str) -> str | None:
        if isinstance(self._known.images, Unchecked):
            return None
        image = self._known.images.get(image_id)
        return image.name if image else None


# --- rules ------------------------------------------------------------------


def _groups(case: Case, effective: EffectivePolicy) -> Iterator[tuple[str, _By, str]]:
    """Yield the findings that every server of a case belongs to."""
    flavor, image = case.flavor.used.value, case.image.used.value
    by = {
        "host-unknown": _By.HOST,
        "image-unreadable": _By.IMAGE,
        "flavor-unreadable": _By.FLAVOR,
    }
    for id_ in _unknown(case, effective):
        yield id_, by.get(id_, _By.NOTHING), ""
    if effective.source in HOST_SOURCES:
        yield "host-identity-shown", _By.HOST, ""
    if {value.setting for value in (flavor, image) if value} >= {Setting.UNIQUE, Setting.HOST}:
        yield "setting-conflict", _By.FLAVOR_AND_IMAGE, ""
    for change in pending_changes(case.flavor, case.image):
        words = f"{_quoted(change.now)} where it now says {_quoted(change.next)}"
        yield f"{change.input}-changed", _By(change.input), words
    for what, value in (("flavor", flavor), ("image", image)):
        if value and value.setting is Setting.INVALID:
            yield f"invalid-value-in-use {what}", _By(what), _quoted(value.raw)
    if case.placed and _is_lost(effective):
        words = f"{_why_lost(case)}, so {_shows(effective.source)}"
        yield "unique-not-effective", _By.HOST, words


def _subject(by: _By, sighting: Sighting) -> str | tuple[str, str]:
    """Return what a server shares with the others of a finding."""
    if by is _By.HOST:
        return sighting.host or ""
    if by is _By.FLAVOR:
        return sighting.flavor or ""
    if by is _By.IMAGE:
        return sighting.image or ""
    if by is _By.FLAVOR_AND_IMAGE:
        return sighting.flavor or "", sighting.image or ""
    return ""


def _unknown(case: Case, effective: EffectivePolicy) -> tuple[str, ...]:
    """Return why the serial source is unknown; nothing where the server is on no host."""
    if not case.reachable:
        return ("server-in-down-cell",)
    if effective.source is not SerialSource.UNKNOWN or (case.host_visible and not case.placed):
        return ()
    reasons = []
    if case.flavor.used.value is None:
        reasons.append("flavor-unreadable")
    if case.image.used.value is None:
        reasons.append("image-unreadable")
    if case.host.mode is None or case.host.honours is None:
        reasons.append("host-unknown")
    return tuple(reasons)


def _is_lost(effective: EffectivePolicy) -> bool:
    """Whether a unique serial is asked for and another one is known to be there."""
    return effective.requested is Setting.UNIQUE and effective.source not in (
        SerialSource.INSTANCE_UUID,
        SerialSource.UNKNOWN,
    )


def _meets(host: Host) -> bool | None:
    """Whether a request for unique is met here; an aggregate's word does not count."""
    if not host.input.smbios:
        return False
    if host.input.meets_unique_evidence is Evidence.DECLARED:
        return None
    return _meets_unique(host.input)


@functools.lru_cache(maxsize=256)
def _meets_unique(host: HostInput) -> bool | None:
    unique = SettingInput(Value(Setting.UNIQUE))
    source = policy.resolve(unique, SettingInput(), host).source
    return None if source is SerialSource.UNKNOWN else source is SerialSource.INSTANCE_UUID


def _is_ready(host: Host) -> bool:
    return host.hypervisor.enabled and host.hypervisor.up


def _said(aggregate: Aggregate) -> set[Setting]:
    """Return what an aggregate says about its hosts: nothing, one thing, or both."""
    found = {policy.parse(aggregate.metadata.get(key)).setting for key in (FLAVOR_KEY, IMAGE_KEY)}
    return found & {Setting.UNIQUE, Setting.HOST}


# --- words ------------------------------------------------------------------


def _shows(source: SerialSource) -> str:
    if source is SerialSource.ABSENT:
        return "the guest has none"
    return "the guest shows its host's identity"


def _why_lost(case: Case) -> str:
    if not case.host.smbios:
        return "writes no serial number"
    mode = f" (mode {case.host.mode.value})" if case.host.mode else ""
    return f"does not honour the keys{mode}"


def _null(value: Value) -> str:
    """Say where a stored ``null`` comes from."""
    if value.raw != "null":
        return ""
    return "; Horizon stores null for a boolean property that is saved untouched"


def _quoted(raw: str | None) -> str:
    return "nothing" if raw is None else repr(raw)


def _hosts(hosts: Iterable[Host]) -> str:
    return _some(sorted({host.hypervisor.host for host in hosts}))


def _verb(servers: ServerIds, many: str) -> str:
    """Return a verb in the number of the servers."""
    if len(servers) > 1:
        return many
    return {"have": "has", "carry": "carries"}.get(many, f"{many}s")


def _first(servers: ServerIds) -> str:
    return ", ".join(servers.some) + (", ..." if len(servers) > SHOWN else "")


def _some(names: Sequence[str]) -> str:
    named = ", ".join(names[:SHOWN])
    return f"{named} and {len(names) - SHOWN} more" if len(names) > SHOWN else named
