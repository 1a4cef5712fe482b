# SPDX-License-Identifier: Apache-2.0
"""``openstack unique serial audit``: what is wrong in a cloud, and what could not be checked."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from osc_lib import exceptions

from osc_uniqserial.commands import findings, host_modes, live_sources, metadef, output
from osc_uniqserial.commands.servers import add_workers_option
from osc_uniqserial.text import safe_text

if TYPE_CHECKING:
    from osc_uniqserial.api.servers import Servers
    from osc_uniqserial.checks.check import Check
    from osc_uniqserial.checks.engine import Audit
    from osc_uniqserial.effective.counts import Tally
    from osc_uniqserial.model.finding import Finding


class AuditUniqueSerials(findings.Lister):
    """Find what is wrong with serial numbers in a cloud, and say what could not be checked.

    Looks at flavors, images, host aggregates, compute hosts, metadata definitions and
    servers, and, where a source of live serial numbers is given, at the guests as verify
    does; it changes nothing. Without --all-projects or --project, the servers of all
    projects where this user may see them, else of the own project. The last line on
    standard error tells how many servers were checked. Exit code 3 tells of findings, 4 of
    none but something that could not be checked.
    """

    def possible(self) -> Mapping[str, Check]:
        """Return all that this command can look for."""
        from osc_uniqserial.checks import ALL

        return ALL

    def checks(self, parsed_args: argparse.Namespace) -> Mapping[str, Check]:
        """Return what is looked for: guests only where a source tells of them."""
        from osc_uniqserial.checks import AUDIT, VERIFY
        from osc_uniqserial.checks.check import by_severity

        guests = live_sources.told(parsed_args, VERIFY)
        return by_severity({**guests, **AUDIT}.values()) if guests else AUDIT

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add what else may be told."""
        parser = super().get_parser(prog_name)
        live_sources.add_options(parser, "With any of them, the guests are looked at too.")
        add_workers_option(parser)
        host_modes.add_options(parser)
        return parser

    def look(self, parsed_args: argparse.Namespace) -> findings.Looking:
        """Read what the servers rest on; findings are made while they are read."""
        # The shell imports the modules of all commands at every start.
        from osc_uniqserial.api import background
        from osc_uniqserial.api.rest import CloudError, Rest
        from osc_uniqserial.api.servers import Survey
        from osc_uniqserial.checks.engine import Audit
        from osc_uniqserial.effective.counts import Tally
        from osc_uniqserial.metadefs.catalog import Catalog
        from osc_uniqserial.model.cloud import Fleet

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
        if isinstance(survey.configuration.fleet, Fleet):
            output.warn(survey.configuration.fleet.notes)
        live = None
        if live_sources.given(parsed_args):
            live = live_sources.GuestComparison(parsed_args, survey)
        servers = survey.servers(filters, parsed_args.max_workers)
        tally = Tally()
        found = self._findings(audit, live, servers, tally, filters, scope)
        return findings.Looking(survey, found, tally, scope)

    def _findings(
        self,
        audit: Audit,
        live: live_sources.GuestComparison | None,
        servers: Servers,
        tally: Tally,
        filters: Mapping[str, str],
        scope: str,
    ) -> Iterator[Finding]:
        from osc_uniqserial.model.finding import Covered

        yield from audit.configuration()
        progress = output.Progress()
        try:
            for sightings in servers:
                tally.see(sightings)
                audit.add(sightings)
                if live:
                    live.add(sightings)
                progress.say(audit.coverage.seen, servers.expected)
        finally:
            progress.end()
        yield from audit.summary(
            [(gap.reason, gap.servers) for gap in servers.gaps],
            unlisted_cells=servers.unlisted_cells,
            volumes_unread=servers.volumes_unread,
        )
        coverage = audit.coverage
        text = str(coverage)
        if live:
            yield from live.findings(filters, servers)
            text += f". Guests: {live.coverage(servers)}"
        self.covered = Covered(
            f"{text}{f' ({scope})' if scope else ''}",
            coverage.seen,
            coverage.checked,
            coverage.unread,
            (live.compared, live.comparable) if live else None,
        )
