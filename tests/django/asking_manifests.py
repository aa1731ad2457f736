"""The command ``userpods_manifests`` as tests ask it, and a project with values of its own."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from django.core.management import call_command

from django_userpods.deploy import project as of_project

if TYPE_CHECKING:
    from pytest_django.fixtures import Settings

    from django_userpods.deploy import shipped


def run(*args: str) -> tuple[str, str]:
    """Run the command; return (stdout, stderr)."""
    out, err = StringIO(), StringIO()
    call_command("userpods_manifests", *args, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def objects(text: str) -> dict[str, dict[str, Any]]:
    """Return the objects of a stream by kind and name."""
    found = [item for item in yaml.safe_load_all(text) if item]
    named = {f"{item['kind']} {item['metadata']['name']}": item for item in found}
    assert (
        len(named)
        == len(
            {
                (item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"])
                for item in found
            }
        )
        or "NetworkPolicy default-deny" in named
    )
    return named


@pytest.fixture
def project(settings: Settings) -> Settings:
    """A project with a name, a namespace and an image of its own."""
    settings.USERPODS_NAMESPACE = "acme-pods"
    settings.USERPODS_INSTANCE = "acme"
    settings.USERPODS_IMAGE = "registry.acme.test:5000/app@sha256:" + "0" * 64
    settings.USERPODS_PORT = 9000
    settings.USERPODS_NAME_PREFIX = "u-"
    settings.ALLOWED_HOSTS = ["localhost", "10.0.0.1", ".acme.test", "pods.acme.test"]
    settings.USERPODS_CLUSTER = {
        "BACKEND": "django_userpods.clusters.kubernetes.KubernetesCluster",
        "OPTIONS": {"cluster_domain": "acme.internal"},
    }
    settings.SESSION_COOKIE_NAME = "acme_session"
    settings.CSRF_COOKIE_NAME = "acme_csrf"
    settings.LOGIN_URL = "/welcome/in/"
    return settings


def values_of(warn: Any = pytest.fail) -> shipped.ProjectValues:
    options = of_project.Options(django_namespace="acme")
    return of_project.values(["router"], options, secrets={}, warn=warn)
