# SPDX-License-Identifier: Apache-2.0
"""Number of servers per host and serial source. Pure.

Each server is one addition to a counter; the policy of each case is resolved once, at the end.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable

from osc_uniqserial.effective.explanation import HOST_SOURCES
from osc_uniqserial.model.cloud import Case, Fleet, Hypervisor, ServerFacts
from osc_uniqserial.policy import HostMode, SerialSource, Setting


@dataclasses.dataclass(slots=True)
class HostCounts:
    """The servers of one host.

    :ivar name: None for servers without a host, or on a hidden one
    :ivar mode: None: unknown
    :ivar honours: None: unknown
    :ivar placed: False for servers without a host
    :ivar smbios: whether Nova writes serial numbers into guests of the host's architecture
    :ivar hypervisor: None: unknown
    :ivar requested: servers by requested setting; None: unknown
    :ivar sources: servers by serial source
    """

    name: str | None
    mode: HostMode | None = None
    honours: bool | None = None
    placed: bool = True
    smbios: bool = True
    hypervisor: Hypervisor | None = None
    requested: Counter[Setting | None] = dataclasses.field(default_factory=Counter)
    sources: Counter[SerialSource] = dataclasses.field(default_factory=Counter)

    @property
    def servers(self) -> int:
        """Number of servers."""
        return self.sources.total()

    @property
    def showing(self) -> int:
        """Number of servers that show the host's identity."""
        return sum(count for source, count in self.sources.items() if source in HOST_SOURCES)

    @property
    def sharing(self) -> int:
        """Number of servers that share the host's serial number; 0 where the host is hidden."""
        return self.showing if self.name is not None and self.showing > 1 else 0


class ServerCounts:
    """Counter of servers while they are read."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str | None, Case]] = Counter()

    def add(self, servers: Iterable[ServerFacts]) -> None:
        """Count servers."""
        self._counts.update([(each.host, each.case) for each in servers])

    def by_host(self, fleet: Fleet | None) -> list[HostCounts]:
        """Return the servers of each host, by name; hosts without servers too."""
        hosts: dict[tuple[str | None, bool], HostCounts] = {}
        for host in fleet.hosts if fleet else ():
            known = host.input
            counts = HostCounts(
                *(host.name, known.mode, known.honours),
                smbios=known.smbios,
                hypervisor=host.hypervisor,
            )
            hosts.setdefault((host.name, True), counts)
        for (name, case), count in self._counts.items():
            key = (name, name is not None or case.placed)
            known = case.host
            counts = hosts.setdefault(key, HostCounts(name, known.mode, known.honours, key[1]))
            effective = case.resolve()
            counts.sources[effective.source] += count
            counts.requested[effective.requested] += count
        return sorted(
            hosts.values(), key=lambda each: (each.name is None, each.name or "", each.placed)
        )
