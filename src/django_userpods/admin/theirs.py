"""Users' pods where the admin shows users: their states, and the way to each."""

# ruff: noqa: ANN401 - the project's own user model

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from django.contrib.auth import get_permission_codename
from django.urls import reverse
from django.utils.html import format_html, format_html_join

from django_userpods.admin import live
from django_userpods.models import UserPod

if TYPE_CHECKING:
    from django.contrib import admin
    from django.contrib.admin.views.main import ChangeList
    from django.http import HttpRequest
    from django.utils.safestring import SafeString

#: The attribute of a user that holds the pods that were found for a whole list.
_FOUND = "_userpods_found"
#: Maximum number of a user's pods that are named in a list.
_NAMED = 3


def may_see(request: HttpRequest) -> bool:
    """Tell whether a person may see how pods are doing."""
    meta = UserPod._meta  # noqa: SLF001 - Django's documented name
    return any(
        request.user.has_perm(f"{meta.app_label}.{get_permission_codename(action, meta)}")
        for action in ("view", "change")
    )


@cache
def list_with_pods(base: type[ChangeList]) -> type[ChangeList]:
    """Return the list of users that finds their pods, all of a page's in one query."""

    class ListWithPods(base):  # type: ignore[valid-type,misc]
        def get_results(self, request: HttpRequest) -> None:
            """Find what is shown, and the pods of those."""
            super().get_results(request)
            if may_see(request):
                _find(self.result_list)

    return ListWithPods


def _find(users: Any) -> None:
    # Kept by what is iterated over again, be it a list or a query's result.
    by_user: dict[Any, list[UserPod]] = {user.pk: [] for user in users}
    if by_user:
        for pod in _pods().filter(owner__in=[*by_user]):
            by_user[pod.owner_id].append(pod)
    for user in users:
        setattr(user, _FOUND, by_user[user.pk])


def _pods() -> Any:
    """Return all pods, each user's main pod first."""
    return UserPod.objects.order_by("slot")


def _of(user: Any) -> list[UserPod]:
    found = vars(user).get(_FOUND)
    return list(_pods().filter(owner=user.pk)) if found is None else found


def in_a_list(site: admin.AdminSite, user: Any) -> SafeString | str:
    """Return the user's first pods with their states; "" without any."""
    pods = _of(user)
    shown = format_html_join(
        "",
        '<span class="userpods-theirs">{} {}</span>',
        ((_link(site, pod), live.state(site, pod)) for pod in pods[:_NAMED]),
    )
    return format_html("{} +{}", shown, len(pods) - _NAMED) if len(pods) > _NAMED else shown


def on_a_page(site: admin.AdminSite, user: Any) -> SafeString | str:
    """Return all of the user's pods with their states, and why these are so; "" without any."""
    return format_html_join(
        "",
        '<div class="userpods-theirs">{} {} {}</div>',
        ((_link(site, pod), live.state(site, pod), live.reason(pod)) for pod in _of(user)),
    )


def _link(site: admin.AdminSite, pod: UserPod) -> SafeString | str:
    if not site.is_registered(UserPod):
        return str(pod)
    meta = UserPod._meta  # noqa: SLF001 - Django's documented name
    name = f"admin:{meta.app_label}_{meta.model_name}_change"
    url = reverse(name, args=(pod.pk,), current_app=site.name)
    return format_html('<a href="{}">{}</a>', url, pod)
