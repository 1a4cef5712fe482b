# SPDX-License-Identifier: Apache-2.0
"""Options for reports, the baseline and the meaning of findings; report files."""

from __future__ import annotations

import argparse
import datetime
import functools
import importlib
import importlib.metadata
import os
import shlex
import textwrap
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from osc_uniqserial.commands import output
from osc_uniqserial.masking import without_secrets
from osc_uniqserial.reports import FORMATS

if TYPE_CHECKING:
    from osc_uniqserial.model.finding import Finding
    from osc_uniqserial.reports.baseline import Assessed, Entry
    from osc_uniqserial.reports.files import Target
    from osc_uniqserial.reports.run import Run

_EXPLAIN = "--explain"


def explains(argv: Sequence[str]) -> bool:
    """Return whether a command line has --explain, which needs no cloud."""
    # argparse accepts unambiguous prefixes of options.
    words = (word.partition("=")[0] for word in argv)
    return any(len(word) > len("--") and _EXPLAIN.startswith(word) for word in words)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of audit and verify to a command."""
    add_report(parser, FORMATS)
    parser.add_argument(
        "--baseline",
        metavar="<file>",
        help="Accepted findings with their reasons: they do not change the exit code",
    )
    parser.add_argument(
        "--write-baseline",
        metavar="<file>",
        type=_file,
        help="Write a baseline that accepts all findings",
    )
    parser.add_argument(
        "--baseline-reason",
        metavar="<text>",
        type=_reason,
        help="Reason of the new entries of --write-baseline; without it, write the reasons into"
        " the file before its first use",
    )
    parser.add_argument(
        _EXPLAIN,
        metavar="<id>",
        action=_Explain,
        help="Print what a finding means, why it matters, how to repair it and when to accept it;"
        " nothing is checked",
    )


def add_report(parser: argparse.ArgumentParser, formats: Sequence[str]) -> None:
    """Add --report to a command.

    :param formats: the formats that the command can write
    """
    parser.add_argument(
        "--report",
        metavar="<format=file>",
        dest="reports",
        type=functools.partial(_report, formats),
        action="append",
        default=[],
        help=f"Also write a report: {', '.join(formats)} (repeat option to write several; needs"
        " the extra reports)",
    )


def facts(command: output.Lister, began: datetime.datetime, scope: str) -> dict[str, Any]:
    """Return the fields of an ``Invocation`` (``reports.run``), without its duration.

    :param scope: which servers were read; empty: those of all projects
    """
    from osc_uniqserial.reports.run import ALL_PROJECTS

    app = command.app
    user, config = app.client_manager.auth_ref, app.cloud.config
    return {
        "command": (command.cmd_name or "").split()[-1],
        "version": importlib.metadata.version("osc-uniqserial"),
        "options": _options(command),
        "began": began,
        "seconds": 0.0,
        "cloud": app.cloud.name or "",
        "region": config.get("region_name") or "",
        "auth_url": without_secrets((config.get("auth") or {}).get("auth_url") or ""),
        "user": _named(user.username, user.user_id) if user else "",
        "project": _named(user.project_name, user.project_id) if user else "",
        "scope": scope or ALL_PROJECTS,
    }


def _options(command: output.Lister) -> str:
    """Return a command's options, without the shell's: these may be passwords."""
    words = (command.cmd_name or "").split()
    _known, rest = command.app.parser.parse_known_args(list(command.app.command_options))
    if rest[: len(words)] == words:
        return shlex.join(map(without_secrets, rest[len(words) :]))
    # The interactive shell keeps no command line.
    return "(unknown options)"


def _named(name: str | None, id_: str | None) -> str:
    return f"{name} ({id_})" if name else id_ or ""


def _file(text: str) -> str:
    if text == "-":
        raise argparse.ArgumentTypeError("standard output has the findings; give a file")
    return text


def _reason(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("the reason is empty")
    return text


def _report(formats: Sequence[str], text: str) -> tuple[str, str]:
    kind, _equals, path = text.partition("=")
    if kind not in formats or not path:
        raise argparse.ArgumentTypeError(
            f"expected FORMAT=FILE with one of {', '.join(formats)}, got {text!r}"
        )
    return kind, _file(path)


class _Explain(argparse.Action):
    """Prints the text of a check and exits, as --help does."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        _namespace: argparse.Namespace,
        values: Any,
        _option: str | None = None,
    ) -> None:
        from osc_uniqserial.checks import ALL
        from osc_uniqserial.checks.check import TITLES

        check = ALL.get(values)
        if check is None:
            parser.error(f"argument {_EXPLAIN}: {values!r} is not one of {', '.join(sorted(ALL))}")
        print(f"{check.id} ({check.severity.value}): {check.summary}")
        for title, part in TITLES.items():
            print(f"\n{title}")
            for line in check.texts[part].splitlines():
                is_command = line.startswith("    ")
                print(line if is_command else textwrap.fill(line, 80, break_on_hyphens=False))
        parser.exit()


class Outputs:
    """The baseline and the files that a run writes.

    :ivar unmet: entries of the baseline that match no finding
    """

    def __init__(self, parsed_args: argparse.Namespace) -> None:
        """Read the baseline, and check that all files can be written.

        :raises CommandError: when a file cannot be read or written
        :raises WrongUsage: when options do not fit together
        """
        self._args = parsed_args
        self.entries: tuple[Entry, ...] = ()
        self.unmet: Sequence[Entry] = ()
        baseline, written = parsed_args.baseline, parsed_args.write_baseline
        if parsed_args.baseline_reason and not written:
            raise output.WrongUsage(f"--baseline-reason needs --write-baseline. {output.NOTHING}")
        if baseline:
            self.entries = _read_baseline(baseline)
        self._renderers = [
            (renderer(kind, kind), target(path)) for kind, path in parsed_args.reports
        ]
        self._written = target(written) if written else None
        # Only the baseline may be read and written by the same path.
        baselines = {Path(os.path.realpath(path)) for path in (baseline, written) if path}
        is_other = not baseline or len(baselines) == 2
        if written and is_other and os.path.isfile(written) and os.path.getsize(written):
            raise output.error(
                f"{written} exists: give it with --baseline too, so that its accepted findings"
                f" stay, or remove it. {output.NOTHING}"
            )
        goals = [target.goal for _render, target in self._renderers] + [*baselines]
        if twice := next((goal for goal in goals if goals.count(goal) > 1), None):
            raise output.WrongUsage(
                f"{twice} was given twice: give each its own file. {output.NOTHING}"
            )

    @property
    def writes(self) -> bool:
        """Whether any file will be written."""
        return bool(self._renderers or self._written)

    def assess(self, findings: Sequence[Finding], ids: Collection[str]) -> list[Assessed]:
        """Return each finding with its state; warn about entries that match no finding.

        :param ids: IDs of the checks that ran on the whole cloud
        """
        from osc_uniqserial.reports import baseline

        if not self._args.baseline:
            return [baseline.Assessed(each) for each in findings]
        today = datetime.datetime.now(datetime.UTC).date()
        assessed = baseline.assess(findings, self.entries, today)
        self.unmet = baseline.unmet(self.entries, assessed, ids)
        output.warn(
            f"The entry {entry} of {self._args.baseline} matches no finding: remove it"
            for entry in self.unmet
        )
        return assessed

    def write(self, run: Run, ids: Collection[str]) -> str:
        """Write all files; return a message about those that could not be written.

        :param ids: IDs of the checks that ran on the whole cloud
        """
        from osc_uniqserial.reports import baseline

        files = list(self._renderers)
        if self._written:
            reason = self._args.baseline_reason or ""
            text = baseline.write(run.assessed, self.entries, ids, reason)
            files.append((lambda _run: text.encode(), self._written))
        return written(files, run)


def written(files: Iterable[tuple[Callable[[Any], bytes], Target]], run: object) -> str:
    """Write files; return a message about those that could not be written.

    :param files: the renderer of each
    :param run: what they render
    """
    failed = []
    for render, file in files:
        try:
            file.write(render(run))
        except OSError as error:
            failed.append(f"{file.path}: {error.strerror}")
    if not failed:
        return ""
    return f"Could not write {'; '.join(failed)}. Existing files are unchanged."


def target(path: str) -> Target:
    """Return a file to write.

    :raises CommandError: when it is not writable
    """
    from osc_uniqserial.reports.files import Target

    try:
        return Target(path)
    except OSError as error:
        raise output.error(
            f"{path} cannot be written: {error.strerror}. {output.NOTHING}"
        ) from error


def renderer(kind: str, name: str) -> Callable[[Any], bytes]:
    """Return the function that renders a report.

    :param name: of its module in ``reports``
    :raises CommandError: without the libraries of the extra ``reports``
    """
    try:
        module = importlib.import_module(f"osc_uniqserial.reports.{name}")
    except ImportError as error:
        raise output.error(
            f"--report {kind} needs {error.name}: pip install 'osc-uniqserial[reports]'."
            f" {output.NOTHING}"
        ) from error
    render: Callable[[Any], bytes] = module.render
    return render


def _read_baseline(path: str) -> tuple[Entry, ...]:
    from osc_uniqserial import strict_yaml
    from osc_uniqserial.reports import baseline

    try:
        return baseline.parse(strict_yaml.read(path))
    except OSError as error:
        reason = f"{path} cannot be read: {error.strerror}"
    except (strict_yaml.BadYaml, baseline.BadBaseline) as error:
        reason = f"{path}: {error}"
    raise output.error(f"--baseline: {reason}. {output.NOTHING}")
