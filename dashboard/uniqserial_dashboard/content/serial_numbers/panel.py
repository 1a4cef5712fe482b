# SPDX-License-Identifier: Apache-2.0
"""Who sees the panel."""

from __future__ import annotations

from typing import Any

import horizon
from django.conf import settings
from django.utils.translation import gettext_lazy as _


class SerialNumbers(horizon.Panel):
    """For users who may list the servers of all projects: the report is about all of them."""

    name = _("Serial Numbers")
    slug = "serial_numbers"
    permissions = ("openstack.services.compute",)
    # Both rules: the outer tuple has alternatives.
    policy_rules = (
        (
            ("compute", "os_compute_api:servers:detail:get_all_tenants"),
            ("uniqserial", "uniqserial:report:get"),
        ),
    )

    def allowed(self, context: dict[str, Any]) -> bool:
        """Refuse where Horizon checks no policy: no API protects the report."""
        return bool(settings.POLICY_CHECK_FUNCTION) and bool(super().allowed(context))
