# SPDX-License-Identifier: Apache-2.0
"""Per-instance serial numbers for OpenStack: the Python API.

Each name is loaded when it is first used: the shell imports this package at every start.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from osc_uniqserial.api.rest import CloudError
    from osc_uniqserial.guests.options import GuestSources
    from osc_uniqserial.model.cloud import Unchecked
    from osc_uniqserial.pipelines import (
        Scope,
        ask_unique,
        audit,
        explain,
        hosts,
        readiness,
        verify,
    )
    from osc_uniqserial.reports.json import REPORT_VERSION

__all__ = [
    "REPORT_VERSION",
    "CloudError",
    "GuestSources",
    "Scope",
    "Unchecked",
    "ask_unique",
    "audit",
    "explain",
    "hosts",
    "readiness",
    "verify",
]

_HOMES = {
    "REPORT_VERSION": "reports.json",
    "CloudError": "api.rest",
    "GuestSources": "guests.options",
    "Scope": "pipelines",
    "Unchecked": "model.cloud",
    "ask_unique": "pipelines",
    "audit": "pipelines",
    "explain": "pipelines",
    "hosts": "pipelines",
    "readiness": "pipelines",
    "verify": "pipelines",
}


def __getattr__(name: str) -> Any:
    """Load a name of the API from its module."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
