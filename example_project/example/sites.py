"""The admin site of the example project."""

from __future__ import annotations

from django.contrib import admin


class ExampleAdminSite(admin.AdminSite):
    """Django's admin, named after what it is for."""

    site_title = "User pods example"
    site_header = "User pods example"
    index_title = "Users and their pods"
    # The account page: "/" is the administrator's own pod.
    site_url = "/accounts/"
