# SPDX-License-Identifier: Apache-2.0
"""The servers of a cloud for NetBox's bulk import of virtual machines. Pure.

Read in NetBox (virtualization/forms/bulk_import.py, models/virtualmachines.py, choices.py): the
import takes the columns name, status, cluster and serial since version 4.1. A name has at most 64
characters, and is unique in a cluster without regard to case.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from osc_uniqserial.desired.export.format import Report
from osc_uniqserial.effective.explanation import HOST_SOURCES
from osc_uniqserial.model.cloud import ServerFacts
from osc_uniqserial.model.inventory import begins_with_uuid
from osc_uniqserial.policy import SerialSource
from osc_uniqserial.text import counted, is_formula, some

COLUMNS = ("name", "status", "cluster", "serial")
#: The longest name.
_LONGEST = 64
#: The status in NetBox by that in Nova; all others are active. NetBox has "paused" since 4.3 only.
_STATUSES = {
    "BUILD": "staged",
    "DELETED": "decommissioning",
    "ERROR": "failed",
    "PAUSED": "offline",
    "SHELVED": "offline",
    "SHELVED_OFFLOADED": "offline",
    "SHUTOFF": "offline",
    "SOFT_DELETED": "decommissioning",
    "SUSPENDED": "offline",
}


class Machines:
    """Rows of the import, in the order in which the servers were added."""

    def __init__(self) -> None:
        #: ID, name, status and serial source of each server.
        self._servers: list[tuple[str, str, str, SerialSource]] = []
        self._down = 0

    def add(self, servers: Iterable[ServerFacts]) -> None:
        """Add servers."""
        for server in servers:
            if server.name is None:
                self._down += 1
                continue
            source = server.case.resolve().source
            self._servers.append((server.id, server.name, server.status, source))

    @property
    def unread(self) -> Iterator[str]:
        """Yield what is missing in the rows."""
        if self._down:
            yield f"{counted(self._down, 'server')} of cells that are down: left out"
        unknown = sum(source is SerialSource.UNKNOWN for *_about, source in self._servers)
        if unknown:
            servers = counted(unknown, "server")
            yield f"where the serial number of {servers} comes from is unknown: left empty"

    def lines(self, cluster: str, report: Report) -> Iterator[str]:
        """Yield the lines of the file, without line ends.

        :param cluster: the name of the cluster in NetBox
        :param report: called with what the import cannot express
        """
        names = Counter(name.lower() for _id, name, _status, _source in self._servers)
        renamed = []
        yield _line(COLUMNS)
        for id_, name, status, source in self._servers:
            shown = name
            if names[name.lower()] > 1 or not _is_usable(name):
                # The UUID is a name that is unique and no formula, and 'verify' reads it.
                shown = f"{id_} {_printable(name)}"[:_LONGEST].rstrip()
                renamed.append(id_)
            serial = id_ if source is SerialSource.INSTANCE_UUID else ""
            yield _line((shown, _STATUSES.get(status, "active"), cluster, serial))
        if renamed:
            report(
                f"{counted(len(renamed), 'server')} ({some(renamed)}): the name is not unique, too"
                " long, a UUID, or not safe in a spreadsheet; it begins with the UUID in the file"
            )
        if of_host := sum(source in HOST_SOURCES for *_about, source in self._servers):
            report(
                f"{counted(of_host, 'server')}: the serial number is the identity of the host,"
                " which is not known here: left empty"
            )


def _is_usable(name: str) -> bool:
    # A name that begins with a UUID may be that of another server in the file.
    return is_safe(name) and len(name) <= _LONGEST and not begins_with_uuid(name)


def is_safe(name: str) -> bool:
    """Return whether the import reads a name as it is, and no spreadsheet takes it for a formula.

    :param name: of a server or of a cluster
    """
    # NetBox's guess of the format does not always find doubled quotes.
    plain = name == name.strip() and name.isprintable() and '"' not in name
    return bool(name) and plain and not is_formula(name)


def _printable(name: str) -> str:
    return "".join(char for char in name if char.isprintable()).replace('"', "'").strip()


def _line(cells: Sequence[str]) -> str:
    text = io.StringIO()
    # NetBox guesses the delimiter, and takes one in names for it where cells are not quoted.
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="").writerow(cells)
    return text.getvalue()
