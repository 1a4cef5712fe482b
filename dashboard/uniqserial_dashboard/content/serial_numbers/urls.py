# SPDX-License-Identifier: Apache-2.0
"""URLs of the panel."""

from django.urls import path

from uniqserial_dashboard.content.serial_numbers import views

urlpatterns = [
    path("", views.IndexView.as_view(), name="index"),
    path("flavor/<str:flavor_id>/", views.show_flavor, name="flavor"),
    path("findings.csv", views.download_csv, name="csv"),
    path("report.html", views.download_html, name="html"),
]
