"""A dry run says what a run then does: whatever the users, the cluster and the settings are."""

from __future__ import annotations

import copy
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from django_userpods.exceptions import ClusterError, ClusterUnavailable
from django_userpods.models import UserPod
from django_userpods.reconcile import reconcile, run
from django_userpods.testing import MemoryCluster
from tests import sequences
from tests.django.support import CONFIG, VOLUME, by_name, end_pause, template_with, writes
from tests.django.test_any_sequence import InMemory
from tests.factories import UserFactory

if TYPE_CHECKING:
    from django_userpods.core.objects import Manifest
    from django_userpods.reconcile.report import Report

pytestmark = pytest.mark.django_db(transaction=True)

SECRET = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "{name}--key"},
    "type": "Opaque",
    "stringData": {"key": "{username}"},
}
JOB = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {"name": "{name}--once"},
    "spec": {
        "template": {
            "spec": {"restartPolicy": "Never", "containers": [{"name": "job", "image": "j:1"}]}
        }
    },
}


def with_image(job: Manifest, image: str) -> Manifest:
    changed = copy.deepcopy(job)
    changed["spec"]["template"]["spec"]["containers"][0]["image"] = image
    return changed


def of_user(user: Any) -> list[Manifest]:
    if user.get_username() == "bob":
        message = "not for bob"
        raise RuntimeError(message)
    return template_with(CONFIG)


#: What may be asked for beside the templates of other sequences.
TEMPLATES: dict[str, Any] = {
    "secret": template_with(SECRET),
    "another type of secret": template_with({**SECRET, "type": "example.org/key"}, VOLUME),
    "job": template_with(JOB),
    "another job": template_with(with_image(JOB, "j:2"), CONFIG),
    "broken for one": of_user,
}
#: What somebody else has under names that ours want.
OTHERS: dict[str, Manifest] = {item["kind"]: item for item in template_with(CONFIG, VOLUME)}
OTHERS["Deployment"] = copy.deepcopy(OTHERS["Deployment"])
OTHERS["Deployment"]["spec"]["selector"] = {"matchLabels": {"app": "theirs"}}
OTHERS["Deployment"]["spec"]["template"]["metadata"] = {"labels": {"app": "theirs"}}
NAMES_OF_OTHERS = st.sampled_from(
    ["user-alice", "user-bob", "user-alice--data", "user-bob--config", "user-alice--key"]
)


def said(report: Report) -> dict[str, Any]:
    """What a report says that is known before it is done, but for the words of the API server."""
    return {
        "actions": sorted((str(a.verb), str(a.ref), a.reason) for a in report.done),
        "failed": sorted(
            (item.user_pk, item.name, item.message.rpartition("What cannot be changed")[2])
            for item in report.failed
        ),
        "refused": str(report.refused),
        "users": (report.users, report.unchanged),
    }


def rehearsed(**options: Any) -> tuple[list[str], list[str]]:
    """What a dry run says would be done, and the messages of what would fail."""
    report = reconcile(dry_run=True, **options)
    return [str(action) for action in report.done], [item.message for item in report.failed]


def put(memory: MemoryCluster, kind: str, name: str) -> None:
    """Make something of somebody else's."""
    memory.create({**OTHERS[kind], "metadata": {"name": name, "namespace": "default"}})


def everything(memory: MemoryCluster) -> Any:
    return copy.deepcopy(memory.objects), list(UserPod.objects.order_by("pk").values())


class Rehearsed(sequences.Sequences):
    """Sequences in which runs are rehearsed, and that go on as they were rehearsed."""

    @initialize(template=st.sampled_from(sorted(sequences.TEMPLATES)))
    def begin(self, template: str) -> None:
        self.use(template)
        for name in ("alice", "bob"):
            self.save(name, active=True)
        self.sync()

    @rule(name=st.sampled_from(sorted(TEMPLATES)))
    def use_another(self, name: str) -> None:
        self.settings.USERPODS_TEMPLATE = TEMPLATES[name]

    @rule(name=NAMES_OF_OTHERS, kind=st.sampled_from(sorted(OTHERS)))
    def take_a_name(self, name: str, kind: str) -> None:
        metadata = {"name": name, "namespace": self.place.namespace}
        with suppress(ClusterError):
            self.place.create({**OTHERS[kind], "metadata": metadata})

    @rule(mass_delete=st.booleans())
    def rehearse(self, mass_delete: bool) -> None:
        sequences.Interrupted.coming = None
        self.place.heal()
        end_pause()
        memory = MemoryCluster()
        before = everything(memory)
        rehearsed = reconcile(dry_run=True, allow_mass_delete=mass_delete)
        assert everything(memory) == before
        # What waits for something to be gone comes in a further pass.
        passes, run._PASSES = run._PASSES, 1
        try:
            done = reconcile(allow_mass_delete=mass_delete)
        finally:
            run._PASSES = passes
        assert said(rehearsed) == said(done)
        assert set(rehearsed.not_done) <= set(done.not_done)

    def teardown(self) -> None:
        self.rehearse(mass_delete=True)


@pytest.mark.timeout(3600)
def test_a_rehearsal_says_what_a_run_then_does(memory: MemoryCluster, settings: Any) -> None:
    settings.USERPODS_CLUSTER = {
        "BACKEND": "tests.django.test_any_sequence.InterruptedMemory",
        "OPTIONS": {"concurrency": 1},
    }
    Rehearsed.place = InMemory()
    sequences.run(Rehearsed, examples=40, steps=12)


def test_what_would_wait_for_what_is_refused_is_not_said_to_be_done(
    memory: MemoryCluster, settings: Any
) -> None:
    settings.USERPODS_TEMPLATE = template_with(VOLUME)
    put(memory, "PersistentVolumeClaim", "user-alice--data")
    memory.fail_with(ClusterUnavailable("down"), times=1)
    UserFactory(username="alice")
    end_pause()
    done, (message,) = rehearsed()
    # No pod starts without its volume; a Service does no harm.
    assert done == ["create Service default/user-alice"]
    assert "PersistentVolumeClaim default/user-alice--data exists and is not ours" in message


def test_a_volume_that_was_kept_for_another_user_is_said_to_be_in_the_way(
    memory: MemoryCluster, settings: Any
) -> None:
    settings.USERPODS_TEMPLATE = template_with(VOLUME)
    UserFactory(username="alice")
    by_name("alice").delete()
    memory.fail_with(ClusterUnavailable("down"), times=1)
    UserFactory(username="alice")
    end_pause()
    done, (message,) = rehearsed()
    assert done == ["create Service default/user-alice"]
    assert "PersistentVolumeClaim default/user-alice--data belongs to another pod" in message


def test_a_template_that_fails_for_one_is_said(memory: MemoryCluster, settings: Any) -> None:
    UserFactory(username="alice")
    UserFactory(username="bob")
    settings.USERPODS_TEMPLATE = of_user
    done, failed = rehearsed()
    assert "create ConfigMap default/user-alice--config" in done
    assert failed == ["USERPODS_TEMPLATE raised RuntimeError: not for bob"]


def test_a_field_that_cannot_be_changed_is_said(memory: MemoryCluster, settings: Any) -> None:
    settings.USERPODS_TEMPLATE = template_with(SECRET)
    UserFactory(username="alice")
    settings.USERPODS_TEMPLATE = template_with({**SECRET, "type": "example.org/key"})
    done, (message,) = rehearsed()
    assert not any("Secret" in action for action in done)
    assert "What cannot be changed of a Secret is type: take the change back" in message


def test_a_job_is_said_to_be_replaced(memory: MemoryCluster, settings: Any) -> None:
    settings.USERPODS_TEMPLATE = template_with(JOB)
    UserFactory(username="alice")
    settings.USERPODS_TEMPLATE = template_with(with_image(JOB, "j:2"))
    done, failed = rehearsed()
    (said,) = (action for action in done if "Job" in action)
    assert said.startswith("update Job default/user-alice--once")
    assert said.endswith("; replaced)")
    assert failed == []


def test_one_users_names_are_asked_for_one_by_one(memory: MemoryCluster) -> None:
    memory.fail_with(ClusterUnavailable("down"))
    alice = UserFactory(username="alice")
    memory.heal()
    end_pause()
    memory.calls.clear()
    assert len(rehearsed(user_pks=[str(alice.pk)])[0]) == 2
    assert [(call.verb, call.kind.kind) for call in memory.calls] == [
        ("list", "Deployment"),
        ("list", "Service"),
        ("get", "Deployment"),
        ("get", "Service"),
    ]
    assert writes(memory) == []
