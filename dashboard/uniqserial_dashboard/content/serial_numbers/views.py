# SPDX-License-Identifier: Apache-2.0
"""The page of the panel, and its downloads."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

from django import http
from django.conf import settings
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe
from horizon import messages, tabs
from keystoneauth1.exceptions import ClientException
from openstack.exceptions import SDKException

from uniqserial_dashboard.connection import connected
from uniqserial_dashboard.content.serial_numbers import nightly
from uniqserial_dashboard.content.serial_numbers.tabs import SerialNumberTabs
from uniqserial_dashboard.report import Unusable, opened

_INDEX = "horizon:admin:serial_numbers:index"
#: A browser that opens a download runs nothing of it.
_INERT = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox"}


class IndexView(tabs.TabView):
    """The findings of the nightly audit, and the hosts."""

    tab_group_class = SerialNumberTabs
    template_name = "uniqserial_dashboard/index.html"
    page_title = _("Serial Numbers")


@require_safe  # type: ignore[untyped-decorator]  # Django has no types
def show_flavor(request: Any, flavor_id: str) -> http.HttpResponse:
    """Redirect to the row of a flavor in Horizon's list, whose pages are found by a marker."""
    page = reverse("horizon:admin:flavors:index")
    try:
        with connected(request.user, settings) as connection:
            # The list has this order, and all flavors.
            query: dict[str, Any] = {"sort_key": "name", "sort_dir": "asc", "is_public": None}
            listed = (each.id for each in connection.compute.flavors(details=False, **query))
            before = None
            for id_ in listed:
                if id_ == flavor_id:
                    marker = f"?{urlencode({'marker': before})}" if before else ""
                    return redirect(f"{page}{marker}#flavors__row__{quote(id_)}")
                before = id_
    except (SDKException, ClientException) as error:
        messages.error(request, _("The flavors could not be read: %(error)s") % {"error": error})
    else:
        messages.error(request, _("The flavor is missing. It was deleted after the audit."))
    return redirect(page)


@require_safe  # type: ignore[untyped-decorator]  # Django has no types
def download_csv(request: Any) -> http.HttpResponse:
    """Return the findings as a CSV file."""
    try:
        lines = nightly.read().csv()
    except Unusable as error:
        messages.error(request, str(error))
        return redirect(_INDEX)
    return http.StreamingHttpResponse(
        lines,
        content_type="text/csv; charset=utf-8",
        headers={
            **_INERT,
            "Content-Disposition": 'attachment; filename="unique-serial-findings.csv"',
        },
    )


@require_safe  # type: ignore[untyped-decorator]  # Django has no types
def download_html(request: Any) -> http.HttpResponse:
    """Return the HTML report as a download, never as a page of Horizon."""
    path = nightly.html_path()
    if path is None:
        raise http.Http404
    try:
        file = opened(path)
    except Unusable as error:
        messages.error(request, str(error))
        return redirect(_INDEX)
    return http.FileResponse(
        file,
        as_attachment=True,
        filename="unique-serial-report.html",
        content_type="text/html; charset=utf-8",
        headers=_INERT,
    )
