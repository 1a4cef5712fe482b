# SPDX-License-Identifier: Apache-2.0
"""What the commands that take a file with a desired state share."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from osc_uniqserial.commands import options, output

if TYPE_CHECKING:
    from osc_uniqserial.desired.document import Desired
    from osc_uniqserial.desired.plan import Plan
    from osc_uniqserial.pipelines import PlanRun

_Getter = TypeVar("_Getter")

#: Last sentence of an error before the first request that writes.
NOTHING = "Nothing was changed."
#: The columns that are shown with --long only.
_LONG = frozenset({"id", "project_id", "line"})


#: The most contradictions that a message lists.
_SHOWN = 20


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
    raise output.error(f"{reason}. {NOTHING}")


def start(
    client_manager: Any,
    parsed_args: argparse.Namespace,
    desired: Desired,
    progress: output.Progress,
) -> PlanRun:
    """Start a plan with the options for servers and for host modes.

    :raises CommandError: for entries that contradict each other or are ambiguous
    """
    from osc_uniqserial import pipelines

    project = options.project_id(client_manager, parsed_args)
    run = pipelines.plan(
        client_manager.sdk_connection,
        desired,
        scope=pipelines.Scope(project, parsed_args.all_projects or None),
        host_modes=options.host_modes(parsed_args).by_host,
        workers=parsed_args.max_workers,
        progress=progress.update,
    )
    output.warn(run.notes)
    refuse(run.plan, parsed_args.file)
    return run


def refuse(plan: Plan, path: str) -> None:
    """Refuse entries that contradict each other or are ambiguous.

    :raises CommandError: naming their lines
    """
    wrong = [each for each in plan.problems if each.is_wrong]
    if wrong:
        texts = "; ".join(f"line {each.line}: {each.text}" for each in wrong[:_SHOWN])
        more = f"; and {len(wrong) - _SHOWN:,} more" if len(wrong) > _SHOWN else ""
        raise output.error(f"{path}: {texts}{more}. {NOTHING}")


@dataclasses.dataclass(frozen=True, slots=True)
class NotPlanned:
    """What could not be planned.

    :ivar result: ``no-match``: an entry selects nothing; ``unread``: something could not be read
    :ivar line: the line of the entry; None: it is about no single entry
    """

    result: str
    line: int | None
    text: str

    def __str__(self) -> str:
        """Return it with its line, for a message."""
        return f"line {self.line}: {self.text}" if self.line else self.text


def not_planned(run: PlanRun) -> Iterator[NotPlanned]:
    """Yield what could not be planned."""
    for each in run.plan.problems:
        yield NotPlanned("no-match" if each.is_unmatched else "unread", each.line, each.text)
    for text in run.unread:
        yield NotPlanned("unread", None, text)


def check_columns(columns: Collection[str], parsed_args: argparse.Namespace) -> None:
    """Refuse names of columns that cliff refuses too, but only after everything was done.

    :raises CommandError: when no column has a given name
    """
    if parsed_args.columns and output.column_names(parsed_args.columns).isdisjoint(columns):
        raise output.error(
            f"no column has a name of {', '.join(parsed_args.columns)}: they are"
            f" {', '.join(columns)}. {NOTHING}"
        )


def shown(columns: Mapping[str, _Getter], parsed_args: argparse.Namespace) -> Mapping[str, _Getter]:
    """Return the columns to show: those of --long with it, or where they are named."""
    named = output.column_names(parsed_args.columns)
    return {
        key: get
        for key, get in columns.items()
        if parsed_args.long or key in named or key not in _LONG
    }


def row(columns: Iterable[str], about: NotPlanned, details: str) -> list[Any]:
    """Return the row of something that could not be planned.

    :param details: the column of the text
    """
    known = {"kind": "unknown", "result": about.result, "line": about.line, details: about.text}
    return [known.get(key) for key in columns]
