# SPDX-License-Identifier: Apache-2.0
"""Links to the pages of Horizon about one flavor, image, host, host aggregate or server."""

from __future__ import annotations

from typing import NamedTuple

from django.urls import NoReverseMatch, reverse

from uniqserial_dashboard.tab import SLUG

#: The page of a resource, by type. Horizon has none of a flavor: ours leads to its row.
_PAGES = {
    "flavor": "horizon:admin:serial_numbers:flavor",
    "host": "horizon:admin:hypervisors:detail",
    "image": "horizon:admin:images:detail",
    "server": "horizon:admin:instances:detail",
}
#: The list with a resource, by type, and the anchor of its row.
_LISTS = {"aggregate": ("horizon:admin:aggregates:index", "host_aggregates__row__")}
_QUERIES = {"server": f"?tab=instance_details__{SLUG}"}


class Link(NamedTuple):
    """A text, and the page that it leads to; None without one."""

    text: str
    url: str | None


def resource_url(kind: str, id_: str | None) -> str | None:
    """Return the path of the page about a resource; None without one.

    :param kind: type of the resource, as findings have it
    :param id_: its ID, which may be any text; of a host see :func:`host_url`
    """
    # A browser removes path segments that consist of dots.
    if not id_ or not id_.strip("."):
        return None
    try:
        if kind in _PAGES:
            return f"{reverse(_PAGES[kind], args=[id_])}{_QUERIES.get(kind, '')}"
        if kind in _LISTS and id_.isdecimal():
            page, anchor = _LISTS[kind]
            return f"{reverse(page)}#{anchor}{id_}"
    except NoReverseMatch:
        # An ID with a slash, or a page that this Horizon does not have.
        pass
    return None


def host_url(id_: str | None, hostname: str | None) -> str | None:
    """Return the path of the page about a hypervisor; None without one.

    :param id_: its ID
    :param hostname: its own name, not that of its service
    """
    return resource_url("host", f"{id_}_{hostname}") if id_ and hostname else None
