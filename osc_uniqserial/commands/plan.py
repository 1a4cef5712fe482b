# SPDX-License-Identifier: Apache-2.0
"""``openstack unique serial plan``: what a desired state would change, and on which servers."""

from __future__ import annotations

import argparse
import datetime
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from osc_uniqserial.commands import options, output, planning, reporting
from osc_uniqserial.commands.output import word

if TYPE_CHECKING:
    from osc_uniqserial.desired.changes import Change
    from osc_uniqserial.desired.effects import Effect
    from osc_uniqserial.pipelines import PlanRun
    from osc_uniqserial.reports.files import Target
    from osc_uniqserial.reports.plan import Servers

#: When a change reaches servers that exist, by the kind of resource.
_WHEN = {
    "flavor": "resize",
    "image": "rebuild",
    "server": "hard reboot",
    "host": "restart of nova-compute, then hard reboot",
    # Horizon reads them each time.
    "metadef": "at once",
}
_NEW_ONLY = "new servers only"
#: Values of the column result: a change that apply writes; one that is only shown; a server whose
#: serial number may change; an entry that selects nothing; what could not be read.
CHANGE, WHAT_IF, UNKNOWN, UNMATCHED, UNREAD = "change", "what-if", "unknown", "no-match", "unread"

#: Keys and getters of the columns of changes. The keys are an interface: scripts read them.
COLUMNS: dict[str, Callable[[Change, int], Any]] = {
    "kind": lambda change, _servers: change.resource.type,
    "id": lambda change, _servers: change.resource.id,
    "name": lambda change, _servers: change.resource.name,
    "project_id": lambda change, _servers: change.resource.project_id,
    "key": lambda change, _servers: change.key,
    "now": lambda change, _servers: change.now,
    "planned": lambda change, _servers: change.then,
    "servers": lambda _change, servers: servers,
    "when": lambda change, servers: _when(change, servers),
    "result": lambda change, _servers: _result(change),
    "line": lambda change, _servers: change.line,
    "details": lambda change, _servers: change.note,
}

#: The keys of the columns of ``--servers``: first those of the server, then those of the effect,
#: which servers in the same situation share.
SERVER_COLUMNS = (
    *("id", "name", "project_id", "host"),
    *("now", "then", "when", "result", "decided_by", "why"),
)


class PlanUniqueSerials(output.Lister):
    """Show what a file with the desired state would change, and on which servers.

    Changes nothing. Each row is a change: of a flavor, image, host aggregate or server, or of a
    host, which is only shown: change nova.conf there. With --servers, each row is a server whose
    serial number would change, with the operation that changes it. An entry that matches nothing
    and what could not be read are rows too. Exit code 3: there are changes; 4: there are none, but
    something could not be read, or an entry matches nothing.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the file and the options for the servers."""
        parser = super().get_parser(prog_name)
        parser.add_argument("file", metavar="<file>", help="YAML file with the desired state")
        parser.add_argument(
            "--servers",
            action="store_true",
            help="Show the servers whose serial number would change, not the changes",
        )
        parser.add_argument(
            "--long", action="store_true", help="Also show IDs, projects and lines of the file"
        )
        reporting.add_report(parser, ("html",))
        options.add_servers(parser)
        options.add_host_modes(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Iterable[Any]]:
        """Plan; servers are read while rows are made."""
        desired = planning.read_file(parsed_args.file)
        page = _Page(self, parsed_args) if parsed_args.reports else None
        progress = output.Progress(
            among_rows=parsed_args.servers and parsed_args.formatter in ("csv", "value")
        )
        run = planning.start(self.app.client_manager, parsed_args, desired, progress)
        if parsed_args.servers:
            return SERVER_COLUMNS, self._servers(parsed_args, run, progress, page)
        try:
            for _rows in run if page is None else _rows_of(run, page):
                pass
        finally:
            progress.end()
        self._end(parsed_args, run, page)
        chosen = planning.shown(COLUMNS, parsed_args)
        rows = [
            [get(change, run.plan.servers(change)) for get in chosen.values()]
            for change in run.plan.changes
        ]
        rows += [planning.row(chosen, each, "details") for each in planning.not_planned(run)]
        if parsed_args.formatter == "table":
            # The last column.
            for row in rows:
                row[-1] = output.folded(row[-1] or "")
        return tuple(chosen), rows

    def _servers(
        self,
        parsed_args: argparse.Namespace,
        run: PlanRun,
        progress: output.Progress,
        page: _Page | None,
    ) -> Iterator[list[Any]]:
        is_table = parsed_args.formatter == "table"
        try:
            for rows in _rows_of(run, page):
                for row in rows:
                    if is_table:
                        # The last column.
                        row[-1] = output.folded(row[-1])
                    yield row
        finally:
            progress.end()
        self._end(parsed_args, run, page)
        for each in planning.not_planned(run):
            text = str(each)
            known = {"result": each.result, "why": output.folded(text) if is_table else text}
            yield [known.get(key) for key in SERVER_COLUMNS]

    def _end(self, parsed_args: argparse.Namespace, run: PlanRun, page: _Page | None) -> None:
        """Set the exit code, write the report, and summarise the plan on standard error."""
        planning.refuse(run.plan, parsed_args.file)
        number = len(run.plan.changes)
        self.set_exit_code(bool(number), any(True for _each in planning.not_planned(run)))
        if page is not None and (unwritten := page.write(run)):
            self.exit_code = 1
            output.print_to_stderr(unwritten)
        changes = f"{number:,} change{'' if number == 1 else 's'}" if number else "No change"
        output.print_to_stderr(f"{changes}{f' ({run.scope})' if run.scope else ''}")


class _Page:
    """The report of a plan.

    :ivar servers: add the rows of servers here
    """

    def __init__(self, command: PlanUniqueSerials, parsed_args: argparse.Namespace) -> None:
        """Check that the files can be written.

        :raises CommandError: when one cannot, or without the libraries of the extra ``reports``
        """
        self._command = command
        self._began = datetime.datetime.now(datetime.UTC)
        render = reporting.renderer("html", "plan")
        self._files: list[tuple[Callable[[Any], bytes], Target]] = [
            (render, reporting.target(path)) for _kind, path in parsed_args.reports
        ]
        from osc_uniqserial.reports.plan import Servers

        self.servers: Servers = Servers()

    def write(self, run: PlanRun) -> str:
        """Write the files; return a message about those that could not be written."""
        from osc_uniqserial.reports import plan

        facts = reporting.facts(self._command, self._began, run.scope)
        facts["seconds"] = (datetime.datetime.now(datetime.UTC) - self._began).total_seconds()
        changes = run.plan.changes
        rows = (
            {key: get(change, run.plan.servers(change)) for key, get in COLUMNS.items()}
            for change in changes
        )
        unplanned = [*planning.not_planned(run)]
        unplanned_rows = (
            dict(zip(COLUMNS, planning.row(COLUMNS, each, "details"), strict=True))
            for each in unplanned
        )
        report = plan.Plan(
            **facts,
            changes=plan.Table.first(rows, len(changes)),
            what_ifs=sum(1 for change in changes if _result(change) == WHAT_IF),
            servers=self.servers,
            unplanned=plan.Table.first(unplanned_rows, len(unplanned)),
        )
        return reporting.written(self._files, report)


def _rows_of(run: PlanRun, page: _Page | None) -> Iterator[list[list[Any]]]:
    """Yield the rows of each server, and add them to the report."""
    from osc_uniqserial.desired.effects import Described

    described = Described(_cells)
    for reached in run:
        server = reached.server
        about = [server.id, server.name, server.project_id, server.host]
        rows = [[*about, *described.of(server, effect)] for effect in reached.effects]
        if page is not None:
            page.servers.add([dict(zip(SERVER_COLUMNS, row, strict=True)) for row in rows])
        yield rows


def _cells(effect: Effect, why: str) -> Sequence[Any]:
    """Return the cells of an effect."""
    return (
        word(effect.now.source),
        word(effect.then.source),
        word(effect.when),
        UNKNOWN if effect.is_unknown else CHANGE,
        word(effect.then.decided_by),
        why,
    )


def _result(change: Change) -> str:
    return WHAT_IF if change.resource.type == "host" else CHANGE


def _when(change: Change, servers: int) -> str:
    kind = change.resource.type
    return _WHEN[kind] if servers or kind in ("server", "host", "metadef") else _NEW_ONLY
