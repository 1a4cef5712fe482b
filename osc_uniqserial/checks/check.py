# SPDX-License-Identifier: Apache-2.0
"""What a check is: an ID, what it looks at, what it finds, and how it explains that. Pure.

A check is one function, or two for servers. Of a flavor, an image, a host aggregate, a host and
all else that is one resource, the function yields what is wrong with it::

    @check("no-valid-host", Severity.HIGH, looks_at=(Flavor, Image), rests_on={...})
    def no_valid_host(request: Request, cloud: Cloud) -> Iterator[Problem]:
        yield Problem("It requires ...", Remedy(...), ...)

Servers with the same cause make one finding. The function yields what they share, once for each
case; a second function writes the finding of a group::

    @check("cannot-move", Severity.MEDIUM, looks_at=Assessment, shared=Shared.HOST, rests_on={...})
    def cannot_move(server: Assessment, cloud: Cloud) -> Iterator[Detail]:
        yield Detail(...)

    @cannot_move.explained_by
    def _(group: Group, cloud: Cloud) -> Problem:
        return Problem(f"{group.servers.counted} ...", Remedy(...))

``texts/<id>.md`` has what the finding means, why it matters, how to repair it and when to accept
it.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import importlib.resources
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from osc_uniqserial.model.cloud import Sighting
from osc_uniqserial.model.finding import CLOUD, Finding, Remedy, Resource, ServerIds, Severity
from osc_uniqserial.model.guest import GuestSource

#: The titles of a text, and the attributes of a check that have what is below them.
TITLES = {
    "What it means": "meaning",
    "Why it matters": "why",
    "How to repair it": "repair",
    "When to accept it": "accept",
}


class Part(enum.StrEnum):
    """What is read of a cloud.

    HOSTS: which compute hosts there are, their hypervisors, and the mode and driver of each.
    TRAITS: the traits of all hosts, and so which hosts there are; not what a host leaves unsaid.
    SERVERS: all servers, and what decides the serial number of each.
    GUESTS: the live serial numbers of all servers.
    The others are lists as they are now.
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
    """What the servers of one finding share, and so what the finding is about."""

    HOST = "host"
    FLAVOR = "flavor"
    IMAGE = "image"
    FLAVOR_AND_IMAGE = "flavor and image"
    CLOUD = "cloud"

    def key(self, server: Sighting) -> tuple[str, str]:
        """Return the name or ID of what a server shares, and of the image for two."""
        if self is Shared.HOST:
            return server.host or "", ""
        if self is Shared.FLAVOR:
            return server.flavor or "", ""
        if self is Shared.IMAGE:
            return server.image or "", ""
        if self is Shared.FLAVOR_AND_IMAGE:
            return server.flavor or "", server.image or ""
        return "", ""


@dataclasses.dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one resource, in words.

    :ivar evidence: what was seen
    :ivar remedy: what to do; None when nothing has to be done
    :ivar about: the resource, where it is not what the check looked at
    :ivar servers: those that it is about; None when it is not about servers
    """

    evidence: str
    remedy: Remedy | None = None
    about: Resource | None = None
    servers: ServerIds | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Detail:
    """What is wrong with the servers of a case.

    :ivar cause: what servers of one finding have in common besides :class:`Shared`
    :ivar example: what differs between the servers of a finding; that of the first is kept
    :ivar applies: whether it is about a server of the case; None: it is about all
    :ivar shared: what they share, where it is not what the check says
    """

    cause: tuple[Hashable, ...] = ()
    example: Any = None
    applies: Callable[[Sighting], bool] | None = None
    shared: Shared | None = None


@dataclasses.dataclass(slots=True)
class Group:
    """Servers of one finding.

    :ivar shared: what they share
    :ivar key: its name or ID, and the ID of the image for two; empty text where it is hidden
    :ivar cause: see :class:`Detail`
    :ivar example: that of the first
    :ivar resource: what the finding is about; set when all servers are known
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
        """The name or ID of what they share."""
        return self.key[0]


@dataclasses.dataclass(eq=False)
class Check:
    """A check.

    :ivar id: kebab-case; an interface
    :ivar looks_at: the types of what its function takes
    :ivar shared: what the servers of one finding share; None: it is not about servers
    :ivar at_least: how many servers make a finding
    :ivar rests_on: what must have been read for "nothing found" to be worth anything; empty for
        what could not be checked
    :ivar takes_away: what could not be read, wholly or partly; empty for all else
    :ivar all_projects: whether it is looked for only where the servers of all projects are
    :ivar told_by: the sources of which each can tell it, of what is about guests
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
        """Take the function that writes the finding of a group of servers."""
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
        """What the finding means, by attribute; read when it is first needed."""
        file = importlib.resources.files(__package__).joinpath("texts", f"{self.id}.md")
        return parse_text(file.read_text(encoding="utf-8"))

    @property
    def summary(self) -> str:
        """What is found, in one line without a full stop."""
        return self.texts["summary"]

    @property
    def meaning(self) -> str:
        """What was seen."""
        return self.texts["meaning"]

    @property
    def why(self) -> str:
        """Why it matters."""
        return self.texts["why"]

    @property
    def repair(self) -> str:
        """How to repair it; a line that begins with four spaces is a command."""
        return self.texts["repair"]

    @property
    def accept(self) -> str:
        """When it is fine to leave it as it is; begins with "Never:" where it is not."""
        return self.texts["accept"]


def parse_text(text: str) -> Mapping[str, str]:
    """Return the parts of the text of a check, by attribute.

    A paragraph becomes one line; a line that begins with four spaces stays as it is.
    """
    head, *sections = text.split("\n## ")
    parts = {"summary": head.removeprefix("# ").strip()}
    for section in sections:
        title, _, body = section.partition("\n")
        parts[TITLES[title]] = _joined(body)
    return parts


def _joined(text: str) -> str:
    """Join lines to paragraphs. Empty lines part them; indented lines stay as they are."""
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


# --- all of them ------------------------------------------------------------

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
    """Make a check of a function; see :class:`Check`."""

    def register(find: Callable[[Any, Any], Iterator[Any]]) -> Check:
        if id_ in _CHECKS:
            raise ValueError(f"there are two checks {id_}")
        made = _CHECKS[id_] = Check(
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
        for kind in made.looks_at:
            _BY_TYPE.setdefault(kind, []).append(made)
        return made

    return register


def registered() -> Iterable[Check]:
    """Return all checks whose modules are loaded, in the order of their definition."""
    return _CHECKS.values()


def looking_at(kind: type) -> Sequence[Check]:
    """Return the checks whose function takes something of a type, in the order of definition."""
    return _BY_TYPE.get(kind, ())


def found_in(what: object, cloud: Any, about: Resource = CLOUD) -> Iterator[Finding]:
    """Yield what the checks of its type find in something that is no group of servers.

    :param about: the resource that it is
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
    """Return the IDs of checks that rest on something that could not be read.

    :param found: the IDs of all that was found
    """
    missing = {part for id_ in found if id_ in checks for part in checks[id_].takes_away}
    return frozenset(id_ for id_, each in checks.items() if each.rests_on & missing)
