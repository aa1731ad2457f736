"""The manifests that the tests of clusters use; admitted by Pod Security ``restricted``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from django_userpods.core.objects import Manifest

LABELS = {"app.kubernetes.io/managed-by": "django-userpods", "django-userpods/instance": "tests"}


def deployment(namespace: str, name: str = "user-alice", **env: str) -> Manifest:
    """A Deployment of one container with these variables."""
    container: dict[str, Any] = {
        "name": "app",
        "image": "example.org/app:1",
        "ports": [{"name": "http", "containerPort": 8000}],
        "env": [{"name": key, "value": value} for key, value in env.items()],
        "resources": {"limits": {"cpu": "1000m", "memory": "1024Mi"}, "requests": {"cpu": "0.1"}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - a pod's
        "readinessProbe": {"httpGet": {"port": "http"}},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, "labels": {**LABELS, "app": name}},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {
                    "automountServiceAccountToken": False,
                    "securityContext": {
                        "runAsNonRoot": True,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "containers": [container],
                    "volumes": [{"name": "tmp", "emptyDir": {}}],
                },
            },
        },
    }


def service(namespace: str, name: str = "user-alice", **spec: object) -> Manifest:
    """A Service of the Deployment of that name."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace, "labels": {**LABELS, "app": name}},
        "spec": {
            "selector": {"app": name},
            "ports": [{"name": "http", "port": 8000, "targetPort": "http"}],
            **spec,
        },
    }


def configmap(namespace: str, name: str, **data: str) -> Manifest:
    """A ConfigMap: the cheapest object there is."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace, "labels": dict(LABELS)},
        "data": data,
    }
