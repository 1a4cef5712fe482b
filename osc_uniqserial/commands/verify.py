# SPDX-License-Identifier: Apache-2.0
"""``openstack unique serial verify``: the policy against the live guests."""

from __future__ import annotations

import argparse
import datetime
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from osc_lib import exceptions

from osc_uniqserial.commands import findings, host_modes, output
from osc_uniqserial.commands.servers import add_workers_option
from osc_uniqserial.text import safe_text

if TYPE_CHECKING:
    from osc_uniqserial.facts import Fleet
    from osc_uniqserial.findings import Finding, Severity
    from osc_uniqserial.live import Source
    from osc_uniqserial.survey import Survey


class VerifyUniqueSerials(findings.Lister):
    """Compare the serial numbers that guests have with those that they should have.

    Reads live serial numbers from libvirt, from saved domain XML or from facts that guests
    tell, any of them together; changes nothing. Without --all-projects or --project, the
    servers of all projects where this user may see them, else of the own project. The last
    line on standard error tells how many servers were compared. Exit code 3 tells of
    findings, 4 of none but something that could not be checked.
    """

    def severities(self) -> Mapping[str, Severity]:
        """Return what this command can find, by ID."""
        from osc_uniqserial.findings import OF_VERIFY

        return OF_VERIFY

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add where live serial numbers are read."""
        parser = super().get_parser(prog_name)
        sources = parser.add_argument_group("sources", "At least one is needed")
        sources.add_argument(
            "--libvirt-uri",
            metavar="<uri>",
            action="append",
            default=[],
            help="Read-only connection to libvirt, such as qemu+ssh://{host}/system: {host} stands"
            " for each compute host (repeat option to give several; needs libvirt-python)",
        )
        sources.add_argument(
            "--domain-xml",
            metavar="<path>",
            action="append",
            default=[],
            help="What 'virsh dumpxml' printed: a file, a folder of files, or - for standard input"
            " (repeat option to give several)",
        )
        sources.add_argument(
            "--facts",
            metavar="<file>",
            action="append",
            default=[],
            help="JSON lines with uuid and serial as guests tell them, - for standard input"
            " (repeat option to give several)",
        )
        parser.add_argument(
            "--timeout",
            metavar="<seconds>",
            type=_seconds,
            help="How long one connection to libvirt may take for all it does (default: 60)",
        )
        add_workers_option(parser)
        host_modes.add_options(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Iterable[Any]]:
        """Read live serial numbers, then the servers that they are compared with."""
        # The shell imports the modules of all commands at every start.
        from osc_uniqserial.facts import Fleet
        from osc_uniqserial.rest import CloudError, Rest
        from osc_uniqserial.survey import Survey

        if not (parsed_args.libvirt_uri or parsed_args.domain_xml or parsed_args.facts):
            raise exceptions.CommandError(
                "Nothing to compare with: give --libvirt-uri, --domain-xml or --facts"
            )
        given = host_modes.given(parsed_args)
        try:
            survey = Survey(Rest(self.app.client_manager.sdk_connection), given)
            filters, scope = self.scope(parsed_args, survey)
        except CloudError as error:
            raise exceptions.CommandError(safe_text(str(error))) from error
        fleet = survey.configuration.fleet
        if isinstance(fleet, Fleet):
            output.warn(fleet.notes)
        sources = _sources(parsed_args, fleet if isinstance(fleet, Fleet) else None)
        return self.rows(parsed_args, self._findings(parsed_args, survey, sources, filters, scope))

    def _findings(
        self,
        parsed_args: argparse.Namespace,
        survey: Survey,
        sources: Sequence[Source],
        filters: Mapping[str, str],
        scope: str,
    ) -> Iterator[Finding]:
        from osc_uniqserial import verify
        from osc_uniqserial.findings import UNLISTED, unread
        from osc_uniqserial.rest import Unreadable

        began = datetime.datetime.now(datetime.UTC)
        readings = verify.Readings(itertools.chain.from_iterable(sources))
        verification = verify.Verification(readings)
        servers = survey.servers(filters, parsed_args.max_workers)
        progress = output.Progress()
        try:
            for sightings in servers:
                verification.see(sightings)
                progress.say(len(verification), servers.expected)
        finally:
            progress.end()
        # Some may have been made, moved, restarted or deleted since the guests were read.
        try:
            verification.leave(survey.changed_since(filters, began))
        except Unreadable as error:
            yield unread(f"Servers that changed meanwhile could not be left out: {error}", 0)
        complete = (
            "all_tenants" in filters
            and "project_id" not in filters
            and not servers.gaps
            and not servers.unlisted_cells
        )
        yield from verify.findings(verification, everything=complete)
        if servers.unlisted_cells:
            yield UNLISTED
        for gap in servers.gaps:
            yield unread(gap.reason, gap.servers)
        said = verification.coverage([gap.servers or 0 for gap in servers.gaps])
        self.coverage = f"{said}{f' ({scope})' if scope else ''}"


def _sources(parsed_args: argparse.Namespace, fleet: Fleet | None) -> list[Source]:
    from osc_uniqserial import live

    hypervisors = [
        host.hypervisor
        for host in (fleet.hosts if fleet else ())
        # Others have no libvirt, or guests without a serial number.
        if host.hypervisor.is_libvirt_qemu
    ]
    hosts = [each.host for each in hypervisors]
    if any("{host}" in uri for uri in parsed_args.libvirt_uri) and not hosts:
        raise exceptions.CommandError(
            "The compute hosts could not be read, so {host} stands for nothing; give the URIs"
        )
    if [*parsed_args.domain_xml, *parsed_args.facts].count("-") > 1:
        raise exceptions.CommandError("Standard input (-) can be read once only")
    sources: list[Source] = []
    if parsed_args.libvirt_uri:
        uris, odd = live.expand(parsed_args.libvirt_uri, hosts)
        output.warn(f"host {host!r} has no name that can stand in a URI" for host in odd)
        names = {each.hostname: each.host for each in hypervisors}
        sources.append(live.Libvirt(uris, parsed_args.timeout or live.TIMEOUT, names))
    sources += [live.SavedDomains(path) for path in parsed_args.domain_xml]
    sources += [live.Facts(path) for path in parsed_args.facts]
    return sources


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0")
    return seconds
