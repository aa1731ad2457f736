"""The admin: pods, tokens, pod sessions, profiles, shares, and a mixin for the user list.

Found by Django's autodiscovery. In a project's own ``admin.py``::

    @admin.register(User)
    class MyUserAdmin(UserPodsUserAdminMixin, UserAdmin): ...
"""

from __future__ import annotations

from django_userpods.admin.pods import UserPodAdmin
from django_userpods.admin.podsessions import PodSessionAdmin
from django_userpods.admin.profiles import ProfileAdmin
from django_userpods.admin.shares import ShareAdmin
from django_userpods.admin.tokens import AccessTokenAdmin
from django_userpods.admin.users import UserPodsUserAdminMixin

__all__ = [
    "AccessTokenAdmin",
    "PodSessionAdmin",
    "ProfileAdmin",
    "ShareAdmin",
    "UserPodAdmin",
    "UserPodsUserAdminMixin",
]
