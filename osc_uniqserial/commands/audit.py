# SPDX-License-Identifier: Apache-2.0
"""``openstack unique serial audit``: what is wrong in a cloud, and what could not be checked."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from osc_uniqserial.commands import findings, host_modes, live_sources
from osc_uniqserial.commands.servers import add_workers_option

if TYPE_CHECKING:
    from osc_uniqserial.checks.check import Check
    from osc_uniqserial.pipelines import AuditRun


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

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add what else may be told."""
        parser = super().get_parser(prog_name)
        live_sources.add_options(parser, "With any of them, the guests are looked at too.")
        add_workers_option(parser)
        host_modes.add_options(parser)
        return parser

    def checks(self, parsed_args: argparse.Namespace) -> Mapping[str, Check]:
        """Return what is looked for: guests only where a source tells of them."""
        from osc_uniqserial.pipelines import audit_checks

        return audit_checks(live_sources.given(parsed_args))

    def begin(self, parsed_args: argparse.Namespace, **about: Any) -> AuditRun:
        """Read what the servers rest on; findings are made while they are read."""
        from osc_uniqserial import pipelines

        connection = self.app.client_manager.sdk_connection
        return pipelines.audit(connection, sources=live_sources.given(parsed_args), **about)
