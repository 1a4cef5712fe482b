# SPDX-License-Identifier: Apache-2.0
"""Facts that guests report: UUID and serial number in JSON of several agents. Pure.

Names of keys are compared without case, ``_`` and ``-``. Sources of the names: Ansible, module
setup; osquery, table system_info; Windows, Win32_ComputerSystemProduct; GLPI agent and
FusionInventory, inventory format; Facter, dmi.product; Ohai, dmi.system; Salt, grains; lshw;
hostnamectl.
"""

from __future__ import annotations

import functools
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from osc_uniqserial.guests.json_objects import decoded
from osc_uniqserial.model.guest import Reading

#: Keys of the UUID and of the serial number of a machine, the most specific ones first.
_UUIDS = ("ansibleproductuuid", "productuuid", "systemuuid", "uuid")
_SERIALS = (
    *("ansibleproductserial", "productserial", "hardwareserial", "identifyingnumber"),
    *("systemserialnumber", "systemserial", "serialnumber", "serial"),
)
#: The same in objects that have the two in different places (GLPI; lshw).
_PATHS = (
    (("hardware", "uuid"), ("bios", "ssn")),
    (("configuration", "uuid"), ("serial",)),
)
#: The longest key that is compared.
_LONGEST = 64
#: An object that holds JSON as text: Ansible's cache of facts (plugin jsonfile).
_PAYLOAD = "payload"
#: Rows that a query of osquery no longer has.
_REMOVED = "removed"
#: Texts that agents and firmware have in place of a serial number, as lower-case letters and
#: digits: Ansible reports "NA" without root, dmidecode "Not Specified" and "<BAD INDEX>".
_NO_SERIAL = frozenset(
    {
        # "ansibleproductserial" is a template that was not filled in.
        *(
            "",
            "1",
            "ansibleproductserial",
            "badindex",
            "default",
            "defaultstring",
            "empty",
            "false",
            "invalid",
            "missing",
        ),
        *("na", "nan", "nil", "no", "noassettag", "none", "noserialnumber", "notapplicable"),
        *("notavailable", "notdefined", "notfound", "notpresent", "notprovided", "notset"),
        *("notsettable", "notspecified", "notsupported", "null", "oem", "permissiondenied"),
        *("serialnumber", "systemserialnumber", "tobefilled", "tobefilledbyoem", "todo"),
        *("undefined", "unknown", "unset", "unspecified", "valuespecifiedinnologparameter"),
    }
)
_ABSENT = object()
_NO_ROOT = "NA: the agent ran without root"
_NULL = "null: the agent has no such fact, as on Windows"
_EMPTY = "an empty text, as without root, or on Windows with some machine types"
_PLACEHOLDER = "a text that stands for none"


def readings(document: Any, source: str) -> Iterator[Reading | str]:
    """Yield the readings of a document, and reasons why a machine in it has none.

    :param source: the file, for messages
    """
    found = False
    weak = ""
    for each in _machines(document):
        reading = _reading(*each, source) if isinstance(each, tuple) else each
        if reading is None:
            # Parts of a machine have UUIDs and serial numbers too.
            weak = "no uuid and serial"
            continue
        found = True
        yield reading
    if not found:
        yield weak or "no uuid and serial"


def _machines(document: Any) -> Iterator[tuple[Any, Any] | str]:
    """Yield the UUID and serial number of each machine, or why there are none."""
    pending = [document]
    while pending:
        value = pending.pop()
        if isinstance(value, list):
            pending += reversed(value)
        elif isinstance(value, dict):
            named = {
                _plain(key) if len(key) <= _LONGEST else key: each for key, each in value.items()
            }
            if named.get("action") == _REMOVED:
                continue
            if named.get("unreachable") is True:
                yield "the machine was unreachable"
                continue
            if (machine := _machine(named)) is not None:
                yield machine
                continue
            named.pop(_REMOVED, None)
            payload = named.get(_PAYLOAD)
            if isinstance(payload, str):
                named[_PAYLOAD] = _unpacked(payload)
            pending += reversed(named.values())


# Documents of one agent have the same keys.
@functools.lru_cache(maxsize=1024)
def _plain(key: str) -> str:
    return key.lower().replace("_", "").replace("-", "")


def _unpacked(payload: str) -> Any:
    try:
        return decoded(payload)
    except ValueError:
        return None


def _machine(named: Mapping[str, Any]) -> tuple[Any, Any] | None:
    """Return the UUID and serial number of an object; None when it has neither."""
    for id_path, serial_path in _PATHS:
        id_, serial = _at(named, id_path), _at(named, serial_path)
        if id_ is not _ABSENT:
            return id_, serial
    id_, serial = _first(named, _UUIDS), _first(named, _SERIALS)
    return None if id_ is _ABSENT and serial is _ABSENT else (id_, serial)


def _at(named: Mapping[str, Any], path: Sequence[str]) -> Any:
    value: Any = named.get(path[0], _ABSENT)
    for step in path[1:]:
        if not isinstance(value, dict):
            return _ABSENT
        value = next((value[key] for key in value if key.lower() == step), _ABSENT)
    return value


def _first(named: Mapping[str, Any], keys: Sequence[str]) -> Any:
    return next((named[key] for key in keys if key in named), _ABSENT)


def _reading(id_: Any, serial: Any, source: str) -> Reading | str | None:
    """Return the reading of a machine, or why it has none; None for parts of a machine."""
    if id_ is _ABSENT or serial is _ABSENT:
        return None
    if id_ is None:
        return "the UUID is null: the machine was unreachable, or it runs Windows"
    if not isinstance(id_, str):
        return "the UUID is no text"
    if stands_for_none(id_):
        return f"the UUID is {_missing(id_)}"
    try:
        id_ = str(uuid.UUID(id_.strip()))
    except ValueError:
        return "the UUID is none"
    if serial is not None and not isinstance(serial, str):
        return "the serial number is no text"
    serial = serial and serial.strip()
    if serial is None or (serial and stands_for_none(serial)):
        return Reading(id_, None, source, why=f"the serial number is {_missing(serial)}")
    return Reading(id_, serial, source, why="" if serial else _EMPTY)


def stands_for_none(text: str) -> bool:
    """Return whether an agent wrote a text because it has no value."""
    word = "".join(char for char in text[:_LONGEST].lower() if char.isalnum())
    return word in _NO_SERIAL or not word.strip("0")


def _missing(text: str | None) -> str:
    if text is None:
        return _NULL
    return _NO_ROOT if text.strip().lower() == "na" else _PLACEHOLDER
