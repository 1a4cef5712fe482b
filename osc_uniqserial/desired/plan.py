# SPDX-License-Identifier: Apache-2.0
"""A plan: the changes that a desired state needs, and the servers that they reach. Pure."""

from __future__ import annotations

import dataclasses
import operator
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from osc_uniqserial.desired.changes import (
    Change,
    Problem,
    Selection,
    of_configuration,
    of_metadefs,
    subject_of_server,
)
from osc_uniqserial.desired.document import Desired, HostEntry
from osc_uniqserial.desired.effects import Effect, Effects, When, planned
from osc_uniqserial.effective.explanation import NOT_OBEYED
from osc_uniqserial.keys import SETTINGS
from osc_uniqserial.metadefs.model import Namespace
from osc_uniqserial.model.cloud import Case, Configuration, Fleet, Host, ServerFacts, Unchecked
from osc_uniqserial.model.finding import Resource
from osc_uniqserial.policy import (
    Evidence,
    HostInput,
    SerialSource,
    Setting,
    SettingInput,
    parse,
)
from osc_uniqserial.text import counted, quoted, some

#: The kind of resource whose change a server meets at an operation, and the server's attribute
#: that identifies it: flavors and hosts by name.
_CAUSES = {
    When.HARD_REBOOT: ("server", "id"),
    When.NOVA_COMPUTE: ("host", "host"),
    When.RESIZE: ("flavor", "flavor"),
    When.REBUILD: ("image", "image"),
}
_OPERATIONS = {kind: when for when, (kind, _name) in _CAUSES.items()}
_HOST_KEYS = ("mode", "driver", "server_may_ask", "image_may_show_host")


@dataclasses.dataclass(frozen=True, slots=True)
class Reached:
    """A server whose serial number changes, or may change."""

    server: ServerFacts
    effects: Sequence[Effect]


class Plan:
    """The changes that a desired state needs; add all servers for their effects.

    :ivar changes: of flavors, images, aggregates and, as what-if, hosts; then those of the servers
        that were added
    :ivar problems: entries that cannot be carried out as they are written, so far
    """

    def __init__(
        self, desired: Desired, configuration: Configuration, *, what_if: bool = True
    ) -> None:
        """Compare the configuration of a cloud with the desired state.

        :param what_if: the effects on servers are those with what the hosts would be
        """
        self.changes: list[Change] = []
        self.problems: list[Problem] = []
        for found in of_configuration(desired, configuration):
            if isinstance(found, Change):
                self.changes.append(found)
            else:
                self.problems.append(found)
        hosts = self._of_hosts(desired.hosts, configuration.fleet)
        self._effects = Effects(self.changes, hosts if what_if else {})
        self._selection = Selection("server", desired.servers)
        self._selects_servers = bool(desired.servers)
        self._obeyed: dict[Case, bool] = {}
        self._reached = {
            when: (Counter[str | None](), operator.attrgetter(name))
            for when, (_kind, name) in _CAUSES.items()
        }
        #: The servers whose properties are known by their image alone, by its ID.
        self._known_by = Counter[str | None]()
        self._changes_images = any(each.resource.type == "image" for each in self.changes)

    def add(self, servers: Iterable[ServerFacts]) -> Iterator[Reached]:
        """Yield the servers whose serial number changes, or may change."""
        for server in servers:
            requests = self._requests(server) if self._selects_servers else ()
            if self._changes_images and server.case.image.used.evidence is Evidence.CURRENT_IMAGE:
                self._known_by[server.image] += 1
            if effects := self._effects.of(server, requests):
                for effect in effects:
                    if effect.when is not None:
                        count, cause = self._reached[effect.when]
                        count[cause(server)] += 1
                yield Reached(server, effects)

    def add_metadefs(
        self, line: int, ours: Sequence[Namespace], stored: Mapping[str, Namespace] | Unchecked
    ) -> None:
        """Plan to install the metadata definitions; the parameters are those of of_metadefs."""
        for found in of_metadefs(line, ours, stored):
            if isinstance(found, Change):
                self.changes.append(found)
            else:
                self.problems.append(found)

    def _requests(self, server: ServerFacts) -> Sequence[Change]:
        """Return the changes of a server's own metadata, and add them."""
        requests = []
        for found in self._selection.changes(subject_of_server(server)):
            if isinstance(found, Change):
                requests.append(self._unless_obeyed(server, found))
            else:
                self.problems.append(found)
        self.changes += requests
        return requests

    def _unless_obeyed(self, server: ServerFacts, change: Change) -> Change:
        """Return a change of a server, with a note where its host does not obey the request."""
        if change.note is not None or parse(change.then).setting is not Setting.UNIQUE:
            return change
        case = server.case
        obeyed = self._obeyed.get(case)
        if obeyed is None:
            asked = dataclasses.replace(case, server=SettingInput(parse(change.then)))
            sources = {SerialSource.INSTANCE_UUID, SerialSource.UNKNOWN}
            obeyed = self._obeyed[case] = asked.resolve().source in sources
        if obeyed:
            return change
        reason = NOT_OBEYED if case.host.honours else "it does not honour the keys"
        note = f"the request has no effect on host {server.host}: {reason}"
        return dataclasses.replace(change, note=note)

    def end(self, *, complete: bool, scope: str = "") -> None:
        """Find the entries that selected no server, and sort changes and problems.

        :param complete: all servers were added
        :param scope: which servers were added; empty: all of the cloud
        """
        self.problems += self._selection.problems(complete=complete, scope=scope)
        self.problems.sort(key=lambda each: each.line)
        self.changes = sorted(map(self._noted, self.changes), key=_order)

    def _noted(self, change: Change) -> Change:
        """Return a change of an image with a note about the servers that it makes unreadable."""
        number = self._known_by[change.resource.id] if change.resource.type == "image" else 0
        if not number:
            return change
        note = (
            f"afterwards it is unknown what {counted(number, 'server')} of this image"
            f" use{'s' if number == 1 else ''}: this Nova does not return it, and Glance has only"
            " the new properties (nova-uniqserial in nova-api returns it)"
        )
        return dataclasses.replace(change, note=note)

    def servers(self, change: Change) -> int:
        """Return the number of added servers whose serial number a change may change."""
        about = change.resource
        # The other keys of flavors and images restrict scheduling only.
        if about.type not in _OPERATIONS or (
            about.type != "host" and change.key not in SETTINGS[about.type]
        ):
            return 0
        count, _cause = self._reached[_OPERATIONS[about.type]]
        return count[about.name if about.type in ("flavor", "host") else about.id]

    def _of_hosts(
        self, entries: Sequence[HostEntry], fleet: Fleet | Unchecked
    ) -> Mapping[str, HostInput]:
        """Return what hosts would be, and add what is different."""
        if isinstance(fleet, Unchecked):
            self.problems += (
                Problem(each.line, f"the hosts could not be read: {fleet.reason}", is_wrong=False)
                for each in entries
            )
            return {}
        left = list(entries)
        then = {}
        idle: dict[tuple[int, str], list[str]] = {}
        for host in fleet.hosts:
            entry = None
            for each in entries:
                if _fits(each, host):
                    if each in left:
                        left.remove(each)
                    entry = each if entry is None else self._joined(host, entry, each)
            if entry is not None:
                planned_input = planned(host, entry)
                if reason := _without_effect(entry, planned_input):
                    idle.setdefault((entry.line, reason), []).append(host.name)
                if changes := [*_differences(host, planned_input, entry.line)]:
                    then[host.name] = planned_input
                    self.changes += changes
        self.problems += [
            Problem(
                line, f"host{'s' if len(names) > 1 else ''} {some(names)}: {reason}", is_wrong=False
            )
            for (line, reason), names in idle.items()
        ]
        self.problems += (
            Problem(
                each.line,
                f"no host fits {_selected_by(each)}",
                is_wrong=False,
                is_unmatched=True,
            )
            for each in left
        )
        return then

    def _joined(self, host: Host, first: HostEntry, second: HostEntry) -> HostEntry:
        """Return two entries about a host as one, and report where they contradict each other."""
        for key in _HOST_KEYS:
            said, also = getattr(first, key), getattr(second, key)
            if None not in (said, also) and said != also:
                self.problems.append(
                    Problem(
                        second.line,
                        f"host {quoted(host.name)}: {key} {_text(also)}, but line {first.line}"
                        f" wants {_text(said)}: keep one of them",
                        is_wrong=True,
                    )
                )
        more = {key: getattr(second, key) for key in _HOST_KEYS if getattr(first, key) is None}
        return dataclasses.replace(first, **more)


def _order(change: Change) -> tuple[str, str, str, str]:
    about = change.resource
    return about.type, about.name or "", about.id or "", change.key


def _without_effect(entry: HostEntry, then: HostInput) -> str | None:
    """Return why options of the driver have no effect on a host, or may have none."""
    if then.honours or (entry.server_may_ask is None and entry.image_may_show_host is None):
        return None
    options = "server_may_ask and image_may_show_host are options of the driver"
    if then.honours is None:
        return f"{options}, and it is unknown whether it runs there: write driver: true or false"
    return f"{options}, which does not run there: add driver: true"


def _fits(entry: HostEntry, host: Host) -> bool:
    if entry.aggregate is not None:
        return any(each.name == entry.aggregate for each in host.aggregates)
    return entry.selector.fits("", host.name, None)


def _selected_by(entry: HostEntry) -> str:
    return f"aggregate {quoted(entry.aggregate)}" if entry.aggregate else str(entry.selector)


def _differences(host: Host, then: HostInput, line: int) -> Iterator[Change]:
    """Yield what would be different on a host."""
    now = host.input
    about = Resource("host", host.hypervisor.id, host.name)
    for key, before, after in (
        ("mode", now.mode, then.mode),
        ("driver", now.honours, then.honours),
        ("server_may_ask", now.server_may_ask, then.server_may_ask),
        ("image_may_show_host", now.image_may_show_host, then.image_may_show_host),
    ):
        # The last two are options of the driver.
        if before is not after and (then.honours or key in ("mode", "driver")):
            yield Change(about, key, _text(before), _text(after), line)


def _text(value: object) -> str | None:
    """Return a value as the file has it; None: unknown."""
    if value is None:
        return None
    return str(value).lower() if isinstance(value, bool) else str(getattr(value, "value", value))
