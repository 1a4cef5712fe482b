# SPDX-License-Identifier: Apache-2.0
"""Ask for a unique serial number in the metadata of a server."""

from __future__ import annotations

import uuid
from typing import Any

from django import http
from django.conf import settings
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views import generic
from horizon import messages

import osc_uniqserial
from uniqserial_dashboard.connection import connected
from uniqserial_dashboard.tab import SLUG

_DASHBOARDS = ("project", "admin")


class AskView(generic.View):
    """Sets the metadata, and returns to the tab."""

    http_method_names = ("post",)

    def post(self, request: Any, instance_id: uuid.UUID) -> http.HttpResponse:
        """Set the metadata with the rights of the user."""
        server_id = str(instance_id)
        try:
            with connected(request.user, settings) as connection:
                osc_uniqserial.ask_unique(connection, server_id)
        except osc_uniqserial.CloudError as error:
            messages.error(
                request,
                _("The metadata of the instance was not changed: %(reason)s") % {"reason": error},
            )
        else:
            messages.success(
                request,
                _(
                    "hw_unique_serial=true is stored with the instance. It counts at the next hard"
                    " reboot, or stop and start."
                ),
            )
        dashboard = request.POST.get("dashboard")
        if dashboard not in _DASHBOARDS:
            dashboard = _DASHBOARDS[0]
        page = reverse(f"horizon:{dashboard}:instances:detail", args=[server_id])
        return redirect(f"{page}?tab=instance_details__{SLUG}")
