# SPDX-License-Identifier: Apache-2.0
"""What ``audit`` and ``verify`` share: options, rows, exit codes, the line on coverage."""

from __future__ import annotations

import abc
import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from osc_lib import exceptions

from osc_uniqserial.commands import output
from osc_uniqserial.commands.servers import add_project_option, project_id
from osc_uniqserial.text import safe_text

if TYPE_CHECKING:
    from osc_uniqserial.findings import Finding, Severity
    from osc_uniqserial.survey import Survey

#: From the gravest on; the last word turns failing off.
_SEVERITIES = ("high", "medium", "low", "info")
_NEVER = "never"

#: Key and getter of each column. The keys are an interface: scripts read them.
COLUMNS: dict[str, Callable[[Finding], Any]] = {
    "id": lambda found: found.id,
    "severity": lambda found: found.severity.value,
    "resource_type": lambda found: found.type,
    "resource_id": lambda found: found.resource_id,
    "resource_name": lambda found: found.resource_name,
    "project_id": lambda found: found.project_id,
    "servers": lambda found: None if found.servers is None else len(found.servers),
    "server_ids": lambda found: None if found.servers is None else list(found.servers),
    "evidence": lambda found: found.evidence,
    "remedy": lambda found: found.remedy,
}
_LONG = ("resource_id", "project_id", "server_ids")


class Lister(output.Lister):
    """A command that finds what is wrong.

    :ivar coverage: the last word on standard error
    """

    coverage = ""

    @abc.abstractmethod
    def severities(self) -> Mapping[str, Severity]:
        """Return what this command can find, by ID."""

    def _finding_id(self, text: str) -> str:
        known = sorted(
            id_ for id_, grave in self.severities().items() if grave.value != "unchecked"
        )
        if text not in known:
            raise argparse.ArgumentTypeError(f"{text!r} is not one of {', '.join(known)}")
        return text

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the scope and what counts."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--all-projects",
            action="store_true",
            help="Servers of all projects; an error where this user may not see them",
        )
        add_project_option(parser)
        parser.add_argument(
            "--fail-on",
            choices=[*_SEVERITIES, _NEVER],
            default="low",
            help="The least severity that makes the exit code 3 (default: low)",
        )
        parser.add_argument(
            "--only",
            metavar="<id>",
            type=self._finding_id,
            action="append",
            help="Findings of this ID (repeat option to give several)",
        )
        parser.add_argument(
            "--skip",
            metavar="<id>",
            type=self._finding_id,
            action="append",
            default=[],
            help="No findings of this ID (repeat option to give several)",
        )
        parser.add_argument(
            "--long",
            action="store_true",
            help="The IDs of resources, projects and servers too",
        )
        return parser

    def scope(self, parsed_args: argparse.Namespace, survey: Survey) -> tuple[dict[str, str], str]:
        """Return the filters of the list of servers, and what to say of them."""
        if parsed_args.project:
            project = project_id(self.app.client_manager, parsed_args)
            return {"all_tenants": "true", "project_id": project}, f"project {project} only"
        if survey.sees_all_projects():
            return {"all_tenants": "true"}, ""
        if parsed_args.all_projects:
            raise exceptions.CommandError(
                "This user may not list the servers of all projects; without --all-projects"
                " those of the own project are looked at"
            )
        return {}, "own project only: this user may not list the servers of others"

    def rows(
        self, parsed_args: argparse.Namespace, findings: Iterable[Finding]
    ) -> tuple[Sequence[str], Iterable[Any]]:
        """Return what was asked for, the gravest first, and set the exit code."""
        rank = [*_SEVERITIES, "unchecked"]
        found = sorted(
            self._selected(parsed_args, findings), key=lambda each: rank.index(each.severity.value)
        )
        asked = {name.lower().replace(" ", "_") for name in parsed_args.columns}
        columns = [
            name for name in COLUMNS if parsed_args.long or name not in _LONG or name in asked
        ]
        return columns, (_row(each, columns, parsed_args.formatter) for each in found)

    def _selected(
        self, parsed_args: argparse.Namespace, findings: Iterable[Finding]
    ) -> Iterator[Finding]:
        """Yield what was asked for. What was not checked stays."""
        from osc_uniqserial.findings import Severity

        fatal: set[str] = set()
        if parsed_args.fail_on != _NEVER:
            fatal.update(_SEVERITIES[: _SEVERITIES.index(parsed_args.fail_on) + 1])
        for found in findings:
            if found.severity is Severity.UNCHECKED:
                self.exit_code = self.exit_code or output.UNCHECKED
            elif found.id in parsed_args.skip or (
                parsed_args.only and found.id not in parsed_args.only
            ):
                continue
            elif found.severity.value in fatal:
                self.exit_code = output.FINDINGS
            yield found

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Print, then tell the coverage as the last word on standard error."""
        self.coverage = ""
        code = super().run(parsed_args)
        if self.coverage:
            sys.stdout.flush()
            print(safe_text(self.coverage), file=sys.stderr)
        return code


def _row(found: Finding, columns: Sequence[str], formatter: str) -> list[Any]:
    row = [COLUMNS[name](found) for name in columns]
    if formatter == "table":
        for name in ("evidence", "remedy"):
            if name in columns:
                at = columns.index(name)
                row[at] = output.folded(row[at] or "")
    return row
