# SPDX-License-Identifier: Apache-2.0
"""The identity of this host, and what the host mode gives to guests."""

from __future__ import annotations

import dataclasses
import os
import uuid
from collections.abc import Iterator
from typing import Any, Optional
from xml.etree import ElementTree

from nova_uniqserial.check.rows import Result, Row, reason, safe
from nova_uniqserial.identity import HOW_TO_REPAIR, MACHINE_ID, container, masked, why_no_serials

#: The URI of libvirt where Nova has none in its configuration, with virt_type kvm and qemu.
LIBVIRT = "qemu:///system"

_PRODUCT_UUID = "/sys/class/dmi/id/product_uuid"
_HOW_TO_ASK = (
    "Start libvirtd, and run this check with the Python of nova-compute, as root or as its user."
)


@dataclasses.dataclass(frozen=True)
class Identity:
    """One identity of the host.

    :ivar value: None: there is none that Nova could use
    :ivar problem: why there is none
    :ivar known: False: this user cannot find out
    :ivar container: the sign that it is a container's own and not the host's
    """

    value: Optional[str]  # noqa: UP045 - dataclasses of Python 3.8
    problem: str = ""
    known: bool = True
    container: Optional[str] = None  # noqa: UP045


@dataclasses.dataclass(frozen=True)
class Capabilities:
    """What libvirt reports of the host.

    :ivar hardware: the hardware UUID
    :ivar arch: the architecture; None: libvirt does not report it
    """

    hardware: Identity
    arch: Optional[str] = None  # noqa: UP045


def machine_id() -> Identity:
    """Read the machine ID as Nova does (LibvirtDriver._get_host_sysinfo_serial_os)."""
    try:
        with open(MACHINE_ID, encoding="utf-8", errors="replace") as file:
            words = file.read().split()
    except FileNotFoundError:
        return Identity(None, "missing")
    except OSError as error:
        known = not isinstance(error, PermissionError)
        return Identity(None, f"unreadable ({error.strerror})", known=known)
    if not words:
        return Identity(None, "empty")
    try:
        return Identity(str(uuid.UUID(words[0])), container=container())
    except ValueError:
        return Identity(None, "no ID")


def capabilities(uri: str | None) -> Capabilities:
    """Return what libvirt reports, which is what Nova reads.

    :param uri: ``[libvirt]connection_uri``; None: not set
    Sources: LibvirtDriver._get_host_sysinfo_serial_hardware, _configure_guest_by_virt_type.
    """
    try:
        import libvirt

        # Without this the bindings print each error.
        libvirt.registerErrorHandler(lambda _context, _error: None, None)
        connection = libvirt.openReadOnly(uri or LIBVIRT)
        try:
            text = connection.getCapabilities()
        finally:
            connection.close()
        # libvirt's own, from a local socket.
        tree = ElementTree.fromstring(text)  # noqa: S314
    except Exception as error:  # the bindings have kinds of errors of their own
        problem = f"libvirt ({uri or LIBVIRT}) does not answer: {reason(error)}"
        # It may have a password.
        problem = problem.replace(uri, "[libvirt]connection_uri") if uri else problem
        return Capabilities(Identity(None, problem, known=False))
    found = tree.findtext("host/uuid")
    hardware = Identity(found) if found else Identity(None, "libvirt reports no UUID of the host")
    return Capabilities(hardware, tree.findtext("host/cpu/arch"))


def assess_identities(machine: Identity, hardware: Identity) -> Iterator[Row]:
    """Yield a row for each identity. Whether the host mode needs it, is another check."""
    yield _machine_row(machine)
    yield _hardware_row(machine, hardware)


def _machine_row(machine: Identity) -> Row:
    if not machine.known:
        text = f"{MACHINE_ID} is {machine.problem}."
        return Row("machine-id", Result.UNKNOWN, text, "Run this check as root.")
    if machine.value is None:
        auto = "would be the hardware UUID" if machine.problem == "missing" else "would fail"
        return Row(
            "machine-id",
            Result.OK,
            f"{MACHINE_ID} is {machine.problem}: mode os would fail, and mode auto {auto}.",
        )
    found = f"{MACHINE_ID} is {masked(machine.value)}"
    if machine.container:
        return Row("machine-id", Result.OK, f"{found}, {machine.container}.")
    return Row("machine-id", Result.OK, f"{found}, the host's: no sign of a container's own.")


def _hardware_row(machine: Identity, hardware: Identity) -> Row:
    product = _product_uuid()
    if hardware.value is None:
        result = Result.OK if hardware.known else Result.UNKNOWN
        text = f"{safe(hardware.problem)}. {_PRODUCT_UUID} is {product[1]}."
        remedy = None if hardware.known else _HOW_TO_ASK
        return Row("hardware-uuid", result, text, remedy)
    if hardware.value == product[0]:
        source = f", as in {_PRODUCT_UUID}"
    elif hardware.value == machine.value:
        source = ", the machine ID"
    else:
        source = f"; {_PRODUCT_UUID} is {product[1]}"
    return Row("hardware-uuid", Result.OK, f"libvirt reports {masked(hardware.value)}{source}.")


def _product_uuid() -> tuple[str | None, str]:
    """Return the UUID of the firmware, and words for it."""
    try:
        with open(_PRODUCT_UUID, encoding="ascii", errors="replace") as file:
            value = file.read().strip().lower()
    except FileNotFoundError:
        return None, "missing"
    except OSError:
        return None, "not readable by this user"
    return value, masked(value)


def assess_mode(mode: Any, virt_type: str, machine: Identity, reported: Capabilities) -> Row:
    """Return what a guest that asks for nothing gets here.

    :param mode: ``[libvirt]sysinfo_serial``; None: not valid
    """
    plain = "a guest that asks for nothing"
    # Without libvirt the kernel's architecture, which is the same.
    why = why_no_serials(virt_type, reported.arch or os.uname().machine)
    if why is not None:
        text = f"Guests of this host have no serial number: {safe(why)}."
        elsewhere = "Place servers that need a serial number on other hosts."
        return Row("host-mode", Result.WARNING, text, elsewhere)
    if mode is None:
        text = "The host mode is not valid."
        return Row("host-mode", Result.UNKNOWN, text, "See sysinfo-serial.")
    if mode == "none":
        return Row("host-mode", Result.OK, f"Mode none: {plain} has no serial number.")
    own = "auto" if mode == "unique" else mode
    result, gives = _own(own, machine, reported.hardware)
    if mode == "unique":
        return Row(
            "host-mode",
            Result.OK,
            f"Mode unique: {plain} gets the UUID of its server. One that asks for the host's"
            f" serial number (false) gets {gives}.",
        )
    remedies = {Result.OK: None, Result.UNKNOWN: "See machine-id and hardware-uuid."}
    remedy = remedies.get(result, HOW_TO_REPAIR)
    return Row("host-mode", result, f"Mode {safe(mode)}: {plain} gets {gives}.", remedy)


def _own(mode: str, machine: Identity, hardware: Identity) -> tuple[Result, str]:
    """Return what guests get that show the host, and words for it.

    :param mode: os, hardware or auto
    """
    if mode == "os" or (mode == "auto" and machine.problem != "missing"):
        if machine.value is not None:
            result = Result.WARNING if machine.container else Result.OK
            more = f", {machine.container}" if machine.container else ""
            return result, f"the machine ID {masked(machine.value)}{more}"
        if not machine.known:
            return Result.UNKNOWN, "the machine ID, which cannot be read by this user"
        return Result.FAILED, f"an error and does not start: {MACHINE_ID} is {machine.problem}"
    known = masked(hardware.value) if hardware.value else safe(hardware.problem)
    if mode == "auto":
        return (
            Result.WARNING,
            f"the hardware UUID ({known}), because {MACHINE_ID} is missing; OSSN-0028 warns of"
            " showing it to guests",
        )
    if hardware.value is None:
        result = Result.FAILED if hardware.known else Result.UNKNOWN
        return result, f"the hardware UUID, which is not known ({known})"
    return Result.OK, f"the hardware UUID ({known}), which OSSN-0028 warns of showing to guests"
