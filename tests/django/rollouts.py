"""Pods that are to be given another template: which have it, and how these do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django_userpods.reconcile import reconcile, rollout
from tests.django.support import bulk, deployment, names

if TYPE_CHECKING:
    from django_userpods.core.objects import Manifest
    from django_userpods.testing import MemoryCluster

OLD, NEW = "example.org/app:1", "example.org/app:2"
WAVES = {"MAX_UNREADY": 2, "MAX_FAILURES": 3}


def five_pods(memory: MemoryCluster, settings: Any, rule: Any = None) -> None:
    """Make five pods that run, and then another image, by the rule that is given."""
    settings.USERPODS_IMAGE = OLD
    settings.USERPODS_ROLLOUT = rule or WAVES
    bulk(5)
    assert reconcile().ok
    settings.USERPODS_IMAGE = NEW
    memory.calls.clear()


def image(found: Manifest) -> str:
    return str(found["spec"]["template"]["spec"]["containers"][0]["image"])


def with_image(memory: MemoryCluster, wanted: str = NEW) -> list[str]:
    return [name for name in names(memory) if image(deployment(memory, name)) == wanted]


def unready(memory: MemoryCluster, *pods: str) -> None:
    for pod in pods:
        deployment(memory, pod)["status"]["readyReplicas"] = 0


def ready(memory: MemoryCluster, *pods: str) -> None:
    for pod in pods:
        deployment(memory, pod)["status"]["readyReplicas"] = 1


def failing(memory: MemoryCluster, *pods: str) -> None:
    """Let pods fail as they do whose image cannot be pulled in time."""
    unready(memory, *pods)
    condition = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
    for pod in pods:
        deployment(memory, pod)["status"]["conditions"] = [condition]


def turns() -> dict[str, int]:
    return {str(turn): number for turn, number in rollout.counts().items() if number}
