"""With whom pods are shared: a list of its own, and beside each pod."""

# ruff: noqa: ARG002 - the signatures are Django's
from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from django_userpods.admin.actions import may
from django_userpods.admin.lists import PlainChangeList
from django_userpods.admin.people import user_link, user_of
from django_userpods.exceptions import SettingError, ShareRefused
from django_userpods.models import Share, UserPod

if TYPE_CHECKING:
    from django.contrib.admin.views.main import ChangeList
    from django.http import HttpRequest
    from django.utils.safestring import SafeString

    _ModelAdmin = admin.ModelAdmin[Share]
    _ModelForm = forms.ModelForm[Share]
    _TabularInline = admin.TabularInline[Share, UserPod]
else:
    _ModelAdmin, _ModelForm = admin.ModelAdmin, forms.ModelForm
    _TabularInline = admin.TabularInline


def add_url(site: admin.AdminSite, request: HttpRequest, pod: UserPod) -> str:
    """Return where this person may share a pod, "" where they may not."""
    if not site.is_registered(Share) or not site.get_model_admin(Share).has_add_permission(request):
        return ""
    meta = Share._meta  # noqa: SLF001 - Django's documented name
    name = f"admin:{meta.app_label}_{meta.model_name}_add"
    return f"{reverse(name, current_app=site.name)}?pod={pod.pk}"


def _may_add(request: HttpRequest) -> bool:
    """Tell whether this person may share pods, where pods are shared at all."""
    from django_userpods.access import reach

    return reach.is_on() and may(request, "share")


class _Ours:
    """Who may do what: whoever may share pods. What is shared may be looked at and ended always."""

    def has_add_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return _may_add(request)

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return may(request, "share")

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return may(request, "share")

    def has_view_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return may(request, "share")


class ShareForm(_ModelForm):
    """A new share, or another time for one."""

    class Meta:
        model = Share
        fields = ("pod", "user", "group", "expires_at")

    def __init__(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401
        super().__init__(*arguments, **named)
        # Django before 6.0 leaves the two inputs without a label; not every widget has two.
        field = self.fields.get("expires_at")
        inputs = getattr(field.widget, "widgets", ()) if field else ()
        for part, label in zip(
            inputs, (_("Expires at, date"), _("Expires at, time")), strict=False
        ):
            part.attrs.setdefault("aria-label", label)

    def clean(self) -> dict[str, Any]:
        """Refuse what ``sharing`` would."""
        data = super().clean() or self.cleaned_data
        if self.errors:
            return data
        from django_userpods import sentences, sharing

        # Of one that is there only the time is asked for.
        pod, user, group = (
            data[name] if name in data else getattr(self.instance, name)
            for name in ("pod", "user", "group")
        )
        if (user is None) == (group is None):
            return data  # the table's own constraint says so
        try:
            sharing.check(pod, with_=user or group, until=data.get("expires_at"))
        except ShareRefused as error:
            raise ValidationError(sentences.of_refused_share(error.why), code=error.why) from error
        except SettingError as error:
            raise ValidationError(str(error), code="setting") from error
        return data


@admin.register(Share)
class ShareAdmin(_Ours, _ModelAdmin):
    """With whom pods are shared: made and ended here; of one that is there, the time is changed."""

    form = ShareForm
    list_display = ("__str__", "kind", "pod_link", "expires_at", "created_at", "created_by")
    list_filter = ("created_at",)
    list_select_related = ("user", "group", "pod")
    show_full_result_count = False
    ordering = ("-created_at",)
    search_help_text = _("Search by pod, username and group.")
    raw_id_fields = ("pod", "user", "group")

    class Media:
        css: ClassVar = {"all": ["userpods/admin.css"]}
        js: ClassVar = ["userpods/labels.js"]

    def get_changelist(self, request: HttpRequest, **named: Any) -> type[ChangeList]:  # noqa: ANN401
        """Return the list that says nothing of "all" where all are shown."""
        return PlainChangeList

    def get_search_fields(self, request: HttpRequest) -> list[str]:
        """Return the fields to search, with the username's of the project's user model."""
        return ["pod__name", "group__name", f"user__{get_user_model().USERNAME_FIELD}"]

    def get_fields(self, request: HttpRequest, obj: Share | None = None) -> list[Any]:
        """Return what is asked for at first, and what is shown afterwards."""
        if obj is None:
            return ["pod", "user", "group", "expires_at"]
        return ["pod_link", "with_whom", "expires_at", "created_at", "created_by"]

    def get_readonly_fields(self, request: HttpRequest, obj: Share | None = None) -> list[str]:
        """Return all but the time once it is made."""
        return [] if obj is None else ["pod_link", "with_whom", "created_at", "created_by"]

    def has_module_permission(self, request: HttpRequest) -> bool:
        return _may_add(request)

    def save_model(
        self,
        request: HttpRequest,
        obj: Share,
        form: Any,  # noqa: ANN401 - ModelAdmin's signature
        change: bool,
    ) -> None:
        """Note who shares."""
        if not change:
            obj.created_by = request.user.get_username()[:255]
        super().save_model(request, obj, form, change)

    @admin.display(description=_("shared with"))
    def with_whom(self, share: Share) -> str | SafeString:
        """Show the user, linked, or the group."""
        return str(share.group) if share.group else user_link(self.admin_site, user_of(share))

    @admin.display(description=_("kind"))
    def kind(self, share: Share) -> str:
        """Show whether it is one user or a group."""
        field = Share._meta.get_field("user" if share.user_id is not None else "group")  # noqa: SLF001
        return str(field.verbose_name)  # type: ignore[union-attr]

    @admin.display(description=_("pod"), ordering="pod__name")
    def pod_link(self, share: Share) -> str | SafeString:
        """Show which pod it is."""
        if not self.admin_site.is_registered(UserPod):
            return str(share.pod)
        url = reverse(
            f"admin:{UserPod._meta.app_label}_{UserPod._meta.model_name}_change",  # noqa: SLF001
            args=(share.pod_id,),
            current_app=self.admin_site.name,
        )
        return format_html('<a href="{}">{}</a>', url, share.pod)


class ShareInline(_TabularInline):
    """With whom one pod is shared, on its own page: to look at, and to go on to each."""

    model = Share
    fields = readonly_fields = ("with_whom", "expires_at", "created_by")
    extra = 0
    can_delete = False
    show_change_link = True
    verbose_name_plural = _("Shared with")

    def has_add_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return _may_add(request)

    def get_queryset(self, request: HttpRequest) -> Any:  # noqa: ANN401 - of shares
        """Return the shares with users and groups, in one query."""
        return super().get_queryset(request).select_related("user", "group").order_by("pk")

    @admin.display(description=_("shared with"))
    def with_whom(self, share: Share) -> str:
        """Show the user or the group."""
        return str(share)
