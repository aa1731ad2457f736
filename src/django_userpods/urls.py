"""URLs: ``path("", include("django_userpods.urls"))``."""

from __future__ import annotations

from django.urls import path

from django_userpods.pages import waiting, whoami

app_name = "userpods"

urlpatterns = [
    path("whoami", whoami.whoami, name="whoami"),
    path("userpods/waiting/", waiting.waiting, name="waiting"),
    path("userpods/status/", waiting.status, name="status"),
    path("userpods/wake/", waiting.wake, name="wake"),
]
