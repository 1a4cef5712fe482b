# SPDX-License-Identifier: Apache-2.0
"""JUnit XML for CI pipelines: each check is a test case."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite
from junitparser.junitparser import FinalResult

from osc_uniqserial.checks.check import Check
from osc_uniqserial.model.finding import Severity
from osc_uniqserial.reports.baseline import Assessed, Standing
from osc_uniqserial.reports.run import Run
from osc_uniqserial.text import safe_text

#: Characters that XML 1.0 forbids (section 2.2, Char).
_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
#: The most findings that a test case lists.
_LISTED = 200


def render(run: Run) -> bytes:
    """Return the report.

    A test case fails when its check has a finding of a severity of ``--fail-on`` that the
    baseline does not accept. A test case is an error when the check's input could not be read.
    """
    suite = TestSuite(f"openstack unique serial {run.command}")
    suite.timestamp = run.began.strftime("%Y-%m-%dT%H:%M:%S")
    for name, value in (
        ("cloud", run.label),
        ("region", run.region),
        ("user", run.user),
        ("project", run.project),
        ("scope", run.scope),
        ("coverage", run.covered.text),
        ("options", run.options),
        ("version", run.version),
    ):
        suite.add_property(name, _text(value))
    missing = run.missing()
    by_id = run.by_id()
    for check in run.checks.values():
        unread = {
            id(each): each for part in sorted(check.rests_on) for each in missing.get(part, ())
        }
        suite.add_testcase(_case(run, check, by_id[check.id], list(unread.values())))
    report = JUnitXml("osc-uniqserial")
    report.add_testsuite(suite)
    report.update_statistics()  # type: ignore[no-untyped-call]  # junitparser has few types
    # Single checks have no time of their own: they share what was read.
    suite.time = report.time = round(run.seconds, 3)
    written = io.BytesIO()
    report.write(written)
    return written.getvalue()


def _case(run: Run, check: Check, found: list[Assessed], unread: list[Assessed]) -> TestCase:
    case = TestCase(_text(f"{check.id}: {check.summary}"), f"{run.command}.{check.severity.value}")
    counting = [each for each in found if each.counts]
    results: list[FinalResult] = []
    if check.severity is Severity.UNCHECKED:
        if counting:
            results.append(_result(Error, check, counting))
    elif counting and check.severity in run.fatal:
        results.append(_result(Failure, check, counting))
    elif unread:
        results.append(_result(Error, check, unread, "could not be checked: "))
    accepted = [each for each in found if each.standing is Standing.ACCEPTED]
    if not results and accepted and not counting:
        reasons = dict.fromkeys(each.entry.reason for each in accepted if each.entry)
        results.append(Skipped(_text(f"accepted: {'; '.join(reasons)}"), "accepted"))
    case.result = results
    if found:
        case.system_out = _text("\n".join(_lines(found)))
    return case


def _result(
    kind: type[Error] | type[Failure], check: Check, found: list[Assessed], intro: str = ""
) -> Error | Failure:
    first = found[0].finding.evidence
    more = f" (and {len(found) - 1:,} more)" if len(found) > 1 else ""
    result = kind(_text(f"{intro}{first}{more}"), check.id)
    texts = check.texts
    result.text = _text("\n".join([*_lines(found), "", texts["meaning"], "", texts["repair"]]))
    return result


def _lines(found: list[Assessed]) -> Iterator[str]:
    for each in found[:_LISTED]:
        finding = each.finding
        where = finding.resource_name or finding.resource_id
        about = f"{finding.type} {where}: " if where else ""
        standing = f"[{each.standing.value}] " if each.standing else ""
        yield f"{standing}{about}{finding.evidence}"
    if len(found) > _LISTED:
        yield f"... and {len(found) - _LISTED:,} more"


def _text(text: str) -> str:
    """Return text without characters that XML forbids or a terminal interprets."""
    lines = (safe_text(line) for line in text.split("\n"))
    return _NO_XML.sub("\ufffd", "\n".join(lines))
