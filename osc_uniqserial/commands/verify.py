# SPDX-License-Identifier: Apache-2.0
"""``openstack unique serial verify``: the policy against the live guests."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from osc_lib import exceptions

from osc_uniqserial.commands import findings, host_modes, live_sources
from osc_uniqserial.commands.servers import add_workers_option

if TYPE_CHECKING:
    from osc_uniqserial.checks.check import Check
    from osc_uniqserial.pipelines import VerifyRun


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

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add where live serial numbers are read."""
        parser = super().get_parser(prog_name)
        live_sources.add_options(parser, "At least one source is needed.")
        add_workers_option(parser)
        host_modes.add_options(parser)
        return parser

    def checks(self, parsed_args: argparse.Namespace) -> Mapping[str, Check]:
        """Return what is looked for: what the sources can tell.

        :raises CommandError: without any source
        """
        from osc_uniqserial.pipelines import verify_checks

        sources = live_sources.given(parsed_args)
        if not sources:
            raise exceptions.CommandError(
                "Nothing to compare with: give --libvirt-uri, --domain-xml or --facts"
            )
        return verify_checks(sources)

    def begin(self, parsed_args: argparse.Namespace, **about: Any) -> VerifyRun:
        """Read live serial numbers, then the servers that they are compared with."""
        from osc_uniqserial import pipelines

        connection = self.app.client_manager.sdk_connection
        return pipelines.verify(connection, live_sources.given(parsed_args), **about)
