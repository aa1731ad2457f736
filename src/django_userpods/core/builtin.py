"""The built-in pod template: a hardened Deployment and its Service.

Admitted by a namespace that enforces the Pod Security Standard ``restricted``
(Kubernetes, "Pod Security Standards").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django_userpods.core.objects import Manifest

#: What a small app needs: CPU in millicores (``m``), memory and disk in bytes (``Mi``, ``Gi``).
RESOURCES = {
    "requests": {"cpu": "50m", "memory": "128Mi", "ephemeral-storage": "64Mi"},
    "limits": {"cpu": "1", "memory": "512Mi", "ephemeral-storage": "1Gi"},
}


def manifests(
    *,
    image: str,
    port: int,
    env: Mapping[str, str],
    resources: Mapping[str, Any],
    has_address: bool = False,
) -> list[Manifest]:
    """Return the template's manifests, placeholders not yet filled in.

    The app must listen on ``port`` (it finds it in ``$PORT``) and run as a user other than root.
    ``env`` comes after our own variables and wins over them. Where pods have an address of their
    own the app finds it in ``$USERPODS_URL`` and ``$USERPODS_PATH``.
    """
    address = {"USERPODS_URL": "{url}", "USERPODS_PATH": "{path}"} if has_address else {}
    variables = {"PORT": str(port), "USERPODS_USER": "{username}", **address, **env}
    container = _container(image=image, port=port, variables=variables, resources=resources)
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "{name}"},
        "spec": {
            "replicas": 1,
            "revisionHistoryLimit": 2,
            # Never two pods of one user side by side: an app may keep state on a volume.
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": {"app": "{name}"}},
            "template": {
                "metadata": {"labels": {"app": "{name}"}},
                "spec": {
                    "automountServiceAccountToken": False,
                    # Thousands of Services in a namespace would become environment variables.
                    "enableServiceLinks": False,
                    "securityContext": {
                        "runAsNonRoot": True,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "containers": [container],
                },
            },
        },
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "{name}"},
        "spec": {
            "selector": {"app": "{name}"},
            "ports": [{"name": "http", "port": port, "targetPort": "http"}],
        },
    }
    return [deployment, service]


def _container(
    *, image: str, port: int, variables: Mapping[str, str], resources: Mapping[str, Any]
) -> dict[str, Any]:
    probe = {"tcpSocket": {"port": "http"}}
    return {
        "name": "app",
        "image": image,
        "ports": [{"name": "http", "containerPort": port}],
        "env": [{"name": name, "value": value} for name, value in variables.items()],
        "resources": resources,
        "startupProbe": {**probe, "periodSeconds": 1, "failureThreshold": 120},
        "readinessProbe": {**probe, "periodSeconds": 5},
        "livenessProbe": {**probe, "periodSeconds": 20},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
    }
