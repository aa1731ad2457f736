"""What every cluster does when it applies: in memory and on a real API server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from django_userpods.core.objects import Kind, Ref
from django_userpods.exceptions import Invalid
from tests.clusters.manifests import deployment, service

if TYPE_CHECKING:
    from collections.abc import Callable

    from django_userpods.clusters.base import Cluster
    from django_userpods.core.objects import Manifest

pytest_plugins = ["tests.testcluster.fixtures"]
CONFIGMAP = Kind("v1", "ConfigMap")


def container(live: Manifest) -> dict[str, Any]:
    return live["spec"]["template"]["spec"]["containers"][0]  # type: ignore[no-any-return]


def env(live: Manifest) -> dict[str, str]:
    return {item["name"]: item["value"] for item in container(live).get("env", [])}


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
    container(changed)["volumeMounts"] = [{"name": "tmp", "mountPath": "/var/tmp"}]  # noqa: S108 - a pod's
    moved = service(namespace_)
    moved["spec"]["ports"] = [{"name": "http", "port": 9000, "targetPort": "http"}]

    stored, stored_service = cluster_.apply(changed), cluster_.apply(moved)

    assert [port["containerPort"] for port in container(stored)["ports"]] == [9000]
    assert [mount["mountPath"] for mount in container(stored)["volumeMounts"]] == ["/var/tmp"]  # noqa: S108 - a pod's
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
