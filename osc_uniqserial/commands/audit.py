# SPDX-License-Identifier: Apache-2.0
"""``openstack unique serial audit``: what is wrong in a cloud, and what could not be checked."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from osc_lib import exceptions

from osc_uniqserial.commands import findings, host_modes, metadef, output
from osc_uniqserial.commands.servers import add_workers_option
from osc_uniqserial.text import safe_text

if TYPE_CHECKING:
    from osc_uniqserial.audit import Audit
    from osc_uniqserial.findings import Finding, Severity
    from osc_uniqserial.survey import Servers


class AuditUniqueSerials(findings.Lister):
    """Find what is wrong with serial numbers in a cloud, and say what could not be checked.

    Looks at flavors, images, host aggregates, compute hosts, metadata definitions and
    servers; it changes nothing. Without --all-projects or --project, the servers of all
    projects where this user may see them, else of the own project. The last line on
    standard error tells how many servers were checked. Exit code 3 tells of findings, 4 of
    none but something that could not be checked.
    """

    def severities(self) -> Mapping[str, Severity]:
        """Return what this command can find, by ID."""
        from osc_uniqserial.findings import OF_AUDIT

        return OF_AUDIT

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add what else may be told."""
        parser = super().get_parser(prog_name)
        add_workers_option(parser)
        host_modes.add_options(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Iterable[Any]]:
        """Read what the servers rest on; findings are made while they are read."""
        # The shell imports the modules of all commands at every start.
        from osc_uniqserial import background
        from osc_uniqserial.audit import Audit
        from osc_uniqserial.catalog import Catalog
        from osc_uniqserial.facts import Fleet
        from osc_uniqserial.rest import CloudError, Rest
        from osc_uniqserial.survey import Survey

        given = host_modes.given(parsed_args)
        ours = metadef.load_namespaces()
        connection = self.app.client_manager.sdk_connection
        try:
            rest = Rest(connection)
            definitions = background.start(Catalog(connection).survey, ours)
            survey = Survey(rest, given)
            filters, scope = self.scope(parsed_args, survey)
            audit = Audit(survey.configuration, definitions.result().comparisons)
        except CloudError as error:
            raise exceptions.CommandError(safe_text(str(error))) from error
        fleet = survey.configuration.fleet
        if isinstance(fleet, Fleet):
            output.warn(fleet.notes)
        servers = survey.servers(filters, parsed_args.max_workers)
        return self.rows(parsed_args, self._findings(audit, servers, scope))

    def _findings(self, audit: Audit, servers: Servers, scope: str) -> Iterator[Finding]:
        yield from audit.configuration()
        progress = output.Progress()
        try:
            for sightings in servers:
                audit.see(sightings)
                progress.say(audit.coverage.seen, servers.expected)
        finally:
            progress.end()
        yield from audit.summary(
            [(gap.reason, gap.servers) for gap in servers.gaps],
            unlisted_cells=servers.unlisted_cells,
            volumes_unread=servers.volumes_unread,
        )
        self.coverage = f"{audit.coverage}{f' ({scope})' if scope else ''}"
