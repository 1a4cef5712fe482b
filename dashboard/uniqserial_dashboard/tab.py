# SPDX-License-Identifier: Apache-2.0
"""The tab Serial Number on the page of an instance."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.middleware.csrf import get_token
from django.utils.translation import gettext_lazy as _
from horizon import tabs
from openstack_dashboard import policy

import osc_uniqserial
from uniqserial_dashboard.connection import connected
from uniqserial_dashboard.explained import Page

#: The slug of the tab in the URL of an instance.
SLUG = "unique_serial"
_RULE = (("compute", "os_compute_api:server-metadata:create"),)


class SerialNumberTab(tabs.Tab):
    """Explains the serial number of an instance; read when the tab is opened."""

    name = _("Serial Number")
    slug = SLUG
    template_name = "uniqserial_dashboard/_tab.html"
    preload = False

    def get_context_data(self, request: Any) -> dict[str, Any]:
        """Return what the template needs; an error is a text in the tab."""
        instance = self.tab_group.kwargs["instance"]
        try:
            with connected(request.user, settings) as connection:
                explained = osc_uniqserial.explain(connection, instance.id)
        except osc_uniqserial.CloudError as error:
            return {"error": str(error)}
        project_id = explained.explanation.server.project_id
        return {
            "page": Page(explained.explanation, list(explained.notes)),
            "may_write": policy.check(_RULE, request, {"project_id": project_id}),
            "instance_id": instance.id,
            # The tab is rendered without the request.
            "csrf_token": get_token(request),
            "dashboard": request.resolver_match.namespaces[1],
        }
