# SPDX-License-Identifier: Apache-2.0
"""``openstack unique serial list``: the effective policy of many servers."""

from __future__ import annotations

import argparse
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from osc_lib import exceptions

from osc_uniqserial.commands import host_modes, output
from osc_uniqserial.commands.show import COLUMNS
from osc_uniqserial.policy import SerialSource, Setting
from osc_uniqserial.text import safe_text

if TYPE_CHECKING:
    from osc_uniqserial.api.servers import Servers
    from osc_uniqserial.effective.explanation import Explanation
    from osc_uniqserial.model.cloud import Configuration

#: What is shown without --long.
_BRIEF = ("id", "name", "host", "status", "requested", "serial_source", "survives_move")
_WORKERS = 4
_REQUESTS = [each.value for each in Setting if each is not Setting.INVALID]


def add_workers_option(parser: argparse.ArgumentParser) -> None:
    """Add --max-workers."""
    parser.add_argument(
        "--max-workers",
        metavar="<number>",
        type=_positive,
        default=_WORKERS,
        help=f"The most requests to Nova at the same time (default: {_WORKERS})",
    )


def add_project_option(parser: argparse.ArgumentParser) -> None:
    """Add --project and its domain."""
    from openstackclient.identity import common

    parser.add_argument(
        "--project",
        metavar="<project>",
        help="Servers of this project (name or ID) (admin only)",
    )
    common.add_project_domain_option_to_parser(parser)


def project_id(client_manager: Any, parsed_args: argparse.Namespace) -> str:
    """Return the ID of the project that was given."""
    from openstackclient.identity import common

    found: str = common.find_project(
        client_manager.identity, parsed_args.project, parsed_args.project_domain
    ).id
    return found


class ListUniqueSerials(output.Lister):
    """List where the BIOS serial numbers of servers come from, sorted by server ID.

    The answer about each server is the one of "unique serial show". Servers are read in
    pages, and rows come before the last page is read where the format allows it (csv,
    value). Exit code 4 tells that some servers could not be read.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the filters."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--all-projects",
            action="store_true",
            help="Servers of all projects (admin only)",
        )
        add_project_option(parser)
        parser.add_argument("--host", metavar="<host>", help="Servers on this host (admin only)")
        parser.add_argument(
            "--flavor", metavar="<flavor>", help="Servers of this flavor (name or ID)"
        )
        parser.add_argument("--image", metavar="<image>", help="Servers of this image (name or ID)")
        parser.add_argument(
            "--serial-source",
            choices=[each.value for each in SerialSource],
            help="Servers whose serial number comes from there",
        )
        parser.add_argument(
            "--requested",
            choices=_REQUESTS,
            help="Servers whose flavor and image ask for this",
        )
        parser.add_argument(
            "--at-risk",
            action="store_true",
            help="Servers that are not known to keep their serial number on a move",
        )
        parser.add_argument(
            "--long", action="store_true", help="All that 'unique serial show' tells"
        )
        parser.add_argument(
            "--limit", metavar="<number>", type=_positive, help="At most this many servers"
        )
        parser.add_argument(
            "--marker",
            metavar="<server>",
            help="The ID of the last server of the previous list: begin after it",
        )
        add_workers_option(parser)
        host_modes.add_options(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Iterable[Any]]:
        """Read what the servers rest on; their rows are made while they are read."""
        # The shell imports the modules of all commands at every start.
        from osc_uniqserial.api.rest import CloudError, Rest
        from osc_uniqserial.api.servers import CloudReader

        given = host_modes.given(parsed_args)
        try:
            survey = CloudReader(Rest(self.app.client_manager.sdk_connection), given)
        except CloudError as error:
            raise exceptions.CommandError(safe_text(str(error))) from error
        known = survey.configuration
        filters = self._filters(parsed_args, known)
        # Rows that are left out are not counted: how much to read is known without them only.
        limit = parsed_args.limit if _wanted(parsed_args) is None else None
        servers = survey.servers(
            filters, parsed_args.max_workers, marker=parsed_args.marker, limit=limit
        )
        output.warn(_unread(known))
        columns = tuple(COLUMNS) if parsed_args.long else _BRIEF
        columns += tuple(name for name in _asked(parsed_args) if name not in columns)
        reports = self._reports(parsed_args, servers, known)
        getters = [COLUMNS[name] for name in columns]
        return columns, ([getter(about) for getter in getters] for about in reports)

    def _filters(self, parsed_args: argparse.Namespace, known: Configuration) -> dict[str, str]:
        from osc_uniqserial.model.cloud import Fleet

        filters = {}
        if parsed_args.all_projects or parsed_args.project:
            filters["all_tenants"] = "true"
        if parsed_args.project:
            filters["project_id"] = project_id(self.app.client_manager, parsed_args)
        if parsed_args.host:
            filters["host"] = parsed_args.host
            fleet = known.fleet
            if isinstance(fleet, Fleet) and not any(
                each.hypervisor.host == parsed_args.host for each in fleet.hosts
            ):
                raise exceptions.CommandError(
                    safe_text(f"There is no compute host {parsed_args.host!r}")
                )
        if parsed_args.flavor:
            filters["flavor"] = _find("flavor", known.flavors, parsed_args.flavor)
        if parsed_args.image:
            filters["image"] = _find("image", known.images, parsed_args.image)
        return filters

    def _reports(
        self, parsed_args: argparse.Namespace, servers: Servers, known: Configuration
    ) -> Iterator[Explanation]:
        """Yield what is wanted; tell at the end, or where enough were found, what is missing."""
        from osc_uniqserial.effective.explanation import Explanations
        from osc_uniqserial.model.cloud import Fleet

        reports = Explanations(known.fleet if isinstance(known.fleet, Fleet) else None)
        wanted, left = _wanted(parsed_args), parsed_args.limit
        progress = output.Progress(among_rows=parsed_args.formatter in ("csv", "value"))
        read, hidden = 0, False
        try:
            for sightings in servers:
                read += len(sightings)
                progress.update(read, servers.expected)
                for sighting in sightings:
                    hidden = hidden or not sighting.case.host_visible
                    about = reports.of(sighting)
                    if wanted is None or wanted(about):
                        yield about
                        left = None if left is None else left - 1
                    if left == 0:
                        break
                if left == 0:
                    break
        finally:
            progress.end()
        if servers.gaps and not read:
            raise exceptions.CommandError(safe_text(servers.gaps[0].reason))
        if hidden and parsed_args.host:
            output.warn(["the hosts of servers are hidden from this user: --host finds none"])
        lost = [f"some servers could not be read: {gap.reason}" for gap in servers.gaps]
        if servers.unlisted_cells:
            lost.append("a cell is down, and Nova leaves its servers out of a long list")
        if servers.volumes_unread:
            output.warn([f"the volumes could not be read: {servers.volumes_unread}"])
        if lost:
            output.warn(lost)
            self.exit_code = output.UNCHECKED


def _unread(known: Configuration) -> Iterator[str]:
    """Say what could not be read of what the servers rest on."""
    from osc_uniqserial.model.cloud import Unchecked

    fleet = known.fleet
    parts: list[tuple[str, str | None]] = [
        (what, part.reason)
        for what, part in (
            ("hypervisors", fleet),
            ("flavors", known.flavors),
            ("images", known.images),
        )
        if isinstance(part, Unchecked)
    ]
    if not isinstance(fleet, Unchecked):
        yield from fleet.notes
        parts += [("traits", fleet.traits_unread), ("host aggregates", fleet.aggregates_unread)]
        if fleet.hosts_of_down_cells:
            yield "a cell is down: all hosts are taken for KVM or QEMU on x86"
    yield from (f"the {what} could not be read: {reason}" for what, reason in parts if reason)


def _wanted(parsed_args: argparse.Namespace) -> Callable[[Explanation], bool] | None:
    """Return which reports are wanted; None where all are."""
    source, wish, host = parsed_args.serial_source, parsed_args.requested, parsed_args.host
    if not (source or wish or host or parsed_args.at_risk):
        return None

    def test(about: Explanation) -> bool:
        asked = about.policy.requested
        return (
            (source is None or about.policy.source.value == source)
            and (wish is None or (asked is not None and asked.value == wish))
            # Nova ignores this filter without a word when it comes from a plain tenant.
            and (host is None or about.server.host == host)
            and not (parsed_args.at_risk and about.survives_move is True)
        )

    return test


def _asked(parsed_args: argparse.Namespace) -> Iterator[str]:
    """Yield the columns that were asked for by name."""
    asked = {name.lower().replace(" ", "_") for name in parsed_args.columns}
    asked |= {name.lower().replace(" ", "_") for name in parsed_args.sort_columns}
    return (name for name in COLUMNS if name in asked)


def _is_unchecked(known: object) -> bool:
    from osc_uniqserial.model.cloud import Unchecked

    return isinstance(known, Unchecked)


def _find(what: str, known: Any, name_or_id: str) -> str:
    """Return the ID of one flavor or image; what is not listed may be an ID of a deleted one."""
    if _is_unchecked(known):
        return name_or_id
    named: list[str] = []
    for each in known.values() if isinstance(known, dict) else known:
        if each.id == name_or_id:
            return name_or_id
        if each.name == name_or_id:
            named.append(each.id)
    if len(named) > 1:
        raise exceptions.CommandError(
            safe_text(
                f"More than one {what} is named {name_or_id!r}; give the ID of one of them:"
                f" {', '.join(sorted(named))}"
            )
        )
    if not named and (what == "flavor" or not _is_uuid(name_or_id)):
        raise exceptions.CommandError(
            safe_text(f"There is no {what} with the name or ID {name_or_id!r}")
        )
    # Servers outlive their images.
    return named[0] if named else name_or_id


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


def _positive(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return number
