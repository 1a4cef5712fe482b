# SPDX-License-Identifier: Apache-2.0
"""Single keys of flavors, images, host aggregates and servers: looked up and written.

A write sends only the key that it changes: others that were stored meanwhile stay. No service has a
compare-and-swap: what is stored between a look and the write is replaced.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from urllib.parse import quote

from osc_uniqserial.api.rest import COMPUTE_OLDEST, Rest, Unreadable, parsing
from osc_uniqserial.model.finding import Resource

#: Nova validates extra specs from 2.86 on, and then refuses ours without nova-uniqserial.
_ANY_SPECS = "2.85"
_PATCH = "application/openstack-images-v2.1-json-patch"


class _Store(abc.ABC):
    """The keys of one kind of resource."""

    def __init__(self, rest: Rest) -> None:
        self.rest = rest

    @abc.abstractmethod
    def look(self, id_: str) -> Mapping[str, str]:
        """Return what is stored, with one request.

        :raises Unreadable: with status 404 when the resource is missing
        """

    @abc.abstractmethod
    def put(self, id_: str, key: str, text: str, *, is_new: bool) -> None:
        """Store a text, with one request."""

    @abc.abstractmethod
    def remove(self, id_: str, key: str) -> None:
        """Remove a key that is stored, with one request."""


class _Specs(_Store):
    def _path(self, id_: str) -> str:
        return f"/flavors/{quote(id_, safe='')}/os-extra_specs"

    def look(self, id_: str) -> Mapping[str, str]:
        answer = self.rest.get("compute", self._path(id_), microversion=_ANY_SPECS)
        with parsing("compute"):
            return {str(key): str(text) for key, text in answer["extra_specs"].items()}

    def put(self, id_: str, key: str, text: str, *, is_new: bool) -> None:
        body = {"extra_specs": {key: text}}
        self.rest.send("compute", "POST", self._path(id_), body, _ANY_SPECS)

    def remove(self, id_: str, key: str) -> None:
        path = f"{self._path(id_)}/{quote(key, safe='')}"
        self.rest.send("compute", "DELETE", path, microversion=_ANY_SPECS)


class _Metadata(_Store):
    def _path(self, id_: str) -> str:
        return f"/servers/{quote(id_, safe='')}/metadata"

    def look(self, id_: str) -> Mapping[str, str]:
        answer = self.rest.get("compute", self._path(id_), microversion=COMPUTE_OLDEST)
        with parsing("compute"):
            return {str(key): str(text) for key, text in answer["metadata"].items()}

    def put(self, id_: str, key: str, text: str, *, is_new: bool) -> None:
        # POST merges, PUT replaces all.
        body = {"metadata": {key: text}}
        self.rest.send("compute", "POST", self._path(id_), body, COMPUTE_OLDEST)

    def remove(self, id_: str, key: str) -> None:
        path = f"{self._path(id_)}/{quote(key, safe='')}"
        self.rest.send("compute", "DELETE", path, microversion=COMPUTE_OLDEST)


class _Aggregates(_Store):
    def _path(self, id_: str) -> str:
        return f"/os-aggregates/{quote(id_, safe='')}"

    def look(self, id_: str) -> Mapping[str, str]:
        answer = self.rest.get("compute", self._path(id_), microversion=COMPUTE_OLDEST)
        with parsing("compute"):
            return {str(key): str(text) for key, text in answer["aggregate"]["metadata"].items()}

    def _set(self, id_: str, key: str, text: str | None) -> None:
        # None removes a key.
        body = {"set_metadata": {"metadata": {key: text}}}
        self.rest.send("compute", "POST", f"{self._path(id_)}/action", body, COMPUTE_OLDEST)

    def put(self, id_: str, key: str, text: str, *, is_new: bool) -> None:
        self._set(id_, key, text)

    def remove(self, id_: str, key: str) -> None:
        self._set(id_, key, None)


class _Images(_Store):
    def _path(self, id_: str) -> str:
        return f"/v2/images/{quote(id_, safe='')}"

    def look(self, id_: str) -> Mapping[str, str]:
        answer = self.rest.get("image", self._path(id_))
        with parsing("image"):
            return {key: text for key, text in answer.items() if isinstance(text, str)}

    def _patch(self, id_: str, operation: dict[str, str]) -> None:
        self.rest.send("image", "PATCH", self._path(id_), [operation], media_type=_PATCH)

    def put(self, id_: str, key: str, text: str, *, is_new: bool) -> None:
        verb = "add" if is_new else "replace"
        self._patch(id_, {"op": verb, "path": f"/{_pointer(key)}", "value": text})

    def remove(self, id_: str, key: str) -> None:
        self._patch(id_, {"op": "remove", "path": f"/{_pointer(key)}"})


def _pointer(key: str) -> str:
    """Return a key as part of a JSON pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")


class Settings:
    """The keys of all kinds of resources."""

    def __init__(self, rest: Rest) -> None:
        self._stores: Mapping[str, _Store] = {
            "flavor": _Specs(rest),
            "image": _Images(rest),
            "aggregate": _Aggregates(rest),
            "server": _Metadata(rest),
        }

    def look(self, resource: Resource) -> Mapping[str, str] | None:
        """Return what is stored with a resource; None when the resource is missing.

        :raises Unreadable: when the service does not return it
        """
        try:
            return self._stores[resource.type].look(resource.id or "")
        except Unreadable as error:
            if error.status == 404:
                return None
            raise

    def write(self, resource: Resource, key: str, now: str | None, then: str | None) -> None:
        """Store a text, or remove a key, once.

        :param now: the stored text; None: the key is not set
        :param then: the text to store; None: the key is removed
        :raises WriteFailed: the message has the reason
        """
        store = self._stores[resource.type]
        if then is None:
            store.remove(resource.id or "", key)
        else:
            store.put(resource.id or "", key, then, is_new=now is None)
