"""The test project and what ``kubectl`` says of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_django.fixtures import Settings

    from tests.testcluster.cluster import Cluster

#: ``USERPODS_INLINE_TIMEOUT`` in seconds where a test is not about it. After a save that takes
#: longer, as on a machine that does much else, the next half a minute is left to a sync.
PATIENT = 60.0


def use_cluster(settings: Settings, kubeconfig: Path, namespace: str) -> None:
    """Point the settings at a namespace of a cluster, with an instance label of its own."""
    settings.USERPODS_CLUSTER = {
        "BACKEND": "django_userpods.clusters.kubernetes.KubernetesCluster",
        "OPTIONS": {"kubeconfig": str(kubeconfig), "qps": 0},
        "IN_TESTS": True,
    }
    settings.USERPODS_NAMESPACE = namespace
    settings.USERPODS_INSTANCE = namespace


def objects(cluster: Cluster, namespace: str, kind: str = "deploy,svc") -> list[str]:
    """Return what there is, as ``kubectl get`` sees it: ``["Deployment/user-alice", ...]``."""
    found = cluster.get(kind, "-n", namespace)["items"]
    return sorted(f"{item['kind']}/{item['metadata']['name']}" for item in found)


def pair(*names: str) -> list[str]:
    """Return what ``objects`` gives for users of these names."""
    return sorted([f"Deployment/{n}" for n in names] + [f"Service/{n}" for n in names])


def deployment(cluster: Cluster, namespace: str, name: str) -> dict[str, Any]:
    """Return a Deployment."""
    return cluster.get("deployment", name, "-n", namespace)
