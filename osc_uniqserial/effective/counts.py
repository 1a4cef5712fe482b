# SPDX-License-Identifier: Apache-2.0
"""How many servers there are of which serial source, by host. Pure.

A server costs one addition: everything else is done once for each case at the end.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable

from osc_uniqserial import policy
from osc_uniqserial.effective.explanation import HOST_SOURCES
from osc_uniqserial.model.cloud import Case, Fleet, Host, ServerFacts
from osc_uniqserial.policy import HostMode, SerialSource, Setting


@dataclasses.dataclass(slots=True)
class HostCounts:
    """What there is on a host.

    :ivar name: None: on no host, or on one that is hidden
    :ivar placed: False: on no host
    :ivar smbios: whether Nova writes serial numbers there, into guests of the host's architecture
    :ivar mode: None: unknown
    :ivar honours: None: unknown
    :ivar requested: servers by what flavor and image ask for; None: unknown
    :ivar sources: servers by where their serial number comes from
    """

    name: str | None
    mode: HostMode | None = None
    honours: bool | None = None
    placed: bool = True
    smbios: bool = True
    requested: Counter[Setting | None] = dataclasses.field(default_factory=Counter)
    sources: Counter[SerialSource] = dataclasses.field(default_factory=Counter)

    @property
    def servers(self) -> int:
        """How many servers there are."""
        return self.sources.total()

    @property
    def showing(self) -> int:
        """How many servers show the host's identity."""
        return sum(count for source, count in self.sources.items() if source in HOST_SOURCES)

    @property
    def sharing(self) -> int:
        """How many servers have one serial number, the host's, with others.

        Whether those on hosts that are hidden are on the same one is unknown.
        """
        return self.showing if self.name is not None and self.showing > 1 else 0


class ServerCounts:
    """Counts servers while they are read."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str | None, Case]] = Counter()

    def add(self, sightings: Iterable[ServerFacts]) -> None:
        """Count servers."""
        self._counts.update([(each.host, each.case) for each in sightings])

    def by_host(self, fleet: Fleet | None) -> list[HostCounts]:
        """Return what there is on each host, those without servers too, by name."""
        hosts: dict[tuple[str | None, bool], HostCounts] = {}
        for host in fleet.hosts if fleet else ():
            hosts.setdefault((host.hypervisor.host, True), _of(host))
        for (name, case), count in self._counts.items():
            key = (name, name is not None or case.placed)
            about = hosts.get(key)
            if about is None:
                known = case.host
                about = hosts[key] = HostCounts(name, known.mode, known.honours, key[1])
            effective = policy.resolve(case.flavor.used, case.image.used, case.host)
            about.sources[effective.source] += count
            about.requested[effective.requested] += count
        return sorted(
            hosts.values(), key=lambda each: (each.name is None, each.name or "", each.placed)
        )


def _of(host: Host) -> HostCounts:
    known = host.input
    return HostCounts(host.hypervisor.host, known.mode, known.honours, smbios=known.smbios)
