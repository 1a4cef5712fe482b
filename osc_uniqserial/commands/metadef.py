# SPDX-License-Identifier: Apache-2.0
"""``openstack unique serial metadef ...``: the metadata definitions in Glance."""

from __future__ import annotations

import abc
import argparse
import dataclasses
import json
import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from osc_lib import exceptions

from osc_uniqserial.commands import output
from osc_uniqserial.text import safe_text

if TYPE_CHECKING:
    from osc_uniqserial.metadefs import Detail, Namespace, Plan
    from osc_uniqserial.metadefs.catalog import Catalog

_CHECK_COLUMNS = ("Namespace", "Item", "Result", "Details")
_PLAN_COLUMNS = ("Namespace", "Item", "Action", "Details")
#: Values in a table are shortened to this width.
_WIDTH = 60


def _details(details: Iterable[Detail], formatter: str) -> list[Any]:
    """Return details as objects for JSON and YAML, else as one line each."""
    if formatter in ("json", "yaml"):
        return [dataclasses.asdict(detail) for detail in details]
    return [_line(detail) for detail in details]


def _line(detail: Detail) -> str:
    if detail.stored is None and detail.expected is None:
        return detail.effect or detail.field
    from osc_uniqserial import metadefs

    text = f"{detail.field}: {_value(detail.stored)}"
    if detail.field != metadefs.KEY:
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
        raise exceptions.CommandError(safe_text(str(error))) from error


class _Lister(output.Lister):
    """Base of the three commands."""

    # The shell imports the modules of all commands at every start: slow imports are local.

    def _catalog(self) -> Catalog:
        from osc_uniqserial.metadefs.catalog import Catalog

        return Catalog(self.app.client_manager.sdk_connection)


class _Writer(_Lister):
    """A command that carries out a plan or, in a dry run, only shows it."""

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
        from osc_uniqserial.api.rest import CloudError

        ours = load_namespaces()
        catalog = self._catalog()
        try:
            plan = self._plan(ours, catalog, parsed_args)
            if parsed_args.dry_run:
                output.warn(["dry run: nothing was written"])
            else:
                catalog.carry_out(plan)
        except CloudError as error:
            raise exceptions.CommandError(safe_text(str(error))) from error
        return _PLAN_COLUMNS, [
            (
                row.namespace,
                str(row.item),
                row.action.value,
                _details(row.details, parsed_args.formatter),
            )
            for row in plan.rows
        ]

    @abc.abstractmethod
    def _plan(
        self, ours: Sequence[Namespace], catalog: Catalog, parsed_args: argparse.Namespace
    ) -> Plan:
        """Return the plan."""


class InstallMetadefs(_Writer):
    """Install the metadata definitions in Glance, for Horizon's metadata dialogs.

    Creates missing namespaces and updates older copies; items that are not ours are kept.
    Running the command again changes nothing. Requires an administrator.
    """

    def _plan(
        self, ours: Sequence[Namespace], catalog: Catalog, parsed_args: argparse.Namespace
    ) -> Plan:
        from osc_uniqserial import metadefs
        from osc_uniqserial.api.rest import CloudError

        try:
            return metadefs.plan_install(ours, catalog.read_ours(ours))
        except metadefs.NotOurs as error:
            raise CloudError(
                f"{error}. It is left from an interrupted installation and not in the namespace"
                " itself: add it there or remove it, then install again"
            ) from error


class RemoveMetadefs(_Writer):
    """Remove the metadata definitions from Glance.

    Flavors, images, volumes and aggregates keep their settings. Requires an administrator.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add --force."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--force",
            action="store_true",
            help="Also remove items that somebody else added to the namespaces",
        )
        return parser

    def _plan(
        self, ours: Sequence[Namespace], catalog: Catalog, parsed_args: argparse.Namespace
    ) -> Plan:
        from osc_uniqserial import metadefs
        from osc_uniqserial.api.rest import CloudError

        try:
            return metadefs.plan_remove(ours, catalog.read_ours(ours), parsed_args.force)
        except metadefs.NotOurs as error:
            raise CloudError(
                f"nothing was removed, because somebody else added things: {error}."
                " Remove them first, or give --force to remove them too"
            ) from error


class CheckMetadefs(_Lister):
    """Compare the metadata definitions in Glance with those of this version.

    Also finds other namespaces that offer the same key. Exit code 3: something differs;
    4: nothing differs, but something could not be read.
    """

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Iterable[Any]]:
        """Read, compare, and return one row for each item."""
        survey = self._catalog().survey(load_namespaces())
        output.warn(survey.notes)
        if survey.differs:
            self.exit_code = output.FINDINGS
        elif survey.incomplete:
            self.exit_code = output.UNCHECKED
        return _CHECK_COLUMNS, [
            (
                found.namespace,
                str(found.item),
                found.result.value,
                _details(found.details, parsed_args.formatter),
            )
            for found in survey.comparisons
        ]
