"""What a cluster changes in what is sent to it is said by the command that wrote it, and once."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest

from django_userpods.models import UserPod
from django_userpods.testing import MemoryCluster
from tests.django.support import sync, template_with, writes
from tests.factories import UserFactory

if TYPE_CHECKING:
    from django_userpods.core.objects import Manifest

pytestmark = pytest.mark.django_db(transaction=True)


def mirrored(manifest: Manifest) -> Manifest:
    if manifest["kind"] != "Deployment":
        return manifest
    changed = copy.deepcopy(manifest)
    for container in changed["spec"]["template"]["spec"]["containers"]:
        container["image"] = f"mirror.example/{container['image']}"
    return changed


class Mirroring(MemoryCluster):
    """A cluster whose policy has every image come from a mirror."""

    def create(self, manifest: Manifest, *, timeout: float | None = None) -> Manifest:
        return super().create(mirrored(manifest), timeout=timeout)

    def apply(self, manifest: Manifest, *, timeout: float | None = None) -> Manifest:
        return super().apply(mirrored(manifest), timeout=timeout)


@pytest.fixture(autouse=True)
def mirroring(memory: MemoryCluster, settings: Any) -> None:
    backend = f"{Mirroring.__module__}.{Mirroring.__qualname__}"
    settings.USERPODS_CLUSTER = {**settings.USERPODS_CLUSTER, "BACKEND": backend}
    settings.USERPODS_TEMPLATE = template_with()


def test_the_command_that_wrote_it_says_it_and_the_next_is_quiet(memory: MemoryCluster) -> None:
    UserFactory(username="alice")
    UserPod.objects.update(overruled="")
    status, out, err = sync()
    assert (status, err.count("is 'mirror.example/a:1' instead of 'a:1'")) == (0, 1)
    memory.calls.clear()
    status, out, err = sync()
    assert (status, err, writes(memory)) == (0, "", [])
    assert "Nothing to do" in out
    assert "mirror.example" in UserPod.objects.get().message


def test_json_has_it_too(memory: MemoryCluster) -> None:
    UserFactory(username="alice")
    UserPod.objects.update(overruled="")
    said = [json.loads(sync("--format", "json")[1])["overruled"] for _ in range(2)]
    assert [len(texts) for texts in said] == [1, 0]


def test_long_values_and_many_fields_are_cut(memory: MemoryCluster, settings: Any) -> None:
    image = "a" * 200
    names = [f"app{number}" for number in range(5)]
    settings.USERPODS_TEMPLATE = template_with()
    pod = settings.USERPODS_TEMPLATE[0]["spec"]["template"]["spec"]
    pod["containers"] = [{"name": name, "image": image} for name in names]
    UserFactory(username="alice")
    message = UserPod.objects.get().message
    assert message.endswith("2 more fields.")
    assert image not in message
