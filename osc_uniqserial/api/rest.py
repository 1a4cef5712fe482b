# SPDX-License-Identifier: Apache-2.0
"""Requests to the APIs. This folder is the only importer of openstack* and keystoneauth1.

Reads are retried a bounded number of times. Writes are sent once; after 429 again, because the
service did not carry them out.
"""

from __future__ import annotations

import contextlib
import json
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar

import keystoneauth1.exceptions as ksa
import msgspec
from keystoneauth1 import discover
from openstack import exceptions as sdk
from openstack import utils as sdk_utils

from osc_uniqserial.api import transport
from osc_uniqserial.api.error_pages import ErrorAnswer
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
_TOO_MANY = 429
_RETRIABLE = [_TOO_MANY, 500, 502, 503, 504]
_RETRIES = 2
#: Seconds without an answer after which a request fails.
_TIMEOUT = 60
#: The most pages of a list: 100,000 volumes are 100 pages, or 1,000 where Cinder's limit is 100.
_MOST_PAGES = 2000
#: The most pages of a list with fewer items than 10 on each: no service has such a limit.
_MOST_SMALL_PAGES = 100
_SMALL = 10

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
#: The services whose IDs identify a cloud.
_IDENTIFYING: tuple[Service, ...] = ("compute", "image")
_NO_ENDPOINT = "has no usable endpoint in the service catalog (region, interface or version)"
_NO_SCOPE = (
    "has no endpoint, because the token is unscoped and has no service catalog: select a project"
    " (OS_PROJECT_NAME, or project_name in clouds.yaml)"
)
#: What Python raises for documents of another form.
_OTHER_FORM = (AttributeError, LookupError, RecursionError, TypeError, ValueError)

#: Stein, the oldest Nova API that is supported.
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
    :ivar wait: seconds until the service takes requests again; None: it is not too busy
    """

    def __init__(self, reason: str, status: int | None = None, unsure: bool = False) -> None:
        super().__init__(reason, status)
        self.unsure = unsure
        self.wait: int | None = None


class Rest:
    """JSON requests through the session of an SDK connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        mask_logs()
        transport.install(connection.session.session)
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
        with self._reading(service):
            return self._read(kind, service, path, params, microversion)

    def _reading(self, service: Service) -> contextlib.AbstractContextManager[None]:
        return self._failures(
            service,
            "could not be reached",
            lambda reason, status, _sent: Unreadable(reason, status),
        )

    @contextlib.contextmanager
    def _failures(
        self,
        service: Service,
        unanswered: str,
        raised: Callable[[str, int | None, bool], CloudError],
    ) -> Iterator[None]:
        """Send with bounds, and raise what went wrong as an error with the service and the reason.

        :param unanswered: the words for a request without an answer
        :param raised: makes the error of its reason, the HTTP status, and whether the request may
            have been sent
        """
        status, sent = None, True
        with transport.bounded() as bounds:
            try:
                yield
                return
            except ErrorAnswer as failed:
                error: Exception = failed
                status, reason = failed.status, failed.reason + _hint(service, failed)
            except CloudError:
                raise
            except (ksa.EndpointNotFound, sdk.ServiceDisabledException, sdk.NotSupported) as failed:
                error, sent = failed, False
                reason = _NO_SCOPE if self._is_unscoped else _NO_ENDPOINT
            except (ksa.ClientException, sdk.SDKException) as failed:
                error, reason = failed, f"{unanswered}: {failed}"
            except msgspec.ValidationError as failed:
                error, reason = failed, "answered with something unexpected"
            except ValueError as failed:
                error, reason = failed, "answered with something that is not JSON"
            except _OTHER_FORM as failed:
                error, reason = failed, "answered with something unexpected"
        # keystoneauth conceals the failures of discovery.
        text = f"{_SERVICE_NAMES[service]} {bounds.refusal or reason}"
        raise raised(text, status, sent) from error

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
                    raise_exc=False,
                    connect_retries=_RETRIES,
                    status_code_retries=_RETRIES,
                    retriable_status_codes=_RETRIABLE,
                    log=_is_debugging(),
                )
                if response.status_code >= 400:
                    raise ErrorAnswer(response)
                return _decoded(response.content, kind)
            except ksa.UnknownConnectionError as error:
                # A truncated answer: keystoneauth does not retry.
                if attempt == _RETRIES or isinstance(error.original, transport.Refused):
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
        method: Literal["POST", "PUT", "PATCH", "DELETE"],
        path: str,
        body: Json | list[Json] | None = None,
        microversion: str | None = None,
        media_type: str = "application/json",
    ) -> Json | None:
        """Send one request that writes, once.

        :returns: the JSON object of the answer; None when it has none
        :raises WriteFailed: the message has the reason
        """

        wait: int | None = None

        def failed(reason: str, status: int | None, sent: bool) -> WriteFailed:
            # A gateway's error leaves it open whether the service carried out the request.
            error = WriteFailed(reason, status, sent and (status is None or status >= 500))
            error.wait = wait
            return error

        with self._failures(service, "gave no answer", failed):
            response = self._proxy(service).request(
                path,
                method,
                json=body,
                headers={"Content-Type": media_type} if body is not None else None,
                microversion=microversion,
                raise_exc=False,
                connect_retries=0,
                status_code_retries=0,
            )
            if response.status_code == _TOO_MANY:
                # transport caps the header.
                wait = int(response.headers.get("Retry-After", 1))
            if response.status_code >= 400:
                raise ErrorAnswer(response)
            # The request is carried out, whatever the body is.
            with contextlib.suppress(msgspec.ValidationError, *_OTHER_FORM):
                return _decoded(response.content, Json)
            return None

    def pages(
        self, service: Service, path: str, key: str, params: Query, microversion: str | None = None
    ) -> Iterator[Json]:
        """Yield the items of a paged collection of Nova or Cinder, at the server's page size."""
        query: dict[str, str] = dict(params)
        count = PageCount(service, key)
        while True:
            page = self.get(service, path, query, microversion)
            items = _list(service, page, key)
            count.add(len(items))
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
    def has_project(self) -> bool:
        """Whether the token is for a project, as far as known."""
        access = self._access
        return not access or bool(access.project_scoped)

    @property
    def _is_unscoped(self) -> bool:
        access = self._access
        return bool(access and not access.scoped)

    @property
    def _access(self) -> Any:
        """The token's own data; None where it is unknown."""
        session = self._connection.session
        access = getattr(session.auth, "get_access", None)
        with contextlib.suppress(ksa.ClientException, *_OTHER_FORM), transport.bounded():
            return access and access(session)
        # Each request reports why there is no token.
        return None

    def identity(self) -> dict[str, str | None]:
        """Return what identifies the cloud, whichever interface and URL it is used by.

        Sends no request to the services: one that is down would be unknown.

        :returns: the IDs of the services ``compute`` and ``image`` in the token's catalog, or their
            URLs where they are not in a catalog, and the ``region``; each None when unknown
        """
        access, config = self._access, self._connection.config
        region: str | None = config.get_region_name()
        found: dict[str, str | None] = {}
        for service in _IDENTIFYING:
            endpoints = []
            if access is not None and access.has_service_catalog():
                listed = access.service_catalog.get_endpoints_data(
                    config.get_service_type(service), region_name=region
                )
                endpoints = [each for several in listed.values() for each in several]
            if endpoints:
                found[service] = endpoints[0].service_id
                region = region or endpoints[0].region_name
            else:
                url = config.get_endpoint(service)
                found[service] = url and without_secrets(url)
        return {**found, "region": region}

    def compute_microversion(self, wanted: str) -> str:
        """Return the newest microversion of Nova up to ``wanted``.

        Where the version document cannot be read, it is the user's ``--os-compute-api-version``,
        with which other commands go on too.

        :raises CloudError: when Nova is older than Stein, or does not report its microversions
        """
        explicit = None
        newest = None
        try:
            with self._reading("compute"):
                proxy = self._proxy("compute")
                explicit = getattr(proxy, "default_microversion", None)
                newest = sdk_utils.maximum_supported_microversion(proxy, wanted)
            if newest is None:
                # The reason, which keystoneauth conceals.
                self.get("compute", "/")
        except Unreadable:
            if explicit is None:
                raise
        if newest is not None:
            found = f"Nova (compute) offers {newest} at most"
        elif explicit is not None:
            newest = min(wanted, explicit, key=version)
            found = f"--os-compute-api-version {explicit} is too old"
        if newest is None or version(newest) < version(COMPUTE_OLDEST):
            found = found if newest else "Nova (compute) does not report its microversions"
            raise CloudError(f"{found}; microversion {COMPUTE_OLDEST} (Stein) or newer is needed")
        return newest


def _hint(service: Service, error: ErrorAnswer) -> str:
    """Return what the service leaves out of its reason."""
    if service == "placement" and error.status == 403:
        # Placement does not name the permission.
        return " Its default policy requires an administrator."
    if "get_all_tenants" in error.reason:
        return (
            " Only administrators may list the servers of all projects, unless Nova's"
            " policy allows it to others."
        )
    return ""


class PageCount:
    """The pages of a list, so that a list without end is given up."""

    def __init__(self, service: Service, key: str) -> None:
        self._what = f"{_SERVICE_NAMES[service]} lists {key} without end"
        self._pages = self._items = 0

    def add(self, items: int) -> None:
        """Count a page.

        :raises Unreadable: when there are too many
        """
        self._pages += 1
        self._items += items
        small = self._pages > _MOST_SMALL_PAGES and self._items < self._pages * _SMALL
        if small or self._pages > _MOST_PAGES:
            raise Unreadable(f"{self._what}: {self._pages} pages with {self._items}, and more")


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
        document = json.loads(text, parse_constant=lambda _name: None)
        repaired = json.dumps(document, ensure_ascii=False).encode(errors="replace")
        return msgspec.json.decode(repaired, type=kind)


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
    except (*_OTHER_FORM, msgspec.ValidationError) as error:
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


def version(text: str) -> tuple[int | float, ...]:
    """Return a microversion as numbers, for comparison."""
    return tuple(discover.normalize_version_number(text))
