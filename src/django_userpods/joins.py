"""Pods that come with a user, or with a row of theirs, in the same query.

Attributes of the user hold them. Nothing here knows a model, so that models can use it.
"""

from __future__ import annotations

from typing import Any

from django.db import models

#: Where a user's main pod is put, the name asked for, and the pod of that name.
MAIN_POD, ASKED, NAMED_POD = "userpods_main", "userpods_asked", "userpods_named"


def with_main_pod(users: models.QuerySet[Any], name: str = "") -> models.QuerySet[Any]:
    """Return the users with their main pods, in the same query; see ``main_pod_of``.

    With a ``name`` also with their pods of that name, see ``pod_named``.
    """
    return with_pods(users, "userpods", name)


def with_pods(rows: models.QuerySet[Any], path: str, name: str) -> models.QuerySet[Any]:
    """Return the rows with what is at ``path``: the main pods, and those of this name."""
    wanted = {MAIN_POD: {f"{path}__slot": ""}, NAMED_POD: {f"{path}__name": name}}
    joined = {
        key: models.FilteredRelation(path, condition=models.Q(**condition))
        for key, condition in wanted.items()
        if key == MAIN_POD or name
    }
    if name:
        # Django leaves out what is not there, so that it was looked for has to be said.
        rows = rows.annotate(**{ASKED: models.Value(name)})
    found: models.QuerySet[Any] = rows.annotate(**joined).select_related(*joined)
    return found


def user_of(row: Any) -> Any:  # noqa: ANN401 - a row that has a user
    """Return the row's user with the pods that the row came with."""
    for key in (MAIN_POD, ASKED, NAMED_POD):
        if key in vars(row):
            setattr(row.user, key, getattr(row, key))
    return row.user
