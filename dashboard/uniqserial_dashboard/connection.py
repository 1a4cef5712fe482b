# SPDX-License-Identifier: Apache-2.0
"""A connection of openstacksdk with the token and the rights of the user of a request.

The token's own service catalog is used: no request to Keystone, and no new token.
"""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from keystoneauth1 import access, session
from keystoneauth1.identity.access import AccessInfoPlugin
from openstack.connection import Connection

#: Seconds without an answer after which a request fails: a page waits for it.
_TIMEOUT = 20


class Token(Protocol):
    """The token of a user of Horizon."""

    id: str
    expires: datetime.datetime | str


class User(Protocol):
    """A user of Horizon (``openstack_auth.user.User``)."""

    id: str
    token: Token
    project_id: str | None
    services_region: str | None
    service_catalog: Sequence[Mapping[str, Any]]


class Settings(Protocol):
    """The settings of Horizon that are used."""

    OPENSTACK_ENDPOINT_TYPE: str
    OPENSTACK_SSL_NO_VERIFY: bool
    OPENSTACK_SSL_CACERT: str | None


@contextlib.contextmanager
def connected(user: User, settings: Settings) -> Iterator[Connection]:
    """Yield a connection that is closed at the end.

    :param user: who is logged in; the connection has this user's rights
    :param settings: the settings of Horizon
    """
    keystone = session.Session(
        auth=AccessInfoPlugin(_access(user)), verify=_verify(settings), timeout=_TIMEOUT
    )
    connection = Connection(
        session=keystone,
        region_name=user.services_region,
        interface=settings.OPENSTACK_ENDPOINT_TYPE.removesuffix("URL"),
        app_name="uniqserial-dashboard",
    )
    try:
        yield connection
    finally:
        connection.close()
        keystone.session.close()


def _verify(settings: Settings) -> bool | str:
    if settings.OPENSTACK_SSL_NO_VERIFY:
        return False
    return settings.OPENSTACK_SSL_CACERT or True


def _access(user: User) -> access.AccessInfoV3:
    expires = user.token.expires
    token: dict[str, Any] = {
        "methods": ["token"],
        "user": {"id": user.id},
        "expires_at": expires if isinstance(expires, str) else expires.isoformat(),
        "catalog": list(user.service_catalog),
    }
    if user.project_id:
        token["project"] = {"id": user.project_id}
    return access.AccessInfoV3({"token": token}, auth_token=user.token.id)
