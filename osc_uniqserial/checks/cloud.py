# SPDX-License-Identifier: Apache-2.0
"""Input of checks: the whole cloud, and the assessment of a case of servers. Pure."""

from __future__ import annotations

import dataclasses
import enum
import functools
from collections.abc import Collection, Iterable, Sequence

from osc_uniqserial.effective.migration_targets import MigrationTargets
from osc_uniqserial.metadefs import Comparison
from osc_uniqserial.model.cloud import (
    Case,
    Configuration,
    Fleet,
    Host,
    Needs,
    Unchecked,
)
from osc_uniqserial.policy import (
    EffectivePolicy,
    HostInput,
    HostMode,
    SerialSource,
    Setting,
    Value,
)


class Cloud:
    """The hosts, flavors, images and metadata definitions that servers depend on.

    :ivar configuration: flavors, images and hosts
    :ivar definitions: Glance's metadata definitions, compared with ours
    :ivar targets: the hosts as targets of a cold migration
    """

    def __init__(
        self, configuration: Configuration, definitions: Iterable[Comparison] = ()
    ) -> None:
        self.configuration = configuration
        self.definitions = tuple(definitions)
        fleet = configuration.fleet
        self.fleet = fleet if isinstance(fleet, Fleet) else Fleet(())
        self.targets = MigrationTargets(self.fleet)

    @functools.cached_property
    def able(self) -> Sequence[Host]:
        """The hosts whose guests have a serial number."""
        return [host for host in self.fleet.hosts if host.input.smbios]

    @functools.cached_property
    def enabled(self) -> Sequence[Host]:
        """The hosts of ``able`` that are not disabled, as far as known."""
        return [host for host in self.able if host.hypervisor.enabled is not False]

    @functools.cached_property
    def ready(self) -> Sequence[Host]:
        """The hosts of ``able`` that are enabled and up, as far as known."""
        return [host for host in self.able if host.ready is not False]

    @functools.cached_property
    def unique_by_mode(self) -> frozenset[str]:
        """The names of the hosts in mode unique."""
        return frozenset(
            host.name for host in self.fleet.hosts if host.input.mode is HostMode.UNIQUE
        )

    @functools.cached_property
    def servers_may_ask(self) -> frozenset[str]:
        """The names of the hosts that obey the requests of servers."""
        return frozenset(host.name for host in self.fleet.hosts if host.input.server_may_ask)

    @property
    def traits_known(self) -> bool:
        """Whether the traits of all hosts were read."""
        return bool(self.fleet.hosts) and self.fleet.traits_unread is None

    @functools.cached_property
    def _flavor_ids(self) -> dict[str, str]:
        flavors = self.configuration.flavors
        if isinstance(flavors, Unchecked):
            return {}
        return {each.name: each.id for each in reversed(flavors)}

    def flavor_id(self, name: str) -> str | None:
        """Return the ID of a flavor by name; None when it is unknown."""
        return self._flavor_ids.get(name)

    def image_name(self, image_id: str) -> str | None:
        """Return the name of an image; None when it is unknown."""
        images = self.configuration.images
        image = None if isinstance(images, Unchecked) else images.get(image_id)
        return image.name if image else None

    def assess(self, case: Case) -> Assessment:
        """Return the assessment of a case."""
        return Assessment(case, case.resolve())


class Missing(enum.Enum):
    """An unknown input that makes the serial source unknown."""

    CELL = "cell"
    FLAVOR = "flavor"
    IMAGE = "image"
    HOST = "host"


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Assessment:
    """The effective policy of all servers of a case."""

    case: Case
    effective: EffectivePolicy

    @property
    def host(self) -> HostInput:
        """The known properties of the host."""
        return self.case.host

    @property
    def flavor(self) -> Value | None:
        """The flavor's value; None: unknown."""
        return self.case.flavor.used.value

    @property
    def image(self) -> Value | None:
        """The image's value; None: unknown."""
        return self.case.image.used.value

    @property
    def server(self) -> Value | None:
        """The value in the server's metadata; None: unknown."""
        return self.case.server.value

    @property
    def required(self) -> Needs:
        """The traits of this project that flavor and image require."""
        return tuple(each for each in self.case.needs if each[1] == "required")

    @property
    def is_lost(self) -> bool:
        """Whether unique is requested and the serial source is known to be another one."""
        return self.effective.requested is Setting.UNIQUE and self.effective.source not in (
            SerialSource.INSTANCE_UUID,
            SerialSource.UNKNOWN,
        )

    @property
    def missing(self) -> Collection[Missing]:
        """The inputs that make the serial source unknown; empty for servers on no host."""
        case = self.case
        if not case.reachable:
            return (Missing.CELL,)
        if self.effective.source is not SerialSource.UNKNOWN:
            return ()
        if case.host_visible and not case.placed:
            return ()
        reasons = []
        if self.flavor is None:
            reasons.append(Missing.FLAVOR)
        if self.image is None:
            reasons.append(Missing.IMAGE)
        if self.host.mode is None or self.host.honours is None:
            reasons.append(Missing.HOST)
        return reasons
