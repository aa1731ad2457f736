"""Watches of a controller on bad days, and an API server that is set back: nothing is missed."""

from __future__ import annotations

import secrets
import shutil
import time
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.models import User

from tests import faults
from tests.faultproxy import FaultProxy
from tests.real.controllers import Site, site, until
from tests.real.foreign import Foreign
from tests.real.matrix import MATRIX
from tests.testcluster.controlplane import ControlPlane
from tests.testcluster.fixtures import restricted_namespace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.faultproxy import Exchange
    from tests.testcluster.cluster import Cluster

pytestmark = pytest.mark.cluster

LONG = 60.0
WATCH = "watch=true"
#: A look at everything would find all that watches miss.
NEVER = ("--resync", "3600")


@pytest.fixture(scope="module")
def proxy(cluster: Cluster) -> Iterator[FaultProxy]:
    with FaultProxy(cluster.kubeconfig) as faulty:
        yield faulty


@pytest.fixture(scope="module")
def here(
    tmp_path_factory: Any,
    cluster: Cluster,
    proxy: FaultProxy,
    django_db_setup: None,
    django_db_blocker: Any,
) -> Iterator[Site]:
    """A site with a controller behind the proxy that leads; two users have pods."""
    namespace = f"test-{secrets.token_hex(5)}"
    cluster.create(restricted_namespace(namespace))
    folder = tmp_path_factory.mktemp("watches")
    with django_db_blocker.unblock(), site(folder, cluster.kubeconfig, namespace) as made:
        for name in ("alice", "bob"):
            User.objects.create(username=name)
        controller = made.start(proxy.kubeconfig, *NEVER, cluster={"silence": 2.0})
        until(lambda: controller.is_synced, LONG, "a leader")
        until(lambda: is_well(made), LONG, "two pods")
        yield made
        assert controller.end() == 0, controller.text
        assert made.changes_of_a_sync() == 0
    cluster.kubectl("delete", "namespace", namespace, "--wait=false")


@pytest.fixture(scope="module")
def foreign(here: Site, cluster: Cluster) -> Foreign:
    """What nobody here may touch."""
    return Foreign(cluster, here.namespace)


@pytest.fixture
def watched(here: Site, proxy: FaultProxy, foreign: Foreign) -> Iterator[Site]:
    until(lambda: is_well(here), LONG)
    yield here
    proxy.clear()
    here.assert_at_rest()
    foreign.assert_untouched()


def is_well(here: Site) -> bool:
    return here.is_settled() and here.has_pairs("user-alice", "user-bob")


def uid(here: Site) -> str:
    """Return who alice's Deployment is; "" where there is none."""
    found = here.get("user-alice")
    return "" if found is None else str(found["metadata"]["uid"])


def delete_deployment(cluster: Cluster, here: Site) -> Callable[[], bool]:
    """Delete alice's Deployment; return what tells whether there is another."""
    before = uid(here)
    assert before
    cluster.kubectl("delete", "deployment", "user-alice", "-n", here.namespace, "--wait=false")
    return lambda: uid(here) not in ("", before) and is_well(here)


def watches(proxy: FaultProxy) -> int:
    return sum(WATCH in call.query for call in proxy.calls)


def test_silent_watches_are_begun_again(watched: Site, proxy: FaultProxy, cluster: Cluster) -> None:
    # From now on every new watch hangs: those of the last one are given up by and by.
    proxy.on(faults.stream(b"", end="hang"), query=WATCH)
    proxy.forget()
    until(lambda: watches(proxy) >= 3, LONG, "watches that hang")
    is_back = delete_deployment(cluster, watched)
    proxy.clear()
    MATRIX.note("silent", until(is_back, LONG))


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("cut", lambda exchange: exchange.pass_through(limit=100)),
        ("expired", faults.status(410, reason="Expired")),
    ],
    ids=["cut", "410"],
)
def test_watches_that_cannot_go_on_miss_nothing(
    watched: Site, proxy: FaultProxy, cluster: Cluster, row: str, fault: Callable[[Exchange], None]
) -> None:
    proxy.on(fault, query=WATCH)
    proxy.forget()
    # The silence of two seconds ends the watches that are open, and the next are met by this.
    until(lambda: watches(proxy) >= 3, LONG, "watches that break")
    is_back = delete_deployment(cluster, watched)
    proxy.clear()
    MATRIX.note(row, until(is_back, LONG))


def test_an_answer_of_the_past_undoes_nothing(
    watched: Site, proxy: FaultProxy, cluster: Cluster
) -> None:
    """The lists of a look are answered when things are otherwise already."""
    held: list[float] = []

    def late(exchange: Exchange) -> None:
        answer = exchange.forward()
        held.append(time.monotonic())
        exchange.freed.wait(3)
        exchange.answer(answer)

    proxy.on(late, method="GET", path="/deployments$", query="limit=500", times=2)
    first = delete_deployment(cluster, watched)
    until(lambda: held, LONG, "a list")
    # There is none in the answer that is held; by now there is one, and nobody makes another.
    watched.sync()
    made = uid(watched)
    assert made
    MATRIX.note("late", until(first, LONG))
    time.sleep(max(0.0, held[-1] + 3.5 - time.monotonic()))
    until(lambda: is_well(watched), LONG)
    assert uid(watched) == made
    assert watched.changes_of_a_sync() == 0


def test_the_label_of_a_pod_that_is_changed_by_hand_is_put_back(
    watched: Site, cluster: Cluster
) -> None:
    label = "django-userpods/pod"
    on = ("deployment", "user-alice", "-n", watched.namespace)
    cluster.kubectl("label", *on, f"{label}=nobodys", "--overwrite")

    def is_ours() -> bool:
        found = watched.get("user-alice")
        labels = found["metadata"]["labels"] if found is not None else {}
        return labels.get(label) not in (None, "nobodys") and is_well(watched)

    MATRIX.note("relabelled", until(is_ours, LONG))


def test_an_etcd_that_is_set_back_agrees_again(
    tmp_path: Path, django_db_setup: None, django_db_blocker: Any
) -> None:
    """Whoever came since is missing in the cluster, and whoever went is there, without an event."""
    with (
        ControlPlane(controller_manager=False, scheduler=False, kwok=False) as plane,
        django_db_blocker.unblock(),
        site(tmp_path, plane.kubeconfig, "pods") as here,
    ):
        data, backup = plane.directory / "etcd", plane.directory / "backup"

        def stop() -> None:
            plane.stop_apiserver()
            plane.run.stop("etcd", grace=5)

        def start() -> None:
            plane._start_etcd()
            plane.start_apiserver()

        plane.create(restricted_namespace("pods"))
        controller = here.start(plane.kubeconfig, *NEVER)
        until(lambda: controller.is_synced, LONG, "a leader")
        for name in ("alice", "bob"):
            User.objects.create(username=name)
        until(lambda: here.has_pairs("user-alice", "user-bob"), LONG)
        stop()
        shutil.copytree(data, backup)
        User.objects.create(username="dave")
        start()
        everybody = ("user-alice", "user-bob", "user-dave")
        MATRIX.note("restarted", until(lambda: here.has_pairs(*everybody), LONG))
        until(lambda: controller.is_synced, LONG, "a leader again")
        User.objects.get(username="dave").delete()
        User.objects.get(username="alice").delete()
        User.objects.create(username="carol")
        until(lambda: here.has_pairs("user-bob", "user-carol"), LONG)
        stop()
        shutil.rmtree(data)
        backup.rename(data)
        start()
        MATRIX.note("restored", until(lambda: here.has_pairs("user-bob", "user-carol"), LONG))
        until(lambda: controller.is_synced, LONG)
        here.assert_at_rest()
        assert controller.end() == 0, controller.text
