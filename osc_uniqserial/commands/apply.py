# SPDX-License-Identifier: Apache-2.0
"""``openstack unique serial apply``: write what a desired state changes, or take it back."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import signal
import sys
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from osc_uniqserial.commands import options, output, planning
from osc_uniqserial.text import counted, quoted

if TYPE_CHECKING:
    from osc_uniqserial.api.settings import Settings
    from osc_uniqserial.desired.changes import Change
    from osc_uniqserial.desired.effects import When
    from osc_uniqserial.desired.journal import Identity, Journal, Record
    from osc_uniqserial.desired.outcome import Outcome

#: The most lines of a kind before the question.
_SHOWN = 20
#: Failed changes after which nothing new is begun.
_MAX_FAILURES = 10
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_DRIVERS = {
    "true": "compute_driver = uniqserial.UniqueSerialLibvirtDriver (install nova-uniqserial first)",
    "false": "compute_driver = libvirt.LibvirtDriver",
}

#: Keys and getters of the columns. The keys are an interface: scripts read them.
COLUMNS: dict[str, Callable[[Outcome], Any]] = {
    "kind": lambda outcome: outcome.change.resource.type,
    "id": lambda outcome: outcome.change.resource.id,
    "name": lambda outcome: outcome.change.resource.name,
    "project_id": lambda outcome: outcome.change.resource.project_id,
    "key": lambda outcome: outcome.change.key,
    "before": lambda outcome: outcome.change.now,
    "planned": lambda outcome: outcome.change.then,
    "result": lambda outcome: outcome.result.value,
    "line": lambda outcome: outcome.change.line,
    "reason": lambda outcome: outcome.reason,
}


@dataclasses.dataclass(slots=True)
class _Plan:
    """What is to be carried out.

    :ivar metadefs: changes of the metadata definitions
    :ivar kept: changes of an undo that are not tried
    :ivar not_planned: what could not be planned
    """

    changes: Sequence[Change]
    metadefs: Sequence[Change] = ()
    kept: Sequence[Outcome] = ()
    not_planned: Sequence[planning.NotPlanned] = ()


class ApplyUniqueSerials(output.Lister):
    """Write what a file with the desired state changes, or undo an earlier run by its journal.

    Plans again, shows the number of changes, and asks. Each value is read right before it is
    written, and read back; a value that somebody else changed after planning is kept. Each row is a
    change with its result. Hosts are not written: what to do there is printed on standard error.
    Ctrl-C ends the run after the requests in flight. Exit code 1: something was not carried out;
    4: all was carried out, but something could not be read.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the file, the options for writing, and those for the servers."""
        parser = super().get_parser(prog_name)
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument(
            "file", metavar="<file>", nargs="?", help="YAML file with the desired state"
        )
        what.add_argument(
            "--undo",
            metavar="<journal>",
            help="Take back the changes of this journal, where nobody changed the value since",
        )
        parser.add_argument(
            "-y", "--yes", action="store_true", help="Do not ask; needed without a terminal"
        )
        parser.add_argument(
            "--journal",
            metavar="<file>",
            help="Record in this new file what each key was before, for --undo",
        )
        parser.add_argument(
            "--max-failures",
            metavar="<number>",
            type=options.positive,
            default=_MAX_FAILURES,
            help="Begin nothing new after so many changes were not carried out"
            f" (default: {_MAX_FAILURES})",
        )
        parser.add_argument(
            "--long", action="store_true", help="Also show IDs, projects and lines of the file"
        )
        options.add_servers(parser)
        options.add_host_modes(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Iterable[Any]]:
        """Plan, ask, write, and return one row for each change."""
        # The shell imports the modules of all commands at every start.
        from osc_uniqserial.api.rest import Rest
        from osc_uniqserial.api.settings import Settings

        if not parsed_args.yes and not output.is_terminal(sys.stdin):
            raise output.error(
                "standard input is not a terminal, so that nobody can be asked: give --yes to"
                f" write without a question. {planning.NOTHING}"
            )
        planning.check_columns(COLUMNS, parsed_args)
        if parsed_args.journal and os.path.lexists(parsed_args.journal):
            raise output.error(
                f"--journal: {parsed_args.journal} exists: give the name of a new file."
                f" {planning.NOTHING}"
            )
        rest = Rest(self.app.client_manager.sdk_connection)
        settings = Settings(rest)
        if parsed_args.undo:
            plan = _plan_undo(parsed_args, settings, rest.identity())
        else:
            plan = self._plan(parsed_args)
        outcomes = [*plan.kept]
        if plan.changes or plan.metadefs:
            for line in _before_asking(plan, has_journal=bool(parsed_args.journal)):
                output.print_to_stderr(line)
            _ask(parsed_args)
            with _journal(parsed_args.journal, rest.identity) as journal:
                outcomes += self._carry_out(parsed_args, plan, settings, journal)
        self._end(outcomes, plan)
        columns = planning.shown(COLUMNS, parsed_args)
        rows = [[get(outcome) for get in columns.values()] for outcome in outcomes]
        rows += [planning.row(columns, each, "reason") for each in plan.not_planned]
        return tuple(columns), rows

    def _plan(self, parsed_args: argparse.Namespace) -> _Plan:
        """Plan by a file, and print the number of changes and of servers."""
        desired = planning.read_file(parsed_args.file)
        progress = output.Progress()
        run = planning.start(self.app.client_manager, parsed_args, desired, progress)
        effects: Counter[When] = Counter()
        unknown = 0
        try:
            for reached in run:
                # The hosts are not changed here.
                carried_out = [each for each in reached.effects if not each.is_what_if]
                effects.update(
                    {each.when for each in carried_out if each.when and not each.is_unknown}
                )
                unknown += bool(carried_out) and all(each.is_unknown for each in carried_out)
        finally:
            progress.end()
        planning.refuse(run.plan, parsed_args.file)
        by_kind: dict[str, list[Change]] = defaultdict(list)
        for change in run.plan.changes:
            by_kind[change.resource.type].append(change)
        for line in _host_steps(by_kind.pop("host", [])):
            output.print_to_stderr(line)
        scope = f" ({run.scope})" if run.scope else ""
        kinds = ", ".join(f"{kind}: {len(changes):,}" for kind, changes in by_kind.items())
        total = sum(map(len, by_kind.values()))
        if total:
            output.print_to_stderr(f"{counted(total, 'change')} ({kinds}){scope}")
            output.print_to_stderr(_affected(effects, unknown))
        else:
            output.print_to_stderr(f"Nothing to write{scope}")
        metadefs = by_kind.pop("metadef", [])
        changes = [each for several in by_kind.values() for each in several]
        return _Plan(changes, metadefs, not_planned=[*planning.not_planned(run)])

    def _carry_out(
        self,
        parsed_args: argparse.Namespace,
        plan: _Plan,
        settings: Settings,
        journal: Journal | None,
    ) -> list[Outcome]:
        from osc_uniqserial import pipelines
        from osc_uniqserial.desired.apply import Apply
        from osc_uniqserial.metadefs.catalog import Catalog

        stop = threading.Event()
        progress = output.Progress("changes done")
        run = Apply(
            settings,
            stop,
            journal=journal,
            workers=parsed_args.max_workers,
            max_failures=parsed_args.max_failures,
            progress=progress.update,
        )
        try:
            with _interruptible(stop):
                outcomes = run.run(plan.changes)
                if plan.metadefs:
                    catalog = Catalog(self.app.client_manager.sdk_connection)
                    outcomes += run.install(catalog, pipelines.our_metadefs(), plan.metadefs)
        finally:
            progress.end()
        return outcomes

    def _end(self, outcomes: Sequence[Outcome], plan: _Plan) -> None:
        """Set the exit code, and print the numbers of results."""
        from osc_uniqserial.desired.outcome import AS_PLANNED, Result

        numbers = Counter(each.result for each in outcomes)
        if numbers.keys() - AS_PLANNED:
            self.exit_code = 1
        elif numbers[Result.NOT_READ_BACK] or plan.not_planned:
            self.exit_code = output.UNCHECKED
        if outcomes:
            text = ", ".join(
                f"{each.value.replace('-', ' ')} {numbers[each]:,}"
                for each in Result
                if numbers[each]
            )
            output.print_to_stderr(
                f"{text[:1].upper()}{text[1:]} of {counted(len(outcomes), 'change')}"
            )


def _before_asking(plan: _Plan, *, has_journal: bool) -> Iterator[str]:
    """Yield what a user must know before the answer."""
    texts = [
        *(f"Not planned: {each}" for each in plan.not_planned),
        *(
            f"Not written: {each.change.resource.type} {quoted(each.change.resource.name)}"
            f" ({each.change.resource.id}): {each.change.key}: {each.reason}"
            for each in plan.kept
        ),
        # The keys of one resource may share a note.
        *dict.fromkeys(
            f"{each.resource.type} {quoted(each.resource.name)} ({each.resource.id}): {each.note}"
            for each in plan.changes
            if each.note
        ),
    ]
    yield from texts[:_SHOWN]
    if len(texts) > _SHOWN:
        yield f"and {len(texts) - _SHOWN:,} more"
    if plan.metadefs and has_journal:
        yield (
            "The journal does not get the metadata definitions: 'openstack unique serial metadef"
            " remove' removes them"
        )


def _affected(effects: Counter[When], unknown: int) -> str:
    """Return how many servers get another serial number, and when."""
    from osc_uniqserial.desired.effects import When

    texts = [f"{effects[when]:,} at {when.value}" for when in When if effects[when]]
    text = "No server gets another serial number"
    if texts:
        text = f"Servers that get another serial number: {', '.join(texts)}"
    if unknown:
        text += f"; unknown for {counted(unknown, 'more server')}"
    return text


def _host_steps(changes: Iterable[Change]) -> Iterator[str]:
    """Yield what to do on hosts, one line for all hosts with the same steps."""
    by_host: dict[str, list[str]] = defaultdict(list)
    for change in changes:
        if change.then is not None:
            by_host[change.resource.name or ""].append(_host_step(change.key, change.then))
    hosts: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for host, steps in by_host.items():
        hosts[tuple(steps)].append(host)
    for same_steps, names in hosts.items():
        yield (
            f"To do on {'hosts' if len(names) > 1 else 'host'} {', '.join(names)}: in nova.conf set"
            f" {'; '.join(same_steps)}; then restart nova-compute"
        )


def _host_step(key: str, text: str) -> str:
    if key == "driver":
        return f"[DEFAULT] {_DRIVERS[text]}"
    return (
        f"[libvirt] sysinfo_serial = {text}" if key == "mode" else f"[unique_serial] {key} = {text}"
    )


def _plan_undo(parsed_args: argparse.Namespace, settings: Settings, cloud: Identity) -> _Plan:
    """Plan by a journal, and print the changes.

    :raises CommandError: when the journal cannot be read, or is of another cloud
    """
    from osc_uniqserial.desired import undo

    if parsed_args.all_projects or parsed_args.project or parsed_args.host_modes:
        raise output.WrongUsage("--undo reads no servers: leave out the options that choose them")
    record = _read_journal(parsed_args.undo)
    if not _is_same(record.cloud, cloud):
        raise output.error(
            f"{parsed_args.undo} is the journal of another cloud: of {_cloud(record.cloud)}; this"
            f" one has {_cloud(cloud)}. {planning.NOTHING}"
        )
    stored = settings.read_each(undo.resources(record.entries), parsed_args.max_workers)
    found = undo.plan(record.entries, stored)
    notes = found.notes
    if record.is_torn:
        notes = ["the last line of the journal is not complete", *notes]
    output.warn(notes)
    for change in found.changes[:_SHOWN]:
        about = change.resource
        output.print_to_stderr(
            f"{about.type} {quoted(about.name)} ({about.id}): {change.key}:"
            f" {quoted(change.now)} -> {quoted(change.then)}"
        )
    left = len(found.changes) - _SHOWN
    if left > 0:
        output.print_to_stderr(f"and {left:,} more")
    number = len(found.changes)
    output.print_to_stderr(counted(number, "change") if number else "Nothing to write")
    return _Plan(found.changes, kept=found.kept)


def _read_journal(path: str) -> Record:
    from osc_uniqserial.desired import journal

    try:
        return journal.read(path)
    except OSError as error:
        reason = f"{path} cannot be read: {error.strerror}"
    except journal.BadJournal as error:
        reason = f"{path} is not a valid journal: {error}"
    raise output.error(f"--undo: {reason}. {planning.NOTHING}")


def _is_same(first: Identity, second: Identity) -> bool:
    """Whether two clouds are the same, as far as known: a service may be down."""
    known = [key for key in first if None not in (first[key], second[key])]
    services = [key for key in known if key != "region"]
    return bool(services) and all(first[key] == second[key] for key in known)


def _cloud(cloud: Identity) -> str:
    return ", ".join(f"{key} {text or 'unknown'}" for key, text in cloud.items())


def _ask(parsed_args: argparse.Namespace) -> None:
    """Ask whether to write.

    :raises CommandError: when the answer is not yes
    """
    if parsed_args.yes:
        return
    answer = ""
    with contextlib.suppress(KeyboardInterrupt, OSError):
        sys.stderr.write("Apply these changes? [y/N] ")
        sys.stderr.flush()
        answer = sys.stdin.readline()
    if answer.strip().lower() not in ("y", "yes"):
        raise output.error(planning.NOTHING)


@contextlib.contextmanager
def _journal(path: str | None, identity: Callable[[], Identity]) -> Iterator[Journal | None]:
    """Make the journal, and close it at the end.

    :raises CommandError: when it cannot be made
    """
    if not path:
        yield None
        return
    from osc_uniqserial.desired.journal import Journal

    try:
        cloud = identity()
        if not any(cloud[service] for service in cloud if service != "region"):
            raise output.error(
                "--journal: the IDs of Nova and Glance in the catalog of the token are unknown, so"
                f" that --undo could not check the cloud: leave it out. {planning.NOTHING}"
            )
        journal = Journal(path, cloud)
    except OSError as error:
        raise output.error(
            f"--journal: {path} cannot be created: {error.strerror}. {planning.NOTHING}"
        ) from error
    with contextlib.closing(journal):
        yield journal


@contextlib.contextmanager
def _interruptible(stop: threading.Event) -> Iterator[None]:
    """Set an event at the first signal that ends a process; a second one ends it at once."""
    if threading.current_thread() is not threading.main_thread():
        # Only the main thread receives signals.
        yield
        return
    before = {number: signal.getsignal(number) or signal.SIG_DFL for number in _SIGNALS}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def end(_number: int, _frame: object) -> None:
        stop.set()
        restore()
        output.print_to_stderr("Interrupted: waiting for the requests in flight")

    for number, handler in before.items():
        # What started the command may ignore it, as nohup does.
        if handler is not signal.SIG_IGN:
            signal.signal(number, end)
    try:
        yield
    finally:
        restore()
