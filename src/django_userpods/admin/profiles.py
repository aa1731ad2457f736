"""Profiles: edited, held against what a template may be, looked at for one user, and taken back."""

# ruff: noqa: ARG002 - the signatures are Django's
from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.contrib.auth.models import Group
from django.core.exceptions import NON_FIELD_ERRORS, PermissionDenied, ValidationError
from django.db import router
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.decorators import method_decorator
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from django_userpods import profiles, sentences
from django_userpods.admin import entries, restoring
from django_userpods.admin.actions import page_context
from django_userpods.exceptions import SettingError, TemplateError, UserpodsError
from django_userpods.models import Profile, ProfileVersion, UserPod

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.db.models import QuerySet
    from django.urls import URLPattern

    _ModelAdmin = admin.ModelAdmin[Profile]
    _ModelForm = forms.ModelForm[Profile]
else:
    _ModelAdmin, _ModelForm = admin.ModelAdmin, forms.ModelForm

#: Maximum number of versions that are shown, and of pods that are named.
_VERSIONS, _NAMED = 50, 5
#: What decides on the objects of a profile's pods; the rest is who may have them, and words.
_OF_OBJECTS = ("template", "image", "resources", "env")


class ProfileForm(_ModelForm):
    """A profile, whose template is compiled before it is saved."""

    groups = forms.MultipleChoiceField(
        label=_("Groups"),
        required=False,
        help_text=_(
            "The groups whose members may choose it. Leave empty to let everybody choose it."
        ),
    )

    class Meta:
        model = Profile
        fields = ("slug", *Profile.KEYS.values())
        widgets: ClassVar = {
            "template": forms.Textarea(attrs={"rows": 16, "cols": 80, "spellcheck": "false"}),
            "resources": forms.Textarea(attrs={"rows": 4, "cols": 80, "spellcheck": "false"}),
            "env": forms.Textarea(attrs={"rows": 4, "cols": 80, "spellcheck": "false"}),
        }

    def __init__(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401
        super().__init__(*arguments, **named)
        names: set[str] = set(Group.objects.values_list("name", flat=True))
        # Those that are gone stay, so that saving does not open it to everybody.
        stored = self.instance.groups if isinstance(self.instance.groups, list) else []
        gone = {name for name in stored if isinstance(name, str)} - names
        field: Any = self.fields["groups"]
        field.choices = [(name, name) for name in sorted(names)] + [
            (name, gettext("%(name)s (no such group)") % {"name": name}) for name in sorted(gone)
        ]

    def clean(self) -> dict[str, Any]:
        """Take empty JSON for an empty mapping."""
        found = super().clean() or {}
        for name in ("resources", "env"):
            if name in found and found[name] is None:
                found[name] = {}
        return found

    def _update_errors(self, errors: ValidationError) -> None:
        """Say above the form what is wrong with a field that is not in it: a slug stays."""
        if hasattr(errors, "error_dict"):
            found: dict[str, list[ValidationError]] = {}
            for name, some in errors.error_dict.items():
                key = name if name in self.fields else NON_FIELD_ERRORS
                found.setdefault(key, []).extend(some)
            errors = ValidationError(found)
        super()._update_errors(errors)  # type: ignore[misc]

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]
        if self.errors:
            return
        from django_userpods.reconcile.wanted import problem_of

        if problem := problem_of(self.instance.parsed()):
            text = gettext("The profile is invalid: %(problem)s")
            problem_said = sentences.of_template_error(problem)
            self.add_error(None, ValidationError(text % {"problem": problem_said}))


@admin.register(Profile)
class ProfileAdmin(_ModelAdmin):
    """The profiles of the database; not there where the settings have them, or nobody has."""

    form = ProfileForm
    list_display = ("name", "slug", "enabled", "image", "at_once")
    search_fields = ("name", "slug", "description", "image")
    change_form_template = "admin/userpods/profile/change_form.html"

    class Media:
        css: ClassVar = {"all": ["userpods/admin.css"]}

    # --- who may

    def _is_here(self) -> bool:
        try:
            return profiles.are_stored()
        except SettingError:
            return False

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self._is_here() and super().has_module_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Profile | None = None) -> bool:
        return self._is_here() and super().has_view_permission(request, obj)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self._is_here() and super().has_add_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Profile | None = None) -> bool:
        return self._is_here() and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Profile | None = None) -> bool:
        return self._is_here() and super().has_delete_permission(request, obj)

    # --- editing

    def get_readonly_fields(self, request: HttpRequest, obj: Profile | None = None) -> Any:  # noqa: ANN401
        """Return what stays: the slug, to which pods refer."""
        return ("slug", *self.readonly_fields) if obj is not None else self.readonly_fields

    def get_fields(self, request: HttpRequest, obj: Profile | None = None) -> Any:  # noqa: ANN401
        """Return the fields in the order of a person's thoughts."""
        found = ["slug", *(name for name in Profile.KEYS.values() if name != "template")]
        return [*found, "template"]

    def save_model(self, request: HttpRequest, obj: Profile, form: Any, change: bool) -> None:  # noqa: ANN401
        """Save it as a version, and have its pods brought up to date by the rules of rollouts."""
        stored = Profile.objects.using(router.db_for_write(Profile))
        before = stored.filter(pk=obj.pk).first()
        obj.save(actor=request.user.get_username())
        if before is None or _makes_others(before.content, obj.content):
            self._roll_out(request, obj)

    def _roll_out(self, request: HttpRequest, profile: Profile) -> None:
        from django_userpods import lifecycle

        rows = UserPod.objects.filter(profile=profile.slug)
        count = len(lifecycle.sync(rows, actor=request.user.get_username()).pods)
        if count:
            text = ngettext(
                "%(count)s pod uses this profile and is updated as the rollout settings say.",
                "%(count)s pods use this profile and are updated as the rollout settings say.",
                count,
            )
            self.message_user(request, text % {"count": count}, messages.INFO)

    def get_deleted_objects(
        self, objs: QuerySet[Profile] | Sequence[Profile], request: HttpRequest
    ) -> Any:  # noqa: ANN401 - Django's
        """Return what goes with some profiles, and what stands against it: pods that have them."""
        found, counts, needed, protected = super().get_deleted_objects(objs, request)
        versions = ProfileVersion._meta.verbose_name  # noqa: SLF001 - documented name
        pods = UserPod.objects.filter(profile__in=[profile.slug for profile in objs])
        protected = [*protected, *map(str, pods.order_by("name")[:_NAMED])]
        return found, counts, needed - {versions}, protected

    # --- versions

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show a profile, and below it who changed what and when, with the way back."""
        profile = self.get_object(request, unquote(object_id))
        lines = self._lines(profile) if profile is not None else []
        context = {
            "versions": lines,
            "consequence": restoring.consequence(profile) if profile is not None else "",
            **(extra_context or {}),
        }
        return super().change_view(request, object_id, form_url, context)

    def _lines(self, profile: Profile) -> list[dict[str, Any]]:
        """Return the versions, the newest first. One query."""
        found = list(profile.versions.order_by("-number")[: _VERSIONS + 1])
        return [
            {
                "version": version,
                "changed": [
                    str(Profile._meta.get_field(name).verbose_name)  # type: ignore[union-attr] # noqa: SLF001
                    for name in Profile.KEYS.values()
                    if older is None or version.content.get(name) != older.content.get(name)
                ],
                "is_now": version.content == profile.content,
            }
            for version, older in zip(found, [*found[1:], None], strict=True)
        ][:_VERSIONS]

    def get_urls(self) -> list[URLPattern]:
        """Return the admin's URLs, that of going back to a version, and those of the preview."""
        views = (
            ("add/preview/", self.preview_view, "add_preview"),
            ("<path:object_id>/preview/", self.preview_view, "preview"),
            ("<path:object_id>/restore/", self.restore_view, "restore"),
        )
        prefix = f"{self.opts.app_label}_{self.opts.model_name}"
        ours = [
            path(route, self.admin_site.admin_view(view), name=f"{prefix}_{name}")
            for route, view, name in views
        ]
        return [*ours, *super().get_urls()]

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show Django's history, in the reader's language."""
        return entries.for_reader(super().history_view(request, object_id, extra_context))

    @method_decorator(require_POST)
    def restore_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Go back to the version of the number that was sent, as a new one.

        Where pods that run are replaced by that, it is asked first.
        """
        profile = self._own(request, object_id)
        number = request.POST.get("restore", "")
        # Of a number that is too long for Python to read there is none.
        is_number = number.isdecimal() and len(number) < 10
        version = profile.versions.filter(number=number).first() if is_number else None
        if version is None:
            raise Http404
        before = profile.content
        for name in Profile.KEYS.values():
            setattr(profile, name, version.content.get(name, getattr(profile, name)))
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}_change"
        back = reverse(name, args=(profile.pk,), current_app=self.admin_site.name)
        makes_others = _makes_others(before, profile.content)
        if problem := _problem_of(profile):
            text = gettext(
                "Nothing was changed: version %(number)s is no longer valid: %(problem)s"
            )
            values = {"number": version.number, "problem": problem}
            self.message_user(request, text % values, messages.ERROR)
        elif makes_others and not restoring.is_agreed(request, profile):
            return restoring.ask(self, request, profile, version.number, back)
        else:
            self._restored(request, profile, version.number)
            if makes_others:
                self._roll_out(request, profile)
        return HttpResponseRedirect(back)

    def _restored(self, request: HttpRequest, profile: Profile, number: int) -> None:
        profile.save(actor=request.user.get_username())
        # What is stored is in English for all, see ``entries``.
        values = {"number": number}
        self.log_change(request, profile, entries.RESTORED % values)
        self.message_user(request, gettext(entries.RESTORED) % values, messages.SUCCESS)

    def _own(self, request: HttpRequest, object_id: str) -> Profile:
        profile = self.get_object(request, unquote(object_id))
        if profile is None:
            raise Http404
        if not self.has_change_permission(request, profile):
            raise PermissionDenied
        return profile

    # --- the preview

    @method_decorator(require_POST)
    def preview_view(self, request: HttpRequest, object_id: str = "") -> HttpResponse:
        """Show the manifests of a user as the form has the profile, saved or not."""
        profile = self._own(request, object_id) if object_id else None
        if profile is None and not self.has_add_permission(request):
            raise PermissionDenied
        form = self.get_form(request, profile, change=profile is not None)(
            request.POST, instance=profile
        )
        username = request.POST.get("preview_user", "").replace("\0", "").strip()
        context: dict[str, Any] = {
            **page_context(self, request),
            "title": gettext("Preview for %(user)s") % {"user": username or "–"},  # noqa: RUF001 - a dash
            "form": form,
        }
        if form.is_valid():
            from django_userpods.admin.manifests import preview

            try:
                context["text"] = preview(form.instance.parsed(), username)
            except TemplateError as error:
                context["error"] = sentences.of_template_error(error)
            except UserpodsError as error:
                context["error"] = error
        request.current_app = self.admin_site.name
        return TemplateResponse(request, "admin/userpods/profile/preview.html", context)


def _makes_others(before: dict[str, Any], after: dict[str, Any]) -> bool:
    """Tell whether a profile's pods have other objects by what it is now."""
    return any(before[name] != after[name] for name in _OF_OBJECTS)


def _problem_of(profile: Profile) -> str:
    """Return what is wrong with a profile that no form has looked at."""
    from django_userpods.reconcile.wanted import problem_of

    try:
        profile.full_clean()
    except ValidationError as error:
        return " ".join(error.messages)
    found = problem_of(profile.parsed())
    return sentences.of_template_error(found) if found else ""
