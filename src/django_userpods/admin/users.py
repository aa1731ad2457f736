"""The project's own user list: how pods are doing, actions on them, what becomes of them."""

# ruff: noqa: ANN401 - the project's own user model

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin, messages
from django.contrib.admin.utils import flatten_fieldsets
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from django_userpods.admin import theirs, wording
from django_userpods.admin.actions import PodActionsMixin
from django_userpods.admin.leaving import pods_of, pods_that_go
from django_userpods.conf import conf
from django_userpods.exceptions import UserpodsError
from django_userpods.models import UserPod

if TYPE_CHECKING:
    from django.contrib.admin.views.main import ChangeList
    from django.db.models import QuerySet
    from django.http import HttpRequest, HttpResponse
    from django.utils.functional import _StrOrPromise
    from django.utils.safestring import SafeString

    from django_userpods.core.operations import Operation


#: What shows users' pods, in the list and on a user's page.
_COLUMN, _FIELD = "userpods_column", "userpods_of_user"


class UserPodsUserAdminMixin(PodActionsMixin):
    """Users' pods in the project's user list: their states, and actions on them.

    *Sync*, *Start*, *Stop*, *Restart* and *Delete and recreate*, a column with links, and all of a
    user's pods on the user's page.

    To be named before the admin class that it is added to::

        class MyUserAdmin(UserPodsUserAdminMixin, UserAdmin): ...

    Each action has the permission of its own on user pods; to see them is that to view them. Users
    who are to have a pod and have no row yet get one. Deleting users says which pods go and which
    volumes stay; adding one says that a pod comes.
    """

    operation_labels: ClassVar[dict[Operation, _StrOrPromise]] = wording.USER_LABELS

    class Media:
        css: ClassVar = {"all": ["userpods/admin.css"]}
        js: ClassVar = ["userpods/labels.js", "userpods/live.js"]

    def rows_for(self, queryset: QuerySet[Any]) -> tuple[QuerySet[UserPod], int]:
        """Return the users' rows, and how many of them have none and are to have none."""
        from django_userpods import lifecycle

        rows = lifecycle.rows_of(queryset)
        return rows, queryset.count() - rows.count()

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[Any], dict[str, int], set[str], list[str]]:
        """Return what is deleted with users: their pods, too, and which of their volumes stay."""
        users = list(objs)
        found, counts, lacking, protected = super().get_deleted_objects(users, request)
        deleted: list[Any] = list(found)
        if pods := pods_of(users):
            deleted += [gettext("In the cluster"), pods_that_go(users)]
            label = UserPod._meta.verbose_name_plural  # noqa: SLF001 - Django's documented name
            counts = {**counts, str(label): len(pods)}
        return deleted, counts, lacking, protected

    def get_changelist(self, request: HttpRequest, **named: Any) -> type[ChangeList]:
        """Return the list, which finds the pods of all users that it shows."""
        base: Any = super().get_changelist(request, **named)
        return theirs.list_with_pods(base)

    def get_list_display(self, request: HttpRequest) -> Any:
        """Return the columns, the second that of pods for those who may see them.

        Where there is not enough room the last are not seen.
        """
        columns = super().get_list_display(request)
        if not theirs.may_see(request) or _COLUMN in columns:
            return columns
        return [*columns[:1], _COLUMN, *columns[1:]]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return the fields, with that of the user's pods for those who may see them."""
        fields = super().get_readonly_fields(request, obj)
        if obj is None or not theirs.may_see(request) or _FIELD in fields:
            return fields
        return [*fields, _FIELD]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return the form: that of a user has the user's pods, a new user's says that one comes."""
        fieldsets = super().get_fieldsets(request, obj)
        if obj is not None:
            if not theirs.may_see(request) or _FIELD in flatten_fieldsets(fieldsets):
                return fieldsets
            label = UserPod._meta.verbose_name_plural  # noqa: SLF001 - Django's documented name
            return [*fieldsets, (label, {"fields": (_FIELD,)})]
        if not fieldsets:
            return fieldsets
        (name, options), *rest = fieldsets
        said = _("Each user who should have a pod gets one as soon as this is saved.")
        before = options.get("description")
        description = format_html("{} {}", before, said) if before else said
        return [(name, {**options, "description": description}), *rest]

    @admin.display(description=_("pod"))
    def userpods_column(self, user: Any) -> str | SafeString:
        """Show the user's pods with their states; each leads to the page of it."""
        return theirs.in_a_list(self.admin_site, user) or self.get_empty_value_display()

    @admin.display(description=UserPod._meta.verbose_name_plural)  # noqa: SLF001 - Django's documented name
    def userpods_of_user(self, user: Any) -> str | SafeString:
        """Show the user's pods with their states, and why these are so."""
        return theirs.on_a_page(self.admin_site, user) or self.get_empty_value_display()

    def response_add(
        self, request: HttpRequest, obj: Any, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Say whether a pod comes with the new user."""
        with suppress(UserpodsError):  # the checks say what is wrong with the settings
            comes = conf.USERPODS_SELECT(obj)
            text = (
                gettext("A pod is being made for %(user)s.")
                if comes
                else gettext("%(user)s is to have no pod (inactive or not selected).")
            )
            self.message_user(request, text % {"user": obj.get_username()}, messages.INFO)
        return super().response_add(request, obj, post_url_continue)
