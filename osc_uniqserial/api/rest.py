# SPDX-License-Identifier: Apache-2.0
"""The edge to the APIs: the only importer of openstack* and keystoneauth1.

Reads are retried a bounded number of times. Writes are sent once.
"""

from __future__ import annotations

import contextlib
import html
import json
import logging
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar

import keystoneauth1.exceptions as ksa
import msgspec
from keystoneauth1 import discover
from openstack import exceptions as sdk
from openstack import utils as sdk_utils

from osc_uniqserial.masking import mask_logs, without_secrets
from osc_uniqserial.model.cloud import Unchecked

if TYPE_CHECKING:
    from openstack.connection import Connection

_Asked = ParamSpec("_Asked")
_Kind = TypeVar("_Kind")

Json = dict[str, Any]
Query = Mapping[str, str]
Service = Literal["compute", "image", "placement", "block_storage"]

#: HTTP statuses of temporary failures.
_RETRIABLE = [429, 500, 502, 503, 504]
_RETRIES = 2
#: Seconds without an answer after which a request fails.
_TIMEOUT = 60

_SERVICE_NAMES: Mapping[Service, str] = {
    "compute": "Nova (compute)",
    "image": "Glance (image)",
    "placement": "Placement",
    "block_storage": "Cinder (block storage)",
}
#: One thread makes a proxy of openstacksdk, which stores the endpoint that it discovered as an
#: override: a thread that makes the same proxy meanwhile takes that for the user's, and fails where
#: it has no version document (openstack/service_description.py, ``_make_proxy``).
_LOCKS = {service: threading.Lock() for service in _SERVICE_NAMES}
_NO_ENDPOINT = "has no usable endpoint in the service catalog (region, interface or version)"

#: Train, the oldest Nova API that is supported.
COMPUTE_OLDEST = "2.69"
#: 2.98 returns the image properties that a server was built with. Later ones add
#: scheduler hints, which cost more and are no evidence.
COMPUTE_SERVERS = "2.98"


class CloudError(Exception):
    """A command cannot be carried out; the message has the reason.

    :ivar status: the HTTP status; None without an answer
    """

    def __init__(self, reason: str, status: int | None = None) -> None:
        # keystoneauth names URLs, which may have a password.
        super().__init__(without_secrets(reason))
        self.status = status


class Unreadable(CloudError):
    """A resource could not be read."""


class WriteFailed(CloudError):
    """A request that writes failed.

    :ivar unsure: True when the service may have carried it out
    """

    def __init__(self, reason: str, status: int | None = None, unsure: bool = False) -> None:
        super().__init__(reason, status)
        self.unsure = unsure


class Rest:
    """JSON requests through the session of an SDK connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        mask_logs()
        # Discovery takes its timeout from the session. The user's api_timeout has priority.
        if connection.session.timeout is None:
            connection.session.timeout = _TIMEOUT

    def _proxy(self, service: Service) -> Any:
        """Return the SDK's proxy of a service."""
        with _LOCKS[service]:
            return getattr(self._connection, service)

    def get(
        self,
        service: Service,
        path: str,
        params: Query | None = None,
        microversion: str | None = None,
    ) -> Json:
        """GET one JSON document; errors as in :meth:`read`."""
        return self.read(Json, service, path, params, microversion)

    def read(
        self,
        kind: type[_Kind],
        service: Service,
        path: str,
        params: Query | None = None,
        microversion: str | None = None,
    ) -> _Kind:
        """GET one JSON document as an object of a kind that msgspec decodes.

        Values without a field in the kind are skipped: most of the text of a big page.

        :raises Unreadable: the message has the reason
        """
        name = _SERVICE_NAMES[service]
        try:
            return self._read(kind, service, path, params, microversion)
        except (ksa.EndpointNotFound, sdk.ServiceDisabledException, sdk.NotSupported) as error:
            raise Unreadable(f"{name} {_NO_ENDPOINT}") from error
        except ksa.HttpError as error:
            reason = f"{name} answered {error.http_status}: {_reason(error)}"
            if service == "placement" and error.http_status == 403:
                # Placement does not name the permission.
                reason += " Its default policy requires an administrator."
            elif "get_all_tenants" in reason:
                reason += (
                    " Only administrators may list the servers of all projects, unless Nova's"
                    " policy allows it to others."
                )
            raise Unreadable(reason, error.http_status) from error
        except (ksa.ClientException, sdk.SDKException) as error:
            raise Unreadable(f"{name} could not be reached: {error}") from error
        except msgspec.ValidationError as error:
            raise Unreadable(f"{name} answered with something unexpected") from error
        except (msgspec.DecodeError, ValueError) as error:
            raise Unreadable(f"{name} answered with something that is not JSON") from error

    def _read(
        self,
        kind: type[_Kind],
        service: Service,
        path: str,
        params: Query | None,
        microversion: str | None,
    ) -> _Kind:
        for attempt in range(_RETRIES + 1):
            try:
                response = self._proxy(service).get(
                    path,
                    params=params,
                    microversion=microversion,
                    raise_exc=True,
                    connect_retries=_RETRIES,
                    status_code_retries=_RETRIES,
                    retriable_status_codes=_RETRIABLE,
                    log=_is_debugging(),
                )
                return _decoded(response.content, kind)
            except ksa.UnknownConnectionError:
                # A truncated answer: keystoneauth does not retry.
                if attempt == _RETRIES:
                    raise
        raise AssertionError  # not reached

    def items(
        self,
        service: Service,
        path: str,
        key: str,
        params: Query | None = None,
        microversion: str | None = None,
    ) -> list[Any]:
        """GET a document and return the list under a key."""
        return _list(service, self.get(service, path, params, microversion), key)

    def send(
        self,
        service: Service,
        method: Literal["POST", "PUT", "DELETE"],
        path: str,
        body: Json | None = None,
        microversion: str | None = None,
    ) -> None:
        """Send one request that writes, once.

        :raises WriteFailed: the message has the reason
        """
        name = _SERVICE_NAMES[service]
        try:
            self._proxy(service).request(
                path,
                method,
                json=body,
                microversion=microversion,
                raise_exc=True,
                connect_retries=0,
                status_code_retries=0,
            )
        except (ksa.EndpointNotFound, sdk.ServiceDisabledException, sdk.NotSupported) as error:
            raise WriteFailed(f"{name} {_NO_ENDPOINT}") from error
        except ksa.HttpError as error:
            status = error.http_status
            # A gateway's error leaves it open whether the service carried out the request.
            raise WriteFailed(
                f"{name} answered {status}: {_reason(error)}", status, unsure=status >= 500
            ) from error
        except (ksa.ClientException, sdk.SDKException) as error:
            raise WriteFailed(f"{name} gave no answer: {error}", unsure=True) from error

    def pages(
        self, service: Service, path: str, key: str, params: Query, microversion: str | None = None
    ) -> Iterator[Json]:
        """Yield the items of a paged collection of Nova or Cinder, at the server's page size."""
        query: dict[str, str] = dict(params)
        while True:
            page = self.get(service, path, query, microversion)
            items = _list(service, page, key)
            yield from items
            links = page.get(f"{key}_links") or []
            if not any(link.get("rel") == "next" for link in links):
                return
            if not items:
                raise Unreadable(
                    f"{_SERVICE_NAMES[service]} returns an empty page with a link to the next page"
                )
            marker = str(items[-1]["id"])
            if marker == query.get("marker"):
                raise Unreadable(f"{_SERVICE_NAMES[service]} returns the same page again and again")
            query["marker"] = marker

    @property
    def is_system_scoped(self) -> bool:
        """Whether the token is for the whole system, not for a project."""
        session = self._connection.session
        access = getattr(session.auth, "get_access", None)
        try:
            return bool(access and access(session).system_scoped)
        except ksa.ClientException:
            # Each request reports why there is no token.
            return False

    def compute_microversion(self, wanted: str) -> str:
        """Return the newest microversion of Nova up to ``wanted``.

        :raises CloudError: when Nova is older than Train, or does not report its microversions
        """
        newest = None
        with contextlib.suppress(ksa.ClientException, sdk.SDKException):
            newest = sdk_utils.maximum_supported_microversion(self._proxy("compute"), wanted)
        if newest is None or version(newest) < version(COMPUTE_OLDEST):
            found = f"offers {newest} at most" if newest else "did not report its microversions"
            raise CloudError(
                f"Nova (compute) {found}; microversion {COMPUTE_OLDEST} (Train) or newer is needed"
            )
        return newest


def _decoded(text: bytes, kind: type[_Kind]) -> _Kind:
    """Return an answer as an object.

    :raises ValueError: or msgspec.DecodeError, when it is no JSON
    """
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        # OpenStack services may write NaN or lone surrogates, which Python's json accepts: such
        # a value in a field that is not read must not fail the whole page.
        return msgspec.convert(json.loads(text), kind)


def _is_debugging() -> bool:
    """Whether a handler writes debug messages.

    The shell enables them for all loggers, and keystoneauth parses each answer again for them.
    """
    return any(handler.level <= logging.DEBUG for handler in logging.getLogger().handlers)


@contextlib.contextmanager
def parsing(service: Service) -> Iterator[None]:
    """Raise Unreadable for an answer of an unexpected form."""
    try:
        yield
    except (KeyError, TypeError, AttributeError, ValueError, msgspec.ValidationError) as error:
        raise Unreadable(f"{_SERVICE_NAMES[service]} answered with something unexpected") from error


def or_unchecked(
    read: Callable[_Asked, _Kind], *args: _Asked.args, **kwargs: _Asked.kwargs
) -> _Kind | Unchecked:
    """Return the result of a read, or the reason why it failed."""
    try:
        return read(*args, **kwargs)
    except CloudError as error:
        return Unchecked(str(error), status=error.status)


def or_default(
    default: _Kind, read: Callable[_Asked, _Kind], *args: _Asked.args, **kwargs: _Asked.kwargs
) -> tuple[_Kind, str | None]:
    """Return the result of a read and None, or a default and the reason why it failed."""
    try:
        return read(*args, **kwargs), None
    except CloudError as error:
        return default, str(error)


def _list(service: Service, document: Json, key: str) -> list[Any]:
    found = document.get(key)
    if not isinstance(found, list):
        raise Unreadable(f"{_SERVICE_NAMES[service]} answered without {key}")
    return found


def _reason(error: ksa.HttpError) -> str:
    """Return the reason in an error answer."""
    if error.response is None:
        return error.message
    page = error.response.text
    if "</h1>" in page:
        # Glance answers with an HTML page; the reason is below its heading.
        reason = html.unescape(re.sub(r"<[^>]*>", " ", page.rpartition("</h1>")[2]))
        return " ".join(reason.split()) or error.message
    try:
        sdk.raise_from_response(error.response)
    except sdk.HttpException as parsed:
        return parsed.details or error.message
    return error.message


def version(text: str) -> tuple[int | float, ...]:
    """Return a microversion as numbers, for comparison."""
    return tuple(discover.normalize_version_number(text))
