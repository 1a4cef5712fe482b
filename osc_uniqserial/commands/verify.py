# SPDX-License-Identifier: Apache-2.0
"""``openstack unique serial verify``: the policy against the live guests."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from osc_lib import exceptions

from osc_uniqserial.commands import findings, host_modes, live_sources, output
from osc_uniqserial.commands.servers import add_workers_option
from osc_uniqserial.text import safe_text

if TYPE_CHECKING:
    from osc_uniqserial.api.servers import Servers
    from osc_uniqserial.checks.check import Check
    from osc_uniqserial.effective.counts import Tally
    from osc_uniqserial.model.finding import Finding


class VerifyUniqueSerials(findings.Lister):
    """Compare the serial numbers that guests have with those that they should have.

    Reads live serial numbers from libvirt, from saved domain XML or from facts that guests
    tell, any of them together; changes nothing. Without --all-projects or --project, the
    servers of all projects where this user may see them, else of the own project. The last
    line on standard error tells how many servers were compared. Exit code 3 tells of
    findings, 4 of none but something that could not be checked.
    """

    def possible(self) -> Mapping[str, Check]:
        """Return all that this command can look for."""
        from osc_uniqserial.checks import VERIFY

        return VERIFY

    def checks(self, parsed_args: argparse.Namespace) -> Mapping[str, Check]:
        """Return what is looked for: what the sources can tell.

        :raises CommandError: without any source
        """
        if not live_sources.given(parsed_args):
            raise exceptions.CommandError(
                "Nothing to compare with: give --libvirt-uri, --domain-xml or --facts"
            )
        return live_sources.told(parsed_args, self.possible())

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add where live serial numbers are read."""
        parser = super().get_parser(prog_name)
        live_sources.add_options(parser, "At least one source is needed.")
        add_workers_option(parser)
        host_modes.add_options(parser)
        return parser

    def look(self, parsed_args: argparse.Namespace) -> findings.Looking:
        """Read live serial numbers, then the servers that they are compared with."""
        # The shell imports the modules of all commands at every start.
        from osc_uniqserial.api.rest import CloudError, Rest
        from osc_uniqserial.api.servers import Survey
        from osc_uniqserial.effective.counts import Tally
        from osc_uniqserial.model.cloud import Fleet

        given = host_modes.given(parsed_args)
        try:
            survey = Survey(Rest(self.app.client_manager.sdk_connection), given)
            filters, scope = self.scope(parsed_args, survey)
        except CloudError as error:
            raise exceptions.CommandError(safe_text(str(error))) from error
        if isinstance(survey.configuration.fleet, Fleet):
            output.warn(survey.configuration.fleet.notes)
        live = live_sources.GuestComparison(parsed_args, survey)
        servers = survey.servers(filters, parsed_args.max_workers)
        tally = Tally()
        found = self._findings(live, servers, tally, filters, scope)
        return findings.Looking(survey, found, tally, scope)

    def _findings(
        self,
        live: live_sources.GuestComparison,
        servers: Servers,
        tally: Tally,
        filters: Mapping[str, str],
        scope: str,
    ) -> Iterator[Finding]:
        from osc_uniqserial.checks.check import found_in
        from osc_uniqserial.checks.unread import ServersRead
        from osc_uniqserial.model.finding import Covered

        progress = output.Progress()
        try:
            for sightings in servers:
                tally.see(sightings)
                live.add(sightings)
                progress.say(live.seen, servers.expected)
        finally:
            progress.end()
        yield from live.findings(filters, servers)
        gaps = [(gap.reason, gap.servers) for gap in servers.gaps]
        read = ServersRead(gaps, servers.unlisted_cells)
        yield from found_in(read, live.cloud)
        text = f"{live.coverage(servers)}{f' ({scope})' if scope else ''}"
        missing = sum(gap.servers or 0 for gap in servers.gaps)
        self.covered = Covered(text, live.comparable, live.compared, missing)
