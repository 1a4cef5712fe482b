# SPDX-License-Identifier: Apache-2.0
"""``openstack unique serial verify``: compare live guests with the policy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from osc_uniqserial.commands import findings, output

if TYPE_CHECKING:
    from osc_uniqserial.checks.check import Check
    from osc_uniqserial.guests.options import GuestSources
    from osc_uniqserial.pipelines import VerifyRun


class VerifyUniqueSerials(findings.Lister):
    """Compare the serial numbers of running guests with those that the policy gives them.

    Reads live serial numbers from libvirt, from saved domain XML or from facts that guests
    report; sources can be combined. Changes nothing. Without --all-projects or --project, the
    servers of all projects are compared where policy allows it, else those of the own project.
    The last line on standard error has the number of compared servers. Exit code 3: there are
    findings; 4: there are none, but something could not be checked.
    """

    sources_title = "At least one source is needed."

    def possible(self) -> Mapping[str, Check]:
        """Return all checks of this command."""
        from osc_uniqserial.checks import VERIFY

        return VERIFY

    def checks(self, sources: GuestSources) -> Mapping[str, Check]:
        """Return the checks that the sources have the facts for.

        :raises CommandError: without a source
        """
        from osc_uniqserial.pipelines import verify_checks

        if not sources:
            raise output.error(
                "Nothing to compare with: give --libvirt-uri, --domain-xml or --facts"
            )
        return verify_checks(sources)

    def begin(self, sources: GuestSources, **common: Any) -> VerifyRun:
        """Read live serial numbers; iterating over the result reads the servers."""
        from osc_uniqserial import pipelines

        connection = self.app.client_manager.sdk_connection
        return pipelines.verify(connection, sources, **common)
