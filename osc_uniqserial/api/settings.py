# SPDX-License-Identifier: Apache-2.0
"""Single keys of flavors, images, host aggregates and servers: reading and writing.

A write sends only the key that it changes: others that were stored meanwhile stay. No service has a
compare-and-swap: what is stored between a read and the write is replaced.
"""

from __future__ import annotations

import abc
import contextlib
import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote

from osc_uniqserial.api import background
from osc_uniqserial.api.rest import COMPUTE_OLDEST, Json, Rest, Unreadable, or_unchecked, parsing
from osc_uniqserial.model.cloud import Unchecked
from osc_uniqserial.model.finding import Resource

#: The keys of a resource with the stored texts.
Stored = Mapping[str, str]

_PATCH = "application/openstack-images-v2.1-json-patch"
#: The most resources of a project that are read one by one without a list.
_FEW = 3
#: How many entries of a list are read for each resource that is wanted: Nova needs about four
#: times as long for a request about one server as for an entry of the list.
_LISTED = 4


class _Store(abc.ABC):
    """The keys of one kind of resource."""

    def __init__(self, rest: Rest) -> None:
        self.rest = rest

    @abc.abstractmethod
    def read(self, id_: str) -> Stored:
        """Return what is stored, with one request.

        :raises Unreadable: with status 404 when the resource is missing
        """

    def listed(self, project_id: str | None, limit: int) -> Iterator[tuple[str, Stored]]:
        """Yield what is stored by ID, from a list; nothing where no list has it.

        :param project_id: of the owner
        :param limit: the most entries of a page
        :raises Unreadable: when the list cannot be read
        """
        return iter(())

    @abc.abstractmethod
    def put(self, id_: str, key: str, text: str, *, is_new: bool) -> Stored | None:
        """Store a text, with one request.

        :returns: what is stored then, where the service answers with it
        """

    @abc.abstractmethod
    def remove(self, id_: str, key: str) -> Stored | None:
        """Remove a key that is stored, with one request; as :meth:`put`."""


class _Specs(_Store):
    def _path(self, id_: str) -> str:
        return f"/flavors/{_segment(id_)}/os-extra_specs"

    def read(self, id_: str) -> Stored:
        answer = self.rest.get("compute", self._path(id_), microversion=COMPUTE_OLDEST)
        with parsing("compute"):
            return _texts(answer["extra_specs"])

    def listed(self, project_id: str | None, limit: int) -> Iterator[tuple[str, Stored]]:
        query = {"is_public": "None", "limit": str(limit)}
        pages = self.rest.pages("compute", "/flavors/detail", "flavors", query, COMPUTE_OLDEST)
        with parsing("compute"):
            for flavor in pages:
                if "extra_specs" in flavor:
                    yield str(flavor["id"]), _texts(flavor["extra_specs"])

    def put(self, id_: str, key: str, text: str, *, is_new: bool) -> None:
        body = {"extra_specs": {key: text}}
        # Nova repeats the request as its answer (flavors_extraspecs.py, create).
        self.rest.send("compute", "POST", self._path(id_), body, COMPUTE_OLDEST)

    def remove(self, id_: str, key: str) -> None:
        path = f"{self._path(id_)}/{quote(key, safe='')}"
        self.rest.send("compute", "DELETE", path, microversion=COMPUTE_OLDEST)


class _Metadata(_Store):
    def _path(self, id_: str) -> str:
        return f"/servers/{_segment(id_)}/metadata"

    def read(self, id_: str) -> Stored:
        answer = self.rest.get("compute", self._path(id_), microversion=COMPUTE_OLDEST)
        with parsing("compute"):
            return _texts(answer["metadata"])

    def listed(self, project_id: str | None, limit: int) -> Iterator[tuple[str, Stored]]:
        # Only administrators may name a project; others list their own.
        own = {"limit": str(limit)}
        filters = {} if project_id is None else {"project_id": project_id}
        try:
            yield from self._list({"all_tenants": "true", **filters, **own})
        except Unreadable as error:
            if error.status != 403:
                raise
            yield from self._list(own)

    def _list(self, query: Mapping[str, str]) -> Iterator[tuple[str, Stored]]:
        pages = self.rest.pages("compute", "/servers/detail", "servers", query, COMPUTE_OLDEST)
        with parsing("compute"):
            for server in pages:
                # Records of a cell that is down have none.
                if "metadata" in server:
                    yield str(server["id"]), _texts(server["metadata"])

    def put(self, id_: str, key: str, text: str, *, is_new: bool) -> Stored | None:
        # POST merges, PUT replaces all.
        body = {"metadata": {key: text}}
        answer = self.rest.send("compute", "POST", self._path(id_), body, COMPUTE_OLDEST)
        return _texts_in(answer, "metadata")

    def remove(self, id_: str, key: str) -> None:
        path = f"{self._path(id_)}/{quote(key, safe='')}"
        self.rest.send("compute", "DELETE", path, microversion=COMPUTE_OLDEST)


class _Aggregates(_Store):
    def _path(self, id_: str) -> str:
        return f"/os-aggregates/{_segment(id_)}"

    def read(self, id_: str) -> Stored:
        answer = self.rest.get("compute", self._path(id_), microversion=COMPUTE_OLDEST)
        with parsing("compute"):
            return _texts(answer["aggregate"]["metadata"])

    def _set(self, id_: str, key: str, text: str | None) -> Stored | None:
        # None removes a key.
        body = {"set_metadata": {"metadata": {key: text}}}
        path = f"{self._path(id_)}/action"
        answer = self.rest.send("compute", "POST", path, body, COMPUTE_OLDEST)
        return _texts_in(answer and answer.get("aggregate"), "metadata")

    def put(self, id_: str, key: str, text: str, *, is_new: bool) -> Stored | None:
        return self._set(id_, key, text)

    def remove(self, id_: str, key: str) -> Stored | None:
        return self._set(id_, key, None)


class _Images(_Store):
    def _path(self, id_: str) -> str:
        return f"/images/{_segment(id_)}"

    def read(self, id_: str) -> Stored:
        answer = self.rest.get("image", self._path(id_))
        with parsing("image"):
            return _strings(answer)

    def _patch(self, id_: str, operation: dict[str, str]) -> Stored | None:
        answer = self.rest.send("image", "PATCH", self._path(id_), [operation], media_type=_PATCH)
        return None if answer is None or "id" not in answer else _strings(answer)

    def put(self, id_: str, key: str, text: str, *, is_new: bool) -> Stored | None:
        verb = "add" if is_new else "replace"
        return self._patch(id_, {"op": verb, "path": f"/{_pointer(key)}", "value": text})

    def remove(self, id_: str, key: str) -> Stored | None:
        return self._patch(id_, {"op": "remove", "path": f"/{_pointer(key)}"})


def _segment(id_: str) -> str:
    """Return an ID as one segment of a path.

    :raises Unreadable: when it would be another path
    """
    if id_ in ("", ".", ".."):
        raise Unreadable(f"{id_!r} is not an ID")
    return quote(id_, safe="")


def _pointer(key: str) -> str:
    """Return a key as part of a JSON pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")


def _texts(document: Json) -> Stored:
    return {str(key): str(text) for key, text in document.items()}


def _texts_in(answer: object, key: str) -> Stored | None:
    """Return what the answer to a write has under a key; None for another answer."""
    found = answer.get(key) if isinstance(answer, dict) else None
    return _texts(found) if isinstance(found, dict) else None


def _strings(image: Json) -> Stored:
    return {key: text for key, text in image.items() if isinstance(text, str)}


class Settings:
    """The keys of all kinds of resources."""

    def __init__(self, rest: Rest) -> None:
        self._stores: Mapping[str, _Store] = {
            "flavor": _Specs(rest),
            "image": _Images(rest),
            "aggregate": _Aggregates(rest),
            "server": _Metadata(rest),
        }

    def read(self, resource: Resource) -> Stored | None:
        """Return what is stored with a resource; None when the resource is missing.

        :raises Unreadable: when the service does not return it
        """
        try:
            return self._stores[resource.type].read(resource.id or "")
        except Unreadable as error:
            if error.status == 404:
                return None
            raise

    def read_each(
        self, resources: Iterable[Resource], at_once: int
    ) -> dict[Resource, Stored | Unchecked | None]:
        """Return what is stored with resources; None for those that are missing.

        Several flavors, and several servers of a project, are read from lists.

        :param at_once: the most concurrent requests
        """
        groups: dict[tuple[str, str | None], dict[str, Resource]] = defaultdict(dict)
        for each in resources:
            project_id = each.project_id if each.type == "server" else None
            groups[each.type, project_id][each.id or ""] = each
        found: dict[Resource, Stored | Unchecked | None] = {}
        for _group, listed in background.each(self._from_list, groups.items(), at_once):
            found.update(listed)
        # Lists may be unreadable, or too long.
        left = [each for by_id in groups.values() for each in by_id.values() if each not in found]
        found.update(background.each(lambda each: or_unchecked(self.read, each), left, at_once))
        return found

    def _from_list(
        self, group: tuple[tuple[str, str | None], Mapping[str, Resource]]
    ) -> dict[Resource, Stored]:
        """Return what is stored with those of a group that are found in the start of a list."""
        (kind, project_id), wanted = group
        found: dict[Resource, Stored] = {}
        if len(wanted) <= _FEW:
            return found
        most = _LISTED * len(wanted)
        with contextlib.suppress(Unreadable):
            listed = self._stores[kind].listed(project_id, most)
            for id_, stored in itertools.islice(listed, most):
                if id_ in wanted:
                    found[wanted[id_]] = stored
                if len(found) == len(wanted):
                    break
        return found

    def write(
        self, resource: Resource, key: str, now: str | None, then: str | None
    ) -> Stored | None:
        """Store a text, or remove a key, once.

        :param now: the stored text; None: the key is not set
        :param then: the text to store; None: the key is removed
        :returns: what is stored with the resource then; None where the service does not answer
            with it
        :raises WriteFailed: the message has the reason
        """
        store = self._stores[resource.type]
        if then is None:
            return store.remove(resource.id or "", key)
        return store.put(resource.id or "", key, then, is_new=now is None)
