"""What Django's own pages on users say of pods where no mixin of ours says it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import template

if TYPE_CHECKING:
    from collections.abc import Mapping

register = template.Library()


@register.inclusion_tag("admin/userpods/leaving.html", takes_context=True)
def userpods_that_go(context: Mapping[str, Any], users: Any) -> dict[str, Any]:  # noqa: ANN401
    """Show which pods go with a user, or with some; nothing where the page's list has the mixin."""
    # Django imports all tags in a project without an admin, too.
    from django_userpods.admin import UserPodsUserAdminMixin
    from django_userpods.admin.leaving import pods_that_go

    match = getattr(context.get("request"), "resolver_match", None)
    page = getattr(getattr(match, "func", None), "model_admin", None)
    if isinstance(page, UserPodsUserAdminMixin):
        return {"pods": []}
    return {"pods": pods_that_go(users if hasattr(users, "filter") else [users])}
