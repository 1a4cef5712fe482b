# SPDX-License-Identifier: Apache-2.0
"""The options that say where live serial numbers are read, and what comes of them."""

from __future__ import annotations

import argparse
import datetime
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from osc_lib import exceptions

from osc_uniqserial.commands import output

if TYPE_CHECKING:
    from osc_uniqserial.api.servers import Servers, Survey
    from osc_uniqserial.checks.check import Check
    from osc_uniqserial.guests.source import Source
    from osc_uniqserial.model.cloud import Fleet, Sighting
    from osc_uniqserial.model.finding import Finding


def add_options(parser: argparse.ArgumentParser, title: str) -> None:
    """Add the options to a command.

    :param title: what is said of them together
    """
    sources = parser.add_argument_group("live serial numbers", title)
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
    sources.add_argument(
        "--timeout",
        metavar="<seconds>",
        type=_seconds,
        help="How long one connection to libvirt may take for all it does (default: 60)",
    )


def given(parsed_args: argparse.Namespace) -> bool:
    """Whether there is any source."""
    return bool(parsed_args.libvirt_uri or parsed_args.domain_xml or parsed_args.facts)


def told(parsed_args: argparse.Namespace, checks: Mapping[str, Check]) -> Mapping[str, Check]:
    """Return those checks about guests that a source can tell."""
    from osc_uniqserial.checks.check import GuestSource

    there = {
        source for source in GuestSource if getattr(parsed_args, source.value.replace("-", "_"))
    }
    return {id_: check for id_, check in checks.items() if check.told_by & there}


class GuestComparison:
    """Live serial numbers, which servers are compared with while they are read."""

    def __init__(self, parsed_args: argparse.Namespace, survey: Survey) -> None:
        """Read all sources.

        :raises CommandError: when one cannot be asked at all
        """
        from osc_uniqserial.checks.cloud import Cloud
        from osc_uniqserial.checks.live import Readings, Verification
        from osc_uniqserial.model.cloud import Fleet

        fleet = survey.configuration.fleet
        sources = _sources(parsed_args, fleet if isinstance(fleet, Fleet) else None)
        self._survey = survey
        self.cloud = Cloud(survey.configuration)
        self._began = datetime.datetime.now(datetime.UTC)
        self._verification = Verification(Readings(itertools.chain.from_iterable(sources)))

    def add(self, servers: Sequence[Sighting]) -> None:
        """Compare servers."""
        self._verification.add(servers)

    @property
    def seen(self) -> int:
        """How many servers were seen."""
        return len(self._verification)

    @property
    def compared(self) -> int:
        """How many were compared."""
        return self._verification.compared

    @property
    def comparable(self) -> int:
        """How many could have been."""
        return self._verification.comparable

    def findings(self, filters: Mapping[str, str], servers: Servers) -> Iterator[Finding]:
        """Yield what was found, once all servers were seen.

        :param filters: those that the servers were listed with
        """
        from osc_uniqserial.api.rest import Unreadable
        from osc_uniqserial.checks.check import found_in
        from osc_uniqserial.checks.engine import guest_findings
        from osc_uniqserial.checks.unread import ServersRead

        # Some may have been made, moved, restarted or deleted since the guests were read.
        try:
            self._verification.exclude(self._survey.changed_since(filters, self._began))
        except Unreadable as error:
            reason = f"Servers that changed meanwhile could not be left out: {error}"
            yield from found_in(ServersRead(((reason, 0),)), self.cloud)
        self._verification.complete = (
            "all_tenants" in filters
            and "project_id" not in filters
            and not servers.gaps
            and not servers.unlisted_cells
        )
        yield from guest_findings(self._verification, self.cloud)

    def coverage(self, servers: Servers) -> str:
        """Return how many servers were compared, in one line."""
        return self._verification.coverage([gap.servers or 0 for gap in servers.gaps])


def _sources(parsed_args: argparse.Namespace, fleet: Fleet | None) -> list[Source]:
    from osc_uniqserial.guests import files, libvirt

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
        uris, odd = libvirt.expand(parsed_args.libvirt_uri, hosts)
        output.warn(f"host {host!r} has no name that can stand in a URI" for host in odd)
        names = {each.hostname: each.host for each in hypervisors}
        sources.append(libvirt.Libvirt(uris, parsed_args.timeout or libvirt.TIMEOUT, names))
    sources += [files.SavedDomains(path) for path in parsed_args.domain_xml]
    sources += [files.Facts(path) for path in parsed_args.facts]
    return sources


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0")
    return seconds
