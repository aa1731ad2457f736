"""What every cluster does: one suite for the cluster in memory and a real API server."""

from __future__ import annotations

import json
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from django_userpods.clusters.kubernetes import KubernetesCluster
from django_userpods.clusters.memory import MemoryCluster
from django_userpods.core.objects import DEPLOYMENT, SERVICE, Kind, Ref
from django_userpods.exceptions import AlreadyExists, Conflict, Invalid
from tests.clusters.manifests import LABELS, configmap, deployment, service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from django_userpods.clusters.base import Cluster
    from django_userpods.core.objects import Manifest

pytest_plugins = ["tests.testcluster.fixtures"]
CONFIGMAP = Kind("v1", "ConfigMap")


@pytest.fixture(params=["memory", pytest.param("kubernetes", marks=pytest.mark.cluster)])
def place(request: pytest.FixtureRequest) -> Iterator[tuple[Cluster, str, Callable[..., None]]]:
    """A cluster, a namespace of ours on it, and what edits an object as another person would."""
    if request.param == "memory":
        MemoryCluster.reset("contract")
        memory = MemoryCluster(name="contract")

        def edit(ref: Ref, change: Callable[[Manifest], None]) -> None:
            change(memory.objects[ref])

        yield memory, "default", edit
        return
    real = request.getfixturevalue("cluster")
    namespace = request.getfixturevalue("namespace")

    def edit_really(ref: Ref, change: Callable[[Manifest], None]) -> None:
        words = (ref.kind.kind, ref.name, "-n", ref.namespace)
        found = real.get(*words)
        # kubectl replace would otherwise race with the controllers' writes to the status.
        del found["metadata"]["resourceVersion"]
        change(found)
        real.kubectl("replace", "--field-manager=kubectl-edit", "-f", "-", input=json.dumps(found))

    with_options = KubernetesCluster(kubeconfig=real.kubeconfig, page_size=3, timeout=30)
    yield with_options, namespace, edit_really
    with_options.close()


@pytest.fixture
def cluster_(place: Any) -> Cluster:
    return place[0]  # type: ignore[no-any-return]


@pytest.fixture
def namespace_(place: Any) -> str:
    return place[1]  # type: ignore[no-any-return]


@pytest.fixture
def edit(place: Any) -> Callable[[Ref, Callable[[Manifest], None]], None]:
    return place[2]  # type: ignore[no-any-return]


def declared_is_stored(declared: Any, stored: Any) -> bool:
    """Whether all that is declared is there; quantities aside."""
    if isinstance(declared, dict):
        return all(
            key == "resources" or (key in stored and declared_is_stored(value, stored[key]))
            for key, value in declared.items()
        )
    if isinstance(declared, list):
        return len(declared) == len(stored) and all(
            declared_is_stored(*pair) for pair in zip(declared, stored, strict=True)
        )
    return bool(declared == stored)


def container(live: Manifest) -> dict[str, Any]:
    return live["spec"]["template"]["spec"]["containers"][0]  # type: ignore[no-any-return]


def env(live: Manifest) -> dict[str, str]:
    return {item["name"]: item["value"] for item in container(live).get("env", [])}


def test_create_answers_the_object_as_stored(cluster_: Cluster, namespace_: str) -> None:
    manifest = deployment(namespace_, A="1")

    stored = cluster_.create(manifest)

    assert declared_is_stored(manifest, stored)
    metadata = stored["metadata"]
    assert metadata["uid"]
    assert metadata["resourceVersion"]
    assert metadata["creationTimestamp"].endswith("Z")
    assert metadata["generation"] == 1
    assert "managedFields" not in metadata


def test_a_deployment_gets_the_usual_defaults(cluster_: Cluster, namespace_: str) -> None:
    spec = cluster_.create(deployment(namespace_))["spec"]

    assert spec["replicas"] == 1
    assert spec["revisionHistoryLimit"] == 10
    assert spec["progressDeadlineSeconds"] == 600
    assert spec["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"},
    }
    pod = spec["template"]["spec"]
    assert {key: pod[key] for key in ("restartPolicy", "dnsPolicy", "schedulerName")} == {
        "restartPolicy": "Always",
        "dnsPolicy": "ClusterFirst",
        "schedulerName": "default-scheduler",
    }
    assert pod["terminationGracePeriodSeconds"] == 30
    assert pod["volumes"] == [{"name": "tmp", "emptyDir": {}}]
    app = pod["containers"][0]
    assert app["imagePullPolicy"] == "IfNotPresent"
    assert app["terminationMessagePath"] == "/dev/termination-log"
    assert app["terminationMessagePolicy"] == "File"
    assert app["ports"] == [{"name": "http", "containerPort": 8000, "protocol": "TCP"}]
    assert app["resources"] == {
        "limits": {"cpu": "1", "memory": "1Gi"},
        "requests": {"cpu": "100m"},
    }
    assert app["readinessProbe"] == {
        "httpGet": {"path": "/", "port": "http", "scheme": "HTTP"},
        "timeoutSeconds": 1,
        "periodSeconds": 10,
        "successThreshold": 1,
        "failureThreshold": 3,
    }


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("1000m", "1"),
        ("0.5", "500m"),
        ("1024Mi", "1Gi"),
        ("1.5Gi", "1536Mi"),
        ("100M", "100M"),
        ("1e3", "1e3"),
        ("12e2", "1200"),
        ("5e6", "5e6"),
        ("1000Mi", "1000Mi"),
        ("1048576", "1048576"),
        ("0", "0"),
        ("2000000", "2M"),
        ("1500", "1500"),
        (2, "2"),
    ],
)
def test_quantities_are_stored_in_canonical_form(
    cluster_: Cluster, namespace_: str, written: str | int, stored: str
) -> None:
    manifest = deployment(namespace_)
    container(manifest)["resources"] = {"limits": {"memory": written}}

    live = cluster_.create(manifest)

    assert container(live)["resources"] == {"limits": {"memory": stored}}


def test_a_service_gets_an_address_of_its_own(cluster_: Cluster, namespace_: str) -> None:
    first = cluster_.create(service(namespace_, "user-alice"))["spec"]
    second = cluster_.create(service(namespace_, "user-bob"))["spec"]

    assert first["clusterIP"] != second["clusterIP"]
    assert first["clusterIPs"] == [first["clusterIP"]]
    rest = {key: first[key] for key in first if key not in ("clusterIP", "clusterIPs")}
    assert rest == {
        "type": "ClusterIP",
        "sessionAffinity": "None",
        "internalTrafficPolicy": "Cluster",
        "ipFamilies": ["IPv4"],
        "ipFamilyPolicy": "SingleStack",
        "selector": {"app": "user-alice"},
        "ports": [{"name": "http", "port": 8000, "targetPort": "http", "protocol": "TCP"}],
    }


def test_a_service_keeps_its_address_when_it_is_made_again_with_it(
    cluster_: Cluster, namespace_: str
) -> None:
    before = cluster_.create(service(namespace_))
    cluster_.delete(Ref.of(before), uid=before["metadata"]["uid"])

    after = cluster_.create(service(namespace_, clusterIP=before["spec"]["clusterIP"]))

    assert after["spec"]["clusterIP"] == before["spec"]["clusterIP"]


def test_an_address_that_is_taken_is_refused(cluster_: Cluster, namespace_: str) -> None:
    taken = cluster_.create(service(namespace_, "user-alice"))["spec"]["clusterIP"]

    with pytest.raises(Invalid, match="provided IP is already allocated"):
        cluster_.create(service(namespace_, "user-bob", clusterIP=taken))


def test_an_address_outside_of_the_range_is_refused(cluster_: Cluster, namespace_: str) -> None:
    with pytest.raises(Invalid, match="does not match the current range"):
        cluster_.create(service(namespace_, clusterIP="192.0.2.7"))


def test_a_name_that_is_taken_is_already_exists(cluster_: Cluster, namespace_: str) -> None:
    cluster_.create(service(namespace_))

    with pytest.raises(AlreadyExists, match="user-alice"):
        cluster_.create(service(namespace_))


def test_get_answers_the_object_or_none(cluster_: Cluster, namespace_: str) -> None:
    assert cluster_.get(Ref(SERVICE, namespace_, "user-alice")) is None
    stored = cluster_.create(service(namespace_))

    assert cluster_.get(Ref(SERVICE, namespace_, "user-alice")) == stored


def test_apply_creates_what_is_missing(cluster_: Cluster, namespace_: str) -> None:
    stored = cluster_.apply(deployment(namespace_, A="1"))

    assert env(stored) == {"A": "1"}
    assert "managedFields" not in stored["metadata"]


def test_apply_removes_what_create_declared_and_it_does_not(
    cluster_: Cluster, namespace_: str
) -> None:
    before = deployment(namespace_, A="1", B="2")
    before["metadata"]["annotations"] = {"ours": "1", "example.org/ours-too": "2"}
    before["spec"]["replicas"] = 0
    cluster_.create(before)
    after = deployment(namespace_, B="3", C="4")
    after["metadata"]["annotations"] = {"ours": "1"}

    stored = cluster_.apply(after)

    assert env(stored) == {"B": "3", "C": "4"}
    assert "example.org/ours-too" not in stored["metadata"]["annotations"]
    assert stored["metadata"]["annotations"]["ours"] == "1"
    assert stored["spec"]["replicas"] == 1
    assert stored["metadata"]["generation"] == 2


def test_apply_removes_what_an_apply_declared_and_the_next_does_not(
    cluster_: Cluster, namespace_: str
) -> None:
    cluster_.apply(deployment(namespace_, A="1", B="2"))
    cluster_.apply(deployment(namespace_, A="1"))
    manifest = deployment(namespace_)
    del container(manifest)["env"]

    stored = cluster_.apply(manifest)

    assert "env" not in container(stored)


def test_apply_leaves_what_others_have_added(
    cluster_: Cluster, namespace_: str, edit: Callable[..., None]
) -> None:
    ref = Ref.of(cluster_.create(deployment(namespace_, A="1", B="2")))

    def change(live: Manifest) -> None:
        live["metadata"]["labels"]["team"] = "blue"
        container(live)["env"].append({"name": "THEIRS", "value": "x"})
        container(live)["image"] = "example.org/other:2"

    edit(ref, change)

    stored = cluster_.apply(deployment(namespace_, A="1"))

    assert stored["metadata"]["labels"]["team"] == "blue"
    assert env(stored) == {"A": "1", "THEIRS": "x"}
    assert container(stored)["image"] == "example.org/app:1"


def test_apply_of_the_same_changes_nothing(cluster_: Cluster, namespace_: str) -> None:
    cluster_.create(service(namespace_))
    first = cluster_.apply(service(namespace_))

    second = cluster_.apply(service(namespace_))

    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    assert second["spec"] == first["spec"]


def test_apply_changes_containers_and_ports_by_their_keys(
    cluster_: Cluster, namespace_: str
) -> None:
    cluster_.create(deployment(namespace_))
    cluster_.create(service(namespace_))
    changed = deployment(namespace_)
    container(changed)["ports"] = [{"name": "http", "containerPort": 9000}]
    container(changed)["volumeMounts"] = [{"name": "tmp", "mountPath": "/var/tmp"}]
    moved = service(namespace_)
    moved["spec"]["ports"] = [{"name": "http", "port": 9000, "targetPort": "http"}]

    stored, stored_service = cluster_.apply(changed), cluster_.apply(moved)

    assert [port["containerPort"] for port in container(stored)["ports"]] == [9000]
    assert [mount["mountPath"] for mount in container(stored)["volumeMounts"]] == ["/var/tmp"]
    assert [port["port"] for port in stored_service["spec"]["ports"]] == [9000]
    assert stored_service["spec"]["clusterIP"]


def test_a_selector_cannot_change(cluster_: Cluster, namespace_: str) -> None:
    cluster_.create(deployment(namespace_))
    changed = deployment(namespace_)
    changed["spec"]["selector"]["matchLabels"] = {"app": "other"}
    changed["spec"]["template"]["metadata"]["labels"] = {"app": "other"}

    with pytest.raises(Invalid, match="immutable"):
        cluster_.apply(changed)


def test_a_selector_that_does_not_match_is_invalid(cluster_: Cluster, namespace_: str) -> None:
    manifest = deployment(namespace_)
    manifest["spec"]["template"]["metadata"]["labels"] = {"app": "other"}

    with pytest.raises(Invalid, match="does not match"):
        cluster_.create(manifest)


@pytest.mark.parametrize("name", ["Alice", "a_b", "-a", "a" * 254])
def test_names_that_are_none_are_invalid(cluster_: Cluster, namespace_: str, name: str) -> None:
    with pytest.raises(Invalid):
        cluster_.create(deployment(namespace_, name))


def test_delete_needs_the_uid_of_the_object(cluster_: Cluster, namespace_: str) -> None:
    stored = cluster_.create(service(namespace_))
    ref = Ref.of(stored)

    with pytest.raises(Conflict):
        cluster_.delete(ref, uid="00000000-0000-0000-0000-000000000000")
    assert cluster_.get(ref) is not None

    cluster_.delete(ref, uid=stored["metadata"]["uid"])
    assert cluster_.get(ref) is None

    cluster_.delete(ref, uid=stored["metadata"]["uid"])


def test_a_list_has_what_carries_all_labels(cluster_: Cluster, namespace_: str) -> None:
    run = secrets.token_hex(4)
    names = [f"item-{index}" for index in range(8)]
    for index, name in enumerate(names):
        manifest = configmap(namespace_, name)
        manifest["metadata"]["labels"] |= {"run": run, "half": str(index % 2)}
        cluster_.create(manifest)

    def listed(namespace: str | None, **labels: str) -> list[str]:
        found = list(cluster_.list(CONFIGMAP, namespace=namespace, labels=LABELS | labels))
        assert all(Kind.of(item) == CONFIGMAP for item in found)
        assert not any("managedFields" in item["metadata"] for item in found)
        return [item["metadata"]["name"] for item in found]

    assert sorted(listed(namespace_, run=run)) == names
    assert sorted(listed(None, run=run)) == names
    assert sorted(listed(namespace_, run=run, half="1")) == names[1::2]
    assert listed(namespace_, run="other") == []
    assert listed("kube-public", run=run) == []


def test_a_list_is_lazy_and_may_be_left(cluster_: Cluster, namespace_: str) -> None:
    for index in range(7):
        cluster_.create(configmap(namespace_, f"item-{index}"))

    found = cluster_.list(CONFIGMAP, namespace=namespace_, labels=LABELS)

    assert next(iter(found))["metadata"]["name"] == "item-0"
    del found


def test_a_deployment_becomes_ready(cluster_: Cluster, namespace_: str) -> None:
    ref = Ref.of(cluster_.create(deployment(namespace_)))
    live: Manifest = {}
    for _ in range(100):
        live = cluster_.get(ref) or {}
        if live["status"].get("readyReplicas") == 1:
            break
        time.sleep(0.2)

    status = live["status"]
    assert status["observedGeneration"] == live["metadata"]["generation"]
    assert (status["replicas"], status["readyReplicas"], status["updatedReplicas"]) == (1, 1, 1)


def test_many_threads_may_work_side_by_side(cluster_: Cluster, namespace_: str) -> None:
    names = [f"user-{index}" for index in range(24)]
    with ThreadPoolExecutor(cluster_.concurrency) as pool:
        made = list(pool.map(lambda name: cluster_.create(service(namespace_, name)), names))
        list(pool.map(lambda item: cluster_.apply(service(namespace_, item)), names))

    assert len({item["spec"]["clusterIP"] for item in made}) == 24
    listed = cluster_.list(SERVICE, namespace=namespace_, labels=LABELS)
    assert {item["metadata"]["uid"] for item in listed} == {
        item["metadata"]["uid"] for item in made
    }


def test_one_of_many_creators_of_a_name_wins(cluster_: Cluster, namespace_: str) -> None:
    def create(_: int) -> bool:
        try:
            cluster_.create(deployment(namespace_))
        except AlreadyExists:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(create, range(8)))

    assert won.count(True) == 1
    assert len(list(cluster_.list(DEPLOYMENT, namespace=namespace_, labels=LABELS))) == 1


def test_the_address_is_the_services_name(cluster_: Cluster) -> None:
    found = cluster_.address(namespace="pods", name="user-alice", port=8000, peer="10.96.0.7:8000")

    assert found == "user-alice.pods.svc.cluster.local:8000"
