# SPDX-License-Identifier: Apache-2.0
"""The tabs of the panel."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.paginator import Paginator
from django.utils.translation import gettext_lazy as _
from horizon import tabs

import osc_uniqserial
from uniqserial_dashboard.connection import connected
from uniqserial_dashboard.content.serial_numbers import nightly
from uniqserial_dashboard.content.serial_numbers.links import Link, host_url, resource_url
from uniqserial_dashboard.explained import SOURCES, YES_NO
from uniqserial_dashboard.report import SEVERITIES, Finding, Unusable

if TYPE_CHECKING:
    from osc_uniqserial.checks import readiness
    from osc_uniqserial.model.cloud import Fleet, Host

#: Findings on a page.
_PAGE = 50
#: Names or IDs that are shown of many.
_SHOWN = 5
_LONGEST_FILTER = 200
_SEVERITIES = dict(
    zip(
        SEVERITIES,
        (_("High"), _("Medium"), _("Low"), _("Information"), _("Not checked")),
        strict=True,
    )
)
#: Results of the readiness check by their value.
_RESULTS: dict[str, Any] = {
    "Success": _("Success"),
    "Info": _("Information"),
    "Warning": _("Warning"),
    "Unknown": _("Unknown"),
}


class Row:
    """A finding in the table."""

    def __init__(self, finding: Finding, hypervisors: Mapping[str, str]) -> None:
        self.finding = finding
        self.severity = _SEVERITIES[finding.severity]
        kind, id_ = finding.resource_type, finding.resource_id
        name = finding.resource_name or id_ or ""
        is_host = kind == "host"
        url = host_url(id_, hypervisors.get(id_ or "")) if is_host else resource_url(kind, id_)
        self.resource = Link(name, url)
        ids = finding.server_ids or ()
        self.servers = [Link(each, resource_url("server", each)) for each in ids[:_SHOWN]]
        self.more = len(ids) - len(self.servers)


class FindingsTab(tabs.Tab):
    """What the nightly audit found."""

    name = _("Findings")
    slug = "findings"
    template_name = "uniqserial_dashboard/_findings.html"

    def get_context_data(self, request: Any) -> dict[str, Any]:
        """Return one page of findings; a missing or broken report is a text in the tab."""
        try:
            report = nightly.read()
        except Unusable as error:
            return {"error": str(error)}
        names = ("severity", "check", "kind", "text")
        chosen = {name: request.GET.get(name, "").strip()[:_LONGEST_FILTER] for name in names}
        found = report.select(**chosen)
        query = request.GET.copy()
        query.pop("page", None)
        numbers = report.by_severity
        page = Paginator(found, _PAGE).get_page(request.GET.get("page"))
        return {
            "report": report,
            "severities": [(key, name, numbers[key]) for key, name in _SEVERITIES.items()],
            "sources": [
                (SOURCES.get(key, key), count) for key, count in report.sources.most_common()
            ],
            "chosen": chosen,
            "found": len(found),
            "page": page,
            "rows": [Row(each, report.hypervisors) for each in page],
            "query": query.urlencode(),
            "has_html": nightly.html_path() is not None,
        }


@dataclasses.dataclass(frozen=True, slots=True)
class Group:
    """Hosts with the same mode and driver."""

    mode: str
    honours: Any
    writes: Any
    count: int
    hosts: Sequence[Link]
    more: int


def _groups(fleet: Fleet) -> Iterator[Group]:
    found: dict[tuple[str, bool | None, bool | None], list[Host]] = defaultdict(list)
    for host in fleet.hosts:
        mode = host.input.mode.value if host.input.mode else ""
        found[mode, host.input.honours, host.writes_serials].append(host)
    for (mode, honours, writes), hosts in sorted(found.items(), key=lambda each: -len(each[1])):
        known = [host.hypervisor for host in hosts[:_SHOWN]]
        links = [Link(each.host, host_url(each.id, each.hostname)) for each in known]
        more = len(hosts) - len(links)
        yield Group(mode, YES_NO[honours], YES_NO[writes], len(hosts), links, more)


class HostsTab(tabs.Tab):
    """The hosts as they are now; read when the tab is opened."""

    name = _("Hosts")
    slug = "hosts"
    template_name = "uniqserial_dashboard/_hosts.html"
    preload = False

    def get_context_data(self, request: Any) -> dict[str, Any]:
        """Return the hosts by mode and driver; an error is a text in the tab."""
        try:
            with connected(request.user, settings) as connection:
                fleet = osc_uniqserial.hosts(connection)
        except osc_uniqserial.CloudError as error:
            return {"error": str(error)}
        if isinstance(fleet, osc_uniqserial.Unchecked):
            return {"error": fleet.reason}
        return {
            "groups": list(_groups(fleet)),
            "unread": [each for each in (fleet.traits_unread, fleet.aggregates_unread) if each],
            "down": len(fleet.hosts_of_down_cells),
        }


class Result:
    """A row of the readiness check."""

    def __init__(self, row: readiness.Row) -> None:
        self.check = row.check
        self.result = _RESULTS[row.result.value]
        self.id = row.id
        self.message = row.message
        self.remedy = row.remedy
        self.names = row.hosts[:_SHOWN]
        self.more = len(row.hosts) - len(self.names)


class ReadinessTab(tabs.Tab):
    """Whether the cloud can give servers a serial number of their own; read when opened."""

    name = _("Readiness")
    slug = "readiness"
    template_name = "uniqserial_dashboard/_readiness.html"
    preload = False

    def get_context_data(self, request: Any) -> dict[str, Any]:
        """Return the rows of the readiness check; an error is a text in the tab."""
        try:
            with connected(request.user, settings) as connection:
                found = osc_uniqserial.readiness(connection)
        except osc_uniqserial.CloudError as error:
            return {"error": str(error)}
        return {"rows": [Result(row) for row in found.rows]}


class SerialNumberTabs(tabs.TabGroup):
    """The tabs of the panel."""

    slug = "serial_numbers"
    tabs = (FindingsTab, ReadinessTab, HostsTab)
