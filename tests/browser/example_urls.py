"""URLs of the example site: Django's own users with our mixin, as the README adds it."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.admin import UserAdmin
from django.urls import include, path

from django_userpods.admin import UserPodsUserAdminMixin

admin.site.unregister(get_user_model())


@admin.register(get_user_model())
class MyUserAdmin(UserPodsUserAdminMixin, UserAdmin):  # type: ignore[type-arg]
    """As in a project."""


# A list of users that knows nothing of ours.
plain = admin.AdminSite("plain")
plain.register(get_user_model(), UserAdmin)

urlpatterns = [
    path("", include("django_userpods.urls")),
    path("admin/", admin.site.urls),
    path("plain/", plain.urls),
]
