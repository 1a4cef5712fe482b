# SPDX-License-Identifier: Apache-2.0
"""Definition and registry of checks. Pure.

A check of one resource, such as a flavor, an image, a host aggregate or a host, is one function
that yields the problems of the resource::

    @check("no-valid-host", Severity.HIGH, looks_at=(Flavor, Image), rests_on={...})
    def no_valid_host(request: Request, cloud: Cloud) -> Iterator[Problem]:
        yield Problem("It requires ...", Remedy(...), ...)

Servers with the same cause are one finding. The function yields the details of each case; a
second function describes the problem of a group of servers::

    @check("cannot-move", Severity.MEDIUM, looks_at=Assessment, shared=Shared.HOST, rests_on={...})
    def cannot_move(server: Assessment, cloud: Cloud) -> Iterator[Detail]:
        yield Detail(...)

    @cannot_move.explained_by
    def _(group: Group, cloud: Cloud) -> Problem:
        return Problem(f"{group.servers.counted} ...", Remedy(...))

``texts/<id>.md`` documents the finding: meaning, impact, repair, and when to accept it.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import importlib.resources
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from osc_uniqserial.model.cloud import ServerFacts
from osc_uniqserial.model.finding import CLOUD, Finding, Remedy, Resource, ServerIds, Severity
from osc_uniqserial.model.guest import GuestSource

#: The sections of a text: title, and the attribute of a check.
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


class Shared(enum.Enum):
    """What the servers of one finding share: the resource of the finding."""

    HOST = "host"
    FLAVOR = "flavor"
    IMAGE = "image"
    FLAVOR_AND_IMAGE = "flavor and image"
    CLOUD = "cloud"

    @property
    def key(self) -> Callable[[ServerFacts], tuple[str, str]]:
        """A function of a server: the name or ID of what it shares, and of the image for two."""
        return _KEYS[self]


_KEYS: Mapping[Shared, Callable[[ServerFacts], tuple[str, str]]] = {
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
    """

    evidence: str
    remedy: Remedy | None = None
    about: Resource | None = None
    servers: ServerIds | None = None


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

    :ivar shared: what the servers share
    :ivar key: see :meth:`Shared.key`; an empty text where the value is hidden from the user
    :ivar cause: see :class:`Detail`
    :ivar example: see :class:`Detail`
    :ivar provider: the resource provider of the first server's host
    :ivar resource: the resource of the finding; set when all servers are known
    """

    shared: Shared
    key: tuple[str, str]
    cause: tuple[Any, ...]
    example: Any = None
    provider: str | None = None
    resource: Resource = CLOUD
    servers: ServerIds = dataclasses.field(default_factory=ServerIds)

    @property
    def name(self) -> str:
        """The name or ID of what the servers share."""
        return self.key[0]


@dataclasses.dataclass(eq=False)
class Check:
    """A check.

    :ivar id: the finding ID in kebab-case; a stable interface
    :ivar looks_at: the types that the function accepts
    :ivar find: the function that yields problems or details
    :ivar shared: what the servers of one finding share; None: the check is not about servers
    :ivar at_least: the least number of servers of a finding
    :ivar rests_on: parts that must be read completely before "no finding" is a valid result;
        empty for checks of severity UNCHECKED
    :ivar takes_away: parts that a finding reports as not read completely; only for checks of
        severity UNCHECKED
    :ivar all_projects: whether the check needs the servers of all projects
    :ivar told_by: for checks of guests, the sources that are sufficient
    :ivar explain: the function that describes the problem of a group of servers
    """

    id: str
    severity: Severity
    looks_at: tuple[type, ...]
    find: Callable[[Any, Any], Iterator[Any]]
    shared: Shared | None = None
    at_least: int = 1
    rests_on: frozenset[Part] = frozenset()
    takes_away: frozenset[Part] = frozenset()
    all_projects: bool = False
    told_by: frozenset[GuestSource] = frozenset(GuestSource)
    explain: Callable[[Group, Any], Problem] | None = None

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
        )

    # --- texts ----------------------------------------------------------

    @functools.cached_property
    def texts(self) -> Mapping[str, str]:
        """The sections of the text by attribute; the file is read on first use."""
        file = importlib.resources.files(__package__).joinpath("texts", f"{self.id}.md")
        return parse_text(file.read_text(encoding="utf-8"))

    @property
    def summary(self) -> str:
        """The finding in one line without a full stop."""
        return self.texts["summary"]

    @property
    def meaning(self) -> str:
        """What the finding means."""
        return self.texts["meaning"]

    @property
    def why(self) -> str:
        """Why it matters."""
        return self.texts["why"]

    @property
    def repair(self) -> str:
        """How to repair the problem; lines that begin with four spaces are commands."""
        return self.texts["repair"]

    @property
    def accept(self) -> str:
        """When to accept the finding; begins with "Never:" where accepting is wrong."""
        return self.texts["accept"]


def parse_text(text: str) -> Mapping[str, str]:
    """Return the sections of the text of a check, by attribute.

    Paragraphs become one line; lines that begin with four spaces are kept.
    """
    head, *sections = text.split("\n## ")
    parts = {"summary": head.removeprefix("# ").strip()}
    for section in sections:
        title, _, body = section.partition("\n")
        parts[TITLES[title]] = _joined(body)
    return parts


def _joined(text: str) -> str:
    lines: list[str] = []
    joins = False
    for line in map(str.rstrip, text.strip("\n").splitlines()):
        if not line or line.startswith("    "):
            lines += [line] if line else []
            joins = False
        elif joins:
            lines[-1] += f" {line}"
        else:
            lines.append(line)
            joins = True
    return "\n".join(lines)


# --- registry ---------------------------------------------------------------

_CHECKS: dict[str, Check] = {}
_BY_TYPE: dict[type, list[Check]] = {}


def check(
    id_: str,
    severity: Severity,
    *,
    looks_at: type | tuple[type, ...],
    shared: Shared | None = None,
    at_least: int = 1,
    rests_on: Collection[Part] = (),
    takes_away: Collection[Part] = (),
    all_projects: bool = False,
    told_by: Collection[GuestSource] = tuple(GuestSource),
) -> Callable[[Callable[[Any, Any], Iterator[Any]]], Check]:
    """Register a function as a check; the parameters are those of :class:`Check`."""

    def register(find: Callable[[Any, Any], Iterator[Any]]) -> Check:
        if id_ in _CHECKS:
            raise ValueError(f"there are two checks {id_}")
        new = _CHECKS[id_] = Check(
            id_,
            severity,
            looks_at if isinstance(looks_at, tuple) else (looks_at,),
            find,
            shared,
            at_least,
            frozenset(rests_on),
            frozenset(takes_away),
            all_projects,
            frozenset(told_by),
        )
        for kind in new.looks_at:
            _BY_TYPE.setdefault(kind, []).append(new)
        return new

    return register


def registered() -> Iterable[Check]:
    """Return the checks of all imported modules, in the order of definition."""
    return _CHECKS.values()


def looking_at(kind: type) -> Sequence[Check]:
    """Return the checks whose function accepts a type, in the order of definition."""
    return _BY_TYPE.get(kind, ())


def found_in(what: object, cloud: Any, about: Resource = CLOUD) -> Iterator[Finding]:
    """Run the checks for the type of a value that is not a group of servers.

    :param about: the resource of the findings
    """
    for each in looking_at(type(what)):
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
