# SPDX-License-Identifier: Apache-2.0
"""JUnit XML: each check is a test case, for pipelines."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite
from junitparser.junitparser import FinalResult

from osc_uniqserial.checks.check import Check
from osc_uniqserial.model.finding import Severity
from osc_uniqserial.reports.baseline import Judged, Standing
from osc_uniqserial.reports.run import Run
from osc_uniqserial.text import safe_text

#: What XML 1.0 has no way to write (section 2.2, Char).
_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MOST = 200


def render(run: Run) -> bytes:
    """Return the report.

    A check fails when it found something that counts: by ``--fail-on``, and more than the
    baseline accepts. It is an error when something that it rests on could not be read.
    """
    suite = TestSuite(f"openstack unique serial {run.command}")
    suite.timestamp = run.began.strftime("%Y-%m-%dT%H:%M:%S")
    for name, value in (
        ("cloud", run.cloud or run.auth_url),
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
        blind = {id(each): each for part in check.rests_on for each in missing.get(part, ())}
        suite.add_testcase(_case(run, check, by_id[check.id], blind.values()))
    report = JUnitXml("osc-uniqserial")
    report.add_testsuite(suite)
    report.update_statistics()  # type: ignore[no-untyped-call]  # junitparser has few types
    # The time of single checks is not known: they share the reading.
    suite.time = report.time = round(run.seconds, 3)
    written = io.BytesIO()
    report.write(written)
    return written.getvalue()


def _case(run: Run, check: Check, found: list[Judged], blind: Iterable[Judged]) -> TestCase:
    case = TestCase(_text(f"{check.id}: {check.summary}"), f"{run.command}.{check.severity.value}")
    counting = [each for each in found if each.counts]
    blind = list(blind)
    results: list[FinalResult] = []
    if check.severity is Severity.UNCHECKED:
        if counting:
            results.append(_result(Error, check, counting))
    elif counting and check.severity in run.fatal:
        results.append(_result(Failure, check, counting))
    elif blind:
        results.append(_result(Error, check, blind, "could not be checked: "))
    accepted = [each for each in found if each.standing is Standing.ACCEPTED]
    if not results and accepted and not counting:
        reasons = dict.fromkeys(each.entry.reason for each in accepted if each.entry)
        results.append(Skipped(_text(f"accepted: {'; '.join(reasons)}"), "accepted"))
    case.result = results
    if found:
        case.system_out = _text("\n".join(_lines(found)))
    return case


def _result(
    kind: type[Error] | type[Failure], check: Check, found: list[Judged], intro: str = ""
) -> Error | Failure:
    first = found[0].finding.evidence
    more = f" (and {len(found) - 1:,} more)" if len(found) > 1 else ""
    result = kind(_text(f"{intro}{first}{more}"), check.id)
    result.text = _text("\n".join([*_lines(found), "", check.meaning, "", check.repair]))
    return result


def _lines(found: list[Judged]) -> Iterator[str]:
    for each in found[:_MOST]:
        finding = each.finding
        where = finding.resource_name or finding.resource_id
        about = f"{finding.type} {where}: " if where else ""
        standing = f"[{each.standing.value}] " if each.standing else ""
        yield f"{standing}{about}{finding.evidence}"
    if len(found) > _MOST:
        yield f"... and {len(found) - _MOST:,} more"


def _text(text: str) -> str:
    """Return text without what XML cannot hold or a terminal would obey."""
    lines = (safe_text(line) for line in text.split("\n"))
    return _NO_XML.sub("\ufffd", "\n".join(lines))
