"""The official client is an extra: what is said where there is none, or one that will not do."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
from django.core import checks

from django_userpods.clusters.kubernetes import KubernetesCluster, client
from django_userpods.core.objects import SERVICE, Ref
from django_userpods.exceptions import ClusterConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

INSTALL = "pip install 'django-userpods[kubernetes]'"


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder in place of everything that is installed: there is no client."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "kubernetes"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    client.modules.cache_clear()
    yield tmp_path
    client.modules.cache_clear()


def install(packages: Path, text: str) -> None:
    (packages / "kubernetes").mkdir()
    (packages / "kubernetes/__init__.py").write_text(text)


def assert_refused(*words: str) -> None:
    cluster = KubernetesCluster(context="any")
    for call in (
        lambda: cluster.get(Ref(SERVICE, "default", "x")),
        lambda: cluster.lacks_namespace("default"),
    ):
        with pytest.raises(ClusterConfigurationError) as caught:
            call()
        for word in (*words, INSTALL):
            assert word in str(caught.value)


def test_without_a_client_check_and_calls_say_what_to_install(packages: Path) -> None:
    assert KubernetesCluster().lacks_client() == f"no Kubernetes client is installed: {INSTALL}"
    assert_refused("no Kubernetes client is installed")


def test_nothing_waits_for_a_client_that_cannot_be_loaded(packages: Path) -> None:
    cluster = KubernetesCluster()
    cluster.prepare()
    assert cluster.is_prepared


def test_a_projects_folder_of_the_same_name_is_no_client(packages: Path) -> None:
    (packages / "kubernetes").mkdir()
    (packages / "kubernetes/deployment.yaml").write_text("kind: Deployment\n")
    assert "no Kubernetes client" in KubernetesCluster().lacks_client()


@pytest.mark.parametrize("version", ["36.0.0", "36.0.1", "36.0.2", "36.0.0b1", "19.0.0", "9.0.1"])
def test_a_client_that_will_not_do_is_named(packages: Path, version: str) -> None:
    install(packages, f'# x\n__version__ = "{version}"\n')
    assert version.partition("b")[0] in KubernetesCluster().lacks_client()
    assert_refused(version.partition("b")[0])


@pytest.mark.parametrize(
    "text",
    [
        *(f'__version__ = "{version}"\n' for version in ("19.15.0", "35.0.0", "36.0.3", "37.0.2")),
        '__version__ = "40.0"\n',
        # A build of somebody's own.
        "",
    ],
)
def test_every_other_client_will_do(packages: Path, text: str) -> None:
    install(packages, text)
    assert KubernetesCluster().lacks_client() == ""


def test_a_client_that_cannot_be_imported_is_no_traceback(packages: Path) -> None:
    install(packages, '__version__ = "37.0.2"\nimport a_package_that_is_not_there\n')
    assert_refused("a_package_that_is_not_there")


def test_the_client_of_this_environment_will_do() -> None:
    assert KubernetesCluster().lacks_client() == ""


@pytest.mark.parametrize("in_tests", [True, False])
def test_a_client_that_is_not_installed_is_a_warning(
    settings: Any, monkeypatch: pytest.MonkeyPatch, in_tests: bool
) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    monkeypatch.setattr(client, "find_spec", lambda name: None)
    settings.USERPODS_CLUSTER = {
        "BACKEND": "django_userpods.clusters.kubernetes.KubernetesCluster",
        "IN_TESTS": in_tests,
    }
    said = [
        (message.id, message.level, message.msg) for message in checks.run_checks(tags=["userpods"])
    ]
    words = "no Kubernetes client is installed: pip install 'django-userpods[kubernetes]'"
    warning = ("userpods.W018", checks.WARNING, f"User pods cannot be made from here: {words}.")
    # A project's own tests send nothing, so they need no client.
    assert said == ([warning] if in_tests else [])
