"""Access tokens: made, shown once, revoked."""

# ruff: noqa: ARG002 - the signatures are Django's
from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from django.views.decorators.debug import sensitive_variables

from django_userpods import times
from django_userpods.admin import entries
from django_userpods.admin.actions import BACK, back, log, page_context
from django_userpods.admin.lists import PlainChangeList
from django_userpods.admin.people import user_link, user_of
from django_userpods.admin.wording import number
from django_userpods.tokens import AccessToken, AccessTokenQuerySet

if TYPE_CHECKING:
    import datetime

    from django.contrib.admin.views.main import ChangeList
    from django.http import HttpRequest, HttpResponse
    from django.utils.safestring import SafeString

    _ModelAdmin = admin.ModelAdmin[AccessToken]
    _ModelForm = forms.ModelForm[AccessToken]
else:
    _ModelAdmin, _ModelForm = admin.ModelAdmin, forms.ModelForm

_TIMES = ("created_at", "expires_at", "revoked_at", "last_used_at")
#: Maximum number of keys in one statement.
_BATCH = 500
_COPY = forms.Script("userpods/copy.js", defer=True)
_STATUS = {"valid": _("valid"), "expired": _("expired"), "revoked": _("revoked")}


class StatusFilter(admin.SimpleListFilter):
    """A filter by whether a token still works."""

    title = _("status")
    parameter_name = "status"

    def lookups(
        self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]
    ) -> list[tuple[str, Any]]:
        """Return what to choose from."""
        return list(_STATUS.items())

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[AccessToken]
    ) -> QuerySet[AccessToken]:
        """Return the tokens of the status chosen."""
        expired = Q(expires_at__lte=timezone.now())
        if self.value() == "revoked":
            return queryset.exclude(revoked_at=None)
        if self.value() == "expired":
            return queryset.filter(expired, revoked_at=None)
        if self.value() == "valid":
            return queryset.filter(Q(expires_at=None) | ~expired, revoked_at=None)
        return queryset


class TokenForm(_ModelForm):
    """A new token."""

    class Meta:
        model = AccessToken
        fields = ("user", "label", "scope", "expires_at")

    def __init__(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401
        super().__init__(*arguments, **named)
        # Django before 6.0 leaves the two inputs without a label; not every widget has two.
        field = self.fields.get("expires_at")
        inputs = getattr(field.widget, "widgets", ()) if field else ()
        for part, label in zip(
            inputs, (_("Expires at, date"), _("Expires at, time")), strict=False
        ):
            part.attrs.setdefault("aria-label", label)

    def clean_expires_at(self) -> datetime.datetime | None:
        """Refuse a token that would never have been valid."""
        expires_at: datetime.datetime | None = self.cleaned_data["expires_at"]
        if expires_at is not None and expires_at <= timezone.now():
            raise ValidationError(_("This is in the past."), code="past")
        if expires_at is not None and times.aware(expires_at) > AccessToken.LATEST_END:
            raise ValidationError(self.fields["expires_at"].error_messages["invalid"], "invalid")
        return expires_at


@admin.register(AccessToken)
class AccessTokenAdmin(_ModelAdmin):
    """Tokens. Nothing but the label of one can be changed; its text is shown once."""

    form = TokenForm
    list_display = (
        "__str__",
        "user_link",
        "status",
        "scope",
        "created_at",
        "expires_at",
        "last_used_at",
    )
    list_filter = (StatusFilter, "scope", "created_at")
    list_select_related = ("user",)
    show_full_result_count = False
    ordering = ("-created_at",)
    search_fields = ("label",)
    search_help_text = _("Search by label and username.")
    actions = ("revoke",)
    # Where the project's user list cannot be searched; see get_autocomplete_fields.
    raw_id_fields = ("user",)
    issued_template = "admin/userpods/accesstoken/issued.html"

    class Media:
        css: ClassVar = {"all": ["userpods/admin.css"]}
        js: ClassVar = ["userpods/labels.js"]

    def get_changelist(self, request: HttpRequest, **named: Any) -> type[ChangeList]:  # noqa: ANN401
        """Return the list that says nothing of "all" where all are shown."""
        return PlainChangeList

    def get_search_fields(self, request: HttpRequest) -> list[str]:
        """Return the fields to search, with the username's of the project's user model."""
        username = get_user_model().USERNAME_FIELD
        return [*super().get_search_fields(request), f"user__{username}"]

    def get_autocomplete_fields(self, request: HttpRequest) -> list[str]:
        """Return the user where the project's user list can be searched by this person."""
        model = get_user_model()
        if self.admin_site.is_registered(model):
            users = self.admin_site.get_model_admin(model)
            if users.search_fields and users.has_view_permission(request):
                return ["user"]
        return []

    def get_fields(self, request: HttpRequest, obj: AccessToken | None = None) -> list[Any]:
        """Return what is asked for at first, and what is shown afterwards."""
        if obj is None:
            return ["user", "label", "scope", "expires_at"]
        return ["label", "user_link", "status", "scope", *_TIMES]

    def get_readonly_fields(
        self, request: HttpRequest, obj: AccessToken | None = None
    ) -> list[str]:
        """Return all but the label once it is made."""
        return [] if obj is None else ["user_link", "status", "scope", *_TIMES]

    def add_view(
        self,
        request: HttpRequest,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Ask for a new token; the page after it shows the text, so there is one way to save."""
        context = {"show_save_and_continue": False, "show_save_and_add_another": False}
        return super().add_view(request, form_url, {**context, **(extra_context or {})})

    @sensitive_variables("text")
    def save_model(
        self,
        request: HttpRequest,
        obj: AccessToken,
        form: Any,  # noqa: ANN401 - ModelAdmin's signature
        change: bool,
    ) -> None:
        """Make the token, or change the label of one."""
        if change:
            obj.save(update_fields=["label"])
            return
        token, text = AccessToken.objects.issue(
            obj.user, label=obj.label, expires_at=obj.expires_at, scope=obj.scope
        )
        obj.__dict__.update(token.__dict__)
        # For this very request alone: neither session, message nor log ever holds it.
        obj.text_once = text  # type: ignore[attr-defined]

    def response_add(
        self, request: HttpRequest, obj: AccessToken, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Show the token's text: in this answer, and nowhere else."""
        context = {
            **page_context(self, request),
            "media": self.media + forms.Media(js=[_COPY]),  # type: ignore[list-item]
            "title": _("Copy the token now"),
            "text": obj.text_once,  # type: ignore[attr-defined]
            "token": obj,
            "username": obj.user.get_username(),
        }
        request.current_app = self.admin_site.name
        response = TemplateResponse(request, self.issued_template, context)
        response["Cache-Control"] = "no-store"
        return response

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show one token, with a button to revoke it."""
        changelist = f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist"
        context = {
            "can_revoke": self.has_change_permission(request),
            "changelist_url": reverse(changelist, current_app=self.admin_site.name),
            "action_checkbox_name": ACTION_CHECKBOX_NAME,
            "back_name": BACK,
            "back": request.get_full_path(),
            **(extra_context or {}),
        }
        return super().change_view(request, object_id, form_url, context)

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show Django's history, in the reader's language."""
        return entries.for_reader(super().history_view(request, object_id, extra_context))

    @admin.action(permissions=["change"], description=_("Revoke"))
    def revoke(self, request: HttpRequest, queryset: AccessTokenQuerySet) -> HttpResponse:
        """Revoke the selected tokens. There is no way back, and none is needed: make another."""
        selected = queryset.count()
        tokens = list(queryset.filter(revoked_at=None).order_by())
        for first in range(0, len(tokens), _BATCH):
            pks = [token.pk for token in tokens[first : first + _BATCH]]
            AccessToken.objects.filter(pk__in=pks).revoke()
        log(request, tokens, entries.REVOKED)
        count = len(tokens)
        said = ngettext("Revoked %(count)s token.", "Revoked %(count)s tokens.", count)
        text = said % {"count": number(count)}
        if selected > count:
            said = ngettext(
                "%(count)s was already revoked.",
                "%(count)s were already revoked.",
                selected - count,
            )
            text = f"{text} {said % {'count': number(selected - count)}}"
        self.message_user(request, text, messages.SUCCESS if count else messages.WARNING)
        return back(request)

    @admin.display(description=_("user"))
    def user_link(self, token: AccessToken) -> str | SafeString:
        """Show whom it stands for."""
        return user_link(self.admin_site, user_of(token))

    @admin.display(description=_("status"))
    def status(self, token: AccessToken) -> SafeString:
        """Show whether it still works."""
        name = "revoked" if token.revoked_at else "valid" if token.is_valid else "expired"
        label = _STATUS[name]
        return format_html('<span class="userpods-state userpods-{}">{}</span>', name, label)
