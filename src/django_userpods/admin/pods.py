"""The list of user pods, and a page on each: to look at and to act on, not to edit."""

# ruff: noqa: ARG002 - the signatures are Django's
from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.utils import display_for_value, unquote
from django.contrib.auth import get_user_model
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from django_userpods.admin import live
from django_userpods.admin.actions import BACK, PodActionsMixin, buttons, run_url
from django_userpods.admin.choosing import choose_profile, may_choose
from django_userpods.admin.lists import PlainChangeList, columns_to_leave_out
from django_userpods.admin.people import user_link, user_of
from django_userpods.admin.shares import ShareInline, add_url
from django_userpods.conf import conf
from django_userpods.exceptions import SettingError
from django_userpods.models import UserPod

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from django.contrib.admin.views.main import ChangeList
    from django.db.models import QuerySet
    from django.http import HttpRequest, HttpResponse
    from django.urls import URLPattern
    from django.utils.safestring import SafeString

#: Maximum number of namespaces to choose from.
_NAMESPACES = 50


class NamespaceFilter(admin.SimpleListFilter):
    """A filter by namespace: of the first few, where there is one for each user."""

    title = _("namespace")
    parameter_name = "namespace"

    def lookups(
        self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]
    ) -> list[tuple[str, str]]:
        """Return the namespaces to choose from."""
        names = UserPod.objects.order_by("namespace").values_list("namespace", flat=True)
        return [(name, name) for name in names.distinct()[:_NAMESPACES]]

    def queryset(self, request: HttpRequest, queryset: QuerySet[UserPod]) -> QuerySet[UserPod]:
        """Return the rows of the namespace chosen, which need not be one of those shown."""
        return queryset.filter(namespace=self.value()) if self.value() else queryset


class ProfileFilter(admin.AllValuesFieldListFilter):
    """A filter by profile, with a name for those that have none."""

    def choices(self, changelist: Any) -> Iterator[Any]:  # noqa: ANN401 - as in Django's stubs
        """Return what may be chosen; one without a word cannot be pressed."""
        for choice in super().choices(changelist):
            # With facets a number follows what is chosen by.
            text = str(choice["display"])
            is_none = not text or text.startswith(" (")
            yield {**choice, "display": gettext("Standard") + text if is_none else text}


@admin.register(UserPod)
# Pages of their own, and what they show, are imported by who opens them: a start reads this module.
class UserPodAdmin(PodActionsMixin):
    """User pods. Rows come and go with users, so none is added, edited or deleted here."""

    list_display = (
        "name_label",
        "state_and_reason",
        "user_link",
        "last_seen",
        "namespace",
        "short_image",
    )
    actions = (choose_profile,)
    list_filter = ("state", NamespaceFilter)
    list_select_related = ("owner",)
    inlines = (ShareInline,)
    # Counting the whole table beside what is found costs a scan.
    show_full_result_count = False
    ordering = ("name",)
    # A subclass may add to them; the username's field depends on the project's user model.
    search_fields = ("name", "message")
    search_help_text = _("Search by name, username and message.")
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "state_label",
                    "full_message",
                    "restart_count",
                    "wanted",
                    "user_link",
                    "url_link",
                )
            },
        ),
        (
            _("In the cluster"),
            {"fields": ("name", "namespace", "profile", "image", "address")},
        ),
        (
            _("Times"),
            {
                "fields": (
                    "created_at",
                    "updated_at",
                    "started_at",
                    "restarted_at",
                    "last_activity",
                    "stops",
                )
            },
        ),
    )
    readonly_fields = (
        "state_label",
        "full_message",
        "restart_count",
        "user_link",
        "url_link",
        "stops",
    )

    class Media:
        css: ClassVar = {"all": ["userpods/admin.css"]}
        js: ClassVar = ["userpods/labels.js", "userpods/live.js"]

    def rows_for(self, queryset: QuerySet[Any]) -> tuple[QuerySet[UserPod], int]:
        """Return the rows selected: all there is to know."""
        return queryset, 0

    def get_changelist(self, request: HttpRequest, **named: Any) -> type[ChangeList]:  # noqa: ANN401
        """Return the list that says nothing of "all" where all are shown."""
        return PlainChangeList

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        """Return the columns without those that are the same for all pods."""
        same = columns_to_leave_out(request)
        return [column for column in super().get_list_display(request) if column not in same]

    def get_list_filter(self, request: HttpRequest) -> list[Any]:
        """Return the filters, with those by turn and profile where there are such."""
        found = [*super().get_list_filter(request)]
        found += ["turn"] if conf.has_rollout() else []
        return [*found, ("profile", ProfileFilter)] if conf.has_profiles() else found

    def has_userpods_choose_profile_permission(self, request: HttpRequest) -> bool:
        return may_choose(request)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the list, and above it that a rollout was stopped, with the way to go on."""
        from django_userpods.admin.rollouts import notice

        found: dict[str, Any] = {}
        if request.method == "GET" and self.has_view_permission(request):
            found = notice(self, request)
        return super().changelist_view(request, {**found, **(extra_context or {})})

    def get_search_fields(self, request: HttpRequest) -> list[str]:
        """Return the fields to search, with the username's of the project's user model."""
        username = get_user_model().USERNAME_FIELD
        return [*super().get_search_fields(request), f"owner__{username}"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: UserPod | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: UserPod | None = None) -> bool:
        return False

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show one pod, with buttons for what may be done to it.

        One that is on its way, or failed, is looked at: it may be another by now.
        """
        from django_userpods.admin.tabs import tabs

        may_look = request.method == "GET" and self.has_view_permission(request)
        pod = self.get_object(request, unquote(object_id)) if may_look else None
        is_to_stay = pod is not None and pod.wanted != UserPod.Wanted.ABSENT
        if pod is not None and is_to_stay and UserPod.State(pod.state).may_change:
            from django_userpods import lifecycle

            lifecycle.look(pod)
        changelist = f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist"
        context = {
            "pod_buttons": buttons(self, request, pod) if pod else [],
            "share_url": add_url(self.admin_site, request, pod) if pod and is_to_stay else "",
            "tabs": tabs(self, request, pod, "change") if pod else [],
            "changelist_url": reverse(changelist, current_app=self.admin_site.name),
            "action_checkbox_name": ACTION_CHECKBOX_NAME,
            "back_name": BACK,
            "back": request.get_full_path(),
            **(extra_context or {}),
        }
        return super().change_view(request, object_id, form_url, context)

    def get_urls(self) -> list[URLPattern]:
        """Return the admin's URLs, and those of our own pages and of what these ask."""

        def ours(route: str, view: Callable[..., HttpResponse], name: str) -> URLPattern:
            name = f"{self.opts.app_label}_{self.opts.model_name}_{name}"
            return path(route, self.admin_site.admin_view(view), name=name)

        return [
            ours("overview/", self.overview_view, "overview"),
            ours("states/", self.states_view, "states"),
            ours("resume-rollout/", self.resume_rollout_view, "resume_rollout"),
            ours("bulk/", self.bulk_runs_view, "bulk_runs"),
            ours("bulk/<int:run>/", self.bulk_view, "bulk"),
            ours("<path:object_id>/events/", self.events_view, "events"),
            ours("<path:object_id>/logs/", self.logs_view, "logs"),
            ours("<path:object_id>/comparison/", self.comparison_view, "comparison"),
            *super().get_urls(),
        ]

    def overview_view(self, request: HttpRequest) -> HttpResponse:
        """Show how the whole is doing."""
        from django_userpods.admin.overview import overview_page

        return overview_page(self, request)

    def states_view(self, request: HttpRequest) -> HttpResponse:
        """Tell how some pods are doing, for lists that stay open."""
        return live.answer(self, request)

    def resume_rollout_view(self, request: HttpRequest) -> HttpResponse:
        """Go on with a rollout that was stopped, once somebody has said yes."""
        from django_userpods.admin.rollouts import resume_page

        return resume_page(self, request)

    def bulk_runs_view(self, request: HttpRequest) -> HttpResponse:
        """List what was asked of several pods at once lately, and what came of it."""
        from django_userpods.admin.bulk import runs_page

        return runs_page(self, request)

    def bulk_view(self, request: HttpRequest, run: int) -> HttpResponse:
        """Show what has come so far of something that was asked of several pods at once."""
        from django_userpods.admin.bulk import bulk_page

        return bulk_page(self, request, run)

    def events_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show what the cluster says of one pod now."""
        from django_userpods.admin.logs import evidence_page

        pod = self.get_object(request, unquote(object_id))
        return evidence_page(self, request, pod, "events")

    def logs_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show what one pod writes now."""
        from django_userpods.admin.logs import evidence_page

        pod = self.get_object(request, unquote(object_id))
        return evidence_page(self, request, pod, "logs")

    def comparison_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show what one pod should have in the cluster, and what of it is not so."""
        from django_userpods.admin.comparison import comparison_page

        return comparison_page(self, request, self.get_object(request, unquote(object_id)))

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show what was asked for, what came of it, and which states the pod was seen in."""
        from django_userpods.admin import entries
        from django_userpods.admin.history import lines_of
        from django_userpods.admin.tabs import tab_context

        pod = self.get_object(request, unquote(object_id))
        context: dict[str, Any] = {}
        if pod is not None and self.has_view_permission(request, pod):
            url_of = partial(run_url, self.admin_site)
            context = {
                **tab_context(self, request, pod, "history"),
                "lines": lines_of(pod, url_of=url_of),
            }
        page = super().history_view(request, object_id, {**context, **(extra_context or {})})
        return entries.for_reader(page)

    @admin.display(description=_("name"), ordering="name")
    def name_label(self, pod: UserPod) -> str:
        """Show its name, or whose it will be."""
        return str(pod)

    @admin.display(description=_("state"), ordering="state")
    def state_and_reason(self, pod: UserPod) -> SafeString:
        """Show the state, and below it in one line why it is so; all of that on pointing at it.

        And how often it was restarted, where it was.
        """
        state = live.state(self.admin_site, pod)
        return format_html("{}{}{}", state, live.reason(pod), live.restarted(pod))

    @admin.display(description=_("state"), ordering="state")
    def state_label(self, pod: UserPod) -> SafeString:
        """Show the state in words and in colour."""
        return live.state(self.admin_site, pod)

    @admin.display(description=_("restarts"))
    def restart_count(self, pod: UserPod) -> SafeString:
        """Show how often containers of its present pod were started again."""
        return live.restarts(pod)

    @admin.display(description=_("user"))
    def user_link(self, pod: UserPod) -> str | SafeString:
        """Show whose it is."""
        return user_link(self.admin_site, user_of(pod))

    @admin.display(description=_("URL"))
    def url_link(self, pod: UserPod) -> str | SafeString:
        """Show where it is found; the page there does not learn where the admin is."""
        url = pod.url
        if not url:
            return self.get_empty_value_display()
        return format_html('<a href="{}" rel="noreferrer">{}</a>', url, url)

    @admin.display(description=_("message"))
    def full_message(self, pod: UserPod) -> SafeString:
        """Show what is wrong."""
        return live.message(pod)

    @admin.display(description=_("stops automatically at"))
    def stops(self, pod: UserPod) -> str:
        """Show when it is stopped if nobody uses it (or nobody can say)."""
        try:
            # In the words of the fields beside it: what a method returns is shown as it is.
            return display_for_value(pod.stops_at, self.get_empty_value_display())
        except SettingError as error:
            return str(error)

    @admin.display(description=_("image"), ordering="image")
    def short_image(self, pod: UserPod) -> SafeString:
        """Show the image without its registry; the whole of it on pointing at it."""
        return format_html('<span title="{}">{}</span>', pod.image, pod.image.rpartition("/")[2])

    @admin.display(description=_("last seen"), ordering="last_activity")
    def last_seen(self, pod: UserPod) -> SafeString:
        """Show how long ago its user was there."""
        return live.seen(pod, self.get_empty_value_display())
