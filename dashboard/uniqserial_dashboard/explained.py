# SPDX-License-Identifier: Apache-2.0
"""The explanation of one server in the words of the page."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from osc_uniqserial.effective.explanation import Explanation, Pending
    from osc_uniqserial.policy import SettingInput

#: Serial sources by their value. Also in reports.
SOURCES: dict[str, Any] = {
    "instance-uuid": _("UUID of the server"),
    "host-os": _("Machine ID of the host's operating system"),
    "host-hardware": _("UUID of the host's hardware"),
    "host-auto": _("Host: machine ID, or hardware UUID without one"),
    "absent": _("No serial number"),
    "unknown": _("Unknown"),
}
_SETTINGS: dict[str, Any] = {
    "unique": _("A unique serial number"),
    "host": _("The serial number of the host"),
    "unset": _("Nothing"),
    "invalid": _("An invalid value"),
}
_EVIDENCE: dict[str, Any] = {
    "frozen": _("Image properties that the server was built with"),
    "current-image": _("Image, as it is now"),
    "volume": _("Root volume"),
    "embedded-flavor": _("Flavor that the server was built with"),
    "server-metadata": _("Metadata of the server"),
    "required-trait": _("Trait that was required for the server"),
    "trait": _("Traits of the host"),
    "trait-absent": _("Traits of the host, without one of the driver"),
    "given": _("Given"),
    "declared": _("Host aggregate"),
    "unreadable": _("Not readable"),
}
YES_NO: dict[bool | None, Any] = {True: _("Yes"), False: _("No"), None: _("Unknown")}
_APPLIED: dict[str, Any] = {
    "resize": _("a resize to another flavor with the same setting"),
    "rebuild": _("a rebuild, which erases the root disk"),
}


@dataclasses.dataclass(frozen=True, slots=True)
class Input:
    """One input of the policy: its value, and where it was read."""

    name: Any
    value: Any
    evidence: Any


class Page:
    """What the tab shows of an explanation; texts of the cloud are not escaped here.

    :ivar notes: reasons of parts that could not be read, or are wrong
    """

    def __init__(self, about: Explanation, notes: list[str]) -> None:
        self._about = about
        self._case = about.server.case
        self.notes = notes
        self.why = about.why
        self.expected_serial = about.policy.expected_serial(about.server.id)

    @property
    def source(self) -> Any:
        """Where the serial number comes from."""
        return SOURCES[self._about.policy.source.value]

    @property
    def requested(self) -> Any:
        """What flavor, image and server ask for together."""
        requested = self._about.policy.requested
        return YES_NO[None] if requested is None else _SETTINGS[requested.value]

    @property
    def survives_move(self) -> Any:
        """Whether the serial number stays the same on another host."""
        return YES_NO[self._about.survives_move]

    @property
    def is_partial(self) -> bool:
        """Whether inputs are missing that this user may not read, or that no service returned."""
        used = (self._case.flavor.used, self._case.image.used, self._case.server)
        return (
            self._about.policy.source.value == "unknown"
            or not self._case.host_visible
            or any(each.value is None for each in used)
        )

    @property
    def pending(self) -> list[dict[str, Any]]:
        """Changes that are stored and not yet in the guest."""
        return [_pending(each) for each in self._about.pending or ()]

    @property
    def is_pending_unknown(self) -> bool:
        """Whether the request of the server may be newer than the last start of the guest."""
        return self._about.pending is None

    @property
    def inputs(self) -> Iterator[Input]:
        """The inputs with their evidence."""
        case, host = self._case, self._case.host
        yield _setting(_("Flavor"), case.flavor.used)
        yield _setting(_("Image"), case.image.used)
        yield _setting(_("Server metadata"), case.server)
        mode = host.mode.value if host.mode else YES_NO[None]
        yield Input(_("Host mode"), mode, _evidence(host.mode_evidence))
        yield Input(
            _("Host obeys the keys"), YES_NO[host.honours], _evidence(host.honours_evidence)
        )
        if host.meets_unique_evidence:
            yield Input(
                _("Host is known to meet a request for unique"),
                YES_NO[host.meets_unique],
                _evidence(host.meets_unique_evidence),
            )

    @property
    def may_ask(self) -> bool:
        """Whether a request in the server's metadata may have an effect that it has not yet."""
        host, requested = self._case.host, self._about.policy.requested
        is_unique = requested is not None and requested.value == "unique"
        obeys = host.honours is not False and host.server_may_ask is not False
        return host.smbios and obeys and not is_unique and not self._case.asks

    @property
    def is_obeyed(self) -> bool:
        """Whether the server's host is known to obey its request."""
        host = self._case.host
        return host.honours is True and host.server_may_ask is True


def _pending(change: Pending) -> dict[str, Any]:
    fields: dict[str, Any] = dataclasses.asdict(change)
    return fields | {"applied_by": _APPLIED[change.applied_by]}


def _setting(name: Any, used: SettingInput) -> Input:
    if used.value is None:
        value = YES_NO[None]
    else:
        value = _("not set") if used.value.raw is None else used.value.raw
    return Input(name, value, _evidence(used.evidence))


def _evidence(evidence: enum.Enum | None) -> Any:
    return "" if evidence is None else _EVIDENCE.get(evidence.value, evidence.value)
