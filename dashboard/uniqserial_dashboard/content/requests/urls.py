# SPDX-License-Identifier: Apache-2.0
"""URL of the button."""

from django.urls import path

from uniqserial_dashboard.content.requests import views

urlpatterns = [path("<uuid:instance_id>/", views.AskView.as_view(), name="ask")]
