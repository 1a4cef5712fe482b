# SPDX-License-Identifier: Apache-2.0
"""Definition and registry of checks. Pure.

A check of one resource, such as a flavor, an image, a host aggregate or a host, is one function
that yields the problems of the resource. The annotation of its first parameter selects the types
that it is called with, as in :func:`functools.singledispatch`::

    @Check("no-valid-host", Severity.HIGH, rests_on={...})
    def no_valid_host(request: Flavor | Image, cloud: Cloud) -> Iterator[Problem]:
        yield Problem("It requires ...", Remedy(...), ...)

Servers with the same cause are one finding. The function yields the details of each case; a
second function describes the problem of a group of servers::

    @Check("cannot-move", Severity.MEDIUM, Shared.HOST, rests_on={...})
    def cannot_move(server: Assessment, cloud: Cloud) -> Iterator[Detail]:
        yield Detail(...)

    @cannot_move.explained_by
    def _(group: Group, cloud: Cloud) -> Problem:
        return Problem(f"{group.clause('require')} ...", Remedy(...))

``texts/<id>.md`` documents the finding: meaning, impact, repair, and when to accept it.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import importlib.resources
import typing
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence, Set
from types import MappingProxyType
from typing import Any

from osc_uniqserial.model.cloud import ServerFacts
from osc_uniqserial.model.finding import CLOUD, Finding, Remedy, Resource, ServerIds, Severity
from osc_uniqserial.model.guest import GuestSource
from osc_uniqserial.text import conjugated

#: The sections of a text: title, and key in :attr:`Check.texts`.
TITLES = {
    "What it means": "meaning",
    "Why it matters": "why",
    "How to repair it": "repair",
    "When to accept it": "accept",
}


class Part(enum.StrEnum):
    """A part of a cloud that is read.

    HOSTS: the compute hosts and hypervisors, and the mode and driver of each host.
    TRAITS: the hosts and their traits; a host may declare no mode.
    SERVERS: all servers, and what decides the serial number of each.
    GUESTS: the live serial numbers of all servers.
    INVENTORY: the entries of an inventory, and what the serial number of each server should be.
    The others are the current lists of resources.
    """

    FLAVORS = "flavors"
    IMAGES = "images"
    AGGREGATES = "aggregates"
    HOSTS = "hosts"
    TRAITS = "traits"
    METADEFS = "metadefs"
    SERVERS = "servers"
    VOLUMES = "volumes"
    GUESTS = "guests"
    INVENTORY = "inventory"


class Shared(enum.Enum):
    """What the servers of one finding share: the resource of the finding."""

    HOST = "host"
    FLAVOR = "flavor"
    IMAGE = "image"
    FLAVOR_AND_IMAGE = "flavor and image"
    CLOUD = "cloud"


#: What a server shares: its name or ID, and the ID of the image where two are shared.
KEYS: Mapping[Shared, Callable[[ServerFacts], tuple[str, str]]] = {
    Shared.HOST: lambda server: (server.host or "", ""),
    Shared.FLAVOR: lambda server: (server.flavor or "", ""),
    Shared.IMAGE: lambda server: (server.image or "", ""),
    Shared.FLAVOR_AND_IMAGE: lambda server: (server.flavor or "", server.image or ""),
    Shared.CLOUD: lambda _server: ("", ""),
}


@dataclasses.dataclass(frozen=True, slots=True)
class Problem:
    """A problem of one resource.

    :ivar evidence: what was found, in one sentence
    :ivar remedy: None when no action is needed
    :ivar about: the resource, where it is not the one that was checked
    :ivar servers: the affected servers; None when the problem is not about servers
    :ivar entries: number of entries of an inventory, when the problem is about entries without
        servers
    """

    evidence: str
    remedy: Remedy | None = None
    about: Resource | None = None
    servers: ServerIds | None = None
    entries: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Detail:
    """A problem of the servers of a case.

    :ivar cause: values that the servers of one finding have in common besides :class:`Shared`
    :ivar example: a value that may differ between servers; the group keeps the first one
    :ivar applies: returns whether a server of the case is affected; None: all are
    :ivar shared: overrides the check's :class:`Shared`
    """

    cause: tuple[Hashable, ...] = ()
    example: Any = None
    applies: Callable[[ServerFacts], bool] | None = None
    shared: Shared | None = None


@dataclasses.dataclass(slots=True)
class Group:
    """The servers of one finding.

    :ivar key: see :data:`KEYS`; an empty text where the value is hidden from the user
    :ivar cause: see :class:`Detail`
    :ivar example: see :class:`Detail`
    :ivar provider: the resource provider of the first server's host
    :ivar resource: the resource of the finding; set when all servers are known
    """

    check: Check
    shared: Shared
    cause: tuple[Any, ...]
    key: tuple[str, str]
    example: Any = None
    provider: str | None = None
    resource: Resource = CLOUD
    servers: ServerIds = dataclasses.field(default_factory=ServerIds)

    @property
    def name(self) -> str:
        """The name or ID of what the servers share."""
        return self.key[0]

    def clause(self, verb: str) -> str:
        """Return the servers as the subject of a verb: ``2 servers (a, b) have``.

        :param verb: in the plural
        """
        return f"{self.servers.counted} {conjugated(verb, len(self.servers))}"


@dataclasses.dataclass(eq=False)
class Check:
    """A check, and the decorator of its function.

    :ivar id: the finding ID in kebab-case; a stable interface
    :ivar shared: what the servers of one finding share; None: the check is not about servers
    :ivar at_least: the least number of servers of a finding
    :ivar rests_on: parts that must be read completely before "no finding" is a valid result;
        empty for checks of severity UNCHECKED
    :ivar takes_away: parts that a finding reports as not read completely; only for checks of
        severity UNCHECKED
    :ivar all_projects: whether the check needs the servers of all projects
    :ivar sources: for checks of verify, the sources of which one is needed
    :ivar find: the function that yields problems or details
    :ivar applies_to: the types that ``find`` accepts
    :ivar explain: the function that describes the problem of a group of servers
    """

    id: str
    severity: Severity
    shared: Shared | None = None
    at_least: int = 1
    rests_on: Set[Part] = frozenset()
    takes_away: Set[Part] = frozenset()
    all_projects: bool = False
    sources: Set[GuestSource] = frozenset(GuestSource)
    find: Callable[[Any, Any], Iterator[Any]] = dataclasses.field(init=False)
    applies_to: tuple[type, ...] = dataclasses.field(init=False)
    explain: Callable[[Group, Any], Problem] | None = dataclasses.field(init=False, default=None)

    def __call__(self, find: Callable[[Any, Any], Iterator[Any]]) -> Check:
        """Register a function as this check.

        :raises ValueError: when there is a check with this ID
        """
        if self.id in REGISTRY:
            raise ValueError(f"there are two checks {self.id}")
        accepted = next(iter(typing.get_type_hints(find).values()))
        self.applies_to = typing.get_args(accepted) or (accepted,)
        self.find = find
        REGISTRY[self.id] = self
        for kind in self.applies_to:
            _BY_TYPE.setdefault(kind, []).append(self)
        return self

    def explained_by(
        self, function: Callable[[Group, Any], Problem]
    ) -> Callable[[Group, Any], Problem]:
        """Register the function that describes the problem of a group of servers."""
        self.explain = function
        return function

    def finding(self, about: Resource, problem: Problem) -> Finding:
        """Return a finding of this check."""
        resource = problem.about or about
        return Finding(
            self.id,
            self.severity,
            resource.type,
            resource.id,
            resource.name,
            problem.evidence,
            problem.remedy,
            resource.project_id,
            problem.servers,
            problem.entries,
        )

    @functools.cached_property
    def texts(self) -> Mapping[str, str]:
        """The sections of the text: summary, meaning, why, repair and accept.

        The summary is one line without a full stop. Lines of the repair that begin with four
        spaces are commands. The text of accept begins with "Never:" where accepting is wrong.
        The file is read on first use.
        """
        file = importlib.resources.files(__package__).joinpath("texts", f"{self.id}.md")
        head, *sections = file.read_text(encoding="utf-8").split("\n## ")
        parts = {"summary": head.removeprefix("# ").strip()}
        for section in sections:
            title, _, body = section.partition("\n")
            parts[TITLES[title]] = "\n".join(map(_joined, body.strip().split("\n\n")))
        return parts

    @property
    def summary(self) -> str:
        """The finding in one line without a full stop."""
        return self.texts["summary"]


def _joined(paragraph: str) -> str:
    """Return a paragraph in one line; commands keep their lines."""
    return paragraph if paragraph.startswith("    ") else " ".join(paragraph.splitlines())


def run(command: str, more: str = "") -> Remedy:
    """Return a remedy that begins with a command.

    :param more: the rest of the text
    """
    return Remedy(f"{command}{more}", (command,))


#: All checks of the imported modules by ID, in the order of definition.
REGISTRY: dict[str, Check] = {}
_BY_TYPE: dict[type, list[Check]] = {}


def checks_for(kind: type) -> Sequence[Check]:
    """Return the checks whose function accepts a type, in the order of definition."""
    return _BY_TYPE.get(kind, ())


def found_in(what: object, cloud: Any, about: Resource = CLOUD) -> Iterator[Finding]:
    """Run the checks for the type of a value that is not a group of servers.

    :param about: the resource of the findings
    """
    for each in checks_for(type(what)):
        for problem in each.find(what, cloud):
            yield each.finding(about, problem)


def by_severity(checks: Iterable[Check]) -> Mapping[str, Check]:
    """Return checks by ID, the gravest first."""
    rank = list(Severity)
    ordered = sorted(checks, key=lambda each: (rank.index(each.severity), each.id))
    return MappingProxyType({each.id: each for each in ordered})


def in_doubt(checks: Mapping[str, Check], found: Iterable[str]) -> frozenset[str]:
    """Return the IDs of checks whose input could not be read completely.

    :param found: the IDs of all findings
    """
    missing = {part for id_ in found if id_ in checks for part in checks[id_].takes_away}
    return frozenset(id_ for id_, each in checks.items() if each.rests_on & missing)
