# SPDX-License-Identifier: Apache-2.0
"""``openstack unique serial list``: the effective policy of many servers."""

from __future__ import annotations

import argparse
import itertools
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from osc_uniqserial.commands import options, output
from osc_uniqserial.commands.show import COLUMNS
from osc_uniqserial.policy import SerialSource, Setting

if TYPE_CHECKING:
    from osc_uniqserial.api.servers import Servers
    from osc_uniqserial.effective.explanation import Explanation
    from osc_uniqserial.model.cloud import Configuration, Flavor, Image, Unchecked

#: The columns without --long.
_BRIEF = ("id", "name", "host", "status", "requested", "serial_source", "survives_move")
_REQUESTS = [each.value for each in Setting if each is not Setting.INVALID]


class ListUniqueSerials(output.Lister):
    """List where the BIOS serial numbers of servers come from, sorted by server ID.

    The answer about each server is the one of "unique serial show". Servers are read in
    pages, and rows come before the last page is read where the format allows it (csv,
    value). Exit code 4: some servers could not be read.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the filters."""
        parser = super().get_parser(prog_name)
        options.add_servers(parser)
        parser.add_argument("--host", metavar="<host>", help="Servers on this host (admin only)")
        parser.add_argument(
            "--flavor", metavar="<flavor>", help="Servers of this flavor (name or ID)"
        )
        parser.add_argument("--image", metavar="<image>", help="Servers of this image (name or ID)")
        parser.add_argument(
            "--serial-source",
            choices=[each.value for each in SerialSource],
            help="Servers with this source of their serial number",
        )
        parser.add_argument(
            "--requested",
            choices=_REQUESTS,
            help="Servers whose flavor, image and metadata ask for this",
        )
        parser.add_argument(
            "--at-risk",
            action="store_true",
            help="Servers that are not known to keep their serial number on a move",
        )
        parser.add_argument(
            "--long", action="store_true", help="All columns of 'unique serial show'"
        )
        parser.add_argument(
            "--limit", metavar="<number>", type=options.positive, help="At most this many servers"
        )
        parser.add_argument(
            "--marker",
            metavar="<server>",
            help="The ID of the last server of the previous list: begin after it",
        )
        options.add_host_modes(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Iterable[Any]]:
        """Read flavors, images, hosts and aggregates; rows are made while servers are read."""
        # The shell imports the modules of all commands at every start.
        from osc_uniqserial.api.rest import Rest
        from osc_uniqserial.api.servers import CloudReader

        given = options.host_modes(parsed_args)
        reader = CloudReader(Rest(self.app.client_manager.sdk_connection), given)
        known = reader.configuration
        wanted = _wanted(parsed_args)
        servers = reader.servers(
            self._filters(parsed_args, known),
            parsed_args.max_workers,
            marker=parsed_args.marker,
            # Servers that are filtered out here do not count.
            limit=None if wanted else parsed_args.limit,
        )
        output.warn(_unread(known))
        named = output.column_names([*parsed_args.columns, *parsed_args.sort_columns])
        columns = tuple(COLUMNS) if parsed_args.long else _BRIEF
        columns += tuple(name for name in COLUMNS if name in named and name not in columns)
        getters = [COLUMNS[name] for name in columns]
        explained = self._explained(parsed_args, servers, known, wanted)
        return columns, ([getter(about) for getter in getters] for about in explained)

    def _filters(self, parsed_args: argparse.Namespace, known: Configuration) -> dict[str, str]:
        from osc_uniqserial.model.cloud import Fleet

        filters = {}
        if parsed_args.all_projects or parsed_args.project:
            filters["all_tenants"] = "true"
        if project := options.project_id(self.app.client_manager, parsed_args):
            filters["project_id"] = project
        if host := parsed_args.host:
            filters["host"] = host
            fleet = known.fleet
            if isinstance(fleet, Fleet) and all(
                each.hypervisor.host != host for each in fleet.hosts
            ):
                raise output.error(f"There is no compute host {host!r}")
        if flavor := parsed_args.flavor:
            filters["flavor"] = _find("flavor", known.flavors, flavor)
        if image := parsed_args.image:
            filters["image"] = _find("image", known.images, image)
        return filters

    def _explained(
        self,
        parsed_args: argparse.Namespace,
        servers: Servers,
        known: Configuration,
        wanted: Callable[[Explanation], bool] | None,
    ) -> Iterator[Explanation]:
        """Yield the wanted servers up to --limit, then warn about those that could not be read."""
        from osc_uniqserial.effective.explanation import Explanations
        from osc_uniqserial.model.cloud import Fleet

        explanations = Explanations(known.fleet if isinstance(known.fleet, Fleet) else None)
        progress = output.Progress(among_rows=parsed_args.formatter in ("csv", "value"))
        read, hidden = 0, False

        def explain() -> Iterator[Explanation]:
            nonlocal read, hidden
            for page in servers:
                read += len(page)
                progress.update(read, servers.expected)
                for facts in page:
                    hidden = hidden or not facts.case.host_visible
                    yield explanations.of(facts)

        found = filter(wanted, explain()) if wanted else explain()
        try:
            yield from itertools.islice(found, parsed_args.limit)
        finally:
            progress.end()
        if servers.gaps and not read:
            raise output.error(servers.gaps[0].reason)
        if hidden and parsed_args.host:
            output.warn(["the hosts of servers are hidden from this user: --host finds none"])
        lost = [f"some servers could not be read: {gap.reason}" for gap in servers.gaps]
        if servers.unlisted_cells:
            lost.append("a cell is down, and Nova omits its servers from a long list")
        if servers.volumes_unread:
            output.warn([f"the volumes could not be read: {servers.volumes_unread}"])
        if lost:
            output.warn(lost)
            self.exit_code = output.UNCHECKED


def _unread(known: Configuration) -> Iterator[str]:
    """Yield warnings about flavors, images, hosts and aggregates that could not be read."""
    from osc_uniqserial.model.cloud import Unchecked

    parts = {"hypervisors": known.fleet, "flavors": known.flavors, "images": known.images}
    unread = [(what, part.reason) for what, part in parts.items() if isinstance(part, Unchecked)]
    fleet = known.fleet
    if not isinstance(fleet, Unchecked):
        yield from fleet.notes
        for what, reason in (
            ("traits", fleet.traits_unread),
            ("host aggregates", fleet.aggregates_unread),
        ):
            if reason:
                unread.append((what, reason))
        if fleet.hosts_of_down_cells:
            yield "a cell is down: all hosts are taken for KVM or QEMU on x86"
    yield from (f"the {what} could not be read: {reason}" for what, reason in unread)


def _wanted(parsed_args: argparse.Namespace) -> Callable[[Explanation], bool] | None:
    """Return the filters that Nova does not have, as one function; None without any."""
    source, wish, host = parsed_args.serial_source, parsed_args.requested, parsed_args.host
    if not (source or wish or host or parsed_args.at_risk):
        return None

    def test(about: Explanation) -> bool:
        asked = about.policy.requested
        return (
            (source is None or about.policy.source.value == source)
            and (wish is None or (asked is not None and asked.value == wish))
            # Nova silently ignores this filter for users who are not administrators.
            and (host is None or about.server.host == host)
            and not (parsed_args.at_risk and about.survives_move is True)
        )

    return test


def _find(
    what: str, known: Sequence[Flavor] | Mapping[str, Image] | Unchecked, name_or_id: str
) -> str:
    """Return the ID of a flavor or image; an ID that is not listed may be a deleted image's."""
    from osc_uniqserial.model.cloud import Unchecked

    if isinstance(known, Unchecked):
        return name_or_id
    listed = tuple(known.values()) if isinstance(known, Mapping) else known
    if any(each.id == name_or_id for each in listed):
        return name_or_id
    named = [each.id for each in listed if each.name == name_or_id]
    if len(named) > 1:
        raise output.error(
            f"More than one {what} is named {name_or_id!r}; give the ID of one of them:"
            f" {', '.join(sorted(named))}"
        )
    if not named and (what == "flavor" or not _is_uuid(name_or_id)):
        raise output.error(f"There is no {what} with the name or ID {name_or_id!r}")
    # Servers outlive their images.
    return named[0] if named else name_or_id


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False
