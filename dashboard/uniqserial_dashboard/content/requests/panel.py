# SPDX-License-Identifier: Apache-2.0
"""A panel without a menu entry."""

import horizon
from django.utils.translation import gettext_lazy as _


class Requests(horizon.Panel):
    """Has the URL of the button."""

    name = _("Requests for Unique Serial Numbers")
    slug = "unique_serial_requests"
    permissions = ("openstack.services.compute",)
    nav = False
