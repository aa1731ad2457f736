"""Whether somebody may reach a pod: the one place that says so.

Their own they may, and one that is shared with them (``USERPODS_SHARING``) as long as its owner may
have a pod. ``whoami`` asks here, tickets and sessions on pods' hosts do; nobody else decides.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

from django.db import router

from django_userpods.conf import conf
from django_userpods.exceptions import SettingError, Undecided
from django_userpods.models import Share, UserPod, main_pod_of, pod_named

if TYPE_CHECKING:
    import datetime
    from collections.abc import Iterable

    from django.contrib.auth.models import AbstractBaseUser

logger = logging.getLogger("django_userpods")

#: As many keys as go into one query.
_BATCH = 500
#: Where a user carries what was found out: a request asks about one pod, and more than once.
_FOUND = "userpods_reached"


class Reached(NamedTuple):
    """A pod that somebody may reach."""

    pod: UserPod
    #: Whether it is another's, who shares it.
    is_guest: bool = False
    #: When that ends by itself; None where it does not.
    until: datetime.datetime | None = None


def is_on() -> bool:
    """Tell whether pods may be shared at all. A setting that is invalid says no."""
    try:
        return conf.USERPODS_SHARING
    except SettingError:
        return False  # the system check says so; a request is not the place


def is_let_in(user: AbstractBaseUser) -> bool:
    """Tell whether a user may have a pod at all: Undecided where ``USERPODS_SELECT`` cannot."""
    if not user.is_active:
        return False
    try:
        return bool(conf.USERPODS_SELECT(user))
    except Exception as error:
        logger.exception("user %s: USERPODS_SELECT could not be used", user.pk)
        message = "USERPODS_SELECT could not be used"
        raise Undecided(message) from error


def find(user: AbstractBaseUser, name: str) -> Reached | None:
    """Return the pod of this name ("" for the user's main pod) if the user may reach it.

    That the user is let in is the caller's to know. One that is the user's own costs no query where
    the user came with it; another's costs one. Undecided where ``USERPODS_SELECT`` cannot tell of
    the owner.
    """
    own = pod_named(user, name) if name else main_pod_of(user)
    if own is not None and own.wanted != UserPod.Wanted.ABSENT:
        return Reached(own)
    if not name or not is_on():
        return None
    found: dict[str, Reached | None] = vars(user).setdefault(_FOUND, {})
    if name not in found:
        found[name] = _shared(user, name)
    return found[name]


def shared_pods_of(owner_pks: Iterable[str]) -> set[str]:
    """Return the names of the pods of some users that are shared; no query where none may be."""
    names: set[str] = set()
    owners = sorted(owner_pks) if is_on() else []
    for first in range(0, len(owners), _BATCH):
        rows = Share.objects.using(router.db_for_write(Share))
        rows = rows.filter(
            pod__owner_pk__in=owners[first : first + _BATCH], pod__name__isnull=False
        )
        names.update(map(str, rows.values_list("pod__name", flat=True)))
    return names


def _shared(user: AbstractBaseUser, name: str) -> Reached | None:
    # Where it was written: a replica that lags behind would let in whom nobody lets in any more.
    rows = Share.objects.using(router.db_for_write(Share)).valid().with_user(user)
    rows = rows.filter(pod__name=name).exclude(pod__wanted=UserPod.Wanted.ABSENT)
    shares = list(rows.select_related("pod__owner").order_by())
    if not shares:
        return None
    pod = shares[0].pod
    if pod.owner is None or not is_let_in(pod.owner):
        return None
    ends = [share.expires_at for share in shares if share.expires_at is not None]
    return Reached(pod, is_guest=True, until=max(ends) if len(ends) == len(shares) else None)
