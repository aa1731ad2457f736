"""Letting others reach a pod, and letting them in no more. ``lifecycle`` has both for projects."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import router, transaction
from django.utils import timezone

from django_userpods import times
from django_userpods.access import router_client
from django_userpods.conf import conf
from django_userpods.exceptions import ShareRefused
from django_userpods.models import AccessToken, Share, UserPod

if TYPE_CHECKING:
    import datetime

#: Seconds that ``unshare`` waits, at most, until all routers know of it.
_ROUTERS_WAIT = 0.25


def share(
    pod: UserPod,
    *,
    with_: Any,  # noqa: ANN401 - the project's own user model, or a Group
    until: datetime.datetime | None = None,
    by: str = "",
) -> Share:
    """Let a user, or each user of a group, reach a pod, until then or for good.

    A time says its time zone, unless the project does without (``USE_TZ = False``).

    One that is shared with them already is shared until the new time. ``by`` says who asks (a
    username, say). It counts from the commit on. Raises ShareRefused where ``USERPODS_SHARING`` is
    False, the pod has no owner or no address of its own, it would be shared with its owner, or the
    time is over; SettingError where the setting cannot be used.
    """
    key = check(pod, with_=with_, until=until)
    rows = Share.objects.using(router.db_for_write(Share))
    found: Share
    found, _ = rows.update_or_create(
        pod_id=pod.pk,
        **key,
        defaults=(end := {"expires_at": times.stored(until) if until is not None else None}),
        create_defaults={**end, "created_by": by[:255]},
    )
    return found


def check(
    pod: UserPod,
    *,
    with_: Any,  # noqa: ANN401 - as above
    until: datetime.datetime | None = None,
) -> dict[str, Any]:
    """Raise what ``share`` would; else return what a row holds of the user or group."""
    if not conf.USERPODS_SHARING:
        message = "pods are not shared here: USERPODS_SHARING is False"
        raise ShareRefused(message, why="off")
    if pod.owner_id is None or pod.wanted == UserPod.Wanted.ABSENT:
        message = f"{pod} is nobody's any more"
        raise ShareRefused(message, why="nobodys")
    if not pod.url:
        message = f"{pod} has no address of its own, so nobody else could reach it"
        raise ShareRefused(message, why="address")
    key = _key_of(with_)
    if key == {"user_id": pod.owner_id}:
        message = f"{pod} is shared with its owner"
        raise ShareRefused(message, why="owner")
    if until is not None and settings.USE_TZ and timezone.is_naive(until):
        message = f"until {until} says no time zone"
        raise ShareRefused(message, why="time")
    if until is not None:
        _check_end(until)
    return key


def _check_end(until: datetime.datetime) -> None:
    # Compared as they are: the first and the last time of all are none in another time zone.
    at = times.aware(until)
    if at <= times.aware(timezone.now()):
        message = f"until {until} is already past"
        raise ShareRefused(message, why="time")
    if at > AccessToken.LATEST_END:
        message = f"until {until} is too far away for some databases"
        raise ShareRefused(message, why="time")


def unshare(pod: UserPod, *, with_: Any) -> bool:  # noqa: ANN401 - as above
    """Let a user or group reach a pod no more; return whether they could.

    Their running requests end. Somebody who is in a group that it is shared with still reaches it.
    """
    rows = Share.objects.using(router.db_for_write(Share)).filter(pod_id=pod.pk, **_key_of(with_))
    return end(rows) > 0


def end(rows: Any) -> int:  # noqa: ANN401 - a query for shares
    """End some shares, whatever the settings say, and return how many those were."""
    using = router.db_for_write(Share)
    with transaction.atomic(using=using):
        count = rows.using(using).delete()[0]
        if count:
            # Whoever did that may look whether it is so, as after a logout.
            wait = partial(router_client.wait_idle, _ROUTERS_WAIT)
            transaction.on_commit(wait, using=using, robust=True)
    return int(count)


def _key_of(with_: Any) -> dict[str, Any]:  # noqa: ANN401 - as above
    """Return what a row holds of a user or group; ShareRefused for anything else, or none saved."""
    group = Share._meta.get_field("group").related_model  # noqa: SLF001 - documented name
    for model, name in ((get_user_model(), "user_id"), (group, "group_id")):
        # A key alone is no row: one that is a UUID is there before.
        if isinstance(model, type) and isinstance(with_, model) and not with_._state.adding:  # noqa: SLF001 - documented name
            return {name: with_.pk}
    message = f"a pod is shared with a user or a group that is saved, not with {with_!r}"
    raise ShareRefused(message, why="whom")
