"""What is known of a field says how it is compared."""

from __future__ import annotations

from typing import Any

import pytest

from tests.core.test_shape import differences

CONTAINERS = {
    "containers": [
        {"name": "app", "image": "a:1", "env": [{"name": "A", "value": "1"}]},
        {"name": "side", "image": "b:1"},
    ]
}


@pytest.mark.parametrize(
    ("type_name", "declared", "observed", "paths"),
    [
        # Zero values that are not the same as unset.
        ("PodSpec", {"automountServiceAccountToken": False}, {}, [".automountServiceAccountToken"]),
        ("SecurityContext", {"allowPrivilegeEscalation": False}, {}, [".allowPrivilegeEscalation"]),
        ("SecurityContext", {"runAsUser": 0}, {}, [".runAsUser"]),
        ("SecurityContext", {"runAsNonRoot": None}, {}, []),
        ("ObjectMeta", {"labels": {}}, {}, []),
        ("ObjectMeta", {"annotations": {}}, {}, []),
        ("ConfigMap", {"data": {}}, {}, []),
        ("Volume", {"emptyDir": {}}, {}, [".emptyDir"]),
        ("Volume", {"emptyDir": {}}, {"emptyDir": {}}, []),
        # Zero values in whose place the server puts its own.
        ("ServiceSpec", {"clusterIP": ""}, {"clusterIP": "10.0.0.1"}, []),
        ("ServiceSpec", {"clusterIP": "None"}, {"clusterIP": "10.0.0.1"}, [".clusterIP"]),
        ("ServiceSpec", {"type": ""}, {"type": "ClusterIP"}, []),
        ("ServiceSpec", {"type": ""}, {"type": "NodePort"}, [".type"]),
        ("ServiceSpec", {"ipFamilies": []}, {"ipFamilies": ["IPv4"]}, []),
        ("Probe", {"periodSeconds": 0}, {"periodSeconds": 10}, []),
        ("Probe", {"periodSeconds": 0}, {"periodSeconds": 1}, [".periodSeconds"]),
        ("PersistentVolumeClaimSpec", {"storageClassName": ""}, {}, [".storageClassName"]),
        # Quantities.
        ("ResourceRequirements", {"limits": {"cpu": "1000m"}}, {"limits": {"cpu": "1"}}, []),
        ("ResourceRequirements", {"limits": {"cpu": 1}}, {"limits": {"cpu": "1"}}, []),
        ("ResourceRequirements", {"requests": {"x": "1024Mi"}}, {"requests": {"x": "1Gi"}}, []),
        (
            "ResourceRequirements",
            {"requests": {"memory": "1Gi"}},
            {"requests": {"memory": "1G"}},
            [".requests.memory"],
        ),
        (
            "ResourceRequirements",
            {"requests": {"cpu": "1"}},
            {"requests": {}},
            [".requests.cpu"],
        ),
        ("EmptyDirVolumeSource", {"sizeLimit": "1024Mi"}, {"sizeLimit": "1Gi"}, []),
        ("LimitRangeItem", {"max": {"cpu": "2000m"}}, {"max": {"cpu": "2"}}, []),
        (
            "LimitRangeItem",
            {"defaultRequest": {"cpu": 0.5}},
            {"defaultRequest": {"cpu": "500m"}},
            [],
        ),
        ("LimitRangeItem", {"min": {"cpu": "1"}}, {"min": {"cpu": "2"}}, [".min.cpu"]),
        ("MetricTarget", {"averageValue": "1000m"}, {"averageValue": "1"}, []),
        ("MetricTarget", {"value": "1500m"}, {"value": "1"}, [".value"]),
        # Base64.
        ("Secret", {"data": {"a": "aGVs\nbG8=\n"}}, {"data": {"a": "aGVsbG8="}}, []),
        ("Secret", {"data": {"a": "aGVsbG8="}}, {"data": {"a": "aGVsbG9v"}}, [".data.a"]),
        ("Secret", {"data": {"a": "aGVsbG8="}}, {"data": {}}, [".data.a"]),
        ("ConfigMap", {"binaryData": {"a": "aGVs\r\nbG8="}}, {"binaryData": {"a": "aGVsbG8="}}, []),
        ("ConfigMap", {"data": {"a": "aGVs\nbG8="}}, {"data": {"a": "aGVsbG8="}}, [".data.a"]),
        # A set, to which others may add.
        ("ObjectMeta", {"finalizers": ["a/b"]}, {"finalizers": ["c/d", "a/b"]}, []),
        ("ObjectMeta", {"finalizers": ["a/b"]}, {"finalizers": ["c/d"]}, [".finalizers"]),
        # Lists by key: order and what others added do not matter.
        ("PodSpec", CONTAINERS, {"containers": CONTAINERS["containers"][::-1]}, []),
        (
            "PodSpec",
            CONTAINERS,
            {"containers": [{"name": "injected"}, *CONTAINERS["containers"]]},
            [],
        ),
        (
            "PodSpec",
            CONTAINERS,
            {"containers": CONTAINERS["containers"][:1]},
            [".containers[side]"],
        ),
        (
            "PodSpec",
            CONTAINERS,
            {"containers": [{"name": "app", "image": "evil:1"}, CONTAINERS["containers"][1]]},
            [".containers[app].image", ".containers[app].env"],
        ),
        (
            "Container",
            {"env": [{"name": "{name}", "value": "1"}]},
            {"env": [{"name": "X"}, {"name": "user-alice", "value": "2"}]},
            [".env[user-alice].value"],
        ),
        (
            "Container",
            {"volumeMounts": [{"name": "a", "mountPath": "/a"}]},
            {"volumeMounts": [{"name": "b", "mountPath": "/a"}]},
            [".volumeMounts[/a].name"],
        ),
        (
            "Container",
            {"ports": [{"containerPort": 80}, {"containerPort": 80, "protocol": "UDP"}]},
            {
                "ports": [
                    {"containerPort": 80, "protocol": "UDP"},
                    {"containerPort": 80, "protocol": "TCP"},
                ]
            },
            [],
        ),
        (
            "PodSpec",
            {"topologySpreadConstraints": [{"topologyKey": "z", "whenUnsatisfiable": "a"}]},
            {"topologySpreadConstraints": [{"topologyKey": "z", "whenUnsatisfiable": "b"}]},
            [".topologySpreadConstraints[z/a]"],
        ),
        # Without its key an item cannot be found by it.
        (
            "PodSpec",
            {"volumes": [{"emptyDir": {}}]},
            {"volumes": [{"emptyDir": {}, "name": "x"}]},
            [],
        ),
    ],
)
def test_what_is_known_of_a_field_decides_whether_it_differs(
    type_name: str, declared: Any, observed: Any, paths: list[str]
) -> None:
    assert differences(declared, observed, type_name=type_name) == paths


def test_the_ports_of_a_service_are_merged_by_port() -> None:
    declared = {"spec": {"ports": [{"port": 80, "name": "http"}]}}
    observed = {"spec": {"ports": [{"port": 9, "protocol": "TCP"}, {"port": 80, "name": "http"}]}}
    assert differences(declared, observed, kind="Service") == []
    observed["spec"]["ports"][1]["name"] = "evil"
    assert differences(declared, observed, kind="Service") == [".spec.ports[80/TCP].name"]


def test_the_ports_of_a_network_policy_are_one_whole() -> None:
    declared = {"spec": {"ingress": [{"ports": [{"port": 80}]}]}}
    observed: Any = {"spec": {"ingress": [{"ports": [{"port": 80, "protocol": "TCP"}]}]}}
    assert differences(declared, observed, kind="NetworkPolicy") == []
    # A port that somebody opened by hand.
    observed["spec"]["ingress"][0]["ports"].append({"port": 22, "protocol": "TCP"})
    assert differences(declared, observed, kind="NetworkPolicy") == [".spec.ingress[0].ports"]
