# SPDX-License-Identifier: Apache-2.0
"""Reports, the baseline, and what a finding means: the options that audit and verify share."""

from __future__ import annotations

import argparse
import datetime
import importlib
import os
import textwrap
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from osc_lib import exceptions

from osc_uniqserial.commands import output
from osc_uniqserial.reports import FORMATS
from osc_uniqserial.text import safe_text

if TYPE_CHECKING:
    from osc_uniqserial.model.finding import Finding
    from osc_uniqserial.reports.baseline import Entry, Judged
    from osc_uniqserial.reports.files import Target
    from osc_uniqserial.reports.run import Run

_EXPLAIN = "--explain"


def explains(argv: Sequence[str]) -> bool:
    """Whether a command line asks what a finding means, which takes no cloud."""
    # argparse takes the beginning of an option for the whole, if no other begins so.
    words = (word.partition("=")[0] for word in argv)
    return any(len(word) > len("--") and _EXPLAIN.startswith(word) for word in words)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options to a command."""
    parser.add_argument(
        "--report",
        metavar="<format=file>",
        dest="reports",
        type=_report,
        action="append",
        default=[],
        help=f"Write a report too: {', '.join(FORMATS)} (repeat option to write several; needs"
        " the extra reports)",
    )
    parser.add_argument(
        "--baseline",
        metavar="<file>",
        help="Findings that are accepted, and why: they count no more",
    )
    parser.add_argument(
        "--write-baseline",
        metavar="<file>",
        type=_file,
        help="Write a baseline that accepts all that was found",
    )
    parser.add_argument(
        "--baseline-reason",
        metavar="<text>",
        type=_reason,
        help="Why, for the entries of --write-baseline that are new; without it one has to be"
        " written into the file before it is of use",
    )
    parser.add_argument(
        _EXPLAIN,
        metavar="<id>",
        action=_Explain,
        help="Tell what a finding means, why it matters, how to repair it and when it is fine to"
        " accept it; nothing is looked at",
    )


def _file(text: str) -> str:
    if text == "-":
        raise argparse.ArgumentTypeError("standard output has the findings; give a file")
    return text


def _reason(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("an empty reason is none")
    return text


def _report(text: str) -> tuple[str, str]:
    kind, found, path = text.partition("=")
    if kind not in FORMATS or not found or not path:
        raise argparse.ArgumentTypeError(
            f"expected FORMAT=FILE with one of {', '.join(FORMATS)}, got {text!r}"
        )
    return kind, _file(path)


class _Explain(argparse.Action):
    """Prints and ends, as --help does."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        _namespace: argparse.Namespace,
        values: Any,
        _option: str | None = None,
    ) -> None:
        from osc_uniqserial.checks import ALL

        check = ALL.get(values)
        if check is None:
            parser.error(f"argument {_EXPLAIN}: {values!r} is not one of {', '.join(sorted(ALL))}")
        print(f"{check.id} ({check.severity.value}): {check.summary}")
        for title, text in (
            ("What it means", check.meaning),
            ("Why it matters", check.why),
            ("How to repair it", check.repair),
            ("When to accept it", check.accept),
        ):
            print(f"\n{title}")
            for line in text.splitlines():
                # A command can be copied as it is.
                print(
                    line
                    if line.startswith("    ")
                    else textwrap.fill(line, 80, break_on_hyphens=False)
                )
        parser.exit()


class Reporting:
    """What a run reads before, and writes after.

    :ivar unmet: entries of the baseline that nothing meets
    """

    def __init__(self, parsed_args: argparse.Namespace) -> None:
        """Read the baseline, and find out whether everything can be written.

        :raises CommandError: before anything is done, when something cannot
        """
        self._args = parsed_args
        self.entries: tuple[Entry, ...] = ()
        self.unmet: Sequence[Entry] = ()
        written = parsed_args.write_baseline
        if parsed_args.baseline_reason and not written:
            raise exceptions.CommandError("--baseline-reason is of use with --write-baseline only")
        if parsed_args.baseline:
            self.entries = _read_baseline(parsed_args.baseline)
        self._renderers = [(_renderer(kind), _target(path)) for kind, path in parsed_args.reports]
        self._written = _target(written) if written else None
        if written and _is_other_baseline(written, parsed_args.baseline):
            raise exceptions.CommandError(
                f"{safe_text(written)} is there already: give it with --baseline too, so that what"
                " is accepted in it stays, or remove it. Nothing was looked at."
            )
        goals = [target.goal for _render, target in self._renderers]
        # A baseline may be written over the one that was read, and nothing else may.
        goals += {Path(os.path.realpath(path)) for path in (parsed_args.baseline, written) if path}
        if twice := next((goal for goal in goals if goals.count(goal) > 1), None):
            raise exceptions.CommandError(
                f"{safe_text(str(twice))} was given twice: give each its own file. Nothing was"
                " looked at."
            )

    @property
    def writes(self) -> bool:
        """Whether anything is to be written."""
        return bool(self._renderers or self._written)

    def judge(self, findings: Sequence[Finding], ids: Collection[str]) -> list[Judged]:
        """Tell of each finding whether it is accepted; name entries that nothing meets."""
        from osc_uniqserial.reports import baseline

        if not self._args.baseline:
            return [baseline.Judged(each) for each in findings]
        today = datetime.datetime.now(datetime.UTC).date()
        judged = baseline.judge(findings, self.entries, today)
        self.unmet = baseline.unmet(self.entries, judged, ids)
        output.warn(
            f"The entry {entry} of {self._args.baseline} is met by nothing: remove it"
            for entry in self.unmet
        )
        return judged

    def write(self, run: Run, ids: Collection[str]) -> str:
        """Write everything, each whole or not at all; return what could not be written.

        :param ids: what was looked for everywhere
        """
        from osc_uniqserial.reports import baseline

        failed = []
        for render, target in self._renderers:
            try:
                target.write(render(run))
            except OSError as error:
                failed.append(f"{target.path}: {error.strerror}")
        if self._written:
            text = baseline.write(
                run.judged,
                self.entries,
                ids,
                self._args.baseline_reason or "",
            )
            try:
                self._written.write(text.encode())
            except OSError as error:
                failed.append(f"{self._written.path}: {error.strerror}")
        if not failed:
            return ""
        return f"Could not write {'; '.join(failed)}. What was there before is unchanged."


def _is_other_baseline(path: str, baseline: str | None) -> bool:
    """Whether a file has something in it, and was not read."""
    if baseline and os.path.realpath(path) == os.path.realpath(baseline):
        return False
    return os.path.isfile(path) and os.path.getsize(path) > 0


def _target(path: str) -> Target:
    from osc_uniqserial.reports.files import Target

    try:
        return Target(path)
    except OSError as error:
        raise exceptions.CommandError(
            f"{safe_text(path)} cannot be written: {error.strerror}. Nothing was looked at."
        ) from error


def _renderer(kind: str) -> Callable[[Run], bytes]:
    try:
        module = importlib.import_module(f"osc_uniqserial.reports.{kind}")
    except ImportError as error:
        raise exceptions.CommandError(
            f"--report {kind} needs {error.name}: pip install 'osc-uniqserial[reports]'. Nothing"
            " was looked at."
        ) from error
    render: Callable[[Run], bytes] = module.render
    return render


def _read_baseline(path: str) -> tuple[Entry, ...]:
    from osc_uniqserial.reports import baseline

    try:
        return baseline.parse(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        reason = error.strerror or str(error)
    except (UnicodeDecodeError, baseline.BadBaseline) as error:
        reason = str(error)
    raise exceptions.CommandError(
        f"--baseline: {safe_text(path)}: {safe_text(reason)}. Nothing was looked at."
    )
