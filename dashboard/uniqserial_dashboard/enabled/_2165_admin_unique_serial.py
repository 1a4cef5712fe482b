# SPDX-License-Identifier: Apache-2.0
"""The panel Admin > Compute > Serial Numbers."""

PANEL = "serial_numbers"
PANEL_DASHBOARD = "admin"
PANEL_GROUP = "compute"
ADD_PANEL = "uniqserial_dashboard.content.serial_numbers.panel.SerialNumbers"
