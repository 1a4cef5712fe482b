# SPDX-License-Identifier: Apache-2.0
"""``openstack unique serial status``: can this cloud do it?"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from osc_uniqserial.commands import host_modes, metadef, output

if TYPE_CHECKING:
    from osc_uniqserial.api.rest import Rest
    from osc_uniqserial.checks.readiness import Row
    from osc_uniqserial.model.cloud import Fleet, GivenModes, Unchecked, Validator

_COLUMNS = ("Check", "Result", "Details")


class ShowStatus(output.Lister):
    """Tell whether this cloud can give servers a serial number of their own.

    Checks the metadata definitions in Glance, whether Nova's API knows the extra spec,
    what each compute host does with the keys, and whether scheduling can be steered. It
    changes nothing, and takes an administrator: what this user may not see is Unknown.
    Exit code 3 tells of a Warning, 4 of no Warning but something Unknown.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the options for what no API tells."""
        parser = super().get_parser(prog_name)
        host_modes.add_options(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Iterable[Any]]:
        """Read the facts, judge them, and return one row for each thing that was checked."""
        # The shell imports the modules of all commands at every start.
        from osc_uniqserial.api.rest import Rest
        from osc_uniqserial.checks import readiness
        from osc_uniqserial.metadefs.catalog import Catalog
        from osc_uniqserial.model.cloud import Fleet

        given = host_modes.given(parsed_args)
        ours = metadef.load_namespaces()
        connection = self.app.client_manager.sdk_connection
        rest = Rest(connection)
        definitions = Catalog(connection).survey(ours).comparisons
        fleet = _fleet(rest, given)
        rows = readiness.assess(definitions, _validator(rest), fleet)
        if isinstance(fleet, Fleet):
            output.warn(fleet.notes)
        results = {row.result for row in rows}
        if readiness.Result.WARNING in results:
            self.exit_code = output.FINDINGS
        elif readiness.Result.UNKNOWN in results:
            self.exit_code = output.UNCHECKED
        return _COLUMNS, [
            (row.check, row.result.value, _details(row, parsed_args.formatter)) for row in rows
        ]


def _validator(rest: Rest) -> Validator | Unchecked:
    from osc_uniqserial.api.rest import CloudError
    from osc_uniqserial.api.validator import extra_spec_validator
    from osc_uniqserial.model.cloud import Unchecked

    try:
        return extra_spec_validator(rest)
    except CloudError as error:
        return Unchecked(str(error))


def _fleet(rest: Rest, given: GivenModes) -> Fleet | Unchecked:
    from osc_uniqserial.api import hosts
    from osc_uniqserial.api.rest import CloudError
    from osc_uniqserial.model.cloud import Unchecked

    try:
        return hosts.read_hosts(rest, given)[0]
    except CloudError as error:
        return Unchecked(str(error))


def _details(row: Row, formatter: str) -> Any:
    """Return details as an object for machines, or as lines or one text for people."""
    if formatter in ("json", "yaml"):
        return {
            "id": row.id,
            "message": row.message,
            "remedy": row.remedy,
            "hosts": list(row.hosts),
        }
    from osc_uniqserial.checks import readiness

    text = ". ".join(part.rstrip(".") for part in (row.message, row.remedy) if part) + "."
    who = readiness.summary(row.hosts) if row.hosts else None
    if formatter == "table":
        return [*(output.folded(f"{who}.") if who else ()), *output.folded(text)]
    return f"{who}. {text}" if who else text
