# SPDX-License-Identifier: Apache-2.0
"""What the commands that take a file with a desired state share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from osc_uniqserial.commands import output

if TYPE_CHECKING:
    from osc_uniqserial.desired.changes import Problem
    from osc_uniqserial.desired.document import Desired
    from osc_uniqserial.desired.plan import Plan
    from osc_uniqserial.pipelines import PlanRun


def read_file(path: str) -> Desired:
    """Return the desired state in a file.

    :raises CommandError: when it cannot be read, or is no desired state
    """
    from osc_uniqserial import strict_yaml
    from osc_uniqserial.desired import document

    try:
        return document.parse(strict_yaml.read(path))
    except OSError as error:
        reason = f"{path} cannot be read: {error.strerror}"
    except (strict_yaml.BadYaml, document.BadDocument) as error:
        reason = f"{path}: {error}"
    raise output.error(f"{reason}. {output.NOTHING}")


def refuse(plan: Plan, path: str) -> None:
    """Refuse entries that contradict each other or are ambiguous.

    :raises CommandError: naming their lines
    """
    wrong = [each for each in plan.problems if each.is_wrong]
    if wrong:
        texts = "; ".join(f"line {each.line}: {each.text}" for each in wrong)
        raise output.error(f"{path}: {texts}. Nothing was planned.")


def not_known(run: PlanRun) -> Iterator[tuple[int | None, str]]:
    """Yield what could not be planned, each with its line."""
    problems: Sequence[Problem] = run.plan.problems
    yield from ((each.line, each.text) for each in problems)
    yield from ((None, reason) for reason in run.unread)
