"""The app: connects receivers and checks. Imports no Kubernetes client."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class UserPodsConfig(AppConfig):
    """django-userpods as an entry of ``INSTALLED_APPS``."""

    name = "django_userpods"
    label = "userpods"
    verbose_name = _("User pods")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Connect what asks for reconciles, and the system checks."""
        from contextlib import suppress

        from django_userpods import checks, receivers, site_checks
        from django_userpods.conf import conf
        from django_userpods.exceptions import SettingError

        checks.register()
        site_checks.register()
        receivers.connect()
        # Workers look at start for the tasks that they are sent; the checks say what is wrong.
        with suppress(SettingError):
            _ = conf.USERPODS_QUEUE
