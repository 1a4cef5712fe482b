# SPDX-License-Identifier: Apache-2.0
"""The input of all report formats: one run of a command. Pure."""

from __future__ import annotations

import dataclasses
import datetime
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from osc_uniqserial.checks.check import Check, Part
from osc_uniqserial.effective.counts import HostCounts
from osc_uniqserial.model.finding import Covered, Severity
from osc_uniqserial.policy import SerialSource
from osc_uniqserial.reports.baseline import Assessed, Entry, Standing

#: The scope of a whole cloud.
ALL_PROJECTS = "all projects"
#: What openstacksdk calls a cloud that variables or options give, and not clouds.yaml.
_NAMELESS = frozenset({"", "envvars", "defaults"})
#: The version of the API at the end of Keystone's URL.
_API_VERSION = re.compile(r"/v[0-9.]+$")


@dataclasses.dataclass(frozen=True, slots=True)
class Invocation:
    """Who ran which command, on which cloud, and when.

    :ivar command: audit, verify or plan
    :ivar version: version of osc-uniqserial
    :ivar options: the command's options as given on the command line
    :ivar began: start time in UTC
    :ivar seconds: duration
    :ivar cloud: name of the cloud in clouds.yaml; without one openstacksdk's word for it
    :ivar auth_url: Keystone's URL
    :ivar scope: which servers were read
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

    @property
    def label(self) -> str:
        """Name of the cloud; without one, the host, port and path of Keystone, without secrets."""
        if self.cloud not in _NAMELESS:
            return self.cloud
        url = re.split("[?#]", self.auth_url)[0]
        address = url.rpartition("://")[2].rpartition("@")[2].rstrip("/")
        return _API_VERSION.sub("", address) or self.cloud

    @property
    def is_whole(self) -> bool:
        """Whether the servers of all projects were read."""
        return self.scope == ALL_PROJECTS


@dataclasses.dataclass(frozen=True, slots=True)
class Run(Invocation):
    """One run of audit or verify.

    :ivar covered: how many servers were checked
    :ivar checks: the checks that ran, by ID
    :ivar fatal: severities that cause exit code 3
    :ivar assessed: all findings, the gravest first
    :ivar baseline: path of the baseline; None without one
    :ivar unmet: entries of the baseline that match no finding
    :ivar hosts: all hosts sorted by name, also those without servers
    """

    covered: Covered
    checks: Mapping[str, Check]
    fatal: Collection[Severity]
    assessed: Sequence[Assessed]
    hosts: Sequence[HostCounts]
    baseline: str | None = None
    unmet: Sequence[Entry] = ()

    def by_id(self) -> dict[str, list[Assessed]]:
        """Return the findings of every check, by its ID."""
        found: dict[str, list[Assessed]] = {id_: [] for id_ in self.checks}
        for each in self.assessed:
            found.setdefault(each.finding.id, []).append(each)
        return found

    def findings(self) -> list[Assessed]:
        """Return the findings that the baseline does not accept."""
        gap = Severity.UNCHECKED
        return [each for each in self.assessed if each.counts and each.finding.severity is not gap]

    def unchecked(self) -> list[Assessed]:
        """Return the findings about parts that could not be checked."""
        return [each for each in self.assessed if each.finding.severity is Severity.UNCHECKED]

    def accepted(self) -> list[Assessed]:
        """Return the findings that the baseline accepts."""
        return [each for each in self.assessed if each.standing is Standing.ACCEPTED]

    def missing(self) -> dict[Part, list[Assessed]]:
        """Return the parts that could not be read completely, with their findings."""
        parts: dict[Part, list[Assessed]] = {}
        for each in self.unchecked():
            for part in self.checks[each.finding.id].takes_away:
                parts.setdefault(part, []).append(each)
        return parts

    def sources(self) -> Counter[SerialSource]:
        """Return the number of servers on hosts by serial source, according to the policy."""
        placed = (host.sources for host in self.hosts if host.placed)
        return sum(placed, Counter[SerialSource]())

    @property
    def nowhere(self) -> int:
        """Number of servers that are on no host and therefore have no serial number yet."""
        return sum(host.servers for host in self.hosts if not host.placed)
