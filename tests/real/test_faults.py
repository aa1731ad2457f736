"""Bad days of the API server: a user's save never fails or hangs, the row says why, a sync heals.

Each fault is put in front of the real API server by a proxy, since a healthy one does not produce
it on demand.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from django.contrib.auth.models import User

from django_userpods import tasks
from django_userpods.exceptions import ClusterError
from django_userpods.models import UserPod
from django_userpods.reconcile import reconcile
from tests import faults
from tests.clusters.kubeconfigs import plugin, write
from tests.django.support import end_pause
from tests.real.project import objects, pair, use_cluster

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_django.fixtures import Settings

    from tests.faultproxy import FaultProxy
    from tests.testcluster.cluster import Cluster

pytestmark = [pytest.mark.cluster, pytest.mark.django_db(transaction=True)]

#: What a save may take at the most: USERPODS_INLINE_TIMEOUT and a little.
BOUND = 2.0 + 1.0

FAULTS = {
    "slow": (faults.delay(30), "did not answer within"),
    "hanging": (faults.hang(), "did not answer within"),
    "trickling": (faults.trickle(), "did not answer within"),
    "dripping headers": (faults.drip_headers(), "did not answer within"),
    "reset": (faults.reset(), "connection"),
    "done, then reset": (faults.reset(carried_out=True), ""),
    "400": (faults.status(400, reason="BadRequest"), "made up"),
    "401": (faults.status(401, reason="Unauthorized"), "credentials"),
    "403 RBAC": (
        faults.status(403, reason="Forbidden", message='User "sa" cannot do that in this test'),
        "cannot do that",
    ),
    "403 quota": (
        faults.status(403, reason="Forbidden", message="exceeded quota: few, requested: 1"),
        "quota",
    ),
    "404": (faults.status(404, reason="NotFound", message='namespaces "x" not found'), "not found"),
    "409": (faults.status(409, reason="Conflict"), ""),
    "410": (faults.status(410, reason="Expired"), ""),
    "422": (faults.status(422, reason="Invalid", message="spec.x: Invalid value"), "Invalid value"),
    "429": (
        faults.status(429, reason="TooManyRequests", headers={"Retry-After": "60"}),
        "",
    ),
    "500": (faults.status(500, reason="InternalError"), "500"),
    "503": (faults.status(503, reason="ServiceUnavailable"), "503"),
    "HTML": (faults.html(), "API server"),
    "cut": (faults.cut(), ""),
    "short": (faults.short(), ""),
}


def save_a_user(name: str) -> tuple[User, float]:
    before = time.monotonic()
    user = User.objects.create_user(name)
    return user, time.monotonic() - before


@pytest.mark.parametrize("where", ["every call", "the Deployment", "the Service"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_save_succeeds_in_time_and_a_sync_heals(
    proxy: FaultProxy, cluster: Cluster, namespace: str, fault: str, where: str
) -> None:
    action, said = FAULTS[fault]
    if where == "every call":
        proxy.on(action, path="/namespaces/")
    else:
        path = "/deployments$" if where == "the Deployment" else "/services$"
        proxy.on(action, method="POST", path=path)
    user, seconds = save_a_user("ida")
    assert seconds < BOUND
    row = UserPod.objects.get(owner=user)
    if objects(cluster, namespace) != pair("user-ida"):
        assert row.message, f"{row.state}: the row does not say what is wrong"
        assert said.lower() in row.message.lower()
        assert "Bearer" not in row.message
    proxy.clear()
    report = reconcile()
    assert report.failed == []
    assert objects(cluster, namespace) == pair("user-ida")
    row.refresh_from_db()
    assert row.message == ""
    # Nothing is doubled, nothing is left to do.
    assert reconcile().done == []


def test_refused_connections_fail_no_save_and_a_sync_heals(
    proxy: FaultProxy, cluster: Cluster, namespace: str
) -> None:
    proxy.refuse()
    user, seconds = save_a_user("ida")
    assert seconds < BOUND
    row = UserPod.objects.get(owner=user)
    assert row.state == "pending"
    assert row.message
    with pytest.raises(ClusterError):
        reconcile()
    proxy.listen()
    reconcile()
    assert objects(cluster, namespace) == pair("user-ida")


def test_a_hundred_saves_with_the_cluster_down_do_not_each_wait(proxy: FaultProxy) -> None:
    proxy.on(faults.hang())
    before = time.monotonic()
    for number in range(100):
        User.objects.create_user(f"user{number}")
    assert time.monotonic() - before < BOUND + 5
    assert UserPod.objects.filter(state="pending").count() == 100
    proxy.clear()
    assert len(reconcile().done) == 200


def test_a_save_waits_for_all_pages_of_a_list_together(
    proxy: FaultProxy, settings: Settings
) -> None:
    options = {**settings.USERPODS_CLUSTER["OPTIONS"], "page_size": 1}
    settings.USERPODS_CLUSTER = {**settings.USERPODS_CLUSTER, "OPTIONS": options}
    User.objects.bulk_create([User(username=f"user{number}") for number in range(10)])
    assert reconcile().ok
    end_pause()
    proxy.on(faults.delay(0.5), query="limit=1")
    before = time.monotonic()
    asked = tasks.ask([str(pk) for pk in User.objects.values_list("pk", flat=True)])
    assert time.monotonic() - before < BOUND
    assert asked.later == 10
    proxy.clear()
    assert reconcile().done == []


def test_saves_do_not_each_wait_for_an_exec_plugin_that_hangs(
    settings: Settings, cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    script = f"echo x >> {runs}; exec sleep 600"
    user = plugin(tmp_path / "plugin", script)
    path = write(tmp_path / "config", user, server=cluster.server)
    use_cluster(settings, path, namespace)
    end_pause()
    before = time.monotonic()
    for number in range(20):
        User.objects.create_user(f"user{number}")
    assert time.monotonic() - before < BOUND + 1
    assert runs.read_text().count("x") == 1
    assert "exec plugin" in UserPod.objects.get(name="user-user0").message
    end_pause()


@pytest.mark.parametrize("fault", ["401", "403 RBAC", "410", "500", "HTML", "cut", "short"])
def test_a_list_that_fails_in_the_middle_deletes_and_doubles_nothing(
    proxy: FaultProxy, cluster: Cluster, namespace: str, settings: Settings, fault: str
) -> None:
    settings.USERPODS_CLUSTER = {
        **settings.USERPODS_CLUSTER,
        "OPTIONS": {**settings.USERPODS_CLUSTER["OPTIONS"], "page_size": 3},
    }
    User.objects.bulk_create([User(username=f"user{number}") for number in range(10)])
    reconcile()
    before = objects(cluster, namespace)
    User.objects.filter(username="user0").delete()
    end_pause()
    proxy.on(FAULTS[fault][0], method="GET", query="continue=")
    with pytest.raises(ClusterError):
        reconcile()
    assert set(before) - set(objects(cluster, namespace)) <= set(pair("user-user0"))
    proxy.clear()
    assert reconcile().ok
    assert objects(cluster, namespace) == [item for item in before if "user-user0" not in item]


def test_a_page_token_that_expires_once_costs_nothing(
    proxy: FaultProxy, settings: Settings
) -> None:
    settings.USERPODS_CLUSTER = {
        **settings.USERPODS_CLUSTER,
        "OPTIONS": {**settings.USERPODS_CLUSTER["OPTIONS"], "page_size": 3},
    }
    User.objects.bulk_create([User(username=f"user{number}") for number in range(10)])
    reconcile()
    proxy.on(FAULTS["410"][0], method="GET", query="continue=", times=1)
    report = reconcile()
    assert (report.ok, report.done) == (True, [])


@pytest.mark.parametrize("fault", ["slow", "reset", "401", "403 RBAC", "409", "500", "503", "HTML"])
def test_a_deletion_that_fails_is_finished_later(
    proxy: FaultProxy, cluster: Cluster, namespace: str, fault: str
) -> None:
    user, _ = save_a_user("ida")
    proxy.on(FAULTS[fault][0], method="DELETE")
    before = time.monotonic()
    user.delete()
    assert time.monotonic() - before < BOUND
    row = UserPod.objects.get()
    assert (row.owner, row.wanted, row.state) == (None, "absent", "deleting")
    assert row.message
    proxy.clear()
    report = reconcile()
    assert report.failed == []
    assert objects(cluster, namespace) == []


def test_retry_after_is_honoured(proxy: FaultProxy, cluster: Cluster, namespace: str) -> None:
    wait = faults.status(429, reason="TooManyRequests", headers={"Retry-After": "1"})
    proxy.on(wait, method="POST", path="/deployments$", times=1)
    _, seconds = save_a_user("ida")
    assert 1.0 <= seconds < BOUND
    assert objects(cluster, namespace) == pair("user-ida")


def test_a_cluster_that_goes_down_in_the_middle_is_not_asked_for_every_user(
    proxy: FaultProxy, cluster: Cluster, namespace: str
) -> None:
    User.objects.bulk_create([User(username=f"user{number}") for number in range(60)])
    proxy.on(faults.status(503), method="POST", path="/services$")
    report = reconcile()
    assert not report.ok
    assert len(report.failed) + len(report.not_done) == 60
    assert report.not_done, "it goes on asking a cluster that is down, user after user"
    proxy.clear()
    assert reconcile().ok
    assert len(objects(cluster, namespace)) == 120
