# SPDX-License-Identifier: Apache-2.0
"""The files of the nightly job, as the settings name them."""

from __future__ import annotations

import functools

from django.conf import settings

from uniqserial_dashboard.report import Report, ReportFile, Unusable


@functools.lru_cache(maxsize=1)
def _file(path: str) -> ReportFile:
    return ReportFile(path)


def read() -> Report:
    """Return the report in ``UNIQUE_SERIAL_REPORT``.

    :raises Unusable: the message has the reason
    """
    path = getattr(settings, "UNIQUE_SERIAL_REPORT", None)
    if not path:
        raise Unusable(
            "Horizon's setting UNIQUE_SERIAL_REPORT is not set. It names the JSON report of the"
            " nightly audit."
        )
    return _file(str(path)).read()


def html_path() -> str | None:
    """Return the path in ``UNIQUE_SERIAL_REPORT_HTML``; None when it is not set."""
    path = getattr(settings, "UNIQUE_SERIAL_REPORT_HTML", None)
    return str(path) if path else None
