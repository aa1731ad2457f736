"""Templates with more than one workload: a pod is behind, updated or failed as a whole."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from django_userpods.core.objects import DEPLOYMENT, Kind, Ref
from django_userpods.models import UserPod
from django_userpods.reconcile import reconcile, rollout
from tests.django.rollouts import NEW, WAVES, failing, turns, unready, with_image
from tests.django.support import DATABASE, bulk, names, template_with, writes

if TYPE_CHECKING:
    from django_userpods.core.objects import Manifest
    from django_userpods.testing import MemoryCluster

pytestmark = pytest.mark.django_db


def beside(kind: str = "Deployment", image: str = "side:1", name: str = "side") -> Manifest:
    """Return a second workload of a template."""
    return {
        "apiVersion": "batch/v1" if kind == "Job" else "apps/v1",
        "kind": kind,
        "metadata": {"name": f"{{name}}--{name}"},
        "spec": {"template": {"spec": {"containers": [{"name": "side", "image": image}]}}}
        | ({"serviceName": "{name}--side"} if kind == "StatefulSet" else {}),
    }


def made(memory: MemoryCluster, image: str, name: str = "side") -> list[Ref]:
    """Return the second workloads that have an image."""
    return [
        ref
        for ref, found in sorted(memory.objects.items())
        if ref.name.endswith(f"--{name}")
        and found["spec"]["template"]["spec"]["containers"][0]["image"] == image
    ]


def begin(memory: MemoryCluster, settings: Any, *extra: Manifest) -> None:
    """Make five pods that run."""
    settings.USERPODS_TEMPLATE = template_with(*extra)
    settings.USERPODS_ROLLOUT = WAVES
    bulk(5)
    assert reconcile().ok
    memory.calls.clear()


# As the API server says it while the pod of before is there and ready, and the new one is not.
EARLIER = {
    "Deployment": {"replicas": 2, "updatedReplicas": 1, "readyReplicas": 1},
    "StatefulSet": {"replicas": 1, "updatedReplicas": 0, "readyReplicas": 1},
    "DaemonSet": {"desiredNumberScheduled": 1, "updatedNumberScheduled": 0, "numberReady": 1},
    "Job": {"succeeded": 0, "active": 1},
}


@pytest.mark.parametrize("kind", EARLIER)
def test_a_workload_beside_the_deployment_is_updated_in_waves(
    memory: MemoryCluster, settings: Any, kind: str
) -> None:
    begin(memory, settings, beside(kind))
    settings.USERPODS_TEMPLATE = template_with(beside(kind, "side:2"))
    for _ in range(3):
        reconcile()
        for ref in made(memory, "side:2"):
            memory.objects[ref]["status"] |= EARLIER[kind]
    assert len(made(memory, "side:2")) == 2
    assert turns() == {"waiting": 3, "updating": 2}
    for ref in made(memory, "side:2"):
        memory.objects[ref]["status"] |= dict.fromkeys(EARLIER[kind], 1)
    reconcile()
    assert len(made(memory, "side:2")) == 4


def test_one_that_fails_while_its_predecessor_answers_stops_the_rollout(
    memory: MemoryCluster, settings: Any
) -> None:
    begin(memory, settings, beside())
    settings.USERPODS_TEMPLATE = template_with(beside(image="side:2"))
    condition = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
    for _ in range(3):
        reconcile()
        for ref in made(memory, "side:2"):
            memory.objects[ref]["status"] |= EARLIER["Deployment"] | {"conditions": [condition]}
    assert turns() == {"waiting": 3, "failed": 2}
    stopped = rollout.stopped()
    assert stopped is not None
    assert "--side: ProgressDeadlineExceeded" in stopped[1]


def test_one_that_the_template_has_more_of_comes_in_waves(
    memory: MemoryCluster, settings: Any
) -> None:
    begin(memory, settings)
    settings.USERPODS_TEMPLATE = template_with(beside())
    for _ in range(3):
        reconcile()
        unready(memory, *(name for name in names(memory) if name.endswith("--side")))
    assert len(made(memory, "side:1")) == 2
    assert turns() == {"waiting": 3, "updating": 2}


def test_one_more_that_fails_brings_nobody_who_waits_the_rest(
    memory: MemoryCluster, settings: Any
) -> None:
    """A pod that has failed is given the template at once, so it may not fail by waiting."""
    begin(memory, settings)
    changed = template_with(beside())
    changed[0]["spec"]["template"]["spec"]["containers"][0]["image"] = NEW
    settings.USERPODS_TEMPLATE = changed
    for _ in range(4):
        reconcile()
        failing(memory, *(name for name in names(memory) if name.endswith("--side")))
    assert len(with_image(memory)) == 2
    assert len(made(memory, "side:1")) == 2
    assert UserPod.objects.filter(state="running").count() == 3


def test_one_that_the_template_has_no_more_goes_in_waves(
    memory: MemoryCluster, settings: Any
) -> None:
    begin(memory, settings, beside())
    settings.USERPODS_TEMPLATE = template_with(beside(name="other"))
    for _ in range(3):
        reconcile()
        unready(memory, *(name for name in names(memory) if name.endswith("--other")))
    assert len(made(memory, "side:1")) == 3
    assert len(made(memory, "side:1", "other")) == 2


def test_one_that_somebody_deleted_is_back_at_once(memory: MemoryCluster, settings: Any) -> None:
    begin(memory, settings, beside())
    settings.USERPODS_ROLLOUT = {"WHEN": "next start"}
    del memory.objects[Ref(DEPLOYMENT, "default", "user-bulk000--side")]
    assert reconcile().waiting == []
    assert writes(memory) == [("create", "Deployment", "user-bulk000--side")]


@pytest.mark.parametrize(
    ("index", "field", "value"),
    [(0, "podManagementPolicy", "Parallel"), (0, "serviceName", "{name}")],
)
def test_what_cannot_be_changed_is_refused_of_those_alone_who_have_their_turn(
    memory: MemoryCluster, settings: Any, index: int, field: str, value: str
) -> None:
    begin(memory, settings, *copy.deepcopy(DATABASE))
    changed = copy.deepcopy(DATABASE)
    changed[index]["spec"][field] = value  # type: ignore[index]
    settings.USERPODS_TEMPLATE = template_with(*changed)
    assert len(reconcile().failed) == 2
    assert UserPod.objects.filter(state="running").count() == 3
    for _ in range(3):
        reconcile()
    assert rollout.stopped() is not None
    memory.calls.clear()
    assert reconcile().failed == []
    assert writes(memory) == []


def test_a_job_of_one_who_waits_is_not_made_anew(memory: MemoryCluster, settings: Any) -> None:
    begin(memory, settings, beside("Job"))
    changed = template_with(beside("Job"))
    changed[0]["spec"]["template"]["spec"]["containers"][0]["image"] = NEW
    changed[2]["spec"]["completionMode"] = "Indexed"
    changed[2]["spec"]["completions"] = 1
    settings.USERPODS_TEMPLATE = changed
    job = Kind("batch/v1", "Job")
    before = {ref: found["metadata"]["uid"] for ref, found in memory.objects.items()}
    reconcile()
    kept = [
        ref
        for ref, found in memory.objects.items()
        if ref.kind == job and before[ref] == found["metadata"]["uid"]
    ]
    assert len(kept) == 3
