"""URLs with an admin whose user list has the actions on pods, for whatever user model there is."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.urls import include, path

from django_userpods.admin import (
    AccessTokenAdmin,
    PodSessionAdmin,
    ShareAdmin,
    UserPodAdmin,
    UserPodsUserAdminMixin,
)
from django_userpods.models import AccessToken, PodSession, Share, UserPod


class Site(admin.AdminSite):
    """A site of the test's own."""


class PodsOfUsersAdmin(UserPodsUserAdminMixin, admin.ModelAdmin):  # type: ignore[type-arg]
    """The mixin of one line, on a user list with an action of its own."""

    actions = ("own",)
    search_fields = (get_user_model().USERNAME_FIELD,)

    @admin.action(description="Own")
    def own(self, request: object, queryset: object) -> None:
        """Do nothing."""


site = Site(name="admin")
site.register(UserPod, UserPodAdmin)
site.register(AccessToken, AccessTokenAdmin)
site.register(PodSession, PodSessionAdmin)
site.register(Share, ShareAdmin)
site.register(get_user_model(), PodsOfUsersAdmin)

urlpatterns = [
    path("admin/", site.urls),
    path("", include("django_userpods.urls")),
]
