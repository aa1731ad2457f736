"""Controllers that die, stand still and contend, and an API server on bad days."""

from __future__ import annotations

import secrets
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction

from django_userpods.cluster import get_cluster
from django_userpods.core.objects import DEPLOYMENT, LEASE, SERVICE, Ref
from django_userpods.models import UserPod
from django_userpods.reconcile.wanted import this_installation
from tests import faults
from tests.faultproxy import FaultProxy
from tests.real.controllers import Controller, Site, site, until
from tests.real.matrix import MATRIX
from tests.testcluster.fixtures import restricted_namespace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.faultproxy import Exchange
    from tests.testcluster.cluster import Cluster

pytestmark = pytest.mark.cluster

LONG = 60.0
WRITES = ("POST", "PATCH", "DELETE", "PUT")


@pytest.fixture(scope="module")
def there(
    tmp_path_factory: Any, cluster: Cluster, django_db_setup: None, django_db_blocker: Any
) -> Iterator[Site]:
    """A site without a controller."""
    namespace = f"test-{secrets.token_hex(5)}"
    cluster.create(restricted_namespace(namespace))
    folder = tmp_path_factory.mktemp("faults")
    with django_db_blocker.unblock(), site(folder, cluster.kubeconfig, namespace) as made:
        yield made
    cluster.kubectl("delete", "namespace", namespace, "--wait=false")


@pytest.fixture(scope="module")
def proxy(cluster: Cluster) -> Iterator[FaultProxy]:
    with FaultProxy(cluster.kubeconfig) as faulty:
        yield faulty


@pytest.fixture(scope="module")
def leader(there: Site, proxy: FaultProxy) -> Iterator[Callable[[], Controller]]:
    """Return a controller behind the proxy that leads: that of the last test, if it still does."""
    kept: list[Controller] = []

    def get() -> Controller:
        if not kept or kept[0].process.poll() is not None or not kept[0].is_leading:
            for other in kept:
                other.end(signal.SIGKILL)
            forget_lease()
            kept[:] = [there.start(proxy.kubeconfig)]
        until(lambda: kept[0].is_synced, LONG, "a leader")
        return kept[0]

    yield get
    for controller in kept:
        controller.end()


@pytest.fixture
def here(there: Site, proxy: FaultProxy) -> Iterator[Site]:
    yield there
    proxy.clear()
    proxy.listen()
    User.objects.all().delete()

    def is_empty() -> bool:
        there.sync()  # there may be no controller any more
        return not UserPod.objects.exists()

    until(is_empty, LONG, "the end", every=0.5)


def forget_lease() -> None:
    """Let nobody wait for one who is dead."""
    for found in get_cluster().list(LEASE, namespace=None, labels={}):
        if found["metadata"]["name"] == f"userpods-{this_installation().id}":
            get_cluster().delete(Ref.of(found), uid=found["metadata"]["uid"])


def make(*names: str) -> None:
    with transaction.atomic():
        for name in names:
            User.objects.create(username=name)


def pods(*names: str) -> list[str]:
    return [f"user-{name}" for name in names]


def agreed(here: Site, *names: str) -> Callable[[], bool]:
    """Return what tells whether exactly these have pods, and all rows say so."""
    return lambda: here.is_settled() and here.has_pairs(*pods(*names))


# --- one of many


def test_another_takes_over_from_one_that_is_killed(
    here: Site, cluster: Cluster, leader: Callable[[], Controller]
) -> None:
    first = leader()
    second = here.start(cluster.kubeconfig)
    until(lambda: second.get("/readyz")[0] == 200, LONG, "a second one")
    assert (first.is_leading, second.is_leading) == (True, False)
    make("alice")
    until(agreed(here, "alice"), LONG)
    first.end(signal.SIGKILL)
    killed = time.monotonic()
    make("bob")
    cluster.kubectl("delete", "deployment", "user-alice", "-n", here.namespace, "--wait=false")
    until(lambda: second.is_leading, LONG)
    MATRIX.note("killed", time.monotonic() - killed)
    until(agreed(here, "alice", "bob"), LONG)
    MATRIX.note("killed-agreed", time.monotonic() - killed)
    assert here.changes_of_a_sync() == 0

    # One that is told to end hands over at once.
    third = here.start(cluster.kubeconfig)
    until(lambda: third.get("/readyz")[0] == 200, LONG, "a third one")
    began = time.monotonic()
    assert second.end() == 0, second.text
    until(lambda: third.is_leading, LONG)
    MATRIX.note("terminated", time.monotonic() - began)
    assert third.end() == 0, third.text


def test_a_paused_leader_writes_nothing_once_another_leads(
    here: Site, cluster: Cluster, proxy: FaultProxy, leader: Callable[[], Controller]
) -> None:
    first = leader()
    second = here.start(cluster.kubeconfig)
    names = [f"u{number}" for number in range(60)]
    until(lambda: second.get("/readyz")[0] == 200, LONG, "a second one")
    make(*names)
    until(lambda: len(here.names()) >= 5, LONG, "a beginning", every=0.01)
    first.send(signal.SIGSTOP)
    made = len(here.names())
    until(agreed(here, *names), LONG, "all of them", every=0.3)
    assert made < 60, "it was not in the middle"
    assert second.is_leading
    time.sleep(0.5)  # what the proxy had in hand
    proxy.forget()
    first.send(signal.SIGCONT)
    began = time.monotonic()
    until(lambda: first.get("/metrics")[0] == 200 and not first.is_leading, LONG)
    until(lambda: any("/leases/" in call.path for call in proxy.calls), LONG, "its next try")
    # It comes to know of what it missed, as the others do, and has no part in it.
    make("late")
    until(agreed(here, *names, "late"), LONG, every=0.3)
    MATRIX.note("paused", time.monotonic() - began)
    writes = [
        call.path for call in proxy.calls if call.method in WRITES and "/leases" not in call.path
    ]
    assert writes == []
    assert here.changes_of_a_sync() == 0
    assert second.is_leading
    assert second.end() == 0, second.text


@pytest.mark.parametrize("carried_out", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/deployments"), ("POST", "/services"), ("DELETE", "/deployments")],
)
def test_one_that_is_killed_at_a_write_leaves_nothing_half_done(
    here: Site,
    proxy: FaultProxy,
    leader: Callable[[], Controller],
    method: str,
    path: str,
    carried_out: bool,
) -> None:
    first = leader()
    make("keep1", "keep2")
    if method == "DELETE":
        make("alice")
        until(agreed(here, "keep1", "keep2", "alice"), LONG)

    def kill(exchange: Exchange) -> None:
        if carried_out:
            exchange.forward()
        first.end(signal.SIGKILL)
        exchange.reset()

    proxy.on(kill, method=method, path=path, times=1)
    if method == "DELETE":
        User.objects.get(username="alice").delete()
    else:
        make("alice")
    until(lambda: first.process.poll() is not None, LONG, "its death")
    forget_lease()
    leader()
    began = time.monotonic()
    left = ["keep1", "keep2"] if method == "DELETE" else ["keep1", "keep2", "alice"]
    until(agreed(here, *left), LONG)
    MATRIX.note("killed-at-writes", time.monotonic() - began)
    assert here.changes_of_a_sync() == 0


# --- an API server on bad days


@pytest.mark.parametrize("seconds", [4, 16])
def test_what_happens_while_the_api_server_is_away_is_found(
    here: Site,
    cluster: Cluster,
    proxy: FaultProxy,
    leader: Callable[[], Controller],
    seconds: int,
) -> None:
    controller = leader()
    make("alice", "bob", "carol")
    until(agreed(here, "alice", "bob", "carol"), LONG)
    proxy.refuse()
    gone = time.monotonic()
    make("dave")
    User.objects.get(username="carol").delete()
    cluster.kubectl("delete", "deployment", "user-alice", "-n", here.namespace, "--wait=false")
    until(lambda: time.monotonic() - gone >= seconds, LONG)
    assert controller.process.poll() is None
    proxy.listen()
    MATRIX.note(f"away-{seconds}", until(agreed(here, "alice", "bob", "dave"), LONG))
    assert here.changes_of_a_sync() == 0


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("errors", faults.status(500)),
        ("throttled", faults.status(429, headers={"Retry-After": "1"})),
    ],
    ids=["500", "429"],
)
def test_writes_that_fail_for_a_while_are_made_good(
    here: Site, proxy: FaultProxy, leader: Callable[[], Controller], row: str, fault: Any
) -> None:
    leader()
    proxy.forget()
    proxy.on(fault, method="POST", path="/(deployments|services)$")
    make("alice", "bob")
    until(lambda: sum(call.method == "POST" for call in proxy.calls) >= 3, LONG, "some tries")
    proxy.clear()
    MATRIX.note(row, until(agreed(here, "alice", "bob"), LONG))
    assert here.changes_of_a_sync() == 0


def test_a_quota_that_is_lifted_lets_the_rest_in(
    here: Site, cluster: Cluster, leader: Callable[[], Controller]
) -> None:
    leader()
    cluster.create(
        {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "few", "namespace": here.namespace},
            "spec": {"hard": {"count/deployments.apps": "1"}},
        }
    )

    def is_in_force() -> bool:
        quota = cluster.get("resourcequota", "few", "-n", here.namespace)
        return bool(quota.get("status", {}).get("hard"))

    until(is_in_force, LONG)
    make("alice", "bob", "carol")
    until(lambda: UserPod.objects.filter(message__contains="quota").count() == 2, LONG, "a word")
    cluster.kubectl("delete", "resourcequota", "few", "-n", here.namespace)
    MATRIX.note("quota", until(agreed(here, "alice", "bob", "carol"), LONG))
    assert len(here.names(DEPLOYMENT)) == len(here.names(SERVICE)) == 3
