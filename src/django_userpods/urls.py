"""URLs: ``path("", include("django_userpods.urls"))``."""

from __future__ import annotations

from django.urls import path

from django_userpods.pages import views

app_name = "userpods"

urlpatterns = [
    path("whoami", views.whoami, name="whoami"),
    path("userpods/waiting/", views.waiting, name="waiting"),
    path("userpods/status/", views.status, name="status"),
    path("userpods/wake/", views.wake, name="wake"),
]
