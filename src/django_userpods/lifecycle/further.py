"""Further pods of one user: given and taken away."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.db import transaction
from django.utils import timezone

from django_userpods import tasks
from django_userpods.conf import conf
from django_userpods.core import naming
from django_userpods.exceptions import PodNotAllowed
from django_userpods.lifecycle.choosing import Asked, refusals
from django_userpods.models import Installation, UserPod
from django_userpods.reconcile.rows import alias, rows

Wanted, State = UserPod.Wanted, UserPod.State


def add_pod(user: Any, slot: str, *, profile: str = "") -> UserPod:  # noqa: ANN401 - the project's own user model
    """Give a user a further pod, called ``slot`` (at most 12 of a-z, 0-9 and single dashes).

    It comes after the commit; ``profile`` is the slug of one that the user may choose. Raises
    PodNotAllowed where the slot cannot be or is taken, the user is to have no pod, or has as many
    as ``USERPODS_MAX_PODS`` allows; ProfileNotAllowed, which is one, where the profile stands
    against it; SettingError or TemplateError where these cannot be used.
    """
    from django_userpods.reconcile.pods import new_row

    if not naming.is_valid_slot(slot):
        message = (
            f"{slot!r} cannot be a slot: it is at most {naming.MAX_SLOT} of a-z, 0-9 and single "
            "dashes between them"
        )
        raise PodNotAllowed(message)
    if not conf.USERPODS_SELECT(user):
        message = f"user {user.pk} is to have no pod (inactive or not selected)"
        raise PodNotAllowed(message)
    limit = conf.max_pods_of(user)
    using = alias()
    with transaction.atomic(using=using):
        if profile:
            Installation.objects.lock()
        # Locked, so that two at once do not both find room.
        owned = rows().select_for_update().filter(owner=user).order_by("pk")
        slots = {"", *owned.values_list("slot", flat=True)}
        if slot in slots:
            message = f"user {user.pk} has a pod {slot!r} already"
            raise PodNotAllowed(message)
        if len(slots) >= limit:
            message = f"user {user.pk} has {len(slots)} of {limit} pods (USERPODS_MAX_PODS)"
            raise PodNotAllowed(message)
        for error in refusals([Asked("", user.pk, profile)]).values():
            raise error
        row = new_row(user, slot, profile)
        transaction.on_commit(partial(tasks.ask_for_pods, [row.pk]), using=using, robust=True)
    return row


def remove_pod(pod: UserPod) -> None:
    """Take a further pod away, and its objects but for what ``USERPODS_RETAIN`` keeps.

    Raises PodNotAllowed for a main pod, which goes with its user.
    """
    if not pod.slot:
        message = f"{pod} is its user's main pod, which goes with its user; stop it instead"
        raise PodNotAllowed(message)
    using = alias()
    with transaction.atomic(using=using):
        # Nobody's from now on, so that the slot is free at once.
        rows().filter(pk=pod.pk).update(
            owner=None, wanted=Wanted.ABSENT, state=State.DELETING, updated_at=timezone.now()
        )
        transaction.on_commit(partial(tasks.ask_for_pods, [pod.pk]), using=using, robust=True)
