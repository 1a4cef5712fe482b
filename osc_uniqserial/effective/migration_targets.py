# SPDX-License-Identifier: Apache-2.0
"""Where servers could move, and whether their serial would stay: over a whole fleet. Pure.

Every answer is made once for each case.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping

from osc_uniqserial import policy
from osc_uniqserial.model.cloud import Case, Fleet, Host, Moves, Needs
from osc_uniqserial.policy import Evidence, HostInput, SerialSource, SettingInput


@dataclasses.dataclass(frozen=True, slots=True)
class Outlook:
    """What a move would do to servers of one case whose serial is their UUID.

    :ivar changing: the hosts that would change it, by the UUID of their resource provider
    :ivar doubtful: those that cannot be judged
    :ivar bounded: something that is not looked at here may keep the servers from some
    """

    targets: Mapping[str, Host]
    changing: Mapping[str, Host]
    doubtful: Mapping[str, Host]
    bounded: bool

    def changes(self, own: str) -> bool:
        """Tell whether a move from a host is known to change the serial."""
        return not self.bounded and len(self.changing) > (own in self.changing)

    def moves(self, own: str) -> Moves:
        """Tell what a move from a host would do."""
        if not self.targets.keys() - {own}:
            return Moves(None)
        if self.changes(own):
            return Moves(False, _names(self.changing, own))
        would = {**self.changing, **self.doubtful}
        if would.keys() - {own}:
            return Moves(None, _names(would, own))
        return Moves(True)


class MigrationTargets:
    """The hosts of a fleet, as targets of a cold move."""

    def __init__(self, fleet: Fleet) -> None:
        #: Those that a cold move may go to, by the UUID of their resource provider; also those
        #: of which it is unknown whether they are enabled.
        self._targets = {
            host.hypervisor.id: host
            for host in fleet.hosts
            if host.hypervisor.enabled is not False and host.hypervisor.is_libvirt_qemu
        }
        self._outcomes = functools.lru_cache(maxsize=1024)(self._sort_out)
        self._source = functools.lru_cache(maxsize=4096)(_source)
        self._with = functools.lru_cache(maxsize=64)(self._having)

    def outlook(self, case: Case) -> Outlook | None:
        """Look at the other hosts for the servers of a case; None when they cannot be judged."""
        # What flavor and image ask for wherever the guest is; a host may overrule an image.
        wish = policy.resolve(case.flavor.used, case.image.used, HostInput()).requested
        if wish is None or case.host.mode is None:
            return None
        changing, doubtful = self._outcomes(
            case.flavor.used, case.image.used, case.needs, case.image.architecture
        )
        return Outlook(self._targets, changing, doubtful, case.bounded)

    def moves(self, case: Case, own: Host | None) -> Moves | None:
        """Tell what a move to another host would do to a serial that is the server's UUID.

        :param own: the present host
        :returns: None when that cannot be told
        """
        outlook = self.outlook(case) if own else None
        return outlook.moves(own.hypervisor.id) if own and outlook else None

    def other_with(self, needs: Needs, own: str) -> bool:
        """Tell whether a host that may be up and enabled, but not this one, meets needs."""
        found = self._with(needs)
        return len(found) > (own in found)

    def _having(self, needs: Needs) -> frozenset[str]:
        return frozenset(
            key
            for key, host in self._targets.items()
            if host.ready is not False and _allows(host, needs)
        )

    def _sort_out(
        self, flavor: SettingInput, image: SettingInput, needs: Needs, architecture: str | None
    ) -> tuple[dict[str, Host], dict[str, Host]]:
        """Return the hosts that would change the serial, and those that cannot be judged."""
        changing: dict[str, Host] = {}
        doubtful: dict[str, Host] = {}
        for key, host in self._targets.items():
            if not _allows(host, needs):
                continue
            smbios = host.hypervisor.writes_sysinfo(architecture)
            source = self._source(flavor, image, host.input, smbios)
            if source is SerialSource.INSTANCE_UUID:
                continue
            # Whether a host of a down cell is enabled is unknown.
            certain = source is not SerialSource.UNKNOWN and host.hypervisor.enabled
            (changing if certain else doubtful)[key] = host
        return changing, doubtful


def _source(
    flavor: SettingInput, image: SettingInput, host: HostInput, smbios: bool
) -> SerialSource:
    if not smbios:
        return SerialSource.ABSENT
    source = policy.resolve(flavor, image, host).source
    if host.meets_unique_evidence is Evidence.DECLARED and source is SerialSource.INSTANCE_UUID:
        # An aggregate's word is about the servers that are there.
        return SerialSource.UNKNOWN
    return source


def _allows(host: Host, needs: Needs) -> bool:
    """Tell whether requirements of our traits allow a host; unread traits might."""
    if host.traits is None:
        return True
    return all((trait in host.traits) is (need == "required") for trait, need in needs)


def _names(hosts: Mapping[str, Host], without: str) -> tuple[str, ...]:
    return tuple(sorted({host.hypervisor.host for key, host in hosts.items() if key != without}))
