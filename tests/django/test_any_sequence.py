"""Any sequence of what may happen ends, after two quiet syncs, in what the database says."""

from __future__ import annotations

import copy
import random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

from django_userpods import lifecycle, tasks
from django_userpods.core.objects import DEPLOYMENT, SERVICE, Kind, Manifest, Ref
from django_userpods.exceptions import (
    ClusterError,
    ClusterUnavailable,
    Conflict,
    Forbidden,
    Invalid,
)
from django_userpods.models import UserPod
from django_userpods.reconcile import reconcile
from django_userpods.testing import MemoryCluster
from tests.django.support import CONFIG, VOLUME, template_with, users
from tests.factories import UserFactory

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.django_db(transaction=True)

NAMES = st.sampled_from(["alice", "bob", "Carol!", "dave-db"])
TEMPLATES = {
    "plain": template_with(),
    "config": template_with(CONFIG),
    "both": template_with(CONFIG, VOLUME),
}
ERRORS = st.sampled_from(
    [ClusterUnavailable("503"), Conflict("409"), Forbidden("403"), Invalid("422: no")]
)
VERBS = st.sampled_from(["list", "get", "create", "apply", "delete", None])
FOREIGN = [
    {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "theirs"}, "data": {"a": "b"}},
    {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "user-theirs", "labels": {"app": "theirs"}},
        "spec": {"ports": [{"port": 80}]},
    },
]


class Machine(RuleBasedStateMachine):
    """A few users, everything that may happen to them, and a cluster that refuses calls."""

    def __init__(self) -> None:
        super().__init__()
        MemoryCluster.reset()
        tasks.forget_pause()
        users().all().delete()
        MemoryCluster.reset()
        UserPod.objects.all().delete()
        self.memory = MemoryCluster(concurrency=1)
        self.foreign: dict[Ref, Manifest] = {}
        for manifest in FOREIGN:
            whole: Manifest = copy.deepcopy(manifest)
            whole["metadata"]["namespace"] = "default"
            self.foreign[Ref.of(whole)] = self.memory.create(whole)

    @initialize(template=st.sampled_from(sorted(TEMPLATES)))
    def begin(self, template: str) -> None:
        self.use(template)

    def user(self, name: str) -> Any:
        return users().filter(**{users().model.USERNAME_FIELD: name}).first()

    def pods(self, name: str) -> Any:
        user = self.user(name)
        return UserPod.objects.filter(owner=user) if user else UserPod.objects.none()

    @rule(name=NAMES, active=st.booleans())
    def save(self, name: str, active: bool) -> None:
        user = self.user(name)
        if user is None:
            UserFactory(username=name)
        else:
            user.is_active = active
            user.save()

    @rule(name=NAMES)
    def delete(self, name: str) -> None:
        if user := self.user(name):
            user.delete()

    @rule(name=NAMES)
    def delete_behind_our_back(self, name: str) -> None:
        if user := self.user(name):
            users().filter(pk=user.pk)._raw_delete("default")

    @rule(name=NAMES, other=NAMES)
    def rename(self, name: str, other: str) -> None:
        user = self.user(name)
        if user is not None and self.user(other) is None:
            setattr(user, users().model.USERNAME_FIELD, other)
            user.save()

    @rule(
        name=NAMES,
        what=st.sampled_from(
            [lifecycle.start, lifecycle.stop, lifecycle.restart, lifecycle.recreate]
        ),
    )
    def ask(self, name: str, what: Callable[[Any], Any]) -> None:
        what(self.pods(name))

    @rule(seed=st.integers(0, 1000), gone=st.booleans())
    def edit_by_hand(self, seed: int, gone: bool) -> None:
        ours = sorted(ref for ref in self.memory.objects if ref not in self.foreign)
        if not ours:
            return
        ref = random.Random(seed).choice(ours)
        if gone:
            del self.memory.objects[ref]
        elif ref.kind == DEPLOYMENT:
            pod = self.memory.objects[ref]["spec"]["template"]["spec"]
            pod["containers"][0]["image"] = "evil:1"
        else:
            self.memory.objects[ref]["metadata"]["labels"]["django-userpods/user-id"] = "x"

    @rule(name=st.sampled_from(sorted(TEMPLATES)))
    def use(self, name: str) -> None:
        # Settings are of the whole process; ``monkeypatched`` puts them back.
        monkeypatched["settings"].USERPODS_TEMPLATE = TEMPLATES[name]
        self.template = TEMPLATES[name]

    @rule(error=ERRORS, verb=VERBS, times=st.integers(1, 4))
    def refuse(self, error: ClusterError, verb: str | None, times: int) -> None:
        self.memory.fail_with(error, verb=verb, times=times)

    @rule()
    def sync(self) -> None:
        tasks.forget_pause()
        try:
            reconcile(allow_mass_delete=True)
        except ClusterError:
            return

    def teardown(self) -> None:
        self.memory.heal()
        tasks.forget_pause()
        for _ in range(2):
            reconcile(allow_mass_delete=True)
        report = reconcile(allow_mass_delete=True)
        assert report.ok, report
        assert report.done == []
        wanted: set[Ref] = set(self.foreign)
        for user in users().filter(is_active=True):
            pod = UserPod.objects.get(owner=user)
            assert pod.state == pod.wanted
            assert not pod.recreate
            wanted |= {Ref(DEPLOYMENT, "default", str(pod.name))}
            wanted |= {
                Ref(Kind.of(item), "default", item["metadata"]["name"].format(name=pod.name))
                for item in self.template
            }
            live = self.memory.objects[Ref(DEPLOYMENT, "default", str(pod.name))]
            assert live["spec"]["replicas"] == (0 if pod.wanted == "stopped" else 1)
            service = self.memory.objects[Ref(SERVICE, "default", str(pod.name))]
            assert pod.address == self.memory.peer(service)
        kept = {ref for ref in self.memory.objects if ref.kind.kind == "PersistentVolumeClaim"}
        assert set(self.memory.objects) - kept == wanted - kept
        assert {ref: self.memory.objects[ref] for ref in self.foreign} == self.foreign
        assert not UserPod.objects.filter(owner=None).exists()
        assert set(UserPod.objects.values_list("owner_id", flat=True)) <= set(
            users().values_list("pk", flat=True)
        )


#: The fixture of the test that runs: a machine is made without arguments.
monkeypatched: dict[str, Any] = {}


def test_any_sequence_ends_in_what_the_database_says(memory: MemoryCluster, settings: Any) -> None:
    options = {"concurrency": 1}
    settings.USERPODS_CLUSTER = {**settings.USERPODS_CLUSTER, "OPTIONS": options}
    monkeypatched["settings"] = settings
    run_state_machine_as_test(Machine, settings=EXAMPLES)


EXAMPLES = settings(
    max_examples=60,
    stateful_step_count=20,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
