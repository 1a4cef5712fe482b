# SPDX-License-Identifier: Apache-2.0
"""Targets of a cold move in a fleet, and whether a serial survives. Computed per case. Pure."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping

from osc_uniqserial import policy
from osc_uniqserial.model.cloud import Case, Fleet, Host, Moves, Needs
from osc_uniqserial.policy import Evidence, HostInput, SerialSource, SettingInput

#: The settings of flavor, image and server.
_Inputs = tuple[SettingInput, SettingInput, SettingInput]


@dataclasses.dataclass(frozen=True, slots=True)
class Outlook:
    """The effect of a move on servers of one case whose serial is their UUID.

    Hosts are mapped by the UUID of their resource provider.

    :ivar targets: all hosts that a move may go to
    :ivar changing: hosts that change the serial
    :ivar doubtful: hosts where this is unknown
    :ivar bounded: rules that are not evaluated here may exclude hosts
    """

    targets: Mapping[str, Host]
    changing: Mapping[str, Host]
    doubtful: Mapping[str, Host]
    bounded: bool

    def changes(self, own: str) -> bool:
        """Whether a move from a host is known to change the serial."""
        return not self.bounded and len(self.changing) > (own in self.changing)

    def moves(self, own: str) -> Moves:
        """Return the effect of a move from a host."""
        if not self.targets.keys() - {own}:
            return Moves(None)
        if self.changes(own):
            return Moves(False, _names(self.changing, own))
        would = {**self.changing, **self.doubtful}
        if would.keys() - {own}:
            return Moves(None, _names(would, own))
        return Moves(True)


class MigrationTargets:
    """The hosts of a fleet that a cold move may go to."""

    def __init__(self, fleet: Fleet) -> None:
        # By the UUID of their resource provider; hosts of an unknown state are included.
        self._targets = {
            host.hypervisor.id: host
            for host in fleet.hosts
            if host.hypervisor.enabled is not False and host.hypervisor.is_libvirt_qemu
        }
        self._outcomes = functools.lru_cache(maxsize=1024)(self._sort_out)
        self._source = functools.lru_cache(maxsize=4096)(_source)
        self._with = functools.lru_cache(maxsize=64)(self._having)

    def outlook(self, case: Case) -> Outlook | None:
        """Return the effect of a move on the servers of a case; None when it is unknown."""
        # The request on any host: a host's options may overrule an image.
        wish = case.resolve(HostInput()).requested
        if wish is None or case.host.mode is None:
            return None
        inputs = (case.flavor.used, case.image.used, case.server)
        changing, doubtful = self._outcomes(inputs, case.needs, case.image.architecture)
        return Outlook(self._targets, changing, doubtful, case.bounded)

    def moves(self, case: Case, own: Host | None) -> Moves | None:
        """Return the effect of a move on a serial that is the server's UUID; None: unknown.

        :param own: the present host
        """
        outlook = self.outlook(case) if own else None
        return outlook.moves(own.hypervisor.id) if own and outlook else None

    def other_with(self, needs: Needs, own: str) -> bool:
        """Whether another host that may be up and enabled meets requirements of our traits."""
        found = self._with(needs)
        return len(found) > (own in found)

    def _having(self, needs: Needs) -> frozenset[str]:
        return frozenset(
            key
            for key, host in self._targets.items()
            if host.ready is not False and _allows(host, needs)
        )

    def _sort_out(
        self, inputs: _Inputs, needs: Needs, architecture: str | None
    ) -> tuple[dict[str, Host], dict[str, Host]]:
        """Return the hosts that change the serial, and those where this is unknown."""
        changing: dict[str, Host] = {}
        doubtful: dict[str, Host] = {}
        for key, host in self._targets.items():
            if not _allows(host, needs):
                continue
            smbios = host.hypervisor.writes_sysinfo(architecture)
            source = self._source(inputs, host.input, smbios)
            if source is SerialSource.INSTANCE_UUID:
                continue
            # Whether a host of a down cell is enabled is unknown.
            certain = source is not SerialSource.UNKNOWN and host.hypervisor.enabled
            (changing if certain else doubtful)[key] = host
        return changing, doubtful


def _source(inputs: _Inputs, host: HostInput, smbios: bool) -> SerialSource:
    if not smbios:
        return SerialSource.ABSENT
    flavor, image, server = inputs
    source = policy.resolve(flavor, image, host, server).source
    if host.meets_unique_evidence is Evidence.DECLARED and source is SerialSource.INSTANCE_UUID:
        # An aggregate's declaration covers the servers that are already there.
        return SerialSource.UNKNOWN
    return source


def _allows(host: Host, needs: Needs) -> bool:
    """Whether requirements of our traits allow a host; a host with unread traits is allowed."""
    if host.traits is None:
        return True
    return all((trait in host.traits) is (need == "required") for trait, need in needs)


def _names(hosts: Mapping[str, Host], without: str) -> tuple[str, ...]:
    return tuple(sorted({host.hypervisor.host for key, host in hosts.items() if key != without}))
