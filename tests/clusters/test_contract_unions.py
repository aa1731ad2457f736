"""Of fields that exclude each other the declared one is applied, whatever was set meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from django_userpods.clusters.kubernetes import KubernetesCluster
from django_userpods.core.objects import Ref
from django_userpods.exceptions import Invalid
from tests.clusters.manifests import deployment

if TYPE_CHECKING:
    from collections.abc import Callable

    from django_userpods.clusters.base import Cluster
    from django_userpods.core.objects import Manifest
    from tests.testcluster.cluster import Cluster as RealCluster

pytest_plugins = ["tests.testcluster.fixtures"]
FIELD = {"fieldRef": {"fieldPath": "metadata.name"}}


def pod(live: Manifest) -> dict[str, Any]:
    return live["spec"]["template"]["spec"]  # type: ignore[no-any-return]


def with_strategy(live: Manifest) -> None:
    live["spec"]["strategy"] = {"type": "Recreate"}


def with_default_strategy(live: Manifest) -> None:
    live["spec"]["strategy"] = {"type": "RollingUpdate"}


def with_tcp(live: Manifest) -> None:
    probe = pod(live)["containers"][0]["readinessProbe"]
    probe.pop("httpGet", None)
    probe["tcpSocket"] = {"port": 8000}


def with_reference(live: Manifest) -> None:
    pod(live)["containers"][0]["env"] = [{"name": "A", "valueFrom": FIELD}]


def with_secret(live: Manifest) -> None:
    pod(live)["volumes"] = [{"name": "tmp", "secret": {"secretName": "a"}}]


def with_own_seccomp(live: Manifest) -> None:
    profile = {"type": "Localhost", "localhostProfile": "a.json"}
    pod(live)["securityContext"]["seccompProfile"] = profile


CHANGES = [with_strategy, with_tcp, with_reference, with_secret, with_own_seccomp]


@pytest.mark.parametrize("by_hand", CHANGES)
@pytest.mark.parametrize("applied_before", [False, True])
def test_what_was_changed_by_hand_is_put_back(
    cluster_: Cluster,
    namespace_: str,
    edit: Callable[..., None],
    by_hand: Callable[[Manifest], None],
    *,
    applied_before: bool,
) -> None:
    wanted = deployment(namespace_, A="1")
    with_default_strategy(wanted)
    make = cluster_.apply if applied_before else cluster_.create
    before = make(wanted)
    edit(Ref.of(wanted), by_hand)
    assert cluster_.get(Ref.of(wanted)) != before

    stored = cluster_.apply(wanted)

    assert pod(stored) == pod(before)
    assert stored["spec"]["strategy"] == before["spec"]["strategy"]


@pytest.mark.parametrize("in_template", [*CHANGES, with_default_strategy])
def test_a_template_may_change_from_one_to_the_other_and_back(
    cluster_: Cluster, namespace_: str, in_template: Callable[[Manifest], None]
) -> None:
    wanted = deployment(namespace_, A="1")
    before = cluster_.create(wanted)
    changed = deployment(namespace_, A="1")
    in_template(changed)
    # The second apply of each kind has an Apply entry behind it, the first a POST's.
    for _ in range(2):
        there = cluster_.apply(changed)
        back = cluster_.apply(wanted)
        assert pod(back) == pod(before)
        assert pod(there)["volumes"][0].keys() == pod(changed)["volumes"][0].keys()


def test_a_strategy_put_back_by_hand_is_ours_again(
    cluster_: Cluster, namespace_: str, edit: Callable[..., None]
) -> None:
    wanted = deployment(namespace_)
    with_strategy(wanted)
    cluster_.create(wanted)
    edit(Ref.of(wanted), with_default_strategy)

    for _ in range(2):
        stored = cluster_.apply(wanted)
        assert stored["spec"]["strategy"] == {"type": "Recreate"}


@pytest.mark.cluster
def test_two_that_the_manifest_itself_declares_stay_refused(
    cluster: RealCluster, namespace: str
) -> None:
    real_cluster = KubernetesCluster(kubeconfig=cluster.kubeconfig)
    wanted = deployment(namespace)
    real_cluster.create(wanted)
    pod(wanted)["containers"][0]["readinessProbe"]["tcpSocket"] = {"port": 1}

    with pytest.raises(Invalid, match="more than 1 handler type") as caught:
        real_cluster.apply(wanted)
    place = "spec.template.spec.containers[0].readinessProbe.tcpSocket"
    assert caught.value.fields == (place,)
