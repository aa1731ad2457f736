"""A site with profiles, for the tests of what is chosen from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib.auth.models import Group

from tests.django.support import deployment

if TYPE_CHECKING:
    from django_userpods.testing import MemoryCluster

PROFILES: dict[str, Any] = {
    "small": {"NAME": "Small", "DESCRIPTION": "For a first look.", "ENV": {"SIZE": "s"}},
    "gpu": {
        "NAME": "With a GPU",
        "IMAGE": "example.org/gpu:1",
        "RESOURCES": {"limits": {"memory": "2Gi"}},
        "GROUPS": ["research"],
    },
    "rare": {"NAME": "Rare", "IMAGE": "example.org/rare:1", "AT_ONCE": 1},
    "old": {"NAME": "Old", "IMAGE": "example.org/old:1", "ENABLED": False},
}


def research(*users: Any) -> None:
    """Put users into the group that may choose *gpu*."""
    group, _ = Group.objects.get_or_create(name="research")
    for user in users:
        user.groups.add(group)


def image_of(memory: MemoryCluster, name: str) -> str:
    spec = deployment(memory, name)["spec"]["template"]["spec"]
    return str(spec["containers"][0]["image"])
