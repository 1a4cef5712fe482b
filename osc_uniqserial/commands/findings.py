# SPDX-License-Identifier: Apache-2.0
"""Base of ``audit`` and ``verify``: options, rows, reports, exit codes, coverage."""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from osc_uniqserial.commands import options, output, reporting

if TYPE_CHECKING:
    from osc_uniqserial.checks.check import Check
    from osc_uniqserial.model.finding import Severity
    from osc_uniqserial.pipelines import AuditRun, VerifyRun
    from osc_uniqserial.reports.baseline import Assessed
    from osc_uniqserial.reports.run import Run

#: Severities of findings, the gravest first, and the value of --fail-on for none.
_SEVERITIES = ("high", "medium", "low", "info")
_NEVER = "never"

#: Keys and getters of the columns. The keys are a stable interface for scripts.
COLUMNS: dict[str, Callable[[Assessed], Any]] = {
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
#: The columns of ``--long`` only.
_LONG = ("resource_id", "project_id", "server_ids")


class Lister(output.Lister):
    """A command whose rows are findings.

    :cvar sources_title: description of the options for serial numbers to compare
    :cvar needs_source: True for a verification, which only compares; False for an audit
    """

    sources_title: ClassVar[str]
    needs_source = False
    _covered = _since = _unwritten = ""

    @property
    def auth_required(self) -> bool:
        """Whether the command sends requests to a cloud."""
        return not reporting.explains(self.app.command_options)

    def _finding_id(self, text: str) -> str:
        from osc_uniqserial import checks

        possible = checks.VERIFY if self.needs_source else checks.ALL
        known = sorted(
            check.id for check in possible.values() if check.severity.value != "unchecked"
        )
        if text not in known:
            raise argparse.ArgumentTypeError(f"{text!r} is not one of {', '.join(known)}")
        return text

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the options of both commands."""
        parser = super().get_parser(prog_name)
        options.add_servers(parser)
        parser.add_argument(
            "--fail-on",
            choices=[*_SEVERITIES, _NEVER],
            default="low",
            help="The lowest severity that causes exit code 3 (default: low)",
        )
        for option, text in (
            ("--only", "Only findings with this ID (repeat option to give several)"),
            ("--skip", "No findings with this ID (repeat option to give several)"),
        ):
            parser.add_argument(
                option,
                metavar="<id>",
                type=self._finding_id,
                action="append",
                default=[],
                help=text,
            )
        parser.add_argument(
            "--long",
            action="store_true",
            help="Also show the IDs of resources, projects and servers",
        )
        reporting.add_options(parser)
        options.add_live_sources(parser, self.sources_title)
        options.add_host_modes(parser)
        return parser

    def _begin(
        self, parsed_args: argparse.Namespace, progress: output.Progress
    ) -> AuditRun | VerifyRun:
        """Start reading the cloud; iterating over the result reads the servers."""
        from osc_uniqserial import pipelines

        modes = options.host_modes(parsed_args).by_host
        project = options.project_id(self.app.client_manager, parsed_args)
        begin = pipelines.verify if self.needs_source else pipelines.audit
        run = begin(
            self.app.client_manager.sdk_connection,
            sources=options.live_sources(parsed_args),
            scope=pipelines.Scope(project, parsed_args.all_projects or None),
            host_modes=modes,
            workers=parsed_args.max_workers,
            progress=progress.update,
        )
        output.warn(run.notes)
        return run

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Iterable[Any]]:
        """Run the checks, write the reports, and return the rows, the gravest first."""
        from osc_uniqserial.checks.check import in_doubt

        began, started = datetime.datetime.now(datetime.UTC), time.monotonic()
        wanted = self._wanted(parsed_args)
        outputs = reporting.Outputs(parsed_args)
        progress = output.Progress()
        pipeline = self._begin(parsed_args, progress)
        if pipeline.scope:
            wanted = {id_: check for id_, check in wanted.items() if not check.all_projects}
            if lacking := {*parsed_args.only} - set(wanted):
                raise output.error(f"{_cannot_run(lacking)}: it takes the servers of all projects")
        try:
            found = [each for each in pipeline if each.id in wanted]
        finally:
            progress.end()
        self._covered = pipeline.covered.text if pipeline.covered else ""
        # The checks that ran on the whole cloud: a finding that they lack is resolved.
        complete = set(wanted) - in_doubt(wanted, {each.id for each in found})
        if pipeline.scope:
            complete = set()
        assessed = outputs.assess(found, complete)
        rank = [*_SEVERITIES, "unchecked"]
        assessed.sort(key=lambda each: (not each.counts, rank.index(each.finding.severity.value)))
        self._count(parsed_args, assessed)
        if outputs.writes:
            run = self._run_of(parsed_args, pipeline, assessed, began, wanted)
            seconds = time.monotonic() - started
            run = dataclasses.replace(run, seconds=seconds, unmet=outputs.unmet)
            self._unwritten = outputs.write(run, complete)
        named = output.column_names(parsed_args.columns)
        hidden = [] if parsed_args.long else [*_LONG]
        if not parsed_args.baseline:
            hidden.append("baseline")
        columns = {key: get for key, get in COLUMNS.items() if key in named or key not in hidden}
        if parsed_args.formatter == "table":
            columns |= {name: _folded(name) for name in ("evidence", "remedy")}
        return tuple(columns), ([get(each) for get in columns.values()] for each in assessed)

    def _wanted(self, parsed_args: argparse.Namespace) -> Mapping[str, Check]:
        """Return the checks to run; those of severity unchecked always run.

        :raises WrongUsage: when a required source is missing, when a check of --only cannot run,
            or when no check is left
        """
        from osc_uniqserial import pipelines

        sources = options.live_sources(parsed_args)
        if self.needs_source and not sources:
            raise output.WrongUsage(
                "Nothing to compare with: give --libvirt-uri, --domain-xml, --facts or"
                f" --inventory. {output.NOTHING}"
            )
        choose = pipelines.verify_checks if self.needs_source else pipelines.audit_checks
        checks = choose(sources)
        only = {*parsed_args.only}
        if lacking := only - set(checks):
            raise output.WrongUsage(
                f"{_cannot_run(lacking)}: no source was given that has the facts for it"
                f" (--libvirt-uri, --domain-xml, --facts, --inventory). {output.NOTHING}"
            )
        wanted = {
            id_: check
            for id_, check in checks.items()
            if check.severity.value == "unchecked"
            or (id_ not in parsed_args.skip and (not only or id_ in only))
        }
        if all(check.severity.value == "unchecked" for check in wanted.values()):
            raise output.WrongUsage(f"--only and --skip leave no check to run. {output.NOTHING}")
        return wanted

    def _count(self, parsed_args: argparse.Namespace, assessed: Sequence[Assessed]) -> None:
        """Set the exit code and the summary of the baseline."""
        from osc_uniqserial.reports.baseline import Standing, standings

        counting = {each.finding.severity for each in assessed if each.counts}
        unchecked = any(severity.value == "unchecked" for severity in counting)
        self.set_exit_code(bool(counting & _fatal(parsed_args)), unchecked)
        self._since = ""
        if parsed_args.baseline:
            counts = standings(assessed)
            parts = ", ".join(f"{counts[each]:,} {each.value}" for each in Standing)
            self._since = f"since the baseline: {parts}"

    def _run_of(
        self,
        parsed_args: argparse.Namespace,
        pipeline: AuditRun | VerifyRun,
        assessed: Sequence[Assessed],
        began: datetime.datetime,
        wanted: Mapping[str, Check],
    ) -> Run:
        from osc_uniqserial.model.finding import Covered
        from osc_uniqserial.reports.run import Run

        return Run(
            **reporting.facts(self, began, pipeline.scope),
            covered=pipeline.covered or Covered("", 0, 0, 0),
            checks=wanted,
            fatal=_fatal(parsed_args),
            assessed=assessed,
            hosts=pipeline.counts.by_host(pipeline.fleet),
            baseline=parsed_args.baseline,
        )

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Print the rows, then the coverage as the last line on standard error."""
        self._covered = self._unwritten = ""
        code = super().run(parsed_args)
        if self._covered:
            sys.stdout.flush()
            for line in filter(None, (self._unwritten, self._since, self._covered)):
                output.print_to_stderr(line)
        return 1 if self._unwritten else code


def _cannot_run(ids: Iterable[str]) -> str:
    return f"{', '.join(sorted(ids))} cannot be checked in this run"


def _fatal(parsed_args: argparse.Namespace) -> frozenset[Severity]:
    """Return the severities that cause exit code 3."""
    from osc_uniqserial.model.finding import Severity

    if parsed_args.fail_on == _NEVER:
        return frozenset()
    return frozenset(map(Severity, _SEVERITIES[: _SEVERITIES.index(parsed_args.fail_on) + 1]))


def _folded(name: str) -> Callable[[Assessed], list[str]]:
    """Return the getter of a column of sentences in a table."""
    return lambda each: output.folded(COLUMNS[name](each) or "")
