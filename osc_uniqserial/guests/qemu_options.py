# SPDX-License-Identifier: Apache-2.0
"""The serial number in QEMU options that a libvirt domain passes through (``qemu:commandline``).

libvirt adds these options after its own, and the last ``-smbios type=1,serial=`` counts. Sources:
QEMU, hw/smbios/smbios.c (smbios_entry_add) and util/qemu-option.c (get_opt_value);
libvirt, drvqemu, "Pass-through of arbitrary QEMU commands".
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence

#: One ``key=value`` of an option; a comma in it is doubled.
_FIELD = re.compile(r"(?:[^,]|,,)+")
#: Type 1 of SMBIOS, the system, as strtoul(3) reads it with base 0.
_SYSTEM = re.compile(r"\s*\+?(0[xX])?0*1")


class UnknownOptions(Exception):
    """The options take the serial number from elsewhere; the message names the option."""


def serial(arguments: Sequence[str]) -> str | None:
    """Return the system serial number that the options set; None when they set none.

    :param arguments: the values of ``<qemu:arg>``, in order
    :raises UnknownOptions: when an option reads a file that may set it, or has no value
    """
    found = None
    for option, value in itertools.pairwise([*arguments, ""]):
        if option in ("-readconfig", "--readconfig"):
            raise UnknownOptions("-readconfig")
        if option in ("-smbios", "--smbios"):
            fields = dict(_fields(value))
            if "file" in fields:
                raise UnknownOptions("-smbios file=")
            if _SYSTEM.fullmatch(fields.get("type", "")):
                found = fields.get("serial", found)
    return found


def _fields(value: str) -> Iterator[tuple[str, str]]:
    for field in _FIELD.findall(value):
        key, equals, text = field.partition("=")
        if not equals:
            # QEMU takes "serial" for "on", and "noserial" for "off".
            raise UnknownOptions(f"-smbios {key}")
        yield key, text.replace(",,", ",")
