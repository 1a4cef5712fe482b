# SPDX-License-Identifier: Apache-2.0
"""Glance's catalog of metadata definitions: reading, comparison, and execution of plans."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from osc_uniqserial.api.rest import CloudError, Json, Rest, Unreadable, WriteFailed
from osc_uniqserial.metadefs import comparison
from osc_uniqserial.metadefs.comparison import Comparison, Result
from osc_uniqserial.metadefs.model import Malformed, Namespace, parse_page
from osc_uniqserial.metadefs.plan import COLLECTION, Plan, Step, names, path

if TYPE_CHECKING:
    from openstack.connection import Connection

_Parsed = TypeVar("_Parsed")

#: Namespaces in a page: Glance's default api_limit_max.
_PAGE = "1000"
#: The most pages that are read of a list.
_PAGES = 20


class Interrupted(CloudError):
    """A plan was not completed; the message lists the steps that are done and not done."""

    def __init__(self, steps: Sequence[Step], failed: int, error: CloudError) -> None:
        step = steps[failed]
        reason = f"could not {step.words}: {error}"
        if isinstance(error, WriteFailed):
            if error.status == 403:
                reason += (
                    f" (it takes the right {step.right} in Glance's policy,"
                    " which administrators have by default)"
                )
            if error.unsure:
                reason += "; it may have been carried out all the same"
        super().__init__(
            f"{reason}. Done before: {_words(steps[:failed])}."
            f" Not done: {_words(steps[failed:])}."
            " It is safe to run the same command again"
        )


def _words(steps: Sequence[Step]) -> str:
    return ", ".join(step.words for step in steps) or "nothing"


@dataclasses.dataclass(frozen=True, slots=True)
class CatalogComparison:
    """Glance's namespaces, compared with ours.

    :ivar notes: messages about the consequences
    """

    comparisons: tuple[Comparison, ...]
    notes: tuple[str, ...] = ()


class Catalog:
    """Reads and writes metadata definitions through an SDK connection."""

    def __init__(self, connection: Connection) -> None:
        self._rest = Rest(connection)

    def read(self, name: str) -> Namespace | None:
        """Return a namespace with all its items, in one request; None when it is missing.

        :raises Unreadable: when Glance does not return it
        """
        try:
            document = self._get(path(name))
        except Unreadable as error:
            if error.status == 404:
                return None
            raise
        return _parse(Namespace.parse, document)

    def _get(self, url: str, query: Mapping[str, str] | None = None) -> Json:
        if not self._rest.has_project:
            raise Unreadable(
                "Glance (image) returns no namespaces to a token without a project (system-scoped"
                " or domain-scoped); use a project-scoped token"
            )
        return self._rest.get("image", url, query)

    def read_ours(self, ours: Iterable[Namespace]) -> dict[str, Namespace]:
        """Return the stored namespaces that have our names."""
        found = ((name, self.read(name)) for name in names(ours))
        return {name: namespace for name, namespace in found if namespace is not None}

    def carry_out(self, plan: Plan) -> None:
        """Send the requests of a plan, each once.

        Before a deletion, its namespaces are read again, so that no item is lost that was added
        after planning. Glance has no conditional deletion: an item that is added between that
        read and the deletion is lost without notice.

        :raises Interrupted: at the first request that fails, and at a deletion whose namespaces
            have changed
        """
        for number, step in enumerate(plan.steps):
            try:
                # The namespace to delete is the first in the step: read it last.
                for seen in reversed(step.seen):
                    self._check_unchanged(seen)
                self._rest.send("image", step.method, step.path, step.body)
            except CloudError as error:
                raise Interrupted(plan.steps, number, error) from error

    def _check_unchanged(self, seen: Namespace) -> None:
        now = self.read(seen.name)
        if now is None:
            raise CloudError(f"somebody else deleted or renamed namespace {seen.name} meanwhile")
        changes = comparison.changes(seen, now)
        if changes:
            raise CloudError(
                f"somebody else changed namespace {seen.name} meanwhile"
                f" ({', '.join(map(str, changes))}), and nothing of it was deleted"
            )

    def compare(self, ours: Sequence[Namespace]) -> CatalogComparison:
        """Compare Glance's namespaces with ours.

        Sends one request for the list, one for each namespace of ours, and one for each other
        namespace whose prefix allows a key of ours.
        """
        try:
            listed = list(self._listed(ours))
        except Unreadable as error:
            if error.status is None:
                # Glance did not answer: skip the other requests.
                return CatalogComparison(tuple(_unreadable(each.name, error) for each in ours))
            the_list = _unreadable(comparison.EVERY_NAMESPACE, error)
            return CatalogComparison((*self._compare(ours, ()), the_list))
        others = sorted(each.name for each in listed if comparison.may_conflict(ours, each))
        types = comparison.without_namespaces(ours, listed)
        notes = (
            f"no namespace in Glance is for {', '.join(types)}:"
            " Horizon's Update Metadata dialog does not open for them",
        )
        return CatalogComparison(tuple(self._compare(ours, others)), notes if types else ())

    def _compare(self, ours: Sequence[Namespace], others: Iterable[str]) -> Iterator[Comparison]:
        expected = {each.name: each for each in ours}
        spares = set(names(ours)) - expected.keys()
        for name in dict.fromkeys((*expected, *others)):
            if name in spares:
                yield comparison.of_namespace(
                    name, Result.DIFFERS, comparison.INTERRUPTED, stored=name
                )
                continue
            try:
                stored = self.read(name)
            except Unreadable as error:
                yield _unreadable(name, error)
                continue
            if name in expected:
                yield from comparison.compare(expected[name], stored)
            if stored is not None:
                yield from comparison.conflicts(ours, stored)

    def _listed(self, ours: Iterable[Namespace]) -> Iterator[Namespace]:
        """Yield the namespaces of our resource types; the list has associations only."""
        types = {resource_type for each in ours for resource_type in each.associations}
        query = {"resource_types": ",".join(sorted(types)), "limit": _PAGE}
        for _page in range(_PAGES):
            page = self._get(COLLECTION, query)
            namespaces, more = _parse(parse_page, page)
            yield from namespaces
            if not namespaces or not more:
                return
            query["marker"] = namespaces[-1].name
        raise Unreadable(f"Glance (image) lists more than {_PAGES} pages of namespaces", 200)


def _parse(parse: Callable[[object], _Parsed], document: object) -> _Parsed:
    try:
        return parse(document)
    except Malformed as error:
        raise Unreadable(f"Glance (image) answered with something else: {error}", 200) from error


def _unreadable(name: str, error: Unreadable) -> Comparison:
    return comparison.of_namespace(name, Result.UNREADABLE, str(error))
