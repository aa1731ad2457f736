"""The project's own admin site, with its name on it."""

from __future__ import annotations

from django.contrib.admin.apps import AdminConfig


class ExampleAdminConfig(AdminConfig):
    """Django's admin with this project's site as the default one."""

    default_site = "example.sites.ExampleAdminSite"
