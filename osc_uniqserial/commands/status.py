# SPDX-License-Identifier: Apache-2.0
"""``openstack unique serial status``: the readiness of a cloud."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from osc_uniqserial.commands import options, output

if TYPE_CHECKING:
    from osc_uniqserial.checks.readiness import Row

_COLUMNS = ("Check", "Result", "Details")


class ShowStatus(output.Lister):
    """Check whether this cloud can give servers a serial number of their own.

    Checks the metadata definitions in Glance, whether Nova's API accepts the extra spec,
    what each compute host does with the keys, and whether scheduling can be steered. Changes
    nothing. Requires an administrator: parts that this user may not read are Unknown. Exit
    code 3: there is a Warning; 4: there is none, but something is Unknown.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the options for facts that no API returns."""
        parser = super().get_parser(prog_name)
        options.add_host_modes(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Iterable[Any]]:
        """Read the facts, assess them, and return one row for each check."""
        # The shell imports the modules of all commands at every start.
        from osc_uniqserial import pipelines
        from osc_uniqserial.checks.readiness import Result

        given = options.host_modes(parsed_args)
        connection = self.app.client_manager.sdk_connection
        found = pipelines.readiness(connection, host_modes=given.by_host)
        output.warn(found.notes)
        results = {row.result for row in found.rows}
        self.set_exit_code(Result.WARNING in results, Result.UNKNOWN in results)
        return _COLUMNS, [
            (row.check, row.result.value, _details(row, parsed_args.formatter))
            for row in found.rows
        ]


def _details(row: Row, formatter: str) -> Any:
    """Return an object for JSON and YAML, lines for a table, else one text."""
    if formatter in ("json", "yaml"):
        hosts = list(row.hosts)
        return {"id": row.id, "message": row.message, "remedy": row.remedy, "hosts": hosts}
    from osc_uniqserial.checks import readiness

    text = ". ".join(part.rstrip(".") for part in (row.message, row.remedy) if part) + "."
    who = readiness.summary(row.hosts) if row.hosts else None
    if formatter == "table":
        return [*(output.folded(f"{who}.") if who else ()), *output.folded(text)]
    return f"{who}. {text}" if who else text
