"""Who is signed in on a pod's host: to look at, and to end."""

# ruff: noqa: ARG002 - the signatures are Django's
from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.db.models import OuterRef, QuerySet, Subquery
from django.utils.translation import gettext_lazy as _

from django_userpods.admin.lists import PlainChangeList
from django_userpods.admin.people import user_link, user_of
from django_userpods.models import PodSession, UserPod

if TYPE_CHECKING:
    from django.contrib.admin.views.main import ChangeList
    from django.http import HttpRequest
    from django.utils.safestring import SafeString

    _ModelAdmin = admin.ModelAdmin[PodSession]
else:
    _ModelAdmin = admin.ModelAdmin


@admin.register(PodSession)
class PodSessionAdmin(_ModelAdmin):
    """Sessions on pods' hosts. Deleting one ends it; none is made or changed here."""

    list_display = ("__str__", "user_link", "pod_name", "created_at", "expires_at")
    list_filter = ("created_at",)
    list_select_related = ("user",)
    show_full_result_count = False
    ordering = ("-created_at",)
    search_help_text = _("Search by username.")
    fields = readonly_fields = ("user_link", "pod_name", "created_at", "expires_at")

    class Media:
        css: ClassVar = {"all": ["userpods/admin.css"]}
        js: ClassVar = ["userpods/labels.js"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[PodSession]:
        """Return the sessions with their pods' names."""
        name = UserPod.objects.filter(pk=OuterRef("pod")).values("name")[:1]
        return super().get_queryset(request).annotate(name_of_pod=Subquery(name))

    def get_changelist(self, request: HttpRequest, **named: Any) -> type[ChangeList]:  # noqa: ANN401
        """Return the list that says nothing of "all" where all are shown."""
        return PlainChangeList

    def get_search_fields(self, request: HttpRequest) -> list[str]:
        """Return the username's field of the project's user model."""
        return [f"user__{get_user_model().USERNAME_FIELD}"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: PodSession | None = None) -> bool:
        return False

    @admin.display(description=_("user"))
    def user_link(self, session: PodSession) -> str | SafeString:
        """Show whose it is."""
        return user_link(self.admin_site, user_of(session))

    @admin.display(description=_("pod"))
    def pod_name(self, session: PodSession) -> str:
        """Show at whose host it is good."""
        name: str | None = getattr(session, "name_of_pod", None)
        return name or session.pod
