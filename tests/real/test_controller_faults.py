"""Controllers that die, stand still and contend, and an API server on bad days."""

from __future__ import annotations

import datetime
import signal
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django.contrib.auth.models import User

from django_userpods.core.objects import DEPLOYMENT, SERVICE
from django_userpods.models import UserPod
from tests import faults
from tests.faultproxy import FaultProxy
from tests.real.controllers import until
from tests.real.faulty_site import LONG, agreed, has_one_replica, make, pods, put_quota
from tests.real.matrix import MATRIX

if TYPE_CHECKING:
    from tests.real.controllers import Site
    from tests.real.faulty_site import Leaders
    from tests.testcluster.cluster import Cluster

pytestmark = pytest.mark.cluster

#: Calls a second that a controller makes at most, as shipped.
QPS = 200.0
WRITES = ("POST", "PATCH", "DELETE", "PUT")


def writes(proxy: FaultProxy) -> list[str]:
    """Return the paths at which something else than the Lease was to be written."""
    calls = (call for call in proxy.calls if "/leases" not in call.path)
    return [call.path for call in calls if call.method in WRITES]


# --- one of many


def test_another_takes_over_from_one_that_is_killed(
    here: Site, cluster: Cluster, leader: Leaders
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
    here: Site, cluster: Cluster, faulty: FaultProxy, leader: Leaders
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
    faulty.forget()
    first.send(signal.SIGCONT)
    began = time.monotonic()
    until(lambda: first.get("/metrics")[0] == 200 and not first.is_leading, LONG)
    until(lambda: any("/leases/" in call.path for call in faulty.calls), LONG, "its next try")
    # It comes to know of what it missed, as the others do, and has no part in it.
    make("late")
    until(agreed(here, *names, "late"), LONG, every=0.3)
    MATRIX.note("paused", time.monotonic() - began)
    assert writes(faulty) == []
    assert here.changes_of_a_sync() == 0
    assert second.is_leading
    assert second.end() == 0, second.text


def test_one_of_two_that_contend_leads_and_the_other_once_that_is_cut_off(
    here: Site, cluster: Cluster, faulty: FaultProxy, leader: Leaders
) -> None:
    leader.end()
    names = [f"u{number}" for number in range(20)]
    with FaultProxy(cluster.kubeconfig) as another, ExitStack() as stack:
        both = {proxy: here.start(proxy.kubeconfig) for proxy in (faulty, another)}
        for one in both.values():
            stack.callback(one.end, signal.SIGKILL)
        faulty.forget()
        until(lambda: any(one.is_synced for one in both.values()), LONG, "a leader")
        make(*names)
        until(agreed(here, *names), LONG, every=0.3)
        leading, waiting = sorted(both, key=lambda proxy: not both[proxy].is_leading)
        assert (both[leading].is_leading, both[waiting].is_leading) == (True, False)
        assert writes(waiting) == []
        leading.refuse()
        began = time.monotonic()
        make("late")
        until(agreed(here, *names, "late"), LONG, every=0.3)
        MATRIX.note("contending", time.monotonic() - began)
        assert both[waiting].is_leading
        leading.forget()
        leading.listen()
        until(lambda: any("/leases/" in call.path for call in leading.calls), LONG, "a try")
        assert writes(leading) == []
        assert here.changes_of_a_sync() == 0
        for one in both.values():
            assert one.end() == 0, one.text


def test_a_leader_whose_clock_is_set_leads_on(
    here: Site, cluster: Cluster, faulty: FaultProxy, leader: Leaders, tmp_path: Path
) -> None:
    (library,) = Path("/usr/lib").glob("*/faketime/libfaketime.so.1")
    clock = tmp_path / "clock"
    clock.write_text("+0")
    environment = {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        # Setting a clock leaves those alone that count seconds.
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    leader.end()
    with ExitStack() as stack:
        first = here.start(faulty.kubeconfig, environment=environment)
        stack.callback(first.end, signal.SIGKILL)
        until(lambda: first.is_synced, LONG, "a leader")
        second = here.start(cluster.kubeconfig)
        stack.callback(second.end, signal.SIGKILL)
        until(lambda: second.get("/readyz")[0] == 200, LONG, "a second one")
        for number, offset in enumerate(("-60", "+60")):
            clock.write_text(offset)
            faulty.forget()
            began = time.monotonic()
            make(f"u{number}")
            until(agreed(here, *(f"u{n}" for n in range(number + 1))), LONG)
            MATRIX.note("clock", time.monotonic() - began)
            until(lambda: renewals(faulty) >= 2, LONG, "two renewals")
            assert (first.is_leading, second.is_leading) == (True, False)
        lease = here.lease()
        assert lease is not None
        said = datetime.datetime.fromisoformat(lease["spec"]["renewTime"])
        ahead = said - datetime.datetime.now(datetime.UTC)
        assert ahead.total_seconds() > 30, "its clock was not set"
        assert here.changes_of_a_sync() == 0
        assert (first.end(), second.end()) == (0, 0)


def renewals(proxy: FaultProxy) -> int:
    return sum(call.method == "PUT" and "/leases/" in call.path for call in proxy.calls)


# --- an API server on bad days


@pytest.mark.parametrize("seconds", [4, 60])
def test_what_happens_while_the_api_server_is_away_is_found(
    here: Site,
    cluster: Cluster,
    faulty: FaultProxy,
    leader: Leaders,
    seconds: int,
) -> None:
    controller = leader()
    make("alice", "bob", "carol")
    until(agreed(here, "alice", "bob", "carol"), LONG)
    faulty.refuse()
    gone = time.monotonic()
    make("dave")
    User.objects.get(username="carol").delete()
    cluster.kubectl("delete", "deployment", "user-alice", "-n", here.namespace, "--wait=false")
    until(lambda: time.monotonic() - gone >= seconds, 2 * LONG)
    assert controller.process.poll() is None
    faulty.listen()
    MATRIX.note(f"away-{seconds}", until(agreed(here, "alice", "bob", "dave"), LONG))
    assert here.changes_of_a_sync() == 0


#: What fails: methods, and regular expressions for paths and queries.
FAILING = {
    "writes": [
        ("POST", "/(deployments|services)$", ""),
        ("PATCH", "/deployments/user-keep$", ""),
        ("DELETE", "/(deployments|services)/user-gone$", ""),
    ],
    "lists": [("GET", f"/{kind}$", "^limit=500&") for kind in ("deployments", "services", "pods")],
}


@pytest.mark.parametrize("calls", FAILING.values(), ids=FAILING)
@pytest.mark.parametrize(
    ("row", "code", "headers"),
    [("errors", 500, {}), ("throttled", 429, {"Retry-After": "1"})],
    ids=["500", "429"],
)
def test_calls_that_fail_for_a_while_are_made_good(
    here: Site,
    cluster: Cluster,
    faulty: FaultProxy,
    leader: Leaders,
    row: str,
    code: int,
    headers: dict[str, str],
    calls: list[tuple[str, str, str]],
) -> None:
    """One is to come, one to go, and one was edited by hand.

    An API server that has enough (429) is asked less often for a while, which is then over.
    """
    controller = leader()
    until(lambda: controller.rate > QPS / 4, LONG, "much of the rate, after another 429")
    rate = controller.rate
    make("keep", "gone")
    until(agreed(here, "keep", "gone"), LONG)
    faulty.forget()
    for method, path, query in calls:
        faulty.on(faults.status(code, headers=headers), method=method, path=path, query=query)
    on = ("deployment", "user-keep", "-n", here.namespace)
    cluster.kubectl("scale", *on, "--replicas=3")
    User.objects.get(username="gone").delete()
    make("new")
    methods = {method for method, *_ in calls}

    def have_failed() -> bool:
        failed = [call.method for call in faulty.calls if call.status == code]
        return set(failed) == methods and len(failed) >= 3

    until(have_failed, LONG, "some tries of each")
    if code == 429:
        until(lambda: controller.rate < rate / 2, LONG, "less than half of the rate")
    slowed = controller.rate
    faulty.clear()

    def is_right() -> bool:
        return has_one_replica(here, "user-keep") and agreed(here, "keep", "new")()

    MATRIX.note(row, until(is_right, LONG))
    assert here.changes_of_a_sync() == 0
    if code == 429:
        until(lambda: controller.rate > 1.5 * slowed, LONG, "more of the rate again")
    else:
        assert controller.rate >= rate


def test_a_quota_that_is_lifted_lets_the_rest_in(
    here: Site, cluster: Cluster, leader: Leaders
) -> None:
    leader()
    put_quota(cluster, here.namespace, "count/deployments.apps", 2)
    make("alice", "bob", "carol")
    until(lambda: UserPod.objects.filter(message__contains="quota").count() == 2, LONG, "a word")
    cluster.kubectl("delete", "resourcequota", "few", "-n", here.namespace)
    MATRIX.note("quota", until(agreed(here, "alice", "bob", "carol"), LONG))
    assert len(here.names(DEPLOYMENT)) == len(here.names(SERVICE)) == 3


def test_one_that_never_gets_ready_keeps_nobody_waiting(
    here: Site, cluster: Cluster, leader: Leaders
) -> None:
    leader()
    make("never")
    until(agreed(here, "never"), LONG)
    patch = '{"spec":{"template":{"metadata":{"annotations":{"testcluster/pod":"crash"}}}}}'
    cluster.kubectl("delete", "pods", "--all", "-n", here.namespace, "--wait=false")
    cluster.kubectl("patch", "deployment", "user-never", "-n", here.namespace, "-p", patch)
    until(lambda: UserPod.objects.get().state == "failed", LONG, "a word about it")
    names = [f"u{number}" for number in range(50)]
    began = time.monotonic()
    make(*names)

    def are_ready() -> bool:
        others = UserPod.objects.exclude(name="user-never").values_list("state", "asked_at")
        return len(others) == len(names) and set(others) == {("running", None)}

    until(are_ready, LONG, every=0.3)
    MATRIX.note("unready", time.monotonic() - began)
    assert here.has_pairs(*pods("never", *names))
    never = UserPod.objects.get(name="user-never")
    assert (never.state, "CrashLoopBackOff" in never.message) == ("failed", True)
    assert here.changes_of_a_sync() == 0
