"""Any sequence of what may happen to users, pods and cluster, and what has to be true in the end.

``Sequences`` is the machine: a few users, everything that may be done to them and behind our back,
calls that are refused, runs that are killed, and things that happen in the middle of a run (another
run, too). After two quiet syncs a third has nothing to do, what is in the cluster is exactly what
the database says, and nothing foreign has been touched. A ``Place`` is where it plays: the memory
cluster in ``tests/django``, a real API server in ``tests/real``.

``make sequences SEQUENCES=1000 SEED=7`` runs more of them, or the same ones again.
"""

from __future__ import annotations

import os
import random
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar

from django.conf import settings as django_settings
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from django_userpods import lifecycle
from django_userpods.cluster import get_cluster
from django_userpods.core.naming import POD_LABEL
from django_userpods.core.objects import DEPLOYMENT, SERVICE, Kind, Manifest, Ref
from django_userpods.exceptions import ClusterError
from django_userpods.models import UserPod
from django_userpods.reconcile import reconcile
from tests.django.support import CONFIG, VOLUME, end_pause, template_with, users
from tests.factories import UserFactory

if TYPE_CHECKING:
    from collections.abc import Callable

NAMES = st.sampled_from(["alice", "bob", "Carol!", "dave-db"])
RETAINED = "PersistentVolumeClaim"


def _other_image() -> list[Manifest]:
    manifests = template_with(CONFIG)
    manifests[0]["spec"]["template"]["spec"]["containers"][0]["image"] = "a:2"
    return manifests


TEMPLATES = {
    "plain": template_with(),
    "config": template_with(CONFIG),
    "both": template_with(CONFIG, VOLUME),
    "image": _other_image(),
}
FOREIGN: list[Manifest] = [
    {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "theirs"}, "data": {"a": "b"}},
    {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "user-theirs",
            "labels": {"django-userpods/installation": "another", "django-userpods/pod": "theirs"},
        },
        "spec": {"ports": [{"port": 80}]},
    },
]
#: What people may ask of pods.
EDITS = ["gone", "edited", "scaled", "unlabelled"]
ASKED = [lifecycle.start, lifecycle.stop, lifecycle.restart, lifecycle.recreate]


def pod_of(manifest: Manifest) -> str:
    """Return the id of the pod that an object is of; "" for none of ours."""
    return str((manifest["metadata"].get("labels") or {}).get(POD_LABEL, ""))


class Killed(BaseException):
    """The process ends here, as by SIGKILL: nobody handles it."""


class Interrupted:
    """Mixed into a cluster: something happens at one of the next writing calls to it."""

    #: (calls to come before it, whether it is after the call, what happens)
    coming: ClassVar[tuple[int, bool, Callable[[], None]] | None] = None

    def create(self, *args: Any, **kwargs: Any) -> Any:
        return _interrupted(super().create, *args, **kwargs)  # type: ignore[misc]

    def apply(self, *args: Any, **kwargs: Any) -> Any:
        return _interrupted(super().apply, *args, **kwargs)  # type: ignore[misc]

    def delete(self, *args: Any, **kwargs: Any) -> Any:
        return _interrupted(super().delete, *args, **kwargs)  # type: ignore[misc]


def _interrupted(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    happens, after = None, False
    if Interrupted.coming is not None:
        left, after, what = Interrupted.coming
        Interrupted.coming = (left - 1, after, what) if left else None
        happens = None if left else what
    if happens is not None and not after:
        happens()
    answer = call(*args, **kwargs)
    if happens is not None and after:
        happens()
    return answer


class PlainSettings:
    """The settings, set as they are: pytest-django's nest with each, which thousands cannot.

    What is set goes when the test's own overriding does, so the test has to set something first.
    """

    def __getattr__(self, name: str) -> Any:
        return getattr(django_settings, name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(django_settings, name, value)


class Place(ABC):
    """Where a sequence plays."""

    #: Whether pods come up there.
    pods_run: ClassVar[bool]
    namespace: str

    @abstractmethod
    def begin(self) -> None:
        """Be empty."""

    @abstractmethod
    def create(self, manifest: Manifest) -> None:
        """Create an object as somebody else."""

    @abstractmethod
    def objects(self) -> dict[Ref, Manifest]:
        """Return what there is of the kinds of our templates."""

    @abstractmethod
    def change(self, ref: Ref, patch: dict[str, Any]) -> None:
        """Merge something into an object as somebody else."""

    @abstractmethod
    def remove(self, ref: Ref) -> None:
        """Delete an object as somebody else."""

    @abstractmethod
    def refuse(self, fault: str, verb: str | None, times: int) -> None:
        """Refuse some of the coming calls."""

    @abstractmethod
    def heal(self) -> None:
        """Refuse nothing more."""


class Sequences(RuleBasedStateMachine):
    """A few users, and everything that may happen to them."""

    #: Given by the test that runs it: a machine is made without arguments.
    place: ClassVar[Place]
    settings: ClassVar[Any] = PlainSettings()

    def __init__(self) -> None:
        super().__init__()
        Interrupted.coming = None
        self.place.heal()
        users().all()._raw_delete("default")
        UserPod.objects.all().delete()
        end_pause()
        self.place.begin()
        self.foreign: dict[Ref, Manifest] = {}
        for manifest in FOREIGN:
            metadata = {**manifest["metadata"], "namespace": self.place.namespace}
            self.place.create({**manifest, "metadata": metadata})
        self.foreign = self.place.objects()
        assert len(self.foreign) == len(FOREIGN)

    @initialize(template=st.sampled_from(sorted(TEMPLATES)))
    def begin(self, template: str) -> None:
        self.use(template)

    def user(self, name: str) -> Any:
        return users().filter(**{users().model.USERNAME_FIELD: name}).first()

    def pods(self, name: str) -> Any:
        user = self.user(name)
        return UserPod.objects.filter(owner=user) if user else UserPod.objects.none()

    # --- what may happen

    @rule(name=NAMES, active=st.booleans())
    def save(self, name: str, active: bool) -> None:
        with suppress(Killed):
            self._save(name, active=active)

    def _save(self, name: str, *, active: bool = True) -> None:
        user = self.user(name)
        if user is None:
            UserFactory(username=name)
        else:
            user.is_active = active
            user.save()

    @rule(name=NAMES)
    def delete(self, name: str) -> None:
        with suppress(Killed):
            self._delete(name)

    def _delete(self, name: str) -> None:
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
            with suppress(Killed):
                user.save()

    @rule(name=NAMES, what=st.sampled_from(ASKED))
    def ask(self, name: str, what: Callable[[Any], Any]) -> None:
        with suppress(Killed):
            what(self.pods(name))

    @rule(
        seed=st.integers(0, 1000), how=st.sampled_from(["gone", "edited", "scaled", "unlabelled"])
    )
    def edit_by_hand(self, seed: int, how: str) -> None:
        ours = sorted(self.place.objects().keys() - self.foreign.keys())
        if not ours:
            return
        ref = random.Random(seed).choice(ours)
        if how == "gone":
            self.place.remove(ref)
        elif how == "unlabelled" or ref.kind != DEPLOYMENT:
            self.place.change(ref, {"metadata": {"labels": {"django-userpods/user-id": "x"}}})
        elif how == "scaled":
            self.place.change(ref, {"spec": {"replicas": 3}})
        else:
            self.place.change(ref, {"metadata": {"annotations": {"django-userpods/username": "x"}}})

    @rule(name=st.sampled_from(sorted(TEMPLATES)))
    def use(self, name: str) -> None:
        self.settings.USERPODS_TEMPLATE = TEMPLATES[name]
        self.template = TEMPLATES[name]

    @rule(
        fault=st.sampled_from(["503", "409", "403", "422", "lost"]),
        verb=st.sampled_from(["list", "get", "create", "apply", "delete", None]),
        times=st.integers(1, 4),
    )
    def refuse(self, fault: str, verb: str | None, times: int) -> None:
        self.place.refuse(fault, verb, times)

    @rule(
        left=st.integers(0, 5),
        after=st.booleans(),
        what=st.sampled_from(["kill", "sync", "save", "delete", "stop", "recreate", "template"]),
        name=NAMES,
    )
    def meanwhile(self, left: int, after: bool, what: str, name: str) -> None:
        def happens() -> None:
            if what == "kill":
                raise Killed
            if what == "sync":
                self._sync()
            elif what == "save":
                self._save(name)
            elif what == "delete":
                self._delete(name)
            elif what == "template":
                self.use("both")
            else:
                getattr(lifecycle, what)(self.pods(name))

        Interrupted.coming = (left, after, happens)

    @rule()
    def sync(self) -> None:
        with suppress(Killed):
            self._sync()

    def _sync(self) -> None:
        end_pause()
        with suppress(ClusterError):
            reconcile(allow_mass_delete=True)

    # --- what has to be true in the end

    def teardown(self) -> None:
        Interrupted.coming = None
        self.place.heal()
        end_pause()
        for _ in range(2):
            reconcile(allow_mass_delete=True)
        report = reconcile(allow_mass_delete=True)
        assert (report.done, report.not_done, report.refused) == ([], [], None), report
        there = self.place.objects()
        wanted: set[Ref] = set(self.foreign)
        failed = {item.user_pk for item in report.failed}
        for user in users().filter(is_active=True):
            pod = UserPod.objects.get(owner=user)
            if self._is_kept_out(pod, there):
                failed.remove(str(user.pk))
                assert pod.state == "failed"
                assert "belongs to another pod" in pod.message
                wanted |= {ref for ref, found in there.items() if pod_of(found) == pod.pk}
            else:
                wanted |= self._check_pod(pod, there)
        assert failed == set()
        kept = {ref for ref in there if ref.kind.kind == RETAINED}
        assert set(there) - kept == wanted - kept
        for ref, before in self.foreign.items():
            assert there[ref]["metadata"] == before["metadata"]
        assert not UserPod.objects.filter(owner=None).exists()
        keys = set(users().values_list("pk", flat=True))
        assert set(UserPod.objects.values_list("owner_id", flat=True)) <= keys
        for pod in UserPod.objects.filter(owner__is_active=False):
            assert (pod.wanted, pod.address) == ("absent", None)

    def _is_kept_out(self, pod: UserPod, there: dict[Ref, Manifest]) -> bool:
        """Tell whether a former user's volume has the name: nobody else is ever given that."""
        claims = [
            there.get(Ref(Kind.of(item), self.place.namespace, f"{pod.name}--data"))
            for item in self.template
            if item["kind"] == RETAINED
        ]
        return any(claim is not None and pod_of(claim) != pod.pk for claim in claims)

    def _check_pod(self, pod: UserPod, there: dict[Ref, Manifest]) -> set[Ref]:
        """Hold one user's pod against the database; return what has to be there."""
        namespace = self.place.namespace
        assert pod.state == pod.wanted or not self.place.pods_run
        assert not pod.recreate
        live = there[Ref(DEPLOYMENT, namespace, str(pod.name))]
        replicas = live["spec"]["replicas"]
        assert replicas in ({0} if pod.wanted == "stopped" else {1, 3})
        declared = self.template[0]["spec"]["template"]["spec"]["containers"][0]["image"]
        assert live["spec"]["template"]["spec"]["containers"][0]["image"] == declared
        service = there[Ref(SERVICE, namespace, str(pod.name))]
        assert pod.address == get_cluster().peer(service)
        return {
            Ref(Kind.of(item), namespace, item["metadata"]["name"].format(name=pod.name))
            for item in self.template
        }


def run(machine: type[Sequences], *, examples: int, steps: int) -> None:
    """Run a machine: the same sequences each time, or with ``USERPODS_SEQUENCES`` that many others.

    Pytest's ``--hypothesis-seed`` chooses which.
    """
    given = os.environ.get("USERPODS_SEQUENCES")
    chosen = settings(
        max_examples=int(given) if given else examples,
        stateful_step_count=steps,
        deadline=None,
        derandomize=not given,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(machine, settings=chosen)
