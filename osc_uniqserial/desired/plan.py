# SPDX-License-Identifier: Apache-2.0
"""A plan: the changes that a desired state needs, and the servers that they reach. Pure."""

from __future__ import annotations

import dataclasses
import operator
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from osc_uniqserial.desired.changes import (
    Change,
    Problem,
    Selection,
    of_configuration,
    of_metadefs,
    subject_of_server,
)
from osc_uniqserial.desired.document import Desired
from osc_uniqserial.desired.effects import Effect, Effects
from osc_uniqserial.desired.hosts import of_hosts
from osc_uniqserial.effective.explanation import NOT_OBEYED
from osc_uniqserial.keys import SETTINGS
from osc_uniqserial.metadefs.model import Namespace
from osc_uniqserial.model.cloud import Case, Configuration, ServerFacts, Unchecked
from osc_uniqserial.policy import (
    Evidence,
    SerialSource,
    Setting,
    SettingInput,
    parse,
)
from osc_uniqserial.text import counted

#: What returns a server's resource, by its kind: flavors and hosts by name.
_RESOURCES = {
    "server": operator.attrgetter("id"),
    "flavor": operator.attrgetter("flavor"),
    "image": operator.attrgetter("image"),
    "host": operator.attrgetter("host"),
}


class Reached(NamedTuple):
    """A server whose serial number changes, or may change."""

    server: ServerFacts
    effects: Sequence[Effect]


class Plan:
    """The changes that a desired state needs; add all servers for their effects.

    :ivar changes: of flavors, images, aggregates and, as what-if, hosts; then those of the servers
        that were added
    :ivar problems: entries that cannot be carried out as they are written, so far
    """

    def __init__(self, desired: Desired, configuration: Configuration) -> None:
        """Compare the configuration of a cloud with the desired state."""
        self.changes: list[Change] = []
        self.problems: list[Problem] = []
        for found in of_configuration(desired, configuration):
            if isinstance(found, Change):
                self.changes.append(found)
            else:
                self.problems.append(found)
        then = of_hosts(desired.hosts, configuration.fleet)
        self.changes += then.changes
        self.problems += then.problems
        self._effects = Effects(self.changes, then.hosts)
        self._selection = Selection("server", desired.servers)
        self._selects_servers = bool(desired.servers)
        self._obeyed: dict[Case, bool] = {}
        #: By kind: what returns the resource of a server, and the servers by resource.
        self._reached = {kind: (get, Counter[str | None]()) for kind, get in _RESOURCES.items()}
        #: The servers whose properties are known by their image alone, by its ID.
        self._known_by = Counter[str | None]()
        self._changes_images = any(each.resource.type == "image" for each in self.changes)

    def add(self, servers: Iterable[ServerFacts]) -> Iterator[Reached]:
        """Yield the servers whose serial number changes, or may change."""
        numbers: Sequence[int] = ()
        for server in servers:
            if self._selects_servers:
                numbers = self._selection.fitting(server.id, server.name, server.project_id)
            requests = self._requests(server, numbers) if numbers else ()
            if self._changes_images and server.case.image.used.evidence is Evidence.CURRENT_IMAGE:
                self._known_by[server.image] += 1
            effects, kinds = self._effects.of(server, requests)
            for kind in kinds:
                get, reached = self._reached[kind]
                reached[get(server)] += 1
            if effects:
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

    def _requests(self, server: ServerFacts, numbers: Iterable[int]) -> Sequence[Change]:
        """Return the changes of a server's own metadata, and add them.

        :param numbers: the entries that it fits
        """
        requests = []
        for found in self._selection.changes(subject_of_server(server), numbers):
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
        """Return the number of added servers whose serial number a change may change.

        Changes of hosts are counted with the other changes carried out; these are counted on the
        hosts of today, where ``apply`` carries them out.
        """
        about = change.resource
        # The other keys of flavors and images restrict scheduling only.
        if about.type not in _RESOURCES or (
            about.type != "host" and change.key not in SETTINGS[about.type]
        ):
            return 0
        key = about.name if about.type in ("flavor", "host") else about.id
        _get, reached = self._reached[about.type]
        return reached[key]


def _order(change: Change) -> tuple[str, str, str, str]:
    about = change.resource
    return about.type, about.name or "", about.id or "", change.key
