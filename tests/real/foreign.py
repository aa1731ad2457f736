"""What is somebody else's, beside the pods: a test says at its end that nothing touched it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django_userpods.cluster import get_cluster
from django_userpods.core import naming
from django_userpods.core.objects import DEPLOYMENT, Kind, Manifest, Ref
from tests.real.controllers import FOREIGN, until

if TYPE_CHECKING:
    from tests.testcluster.cluster import Cluster

CONFIG_MAP = Kind("v1", "ConfigMap")


class Foreign:
    """A ConfigMap, and a Deployment that looks like another installation's."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster, self._namespace = cluster, namespace
        self.make()

    def make(self) -> None:
        """Make them, and note what they are once Kubernetes itself has nothing to add."""
        labels = {naming.MANAGED_BY_LABEL: naming.MANAGED_BY, naming.INSTALLATION_LABEL: "another"}
        on = {"namespace": self._namespace, "name": FOREIGN, "labels": labels}
        container = {"name": "app", "image": "example.org/foreign:1"}
        template = {"metadata": {"labels": {"app": FOREIGN}}, "spec": {"containers": [container]}}
        selector = {"matchLabels": {"app": FOREIGN}}
        self._cluster.create(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": on, "data": {"key": "value"}},
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": on,
                "spec": {"replicas": 0, "selector": selector, "template": template},
            },
        )
        until(self._is_rolled_out, 60, "a foreign Deployment")
        self._before = self._versions()

    def _get(self, kind: Kind) -> Manifest | None:
        return get_cluster().get(Ref(kind, self._namespace, FOREIGN))

    def _is_rolled_out(self) -> bool:
        found = self._get(DEPLOYMENT)
        conditions = (found or {}).get("status", {}).get("conditions", ())
        return "NewReplicaSetAvailable" in {condition.get("reason") for condition in conditions}

    def _versions(self) -> list[str | None]:
        found = [self._get(kind) for kind in (CONFIG_MAP, DEPLOYMENT)]
        return [str(item["metadata"]["resourceVersion"]) if item else None for item in found]

    def assert_untouched(self) -> None:
        """Hold that they are what they were, to the version."""
        assert None not in self._before
        assert self._versions() == self._before, "what is foreign was touched"
