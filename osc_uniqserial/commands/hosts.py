# SPDX-License-Identifier: Apache-2.0
"""``openstack unique serial host list``: what each compute host does with the keys."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any

from osc_lib import exceptions

from osc_uniqserial.commands import host_modes, output
from osc_uniqserial.text import safe_text

if TYPE_CHECKING:
    from osc_uniqserial.api.rest import Rest
    from osc_uniqserial.model.cloud import Fleet, GivenModes, Host


@dataclasses.dataclass(frozen=True, slots=True)
class _Report:
    """A compute node with what is judged of it.

    :ivar aggregates_read: False when no aggregate of any host is known
    """

    host: Host
    aggregates_read: bool
    problems: tuple[str, ...]


def _text(value: Enum | None) -> str | None:
    return None if value is None else str(value.value)


def _evidence(about: _Report) -> dict[str, str | None]:
    known = about.host.input
    return {
        "host_mode": _text(known.mode_evidence),
        "host_honours": _text(known.honours_evidence),
        "host_meets_unique": _text(known.meets_unique_evidence),
    }


def _word(known: bool | None, yes: str, no: str) -> str | None:
    return None if known is None else yes if known else no


def _image_may_show_host(host: Host) -> bool | None:
    return host.input.image_may_show_host if host.input.honours else None


def _declared(host: Host) -> bool | None:
    """Return what all aggregates that say something say; None when they differ, or none does."""
    true, false = bool(host.declared_unique), bool(host.declared_host)
    return None if true is false else true


#: Key and getter of each column. The keys are an interface: scripts read them.
COLUMNS: dict[str, Callable[[_Report], Any]] = {
    "host": lambda about: about.host.hypervisor.host,
    "hypervisor_hostname": lambda about: about.host.hypervisor.hostname,
    "host_mode": lambda about: _text(about.host.input.mode),
    "host_honours": lambda about: about.host.input.honours,
    "meets_unique": lambda about: about.host.meets_unique,
    "image_may_show_host": lambda about: _image_may_show_host(about.host),
    "smbios": lambda about: about.host.writes_serials,
    "evidence": _evidence,
    "aggregates": lambda about: (
        [each.name for each in about.host.aggregates] if about.aggregates_read else None
    ),
    "declared": lambda about: _declared(about.host),
    "servers": lambda about: about.host.hypervisor.servers,
    "state": lambda about: _word(about.host.hypervisor.up, "up", "down"),
    "status": lambda about: _word(about.host.hypervisor.enabled, "enabled", "disabled"),
    "problems": lambda about: list(about.problems),
}
#: What is left to ``--long``.
_LONG = frozenset({"hypervisor_hostname", "image_may_show_host", "smbios", "declared", "status"})


class ListHosts(output.Lister):
    """List what each compute host does with the keys, and where that was read.

    One row for each compute node. It takes an administrator, changes nothing, and
    its requests do not grow with the hosts, but for the pages of the hypervisors.
    Exit code 4 tells that a cell is down.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the filters, and the options for what no API tells."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--host",
            metavar="<host>",
            help="Only this compute host (the exact name of its compute service)",
        )
        parser.add_argument(
            "--problems",
            action="store_true",
            help="Only hosts that have problems: traits or aggregates that cannot be right",
        )
        parser.add_argument(
            "--long",
            action="store_true",
            help="List every column (-c finds each of them without this option)",
        )
        host_modes.add_options(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Iterable[Any]]:
        """Read every host, judge each, and return one row for each that is asked for."""
        # The shell imports the modules of all commands at every start.
        from osc_uniqserial.api.rest import Rest

        given = host_modes.given(parsed_args)
        fleet = _fleet(Rest(self.app.client_manager.sdk_connection), given)
        hosts = _chosen(fleet, parsed_args.host)
        output.warn(_notes(fleet))
        if fleet.hosts_of_down_cells:
            self.exit_code = output.UNCHECKED
        reports = (_report(host, fleet) for host in hosts)
        # cliff takes the names of columns in any case, and blanks for underscores.
        named = {name.strip().lower().replace(" ", "_") for name in parsed_args.columns}
        long = parsed_args.long or not _LONG.isdisjoint(named)
        columns = {key: get for key, get in COLUMNS.items() if long or key not in _LONG}
        if parsed_args.formatter == "table":
            columns |= {"evidence": _brief_evidence, "problems": _folded_problems}
        return tuple(columns), (
            [getter(about) for getter in columns.values()]
            for about in reports
            if about.problems or not parsed_args.problems
        )


def _fleet(rest: Rest, given: GivenModes) -> Fleet:
    from osc_uniqserial.api import hosts
    from osc_uniqserial.api.rest import CloudError
    from osc_uniqserial.checks import readiness
    from osc_uniqserial.model.cloud import Fleet, Unchecked

    fleet: Fleet | Unchecked
    try:
        fleet, _unlisted = hosts.read_hosts(rest, given)
    except CloudError as error:
        fleet = Unchecked(str(error))
    if isinstance(fleet, Fleet):
        return fleet
    text = f"The hypervisors could not be read: {fleet.reason}"
    if fleet.status == 403:
        text += " Nova's default policy wants an administrator."
    if fleet.hosts:
        text = f"{text.rstrip('.')}. In a cell that is down: {readiness.summary(fleet.hosts)}."
    raise exceptions.CommandError(safe_text(text))


def _chosen(fleet: Fleet, name: str | None) -> Sequence[Host]:
    if name is None:
        return fleet.hosts
    hosts = [host for host in fleet.hosts if host.hypervisor.host == name]
    if not hosts:
        # An empty list would read as a host without problems.
        raise exceptions.CommandError(
            safe_text(f"There is no compute host {name!r}; --host takes the name of its service")
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
            " hypervisor of any cell then: what hosts run is unknown, and the state of those in"
            " that cell"
        )
    yield from fleet.notes


# --- what people get to see -------------------------------------------------


def _brief_evidence(about: _Report) -> str | None:
    """Return each word once, in the order of the inputs: JSON tells which is which."""
    return ", ".join(dict.fromkeys(word for word in _evidence(about).values() if word)) or None


def _folded_problems(about: _Report) -> list[str]:
    return [line for problem in about.problems for line in output.folded(problem)]


# --- what cannot be right ---------------------------------------------------


def _report(host: Host, fleet: Fleet) -> _Report:
    problems = (*_of_traits(host, fleet.traits_unread is None), *_of_aggregates(host))
    return _Report(host, fleet.aggregates_unread is None, problems)


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
