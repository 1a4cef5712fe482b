# SPDX-License-Identifier: Apache-2.0
"""``openstack unique serial audit``: what is wrong in a cloud, and what could not be checked."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from osc_lib import exceptions

from osc_uniqserial.commands import host_modes, metadef, output
from osc_uniqserial.commands.servers import add_project_option, add_workers_option, project_id
from osc_uniqserial.text import safe_text

if TYPE_CHECKING:
    from osc_uniqserial.audit import Audit, Finding
    from osc_uniqserial.survey import Servers, Survey

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


class AuditUniqueSerials(output.Lister):
    """Find what is wrong with serial numbers in a cloud, and say what could not be checked.

    Looks at flavors, images, host aggregates, compute hosts, metadata definitions and
    servers; it changes nothing. Without --all-projects or --project, the servers of all
    projects where this user may see them, else of the own project. The last line on
    standard error tells how many servers were checked. Exit code 3 tells of findings, 4 of
    none but something that could not be checked.
    """

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
            type=_finding_id,
            action="append",
            help="Findings of this ID (repeat option to give several)",
        )
        parser.add_argument(
            "--skip",
            metavar="<id>",
            type=_finding_id,
            action="append",
            default=[],
            help="No findings of this ID (repeat option to give several)",
        )
        parser.add_argument(
            "--long",
            action="store_true",
            help="The IDs of resources, projects and servers too",
        )
        add_workers_option(parser)
        host_modes.add_options(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Iterable[Any]]:
        """Read what the servers rest on; findings are made while they are read."""
        # The shell imports the modules of all commands at every start.
        from osc_uniqserial import background
        from osc_uniqserial.audit import Audit
        from osc_uniqserial.catalog import Catalog
        from osc_uniqserial.facts import Fleet
        from osc_uniqserial.rest import CloudError, Rest
        from osc_uniqserial.survey import Survey

        given = host_modes.given(parsed_args)
        ours = metadef.load_namespaces()
        connection = self.app.client_manager.sdk_connection
        try:
            rest = Rest(connection)
            definitions = background.start(Catalog(connection).survey, ours)
            survey = Survey(rest, given)
            filters, scope = self._scope(parsed_args, survey)
            audit = Audit(survey.configuration, definitions.result().comparisons)
        except CloudError as error:
            raise exceptions.CommandError(safe_text(str(error))) from error
        fleet = survey.configuration.fleet
        if isinstance(fleet, Fleet):
            output.warn(fleet.notes)
        servers = survey.servers(filters, parsed_args.max_workers)
        found = self._selected(parsed_args, self._findings(audit, servers, scope))
        rank = [*_SEVERITIES, "unchecked"]
        found = iter(sorted(found, key=lambda each: rank.index(each.severity.value)))
        asked = {name.lower().replace(" ", "_") for name in parsed_args.columns}
        columns = [
            name for name in COLUMNS if parsed_args.long or name not in _LONG or name in asked
        ]
        return columns, (self._row(each, columns, parsed_args.formatter) for each in found)

    def _scope(self, parsed_args: argparse.Namespace, survey: Survey) -> tuple[dict[str, str], str]:
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

    def _selected(
        self, parsed_args: argparse.Namespace, findings: Iterable[Finding]
    ) -> Iterator[Finding]:
        """Yield what was asked for, and set the exit code. What was not checked stays."""
        from osc_uniqserial.audit import Severity

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

    def _findings(self, audit: Audit, servers: Servers, scope: str) -> Iterator[Finding]:
        yield from audit.configuration()
        progress = output.Progress()
        try:
            for sightings in servers:
                audit.see(sightings)
                progress.say(audit.coverage.seen, servers.expected)
        finally:
            progress.end()
        yield from audit.summary(
            [(gap.reason, gap.servers) for gap in servers.gaps],
            unlisted_cells=servers.unlisted_cells,
            volumes_unread=servers.volumes_unread,
        )
        self._coverage = f"{audit.coverage}{f' ({scope})' if scope else ''}"

    @staticmethod
    def _row(found: Finding, columns: Sequence[str], formatter: str) -> list[Any]:
        row = [COLUMNS[name](found) for name in columns]
        if formatter == "table":
            for name in ("evidence", "remedy"):
                if name in columns:
                    at = columns.index(name)
                    row[at] = output.folded(row[at] or "")
        return row

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Print, then tell the coverage as the last word on standard error."""
        self._coverage = ""
        code = super().run(parsed_args)
        if self._coverage:
            sys.stdout.flush()
            print(safe_text(self._coverage), file=sys.stderr)
        return code


def _finding_id(text: str) -> str:
    from osc_uniqserial.audit import SEVERITIES, Severity

    known = sorted(id_ for id_, grave in SEVERITIES.items() if grave is not Severity.UNCHECKED)
    if text not in known:
        raise argparse.ArgumentTypeError(f"{text!r} is not one of {', '.join(known)}")
    return text
