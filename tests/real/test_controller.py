"""One controller, a real API server, and people who change things: it is put right at once.

The controller is started once; each test leaves database and cluster empty.
"""

from __future__ import annotations

import json
import secrets
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction

from django_userpods import lifecycle
from django_userpods.cluster import get_cluster
from django_userpods.core import naming
from django_userpods.core.objects import DEPLOYMENT, SERVICE, Ref
from django_userpods.models import UserPod
from tests.real.controllers import Site, site, until
from tests.real.foreign import Foreign
from tests.real.matrix import MATRIX
from tests.testcluster.fixtures import restricted_namespace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.testcluster.cluster import Cluster

pytestmark = pytest.mark.cluster

#: Seconds that anything may take on a machine that is busy.
LONG = 60.0


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: Any, cluster: Cluster, django_db_setup: None, django_db_blocker: Any
) -> Iterator[Site]:
    """A site with a controller that leads."""
    namespace = f"test-{secrets.token_hex(5)}"
    cluster.create(restricted_namespace(namespace))
    folder = tmp_path_factory.mktemp("controller")
    with django_db_blocker.unblock(), site(folder, cluster.kubeconfig, namespace) as made:
        controller = made.start(cluster.kubeconfig)
        until(lambda: controller.is_synced, LONG, "a leader")
        yield made
        assert controller.end() == 0, controller.text
        assert made.holder() == ""
    cluster.kubectl("delete", "namespace", namespace, "--wait=false")


@pytest.fixture(scope="module")
def foreign(running: Site, cluster: Cluster) -> Foreign:
    """What nobody here may touch."""
    return Foreign(cluster, running.namespace)


@pytest.fixture
def here(running: Site, foreign: Foreign) -> Iterator[Site]:
    yield running
    running.assert_at_rest()
    User.objects.all().delete()
    until(lambda: not UserPod.objects.exists(), LONG, "the end", every=0.2)
    assert running.has_pairs()
    foreign.assert_untouched()


def make(*names: str) -> None:
    for name in names:
        User.objects.create(username=name)


def pods(*names: str) -> list[str]:
    return [f"user-{name}" for name in names]


def sql(statement: str, *values: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)


def test_a_saved_user_has_a_pod_and_its_row_says_when_it_runs(here: Site) -> None:
    make("alice")
    MATRIX.note("saved", until(lambda: here.has_pairs(*pods("alice")), LONG))
    until(here.is_settled, LONG, "a row that says so")


def test_a_user_by_sql_has_a_deployment_in_three_seconds(here: Site) -> None:
    sql(
        "INSERT INTO auth_user (username, password, first_name, last_name, email, is_active,"
        " is_staff, is_superuser, date_joined) VALUES (%s, '', '', '', '', true, false, false,"
        " '2026-01-01 00:00:00')",
        "by-sql",
    )
    MATRIX.note("sql", until(lambda: here.has_pairs(*pods("by-sql")), LONG))


def test_a_user_whom_sql_deletes_loses_the_pod(here: Site) -> None:
    make("alice", "bob", "carol")
    until(lambda: here.has_pairs(*pods("alice", "bob", "carol")), LONG)
    sql("DELETE FROM auth_user WHERE username = %s", "bob")
    until(lambda: here.has_pairs(*pods("alice", "carol")), LONG)


@pytest.mark.parametrize("kind", ["deployment", "service"])
def test_what_is_deleted_by_hand_is_back_in_three_seconds(
    here: Site, cluster: Cluster, kind: str
) -> None:
    make("alice")
    until(here.is_settled, LONG)
    cluster.kubectl("delete", kind, "user-alice", "-n", here.namespace, "--wait=false")
    MATRIX.note(kind, until(lambda: here.has_pairs(*pods("alice")), LONG))
    until(here.is_settled, LONG)


def test_what_is_edited_by_hand_is_put_back(here: Site, cluster: Cluster) -> None:
    make("alice")
    until(here.is_settled, LONG)
    image = "spec/template/spec/containers/0/image"
    patch = f'[{{"op": "replace", "path": "/{image}", "value": "example.org/other:7"}}]'
    on = ("deployment", "user-alice", "-n", here.namespace)
    cluster.kubectl("patch", *on, "--type=json", "-p", patch)

    def image_is_ours() -> bool:
        found = here.get("user-alice")
        assert found is not None
        return bool(
            found["spec"]["template"]["spec"]["containers"][0]["image"] == "example.org/app:1"
        )

    MATRIX.note("edited", until(image_is_ours, LONG))
    until(here.is_settled, LONG)


def test_what_the_cluster_says_of_a_pod_is_on_its_row_within_a_second(
    here: Site, cluster: Cluster
) -> None:
    """From the moment at which whoever asks the API server is told the same."""
    make("alice")
    until(here.is_settled, LONG)
    [pod] = cluster.get("pods", "-n", here.namespace)["items"]
    well = {key: pod["status"][key] for key in ("conditions", "containerStatuses")}
    waiting = {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting"}
    crashed = {
        "conditions": [
            {**one, "status": "False"} if one["type"] in {"Ready", "ContainersReady"} else one
            for one in well["conditions"]
        ],
        "containerStatuses": [
            {**one, "ready": False, "started": False, "state": {"waiting": waiting}}
            for one in well["containerStatuses"]
        ],
    }
    on = ("pod", pod["metadata"]["name"], "-n", here.namespace, "--subresource=status")
    for status, ready, state in ((crashed, 0, "failed"), (well, 1, "running")):
        patch = json.dumps({"status": status})
        cluster.kubectl("patch", *on, "--type=merge", "-p", patch)

        def is_said(ready: int = ready) -> bool:
            found = here.get("user-alice")
            return found is not None and found["status"].get("readyReplicas", 0) == ready

        until(is_said, LONG, f"a status with {ready} ready", every=0.01)

        def is_on_the_row(state: str = state) -> bool:
            return bool(UserPod.objects.get().state == state)

        MATRIX.note("status", until(is_on_the_row, LONG, state, every=0.01))


def test_what_is_relabelled_by_hand_is_found(here: Site, cluster: Cluster) -> None:
    """Without the installation's label it is nobody's: the pod says so, and nothing touches it."""
    make("alice")
    until(here.is_settled, LONG)
    label = naming.INSTALLATION_LABEL
    cluster.kubectl("label", "service", "user-alice", "-n", here.namespace, f"{label}-")
    until(lambda: "not ours" in UserPod.objects.get().message, LONG, "a word about it")
    found = here.get("user-alice", SERVICE)
    assert found is not None
    cluster.kubectl("delete", "service", "user-alice", "-n", here.namespace)
    lifecycle.sync(UserPod.objects.all())
    until(here.is_settled, LONG)
    again = here.get("user-alice", SERVICE)
    assert again is not None
    assert again["metadata"]["uid"] != found["metadata"]["uid"]


def test_what_is_recreated_by_hand_reads_running_once_it_runs(here: Site, cluster: Cluster) -> None:
    make("alice")
    until(here.is_settled, LONG)
    ref = Ref(SERVICE, here.namespace, "user-alice")
    found = get_cluster().get(ref)
    assert found is not None
    ours = ("-l", naming.POD_LABEL, "-n", here.namespace)
    cluster.kubectl("delete", "deploy,svc", *ours, "--wait=false")
    began = time.monotonic()
    until(lambda: here.has_pairs(*pods("alice")), LONG)
    until(here.is_settled, LONG)
    MATRIX.note("recreated", time.monotonic() - began)
    now = get_cluster().get(ref)
    assert now is not None
    assert UserPod.objects.get().address == f"{now['spec']['clusterIP']}:8000"


def test_what_is_replaced_by_hand_is_followed(here: Site, cluster: Cluster) -> None:
    """As by ``kubectl replace --force``; the controller stands still until both are there."""
    make("alice")
    until(here.is_settled, LONG)
    refs = [Ref(kind, here.namespace, "user-alice") for kind in (DEPLOYMENT, SERVICE)]
    controller, before = here.controllers[0], UserPod.objects.get().address
    made: list[str] = []
    controller.send(signal.SIGSTOP)
    try:
        for ref in refs:
            manifest = cluster.get(ref.kind.kind, ref.name, "-n", here.namespace)
            uid, _ = manifest["metadata"].pop("uid"), manifest["metadata"].pop("resourceVersion")
            for assigned in ("clusterIP", "clusterIPs"):
                manifest["spec"].pop(assigned, None)
            cluster.kubectl("replace", "--force", "-f", "-", input=json.dumps(manifest))
            found = get_cluster().get(ref)
            assert found is not None
            assert found["metadata"]["uid"] != uid
            made.append(found["metadata"]["uid"])
    finally:
        controller.send(signal.SIGCONT)
    service = get_cluster().get(refs[1])
    assert service is not None
    address = f"{service['spec']['clusterIP']}:8000"
    assert address != before

    def is_followed() -> bool:
        return here.is_settled() and UserPod.objects.get().address == address

    MATRIX.note("replaced", until(is_followed, LONG))
    # They are taken as they are, and not made once more.
    now = [get_cluster().get(ref) for ref in refs]
    assert [item and item["metadata"]["uid"] for item in now] == made


def test_what_people_ask_for_is_done(here: Site) -> None:
    make("alice")
    until(here.is_settled, LONG)
    for ask, state in (
        (lifecycle.stop, "stopped"),
        (lifecycle.start, "running"),
        (lifecycle.recreate, "running"),
    ):
        ask(UserPod.objects.all())

        def is_so(state: str = state) -> bool:
            pod = UserPod.objects.get()
            return (pod.state, pod.asked_at, pod.recreate) == (state, None, False)

        until(is_so, LONG, f"{state} after {ask.__name__}")


def test_500_users_in_one_transaction_are_all_ready(here: Site) -> None:
    names = [f"u{number}" for number in range(500)]
    with transaction.atomic():
        make(*names)
    MATRIX.note("burst", until(here.is_settled, 2 * LONG, "500 rows that say so", every=0.5))
    assert here.has_pairs(*pods(*names))
    assert here.changes_of_a_sync() == 0


def test_a_user_who_is_deleted_while_the_pod_starts_leaves_nothing(here: Site) -> None:
    make("keep1", "keep2", "alice")
    until(lambda: "user-alice" in here.names(), LONG, "a Deployment", every=0.01)
    User.objects.get(username="alice").delete()
    began = time.monotonic()
    until(lambda: here.has_pairs(*pods("keep1", "keep2")), LONG)
    until(lambda: UserPod.objects.count() == 2 and here.is_settled(), LONG)
    MATRIX.note("deleted", time.monotonic() - began)


def test_it_is_healthy_and_counts(here: Site) -> None:
    controller = here.controllers[0]
    make("alice")
    until(here.is_settled, LONG)
    assert controller.get("/healthz") == (200, "ok\n")
    assert controller.get("/readyz") == (200, "ok\n")
    assert controller.get("/nowhere")[0] == 404
    _, metrics = controller.get("/metrics")
    for line in (
        *("userpods_leading 1.0", 'userpods_pods{state="running"}', "userpods_queue_lag"),
        'userpods_api_calls_total{code="201",method="POST"}',
    ):
        assert line in metrics


def test_a_namespace_that_is_deleted_and_made_again_is_filled_again(
    here: Site, cluster: Cluster, foreign: Foreign
) -> None:
    make("alice", "bob")
    until(here.is_settled, LONG)
    cluster.kubectl("delete", "namespace", here.namespace)
    cluster.create(restricted_namespace(here.namespace))
    began = time.monotonic()
    until(lambda: here.has_pairs(*pods("alice", "bob")), LONG)
    until(here.is_settled, LONG)
    MATRIX.note("namespace", time.monotonic() - began)
    assert here.changes_of_a_sync() == 0
    # It went with the namespace.
    foreign.make()
