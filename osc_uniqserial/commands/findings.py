# SPDX-License-Identifier: Apache-2.0
"""What ``audit`` and ``verify`` share: options, rows, reports, exit codes, coverage."""

from __future__ import annotations

import abc
import argparse
import dataclasses
import datetime
import importlib.metadata
import re
import shlex
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from osc_lib import exceptions

from osc_uniqserial.commands import host_modes, output, reporting
from osc_uniqserial.commands.servers import add_project_option, project_id
from osc_uniqserial.text import safe_text

if TYPE_CHECKING:
    from osc_uniqserial.checks.check import Check
    from osc_uniqserial.model.finding import Severity
    from osc_uniqserial.pipelines import AuditRun, VerifyRun
    from osc_uniqserial.reports.baseline import Judged
    from osc_uniqserial.reports.run import Run

#: From the gravest on; the last word turns failing off.
_SEVERITIES = ("high", "medium", "low", "info")
_NEVER = "never"

#: Key and getter of each column. The keys are an interface: scripts read them.
COLUMNS: dict[str, Callable[[Judged], Any]] = {
    "id": lambda each: each.finding.id,
    "severity": lambda each: each.finding.severity.value,
    "baseline": lambda each: each.standing.value if each.standing else None,
    "resource_type": lambda each: each.finding.type,
    "resource_id": lambda each: each.finding.resource_id,
    "resource_name": lambda each: each.finding.resource_name,
    "project_id": lambda each: each.finding.project_id,
    "servers": lambda each: None if each.finding.servers is None else len(each.finding.servers),
    "server_ids": lambda each: None if each.finding.servers is None else list(each.finding.servers),
    "evidence": lambda each: each.finding.evidence,
    "remedy": lambda each: str(each.finding.remedy) if each.finding.remedy else None,
}
_LONG = ("resource_id", "project_id", "server_ids")


class Lister(output.Lister):
    """A command that finds what is wrong."""

    _covered = _since = _unwritten = ""

    @property
    def auth_required(self) -> bool:
        """Whether a cloud is asked."""
        return not reporting.explains(self.app.command_options)

    @abc.abstractmethod
    def possible(self) -> Mapping[str, Check]:
        """Return all that this command can look for."""

    @abc.abstractmethod
    def checks(self, parsed_args: argparse.Namespace) -> Mapping[str, Check]:
        """Return what is looked for with these options."""

    @abc.abstractmethod
    def begin(self, parsed_args: argparse.Namespace, **about: Any) -> AuditRun | VerifyRun:
        """Begin to read the cloud.

        :param about: what both pipelines take
        """

    def _finding_id(self, text: str) -> str:
        known = sorted(
            check.id for check in self.possible().values() if check.severity.value != "unchecked"
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
        reporting.add_options(parser)
        return parser

    def _begin(
        self, parsed_args: argparse.Namespace, progress: output.Progress
    ) -> AuditRun | VerifyRun:
        from osc_uniqserial.api.rest import CloudError
        from osc_uniqserial.pipelines import Scope

        modes = host_modes.given(parsed_args).by_host
        project = None
        if parsed_args.project:
            project = project_id(self.app.client_manager, parsed_args)
        try:
            run = self.begin(
                parsed_args,
                scope=Scope(project, True if parsed_args.all_projects else None),
                host_modes=modes,
                workers=parsed_args.max_workers,
                progress=progress.say,
            )
        except CloudError as error:
            raise exceptions.CommandError(safe_text(str(error))) from error
        output.warn(run.notes)
        return run

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Iterable[Any]]:
        """Look, write what is to be written, and return the rows, the gravest first."""
        from osc_uniqserial.checks.check import in_doubt

        began, started = datetime.datetime.now(datetime.UTC), time.monotonic()
        wanted = self._wanted(parsed_args)
        outputs = reporting.Reporting(parsed_args)
        progress = output.Progress()
        looking = self._begin(parsed_args, progress)
        if looking.scope:
            wanted = {id_: check for id_, check in wanted.items() if not check.all_projects}
            _refuse(
                set(parsed_args.only or ()) - set(wanted), "it takes the servers of all projects"
            )
        try:
            found = [each for each in looking if each.id in wanted]
        finally:
            progress.end()
        self._covered = looking.covered.text if looking.covered else ""
        # Of a part of the cloud nothing is known to be gone.
        sure = (
            set() if looking.scope else set(wanted) - in_doubt(wanted, {each.id for each in found})
        )
        judged = outputs.judge(found, sure)
        rank = [*_SEVERITIES, "unchecked"]
        judged.sort(key=lambda each: (not each.counts, rank.index(each.finding.severity.value)))
        self._count(parsed_args, judged)
        if outputs.writes:
            run = self._run_of(parsed_args, looking, judged, began, wanted)
            seconds = time.monotonic() - started
            run = dataclasses.replace(run, seconds=seconds, unmet=outputs.unmet)
            self._unwritten = outputs.write(run, sure)
        asked = {name.lower().replace(" ", "_") for name in parsed_args.columns}
        columns = [
            name
            for name in COLUMNS
            if (parsed_args.long or name not in _LONG or name in asked)
            and (name != "baseline" or parsed_args.baseline or name in asked)
        ]
        return columns, (_row(each, columns, parsed_args.formatter) for each in judged)

    def _wanted(self, parsed_args: argparse.Namespace) -> Mapping[str, Check]:
        """Return the checks that were asked for. What could not be checked is always told.

        :raises CommandError: when one cannot be looked for, or none is left
        """
        checks = self.checks(parsed_args)
        only = parsed_args.only or ()
        _refuse(
            set(only) - set(checks),
            "no source that was given tells of it (--libvirt-uri, --domain-xml, --facts)",
        )
        wanted = {
            id_: check
            for id_, check in checks.items()
            if check.severity.value == "unchecked"
            or (id_ not in parsed_args.skip and (not only or id_ in only))
        }
        if all(check.severity.value == "unchecked" for check in wanted.values()):
            raise exceptions.CommandError("--only and --skip leave nothing to look for")
        return wanted

    def _count(self, parsed_args: argparse.Namespace, judged: Iterable[Judged]) -> None:
        """Set the exit code, and what is said of the baseline."""
        fatal = {severity.value for severity in _fatal(parsed_args)}
        standings: Counter[str] = Counter()
        for each in judged:
            severity = each.finding.severity.value
            if each.standing and severity != "unchecked":
                standings[each.standing.value] += 1
            if not each.counts:
                continue
            if severity in fatal:
                self.exit_code = output.FINDINGS
            elif severity == "unchecked":
                self.exit_code = self.exit_code or output.UNCHECKED
        self._since = ""
        if parsed_args.baseline:
            counts = ", ".join(
                f"{standings[word]:,} {word}" for word in ("new", "grew", "expired", "accepted")
            )
            self._since = f"since the baseline: {counts}"

    def _run_of(
        self,
        parsed_args: argparse.Namespace,
        looking: AuditRun | VerifyRun,
        judged: Sequence[Judged],
        began: datetime.datetime,
        wanted: Mapping[str, Check],
    ) -> Run:
        from osc_uniqserial.model.finding import Covered
        from osc_uniqserial.reports.run import ALL_PROJECTS, Run

        who = self.app.client_manager.auth_ref
        config = self.app.cloud.config
        command = (self.cmd_name or "").split()[-1]
        auth_url = (config.get("auth") or {}).get("auth_url") or ""
        return Run(
            command=command,
            version=importlib.metadata.version("osc-uniqserial"),
            options=self._options(),
            began=began,
            seconds=0.0,
            cloud=self.app.cloud.name or "",
            region=config.get("region_name") or "",
            # Nobody should, but somebody may have put a password into it.
            auth_url=re.sub("//[^/]*@", "//", auth_url),
            user=_named(who.username, who.user_id) if who else "",
            project=_named(who.project_name, who.project_id) if who else "",
            scope=looking.scope or ALL_PROJECTS,
            covered=looking.covered or Covered("", 0, 0, 0),
            checks=wanted,
            fatal=_fatal(parsed_args),
            judged=judged,
            hosts=looking.counts.by_host(looking.fleet),
            baseline=parsed_args.baseline,
        )

    def _options(self) -> str:
        """Return the options of this command; those of the shell may be passwords."""
        words = (self.cmd_name or "").split()
        _known, rest = self.app.parser.parse_known_args(list(self.app.command_options))
        if rest[: len(words)] == words:
            return shlex.join(rest[len(words) :])
        # Within a shell that was started without a command.
        return "(its options are not known)"

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Print, then tell the coverage as the last word on standard error."""
        self._covered = self._unwritten = ""
        code = super().run(parsed_args)
        if self._covered:
            sys.stdout.flush()
            for line in filter(None, (self._unwritten, self._since, self._covered)):
                print(safe_text(line), file=sys.stderr)
        return 1 if self._unwritten else code


def _refuse(ids: Iterable[str], why: str) -> None:
    if named := ", ".join(sorted(ids)):
        raise exceptions.CommandError(f"{named} cannot be looked for here: {why}")


def _named(name: str | None, id_: str | None) -> str:
    return f"{name} ({id_})" if name else id_ or ""


def _fatal(parsed_args: argparse.Namespace) -> frozenset[Severity]:
    """Return the severities that make the exit code 3."""
    from osc_uniqserial.model.finding import Severity

    if parsed_args.fail_on == _NEVER:
        return frozenset()
    grave = _SEVERITIES[: _SEVERITIES.index(parsed_args.fail_on) + 1]
    return frozenset(map(Severity, grave))


def _row(found: Judged, columns: Sequence[str], formatter: str) -> list[Any]:
    row = [COLUMNS[name](found) for name in columns]
    if formatter == "table":
        for name in ("evidence", "remedy"):
            if name in columns:
                at = columns.index(name)
                row[at] = output.folded(row[at] or "")
    return row
