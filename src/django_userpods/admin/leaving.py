"""What goes with users who are deleted: their pods, and which volumes stay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext, ngettext

from django_userpods.admin.wording import number
from django_userpods.conf import conf
from django_userpods.core.objects import CLAIM
from django_userpods.exceptions import SettingError
from django_userpods.models import UserPod

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Maximum number of pods that are told one by one.
_NAMED = 100


def pods_of(users: Iterable[Any]) -> list[UserPod]:
    """Return the pods that go with users, in the order of their names. One query."""
    pods = UserPod.objects.exclude(wanted=UserPod.Wanted.ABSENT)
    return list(pods.filter(owner__in=[user.pk for user in users]).order_by("name"))


def pods_that_go(users: Iterable[Any]) -> list[str]:
    """Return a sentence for each pod of some users: that it goes, and what of it stays."""
    pods = pods_of(users)
    found = [sentence(pod) for pod in pods[:_NAMED]]
    if more := len(pods) - len(found):
        text = ngettext("%(count)s more pod", "%(count)s more pods", more)
        found.append(text % {"count": number(more)})
    return found


def sentence(pod: UserPod) -> str:
    """Return what becomes of a pod whose user is deleted."""
    stay, go = _volumes(pod)
    if stay:
        text = gettext("Pod %(name)s will be deleted. Its volume stays in the cluster (%(kinds)s).")
        return text % {"name": pod, "kinds": ", ".join(stay)}
    if go:
        text = gettext(
            "Pod %(name)s will be deleted, with its volume and everything in it (%(kinds)s)."
        )
        return text % {"name": pod, "kinds": ", ".join(go)}
    return gettext("Pod %(name)s will be deleted, with everything in it.") % {"name": pod}


def _volumes(pod: UserPod) -> tuple[list[str], list[str]]:
    """Return which of a pod's kinds stay, and which volumes go."""
    kinds = {kind.rpartition("/")[2] for kind in pod.kinds.split(",") if kind}
    try:
        retained = conf.USERPODS_RETAIN
    except SettingError:
        retained = frozenset()  # the check says what is wrong
    volumes = {kind for kind in kinds if kind == CLAIM.kind}
    return sorted(kinds & retained), sorted(volumes - retained)
