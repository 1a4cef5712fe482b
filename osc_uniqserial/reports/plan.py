# SPDX-License-Identifier: Apache-2.0
"""The page of a plan: one self-contained HTML file, without scripts and network access."""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from osc_uniqserial.reports.run import Invocation
from osc_uniqserial.reports.template import environment
from osc_uniqserial.text import counted

#: Limits that keep page and memory small: rows of a table, servers of a project and of all, and
#: projects. The rest is counted.
_ROWS, _IN_PROJECT, _SERVERS, _PROJECTS = 1_000, 100, 2_000, 300
_STYLES = {"change": "info", "what-if": "none", "unknown": "warn", "unread": "warn"}
_STYLES["no-match"] = "warn"

#: A row as the command prints it, by the keys of its columns.
Row = Mapping[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Table:
    """The first rows of a table.

    :ivar number: the number of all rows
    """

    rows: Sequence[Row]
    number: int

    @classmethod
    def first(cls, rows: Iterable[Row], number: int) -> Table:
        """Take the rows to show; the others are not made."""
        return cls(tuple(itertools.islice(rows, _ROWS)), number)


@dataclasses.dataclass(slots=True)
class Project:
    """The servers of a project.

    :ivar servers: number of servers with another serial number, or an unknown one
    :ivar rows: the first rows
    :ivar left: number of the other rows
    """

    id: str | None
    servers: int = 0
    rows: list[Row] = dataclasses.field(default_factory=list)
    left: int = 0


class Servers:
    """The servers of a plan by project: the first rows, and the number of the others.

    :ivar changed: number of servers with another serial number
    :ivar unknown: number of servers where that is unknown
    :ivar when: number of rows by operation
    """

    def __init__(self) -> None:
        self.projects: dict[str | None, Project] = {}
        self.when: Counter[str | None] = Counter()
        self.changed = self.unknown = self._kept = 0

    def add(self, rows: Sequence[Row]) -> None:
        """Add all rows of one server."""
        id_ = rows[0]["project_id"]
        project = self.projects.get(id_)
        if project is None:
            project = self.projects[id_] = Project(id_)
        project.servers += 1
        if any(row["result"] == "change" for row in rows):
            self.changed += 1
        else:
            self.unknown += 1
        for row in rows:
            self.when[row["when"]] += 1
            if self._kept < _SERVERS and len(project.rows) < _IN_PROJECT:
                self._kept += 1
                project.rows.append(row)
            else:
                project.left += 1


@dataclasses.dataclass(frozen=True, slots=True)
class Plan(Invocation):
    """One run of plan.

    :ivar changes: what changes
    :ivar what_ifs: the number of changes that are only shown
    :ivar unplanned: what could not be planned
    """

    changes: Table
    what_ifs: int
    servers: Servers
    unplanned: Table


def render(run: Plan) -> bytes:
    """Return the page."""
    projects = sorted(
        run.servers.projects.values(), key=lambda each: (-each.servers, each.id or "")
    )
    return (
        environment()
        .get_template("plan.html.j2")
        .render(
            run=run,
            verdict=_verdict(run),
            servers=run.servers,
            shown=projects[:_PROJECTS],
            styles=_STYLES,
        )
        .encode()
    )


def _verdict(run: Plan) -> tuple[str, str]:
    """Return the style and the text of the banner."""
    unknown = (
        " Not everything could be planned." if run.unplanned.number or run.servers.unknown else ""
    )
    if run.changes.number:
        changed = counted(run.servers.changed, "server")
        has = "has" if run.servers.changed == 1 else "have"
        return "warn", (
            f"{counted(run.changes.number, 'change')}; {changed} then {has} another serial"
            f" number.{unknown}"
        )
    return ("warn", f"No change.{unknown}") if unknown else ("good", "No change.")
