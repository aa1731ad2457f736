"""The project's user list with actions on users' pods: a mixin of one line."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.admin import UserAdmin

from django_userpods.admin import UserPodsUserAdminMixin

User = get_user_model()
admin.site.unregister(User)


@admin.register(User)
class ExampleUserAdmin(UserPodsUserAdminMixin, UserAdmin):  # type: ignore[type-arg]  # not generic at run time
    """Django's user admin with *Sync*, *Start*, *Stop*, *Restart* and *Delete and recreate*."""
