# SPDX-License-Identifier: Apache-2.0
"""``openstack unique serial verify``: compare live guests with the policy."""

from __future__ import annotations

from osc_uniqserial.commands import findings


class VerifyUniqueSerials(findings.Lister):
    """Compare the serial numbers of running guests with those that the policy gives them.

    Reads live serial numbers from libvirt, from saved domain XML or from facts that guests
    report, and serial numbers from an inventory; sources can be combined. Changes nothing.
    Without --all-projects or --project, the servers of all projects are compared where policy
    allows it, else those of the own project. The last line on standard error has the number of
    compared servers. Exit code 3: there are findings; 4: there are none, but something could
    not be checked.
    """

    sources_title = "At least one source is needed."
    needs_source = True
