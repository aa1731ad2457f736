"""The actions on the project's own user list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django_userpods.admin import wording
from django_userpods.admin.actions import PodActionsMixin

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from django.utils.functional import _StrOrPromise

    from django_userpods.core.operations import Operation
    from django_userpods.models import UserPod


class UserPodsUserAdminMixin(PodActionsMixin):
    """*Sync*, *Start*, *Stop*, *Restart* and *Delete and recreate* for the project's user list.

    To be named before the admin class that it is added to::

        class MyUserAdmin(UserPodsUserAdminMixin, UserAdmin): ...

    Each action has the permission of its own on user pods. Users who are to have a pod and have no
    row yet get one.
    """

    operation_labels: ClassVar[dict[Operation, _StrOrPromise]] = wording.USER_LABELS

    def rows_for(self, queryset: QuerySet[Any]) -> tuple[QuerySet[UserPod], int]:
        """Return the users' rows, and how many of them have none and are to have none."""
        from django_userpods import lifecycle

        rows = lifecycle.rows_of(queryset)
        return rows, queryset.count() - rows.count()
