# SPDX-License-Identifier: Apache-2.0
"""What a report is made from: one run of audit or verify, typed and inert. Pure."""

from __future__ import annotations

import dataclasses
import datetime
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence

from osc_uniqserial.checks.check import Check, Part
from osc_uniqserial.effective.counts import OfHost
from osc_uniqserial.model.finding import Covered, Severity
from osc_uniqserial.policy import SerialSource
from osc_uniqserial.reports.baseline import Entry, Judged, Standing

#: The scope of a whole cloud.
ALL_PROJECTS = "all projects"


@dataclasses.dataclass(frozen=True, slots=True)
class Run:
    """One run.

    :ivar command: audit or verify
    :ivar version: of this project
    :ivar options: those that were given, as on the command line
    :ivar began: in UTC
    :ivar seconds: how long it took
    :ivar cloud: its name in clouds.yaml; empty where there is none
    :ivar auth_url: of Keystone
    :ivar scope: which servers were looked at
    :ivar covered: how much was seen
    :ivar checks: what was looked for, by ID
    :ivar fatal: the severities that make the exit code 3
    :ivar judged: everything that was found, the gravest first
    :ivar baseline: its path; None when none was given
    :ivar unmet: entries of the baseline that nothing meets
    :ivar hosts: by name; those without servers too
    """

    command: str
    version: str
    options: str
    began: datetime.datetime
    seconds: float
    cloud: str
    region: str
    auth_url: str
    user: str
    project: str
    scope: str
    covered: Covered
    checks: Mapping[str, Check]
    fatal: Collection[Severity]
    judged: Sequence[Judged]
    hosts: Sequence[OfHost]
    baseline: str | None = None
    unmet: Sequence[Entry] = ()

    def by_id(self) -> dict[str, list[Judged]]:
        """Return what was found, by ID; of each check."""
        found: dict[str, list[Judged]] = {id_: [] for id_ in self.checks}
        for each in self.judged:
            found.setdefault(each.finding.id, []).append(each)
        return found

    def findings(self) -> Iterator[Judged]:
        """Yield what was found and is not accepted."""
        for each in self.judged:
            if each.counts and each.finding.severity is not Severity.UNCHECKED:
                yield each

    def unchecked(self) -> Iterator[Judged]:
        """Yield what could not be checked."""
        for each in self.judged:
            if each.finding.severity is Severity.UNCHECKED:
                yield each

    def accepted(self) -> Iterator[Judged]:
        """Yield findings that the baseline accepts."""
        for each in self.judged:
            if each.standing is Standing.ACCEPTED:
                yield each

    def missing(self) -> dict[Part, list[Judged]]:
        """Return what could not be read, wholly or partly, and what tells so."""
        parts: dict[Part, list[Judged]] = {}
        for each in self.unchecked():
            for part in self.checks[each.finding.id].takes_away:
                parts.setdefault(part, []).append(each)
        return parts

    def sources(self) -> Counter[SerialSource]:
        """Return how many servers on hosts there are of each serial source, by policy."""
        total: Counter[SerialSource] = Counter()
        for host in self.hosts:
            if host.placed:
                total.update(host.sources)
        return total

    @property
    def nowhere(self) -> int:
        """How many servers are on no host, and so have no serial number yet."""
        return sum(host.servers for host in self.hosts if not host.placed)

    @property
    def is_whole(self) -> bool:
        """Whether the servers of all projects were looked at."""
        return self.scope == ALL_PROJECTS
