# SPDX-License-Identifier: Apache-2.0
"""The tab on the page of an instance, and the URL of its button."""

PANEL = "unique_serial_requests"
PANEL_DASHBOARD = "project"
PANEL_GROUP = "compute"
ADD_PANEL = "uniqserial_dashboard.content.requests.panel.Requests"
ADD_INSTALLED_APPS = ["uniqserial_dashboard"]

_TAB = "uniqserial_dashboard.tab.SerialNumberTab"
EXTRA_TABS = {
    "openstack_dashboard.dashboards.project.instances.tabs.InstanceDetailTabs": (_TAB,),
    "openstack_dashboard.dashboards.admin.instances.tabs.AdminInstanceDetailTabs": (_TAB,),
}
