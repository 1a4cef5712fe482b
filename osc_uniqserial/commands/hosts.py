# SPDX-License-Identifier: Apache-2.0
"""``openstack unique serial host list``: what each compute host does with the keys."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from osc_uniqserial.commands import options, output
from osc_uniqserial.commands.output import word

if TYPE_CHECKING:
    from osc_uniqserial.model.cloud import Fleet, Host, Unchecked


@dataclasses.dataclass(frozen=True, slots=True)
class _Node:
    """A compute node and its problems.

    :ivar aggregates_read: False when no aggregate of any host is known
    """

    host: Host
    aggregates_read: bool
    problems: tuple[str, ...]


_UP = {True: "up", False: "down", None: None}
_ENABLED = {True: "enabled", False: "disabled", None: None}


def _evidence(about: _Node) -> dict[str, str | None]:
    known = about.host.input
    return {
        "host_mode": word(known.mode_evidence),
        "host_honours": word(known.honours_evidence),
        "host_meets_unique": word(known.meets_unique_evidence),
    }


def _declared(host: Host) -> bool | None:
    """Return the value that all declaring aggregates have; None when they differ or none does."""
    true, false = bool(host.declared_unique), bool(host.declared_host)
    return None if true is false else true


#: Key and getter of each column. The keys are an interface: scripts read them.
COLUMNS: dict[str, Callable[[_Node], Any]] = {
    "host": lambda about: about.host.hypervisor.host,
    "hypervisor_hostname": lambda about: about.host.hypervisor.hostname,
    "host_mode": lambda about: word(about.host.input.mode),
    "host_honours": lambda about: about.host.input.honours,
    "meets_unique": lambda about: about.host.meets_unique,
    "image_may_show_host": lambda about: (
        about.host.input.image_may_show_host if about.host.input.honours else None
    ),
    "server_may_ask": lambda about: (
        about.host.input.server_may_ask if about.host.input.honours else None
    ),
    "smbios": lambda about: about.host.writes_serials,
    "evidence": _evidence,
    "aggregates": lambda about: (
        [each.name for each in about.host.aggregates] if about.aggregates_read else None
    ),
    "declared": lambda about: _declared(about.host),
    "servers": lambda about: about.host.hypervisor.servers,
    "state": lambda about: _UP[about.host.hypervisor.up],
    "status": lambda about: _ENABLED[about.host.hypervisor.enabled],
    "problems": lambda about: list(about.problems),
}
#: The columns of ``--long`` only.
_LONG = frozenset(
    {"hypervisor_hostname", "image_may_show_host", "server_may_ask", "smbios", "declared", "status"}
)


class ListHosts(output.Lister):
    """List what each compute host does with the keys, and where that was read.

    One row for each compute node. Requires an administrator and changes nothing. The number of
    requests does not grow with the hosts, except for the pages of the hypervisors. Exit code 4:
    a cell is down.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the filters, and the options for facts that no API returns."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--host",
            metavar="<host>",
            help="Only this compute host (the exact name of its compute service)",
        )
        parser.add_argument(
            "--problems",
            action="store_true",
            help="Only hosts that have problems: wrong or contradicting traits or aggregates",
        )
        parser.add_argument(
            "--long",
            action="store_true",
            help="List every column (-c finds each of them without this option)",
        )
        options.add_host_modes(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Iterable[Any]]:
        """Read all hosts, and return one row for each that matches the filters."""
        given = options.host_modes(parsed_args)
        # The shell imports the modules of all commands at every start.
        from osc_uniqserial import pipelines

        connection = self.app.client_manager.sdk_connection
        fleet = _fleet(pipelines.hosts(connection, host_modes=given.by_host))
        hosts = _chosen(fleet, parsed_args.host)
        output.warn(_notes(fleet))
        if fleet.hosts_of_down_cells:
            self.exit_code = output.UNCHECKED
        named = output.column_names(parsed_args.columns)
        long = parsed_args.long or not _LONG.isdisjoint(named)
        columns = {key: get for key, get in COLUMNS.items() if long or key not in _LONG}
        if parsed_args.formatter == "table":
            columns |= {"evidence": _brief_evidence, "problems": _folded_problems}
        return tuple(columns), (
            [getter(about) for getter in columns.values()]
            for about in (_node(host, fleet) for host in hosts)
            if about.problems or not parsed_args.problems
        )


def _fleet(fleet: Fleet | Unchecked) -> Fleet:
    """Return hosts that were read.

    :raises CommandError: when they could not be read
    """
    from osc_uniqserial.checks import readiness
    from osc_uniqserial.model.cloud import Fleet

    if isinstance(fleet, Fleet):
        return fleet
    text = f"The hypervisors could not be read: {fleet.reason}"
    if fleet.status == 403:
        text += " Nova's default policy requires an administrator."
    if fleet.hosts:
        text = f"{text.rstrip('.')}. In a cell that is down: {readiness.summary(fleet.hosts)}."
    raise output.error(text)


def _chosen(fleet: Fleet, name: str | None) -> Sequence[Host]:
    if name is None:
        return fleet.hosts
    hosts = [host for host in fleet.hosts if host.hypervisor.host == name]
    if not hosts:
        # An empty list would look like a host without problems.
        raise output.error(
            f"There is no compute host {name!r}; --host takes the name of its service"
        )
    return hosts


def _notes(fleet: Fleet) -> Iterator[str]:
    if fleet.traits_unread:
        yield f"the traits of the hosts could not be read: {fleet.traits_unread.rstrip('.')}"
    if fleet.aggregates_unread:
        yield f"the host aggregates could not be read: {fleet.aggregates_unread.rstrip('.')}"
    if fleet.hosts_of_down_cells:
        from osc_uniqserial.checks import readiness

        yield (
            f"a cell is down, with {readiness.summary(fleet.hosts_of_down_cells)}; Nova lists no"
            " hypervisor of any cell then: the type of all hypervisors is unknown, and so is the"
            " state of the hosts in that cell"
        )
    yield from fleet.notes


def _brief_evidence(about: _Node) -> str | None:
    """Return each word once, in the order of the inputs."""
    return ", ".join(dict.fromkeys(word for word in _evidence(about).values() if word)) or None


def _folded_problems(about: _Node) -> list[str]:
    return [line for problem in about.problems for line in output.folded(problem)]


def _node(host: Host, fleet: Fleet) -> _Node:
    problems = (*_of_traits(host, fleet.traits_unread is None), *_of_aggregates(host))
    return _Node(host, fleet.aggregates_unread is None, problems)


def _of_traits(host: Host, read: bool) -> Iterator[str]:
    if host.wrong_traits:
        yield f"wrong traits, its guests have no serial number: {_names(host.wrong_traits)}"
    if host.input.smbios and host.traits is None and read:
        yield "it has no resource provider in Placement"
    if host.contradicting_traits:
        yield f"contradicting traits: {_names(host.contradicting_traits)}"
    if host.has_incomplete_traits:
        yield f"incomplete traits: {_names(host.traits or ())}"


def _of_aggregates(host: Host) -> Iterator[str]:
    for each in host.aggregates:
        for key, value in each.invalid.items():
            yield f"aggregate {each.name}: {key}={value.raw!r} is no boolean and counts as unset"
    true, false = ", ".join(host.declared_unique), ", ".join(host.declared_host)
    if true and false:
        yield f"contradicting aggregates: true in {true}; false in {false}"
    if true and host.meets_unique is False:
        yield f"declared true in {true}, but a request for unique is not met here"


def _names(traits: Iterable[str]) -> str:
    return ", ".join(sorted(traits))
