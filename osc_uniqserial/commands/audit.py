# SPDX-License-Identifier: Apache-2.0
"""``openstack unique serial audit``: find misconfiguration, and what could not be checked."""

from __future__ import annotations

from osc_uniqserial.commands import findings


class AuditUniqueSerials(findings.Lister):
    """Find wrong configuration of serial numbers in a cloud, and parts that cannot be checked.

    Checks flavors, images, host aggregates, compute hosts, metadata definitions and servers.
    With a source of serial numbers, guests or an inventory are checked too, as by verify. Changes
    nothing. Without --all-projects or --project, the servers of all projects are checked where
    policy allows it, else those of the own project. The last line on standard error has the
    number of checked servers. Exit code 3: there are findings; 4: there are none, but something
    could not be checked.
    """

    sources_title = "With any of them, guests or an inventory are checked too."
