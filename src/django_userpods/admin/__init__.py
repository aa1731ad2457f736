"""The admin: user pods, tokens, pod sessions and shares, and a mixin of one line for the user list.

Found by Django's autodiscovery. In a project's own ``admin.py``::

    @admin.register(User)
    class MyUserAdmin(UserPodsUserAdminMixin, UserAdmin): ...
"""

from __future__ import annotations

from django_userpods.admin.pods import UserPodAdmin
from django_userpods.admin.podsessions import PodSessionAdmin
from django_userpods.admin.shares import ShareAdmin
from django_userpods.admin.tokens import AccessTokenAdmin
from django_userpods.admin.users import UserPodsUserAdminMixin

__all__ = [
    "AccessTokenAdmin",
    "PodSessionAdmin",
    "ShareAdmin",
    "UserPodAdmin",
    "UserPodsUserAdminMixin",
]
