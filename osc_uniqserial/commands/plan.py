# SPDX-License-Identifier: Apache-2.0
"""``openstack unique serial plan``: what a desired state would change, and on which servers."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from osc_uniqserial.commands import options, output, planning
from osc_uniqserial.commands.output import word

if TYPE_CHECKING:
    from osc_uniqserial.desired.changes import Change
    from osc_uniqserial.desired.effects import Effect
    from osc_uniqserial.model.cloud import ServerFacts
    from osc_uniqserial.pipelines import PlanRun

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
    "line": lambda change, _servers: change.line,
    "details": lambda _change, _servers: None,
}

#: The same for the servers of ``--servers``.
SERVER_COLUMNS: dict[str, Callable[[ServerFacts, Effect], Any]] = {
    "id": lambda server, _effect: server.id,
    "name": lambda server, _effect: server.name,
    "project_id": lambda server, _effect: server.project_id,
    "host": lambda server, _effect: server.host,
    "now": lambda _server, effect: word(effect.now.source),
    "planned": lambda _server, effect: word(effect.then.source),
    "when": lambda _server, effect: effect.when.value,
    "decided_by": lambda _server, effect: word(effect.then.decided_by),
}


class PlanUniqueSerials(output.Lister):
    """Show what a file with the desired state would change, and on which servers.

    Changes nothing. Each row is a change: of a flavor, image, host aggregate or server, or of a
    host, which is only shown: change nova.conf there. With --servers, each row is a server whose
    serial number would change, with the operation that changes it. Exit code 3: there are changes;
    4: there are none, but something could not be read.
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
        options.add_servers(parser)
        options.add_host_modes(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Iterable[Any]]:
        """Plan; servers are read while rows are made."""
        desired = planning.read_file(parsed_args.file)
        progress = output.Progress(
            among_rows=parsed_args.servers and parsed_args.formatter in ("csv", "value")
        )
        run = planning.start(self.app.client_manager, parsed_args, desired, progress)
        if parsed_args.servers:
            columns = SERVER_COLUMNS
            return tuple(columns), self._servers(parsed_args, run, progress)
        try:
            for _reached in run:
                pass
        finally:
            progress.end()
        self._end(parsed_args, run)
        chosen = planning.shown(COLUMNS, parsed_args)
        rows = [
            [get(change, run.plan.servers(change)) for get in chosen.values()]
            for change in run.plan.changes
        ]
        rows += [planning.unknown(chosen, *each, "details") for each in planning.not_known(run)]
        return tuple(chosen), rows

    def _servers(
        self, parsed_args: argparse.Namespace, run: PlanRun, progress: output.Progress
    ) -> Iterator[list[Any]]:
        try:
            for reached in run:
                for effect in reached.effects:
                    yield [get(reached.server, effect) for get in SERVER_COLUMNS.values()]
        finally:
            progress.end()
        self._end(parsed_args, run)
        output.warn(
            f"line {line}: {text}" if line else text for line, text in planning.not_known(run)
        )

    def _end(self, parsed_args: argparse.Namespace, run: PlanRun) -> None:
        """Set the exit code, and report on standard error what was planned."""
        planning.refuse(run.plan, parsed_args.file)
        number = len(run.plan.changes)
        self.set_exit_code(bool(number), bool([*planning.not_known(run)]))
        changes = f"{number:,} change{'' if number == 1 else 's'}" if number else "No change"
        output.print_to_stderr(f"{changes}{f' ({run.scope})' if run.scope else ''}")


def _when(change: Change, servers: int) -> str:
    kind = change.resource.type
    return _WHEN[kind] if servers or kind in ("server", "host", "metadef") else _NEW_ONLY
