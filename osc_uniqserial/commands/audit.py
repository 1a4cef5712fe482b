# SPDX-License-Identifier: Apache-2.0
"""``openstack unique serial audit``: find misconfiguration, and what could not be checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from osc_uniqserial.commands import findings

if TYPE_CHECKING:
    from osc_uniqserial.checks.check import Check
    from osc_uniqserial.guests.options import GuestSources
    from osc_uniqserial.pipelines import AuditRun


class AuditUniqueSerials(findings.Lister):
    """Find wrong configuration of serial numbers in a cloud, and parts that cannot be checked.

    Checks flavors, images, host aggregates, compute hosts, metadata definitions and servers.
    With a source of live serial numbers, the guests are checked too, as by verify. Changes
    nothing. Without --all-projects or --project, the servers of all projects are checked where
    policy allows it, else those of the own project. The last line on standard error has the
    number of checked servers. Exit code 3: there are findings; 4: there are none, but something
    could not be checked.
    """

    sources_title = "With any of them, the guests are checked too."

    def possible(self) -> Mapping[str, Check]:
        """Return all checks of this command."""
        from osc_uniqserial.checks import ALL

        return ALL

    def checks(self, sources: GuestSources) -> Mapping[str, Check]:
        """Return the checks to run; those of guests only with a source."""
        from osc_uniqserial.pipelines import audit_checks

        return audit_checks(sources)

    def begin(self, sources: GuestSources, **common: Any) -> AuditRun:
        """Read the configuration; iterating over the result reads the servers."""
        from osc_uniqserial import pipelines

        connection = self.app.client_manager.sdk_connection
        return pipelines.audit(connection, sources=sources, **common)
