"""What our lists have in common: no more columns and words than tell something."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib.admin.views.main import ChangeList
from django.db.models import Max, Min, Q

from django_userpods.models import UserPod

if TYPE_CHECKING:
    from django.http import HttpRequest

#: Where a request keeps what was found out for it: Django asks for the columns several times.
_KEPT = "_userpods_same_columns"


class PlainChangeList(ChangeList):
    """A list that offers "Show all" only where it is filtered.

    Without ``show_full_result_count`` Django offers it always, since it does not know better.
    """

    def get_results(self, request: HttpRequest) -> None:
        """Find what is shown, and its number, which is that of all where nothing is left out."""
        super().get_results(request)
        if not self.query and not self.has_active_filters:
            self.full_result_count = self.result_count


def columns_to_leave_out(request: HttpRequest) -> frozenset[str]:
    """Return the columns of the list of pods that would be the same for all. One query."""
    found: frozenset[str] | None = getattr(request, _KEPT, None)
    if found is None:
        known = ~Q(image="")
        ends = UserPod.objects.aggregate(
            namespace_first=Min("namespace"),
            namespace_last=Max("namespace"),
            image_first=Min("image", filter=known),
            image_last=Max("image", filter=known),
            seen=Max("last_activity"),
        )
        same = {
            "namespace": ends["namespace_first"] == ends["namespace_last"],
            "short_image": ends["image_first"] == ends["image_last"],
            "last_seen": ends["seen"] is None,
        }
        found = frozenset(column for column, is_same in same.items() if is_same)
        setattr(request, _KEPT, found)
    return found
