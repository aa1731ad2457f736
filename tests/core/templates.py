"""The pod templates that the tests of templates use, and a user to fill them in for."""

from __future__ import annotations

from typing import Any

from django_userpods.core.naming import InstallationIdentity, PodIdentity
from django_userpods.core.template import Template, compile_template, placeholder_values

BLUE, GREEN = InstallationIdentity("b1ue", "blue"), InstallationIdentity("9reen", "green")

SEVEN, EIGHT = PodIdentity("p0d7", "7"), PodIdentity("p0d8", "8")
VALUES = placeholder_values(SEVEN, name="user-alice", namespace="apps", username="alice")


def pair(**deployment: Any) -> list[dict[str, Any]]:
    return [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "{name}"},
            "spec": {"template": {"spec": {"containers": [{"name": "app", "image": "a:1"}]}}},
            **deployment,
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "{name}"},
            "spec": {"ports": [{"port": 80}]},
        },
    ]


def extra(kind: str, name: str = "{name}", api_version: str = "v1", **rest: Any) -> dict[str, Any]:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, **rest}


def compiled(manifests: Any) -> Template:
    return compile_template(manifests, installation=BLUE)


def changed(change: Any) -> list[dict[str, Any]]:
    manifests = pair()
    change(manifests[0], manifests[1])
    return manifests
