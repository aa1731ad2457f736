"""What is shared, for pages: with whom one's own pods are, and which others' one may reach."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django_userpods.access import reach
from django_userpods.models import Share, UserPod

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Maximum number of others' pods that are listed.
_MOST = 200


def may_share(user: Any) -> bool:  # noqa: ANN401 - the project's own user model
    """Tell whether a user may share what is theirs."""
    return reach.is_on() and bool(user.has_perm("userpods.share_userpod"))


def shares_of(pods: Sequence[UserPod]) -> dict[str, list[Share]]:
    """Return the shares of some pods by the pods' keys: those that are not over. One query."""
    found: dict[str, list[Share]] = {}
    if reach.is_on():
        rows = Share.objects.valid().filter(pod__in=[pod.pk for pod in pods])
        for share in rows.select_related("user", "group").order_by("pk"):
            found.setdefault(share.pod_id, []).append(share)
    return found


def pods_shared_with(user: Any) -> list[UserPod]:  # noqa: ANN401 - the project's own user model
    """Return others' pods that are shared with a user, by name. One query.

    Whether one can be reached now is asked of nobody: its owner may be out for a reason of
    ``USERPODS_SELECT``.
    """
    if not reach.is_on():
        return []
    rows = Share.objects.valid().with_user(user).exclude(pod__owner=None)
    rows = rows.exclude(pod__wanted=UserPod.Wanted.ABSENT).exclude(pod__owner=user.pk)
    shares = rows.select_related("pod__owner").order_by("pod__name", "pk")[:_MOST]
    pods = {share.pod_id: share.pod for share in shares if share.pod.url}
    return [pod for pod in pods.values() if pod.owner is not None and pod.owner.is_active]
