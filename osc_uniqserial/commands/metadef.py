# SPDX-License-Identifier: Apache-2.0
"""``openstack unique serial metadef ...``: the metadata definitions in Glance."""

from __future__ import annotations

import argparse
import dataclasses
import json
import textwrap
from collections.abc import Iterable, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar

from osc_uniqserial.commands import output

if TYPE_CHECKING:
    from osc_uniqserial.metadefs.comparison import Comparison, Detail
    from osc_uniqserial.metadefs.model import Namespace
    from osc_uniqserial.metadefs.plan import Row

_CHECK_COLUMNS = ("Namespace", "Item", "Result", "Details")
_PLAN_COLUMNS = ("Namespace", "Item", "Action", "Details")
#: Values in a table are shortened to this width.
_WIDTH = 60


def _row(found: Comparison | Row, word: Enum, formatter: str) -> tuple[Any, ...]:
    """Return a row: its details are objects in JSON and YAML, else one line each."""
    objects = formatter in ("json", "yaml")
    details = [dataclasses.asdict(each) if objects else _line(each) for each in found.details]
    return found.namespace, str(found.item), word.value, details


def _line(detail: Detail) -> str:
    if detail.stored is None and detail.expected is None:
        return detail.effect or detail.field
    from osc_uniqserial.metadefs.comparison import KEY

    text = f"{detail.field}: {_value(detail.stored)}"
    if detail.field != KEY:
        text += f", expected {_value(detail.expected)}"
    return f"{text} ({detail.effect})" if detail.effect else text


def _value(value: Any) -> str:
    if value is None:
        return "not set"
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return textwrap.shorten(text, _WIDTH, placeholder="...")


def load_namespaces() -> tuple[Namespace, ...]:
    """Return this version's namespaces.

    :raises CommandError: when a file of the package is not valid
    """
    from osc_uniqserial import metadefs

    try:
        return metadefs.load()
    except metadefs.Malformed as error:
        raise output.error(str(error)) from error


class _Writer(output.Lister):
    """A command that carries out a plan or, in a dry run, only shows it.

    :cvar removes: whether the plan is a removal; else it is an installation
    :cvar not_ours: format of the error where namespaces have items that are not ours
    """

    removes = False
    not_ours: ClassVar[str]

    # The shell imports the modules of all commands at every start: slow imports are local.

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add --dry-run."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--dry-run",
            action="store_true",
            help="Only show what would be done: the same rows, and no request that writes",
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Iterable[Any]]:
        """Make the plan, carry it out, and return one row for each item."""
        from osc_uniqserial.metadefs.catalog import Catalog
        from osc_uniqserial.metadefs.plan import NotOurs, plan_install, plan_remove

        ours = load_namespaces()
        catalog = Catalog(self.app.client_manager.sdk_connection)
        try:
            stored = catalog.read_ours(ours)
            plan = (
                plan_remove(ours, stored, parsed_args.force)
                if self.removes
                else plan_install(ours, stored)
            )
        except NotOurs as error:
            raise output.error(self.not_ours.format(error)) from error
        if parsed_args.dry_run:
            output.warn(["dry run: nothing was written"])
        else:
            catalog.carry_out(plan)
        return _PLAN_COLUMNS, [_row(row, row.action, parsed_args.formatter) for row in plan.rows]


class InstallMetadefs(_Writer):
    """Install the metadata definitions in Glance, for Horizon's metadata dialogs.

    Creates missing namespaces and updates older copies; items that are not ours are kept.
    Running the command again changes nothing. Requires an administrator.
    """

    not_ours = (
        "{}. It is left from an interrupted installation and not in the namespace itself: add it"
        " there or remove it, then install again"
    )


class RemoveMetadefs(_Writer):
    """Remove the metadata definitions from Glance.

    Flavors, images, volumes, aggregates and servers keep their settings. Requires an administrator.
    """

    removes = True
    not_ours = (
        "nothing was removed, because somebody else added things: {}. Remove them first, or give"
        " --force to remove them too"
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add --force."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--force",
            action="store_true",
            help="Also remove items that somebody else added to the namespaces",
        )
        return parser


class CheckMetadefs(output.Lister):
    """Compare the metadata definitions in Glance with those of this version.

    Also finds other namespaces that offer the same key. Exit code 3: something differs;
    4: nothing differs, but something could not be read.
    """

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Iterable[Any]]:
        """Read, compare, and return one row for each item."""
        from osc_uniqserial.metadefs.catalog import Catalog
        from osc_uniqserial.metadefs.comparison import DIFFERENCES, Result

        found = Catalog(self.app.client_manager.sdk_connection).compare(load_namespaces())
        output.warn(found.notes)
        results = {each.result for each in found.comparisons}
        self.set_exit_code(bool(results & DIFFERENCES), Result.UNREADABLE in results)
        formatter = parsed_args.formatter
        return _CHECK_COLUMNS, [_row(each, each.result, formatter) for each in found.comparisons]
