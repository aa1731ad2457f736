"""Namespaces that are not there, so that a dry run says what a run would fail for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django_userpods.cluster import get_cluster
from django_userpods.exceptions import ClusterError
from django_userpods.reconcile.report import Failure

if TYPE_CHECKING:
    from django_userpods.reconcile.report import Report

#: Maximum number of namespaces that are looked for: each is a call.
_MOST = 50


def missing_namespaces(report: Report) -> list[Failure]:
    """Return a failure for each namespace that a dry run would make objects in and is not there."""
    cluster = get_cluster()
    found = []
    for name in sorted({action.ref.namespace for action in report.done})[:_MOST]:
        try:
            message = cluster.lacks_namespace(name)
        except ClusterError:
            continue  # not to be known; the run says what comes of it
        if message:
            found.append(Failure("", f"namespace {name}", message))
    return found
