# SPDX-License-Identifier: Apache-2.0
"""The page of the panel, and its downloads."""

from __future__ import annotations

from typing import Any

from django import http
from django.shortcuts import redirect
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe
from horizon import messages, tabs

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


@require_safe  # type: ignore[untyped-decorator]
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
