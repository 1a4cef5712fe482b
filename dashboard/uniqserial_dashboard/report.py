# SPDX-License-Identifier: Apache-2.0
"""The JSON report of a nightly audit.

``openstack unique serial audit --report json=FILE`` writes it. A file is parsed once and kept until
it is replaced: a page does not wait for the parser.
"""

from __future__ import annotations

import csv
import datetime
import io
import os
import stat
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import BinaryIO, Literal

import msgspec

from osc_uniqserial import REPORT_VERSION

#: The most bytes of a report. One of 100,000 findings has about 63 MiB.
MOST_BYTES = 128 * 2**20
SEVERITIES = ("high", "medium", "low", "info", "unchecked")
#: Characters with which spreadsheets begin a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_CSV_COLUMNS = (
    *("severity", "id", "baseline", "resource_type", "resource_id", "resource_name"),
    *("project_id", "servers", "evidence", "remedy", "server_ids"),
)


class Unusable(Exception):
    """A report cannot be shown; the message has the reason and what to do."""


class _Version(msgspec.Struct):
    version: object = None
    command: object = None


class Remedy(msgspec.Struct, frozen=True):
    """The repair of a finding."""

    text: str
    commands: tuple[str, ...] = ()


class Finding(msgspec.Struct, frozen=True):
    """A finding, as the report has it."""

    id: str
    severity: Literal["high", "medium", "low", "info", "unchecked"]
    resource_type: str
    evidence: str
    baseline: str | None = None
    resource_id: str | None = None
    resource_name: str | None = None
    project_id: str | None = None
    server_ids: tuple[str, ...] | None = None
    remedy: Remedy | None = None

    def contains(self, text: str) -> bool:
        """Whether the text is part of the names, IDs or the evidence; case does not count."""
        wanted = text.casefold()
        own = (self.id, self.resource_name, self.resource_id, self.project_id, self.evidence)
        return any(each and wanted in each.casefold() for each in own) or any(
            wanted in each for each in self.server_ids or ()
        )


class Host(msgspec.Struct, frozen=True):
    """The servers of one host, and its hypervisor."""

    serial_sources: Mapping[str, int]
    placed: bool = True
    hypervisor_id: str | None = None
    hypervisor_hostname: str | None = None


class Coverage(msgspec.Struct, frozen=True):
    """How much the audit checked."""

    text: str
    servers: int = 0
    checked: int = 0


class Cloud(msgspec.Struct, frozen=True):
    """The cloud of the audit."""

    label: str = ""
    region: str = ""


class Report(msgspec.Struct, frozen=True):
    """A report.

    :ivar began: start of the audit, with its time zone
    :ivar scope: which servers were read
    """

    began: datetime.datetime
    scope: str
    coverage: Coverage
    findings: tuple[Finding, ...]
    hosts: tuple[Host, ...]
    cloud: Cloud = Cloud()

    def select(
        self, severity: str = "", check: str = "", kind: str = "", text: str = ""
    ) -> list[Finding]:
        """Return the findings that match; an empty filter matches all.

        :param severity: one of :data:`SEVERITIES`
        :param check: ID of a check
        :param kind: type of resource
        :param text: part of a name, an ID or the evidence
        """
        return [
            each
            for each in self.findings
            if severity in ("", each.severity)
            and check in ("", each.id)
            and kind in ("", each.resource_type)
            and (not text or each.contains(text))
        ]

    @property
    def by_severity(self) -> Counter[str]:
        """The number of findings by severity."""
        return Counter(each.severity for each in self.findings)

    @property
    def checks(self) -> list[str]:
        """The IDs of the checks that found something, sorted."""
        return sorted({each.id for each in self.findings})

    @property
    def types(self) -> list[str]:
        """The types of the resources with findings, sorted."""
        return sorted({each.resource_type for each in self.findings})

    @property
    def hypervisors(self) -> dict[str, str]:
        """The names of the hypervisors by ID."""
        return {
            host.hypervisor_id: host.hypervisor_hostname
            for host in self.hosts
            if host.hypervisor_id and host.hypervisor_hostname
        }

    @property
    def sources(self) -> Counter[str]:
        """The number of servers on hosts by serial source."""
        found = Counter[str]()
        for host in self.hosts:
            if host.placed:
                found.update(host.serial_sources)
        return found

    def csv(self) -> Iterator[str]:
        """Yield the findings as lines of a CSV file; no cell is a formula."""
        yield _csv_line(_CSV_COLUMNS)
        for each in self.findings:
            servers = each.server_ids
            remedy = each.remedy.text if each.remedy else None
            yield _csv_line(
                (
                    *(each.severity, each.id, each.baseline, each.resource_type),
                    *(each.resource_id, each.resource_name, each.project_id),
                    None if servers is None else str(len(servers)),
                    *(each.evidence, remedy, " ".join(servers or ())),
                )
            )


def _csv_line(cells: tuple[str | None, ...]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow([_cell(each or "") for each in cells])
    return line.getvalue()


def _cell(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text


class ReportFile:
    """The file that the nightly job writes."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._seen: tuple[int, ...] = ()
        self._report: Report | None = None

    def read(self) -> Report:
        """Return the report.

        :raises Unusable: the message has the reason
        """
        with opened(self._path) as file, self._lock:
            about = os.fstat(file.fileno())
            if about.st_size > MOST_BYTES:
                raise Unusable(
                    f"The file has more than {MOST_BYTES // 2**20} MiB. Read the HTML report, or"
                    " audit one project with --project."
                )
            seen = (about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns)
            if self._report is None or seen != self._seen:
                self._report = None
                try:
                    content = file.read(MOST_BYTES)
                except OSError as error:
                    raise Unusable(f"The file cannot be read: {_reason(error)}.") from error
                self._report, self._seen = _decoded(content), seen
            return self._report


def opened(path: str) -> BinaryIO:
    """Return an open file that the nightly job wrote.

    :raises Unusable: the message has the reason
    """
    try:
        file = open(path, "rb", opener=_without_waiting)  # noqa: SIM115
    except FileNotFoundError:
        raise Unusable(
            "The file is missing. The nightly job writes it with 'openstack unique serial"
            " audit --report FORMAT=FILE'."
        ) from None
    except (OSError, ValueError) as error:
        raise Unusable(f"The file cannot be opened: {_reason(error)}.") from error
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise Unusable("The path is not a file.")
    return file


def _without_waiting(path: str, flags: int) -> int:
    # A pipe in place of the file would block the page.
    return os.open(path, flags | os.O_NONBLOCK)


def _reason(error: Exception) -> str:
    # The message of an OSError has the path, which is not for every user of the panel.
    return getattr(error, "strerror", None) or type(error).__name__


def _decoded(content: bytes) -> Report:
    try:
        about = msgspec.json.decode(content, type=_Version)
        if about.version != REPORT_VERSION or about.command != "audit":
            raise Unusable(
                "The file is not a JSON report of an audit that this version can read (version"
                f" {REPORT_VERSION}). Install the same release of osc-uniqserial beside Horizon and"
                " for the nightly job."
            )
        report = msgspec.json.decode(content, type=Report)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Unusable(
            "The file is not a complete JSON report of an audit. Run the nightly job again."
        ) from error
    if report.began.tzinfo is None:
        raise Unusable("The start of the audit has no time zone. Run the nightly job again.")
    return report
