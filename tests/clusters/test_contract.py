"""What every cluster does: one suite for the cluster in memory and a real API server."""

from __future__ import annotations

import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from django_userpods.core.objects import DEPLOYMENT, SERVICE, Kind, Ref
from django_userpods.exceptions import AlreadyExists, Conflict, Invalid
from tests.clusters.manifests import LABELS, configmap, deployment, service

if TYPE_CHECKING:
    from django_userpods.clusters.base import Cluster
    from django_userpods.core.objects import Manifest

pytest_plugins = ["tests.testcluster.fixtures"]
CONFIGMAP = Kind("v1", "ConfigMap")


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


def test_a_list_leaves_out_what_carries_another_label(cluster_: Cluster, namespace_: str) -> None:
    for name, labels in (("a", {"half": "0"}), ("b", {"half": "1"}), ("c", {})):
        manifest = configmap(namespace_, name)
        manifest["metadata"]["labels"] |= labels
        cluster_.create(manifest)
    found = cluster_.list(
        CONFIGMAP, namespace=namespace_, labels=LABELS, without={"half": "1", "no": "such"}
    )
    assert sorted(item["metadata"]["name"] for item in found) == ["a", "c"]


def test_a_list_may_be_of_one_value_of_several(cluster_: Cluster, namespace_: str) -> None:
    for name in ("a", "b", "c", "none"):
        manifest = configmap(namespace_, name)
        if name != "none":
            manifest["metadata"]["labels"] |= {"letter": name}
        cluster_.create(manifest)

    def listed(*letters: str) -> list[str]:
        labels: dict[str, str | frozenset[str]] = {**LABELS, "letter": frozenset(letters)}
        found = cluster_.list(CONFIGMAP, namespace=namespace_, labels=labels)
        return sorted(item["metadata"]["name"] for item in found)

    assert listed("a", "c", "z") == ["a", "c"]
    assert listed("b") == ["b"]
    assert listed("z") == []


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
