"""Checks of what is around a project: a cluster that is named, a task backend, a cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import django
import pytest
from django.core import checks

from tests.clusters.kubeconfigs import several

if TYPE_CHECKING:
    from pathlib import Path


def found() -> list[checks.CheckMessage]:
    return checks.run_checks(tags=["userpods"])


@pytest.mark.parametrize(
    ("names", "options", "says"),
    [
        ((), {}, "there is no kubeconfig"),
        (("prod", "dev"), {}, "has the contexts dev, prod"),
        (("prod",), {}, "has the context prod"),
        (("prod",), {"context": "prof"}, "there is no context 'prof'"),
        (("prod",), {"context": "prod"}, ""),
    ],
)
def test_a_cluster_that_nobody_named_is_a_warning(
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    names: tuple[str, ...],
    options: dict[str, str],
    says: str,
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    if names:
        several(tmp_path / "config", *names)
    settings.USERPODS_CLUSTER = {
        "BACKEND": "django_userpods.clusters.kubernetes.KubernetesCluster",
        "OPTIONS": options,
        "IN_TESTS": True,
    }
    said = found()
    if says:
        (message,) = said
        assert message.id == "userpods.W002"
        assert says in message.msg
        assert message.level == checks.WARNING
    else:
        assert said == []


def test_in_a_pod_no_context_has_to_be_named(
    settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    settings.USERPODS_CLUSTER = {
        "BACKEND": "django_userpods.clusters.kubernetes.KubernetesCluster",
        "IN_TESTS": True,
    }
    assert found() == []


# --- what does nothing


@pytest.mark.skipif(django.VERSION < (6, 0), reason="Django has a task framework from 6.0 on")
@pytest.mark.parametrize("package", ["django.tasks", "django_tasks"])
def test_a_task_backend_that_runs_nothing_is_warned_of(settings: Any, package: str) -> None:
    assert found() == []
    settings.TASKS = {"default": {"BACKEND": f"{package}.backends.dummy.DummyBackend"}}
    (message,) = found()
    assert message.id == "userpods.W004"
    assert "sync_userpods alone" in message.msg
    settings.TASKS = {"default": {"BACKEND": "django.tasks.backends.immediate.ImmediateBackend"}}
    assert found() == []


def deployed() -> list[checks.CheckMessage]:
    return checks.run_checks(tags=["userpods"], include_deployment_checks=True)


@pytest.mark.parametrize(
    ("backend", "says"),
    [("dummy.DummyCache", "remembers nothing"), ("locmem.LocMemCache", "for itself")],
)
def test_a_cache_that_is_not_shared_is_warned_of(settings: Any, backend: str, says: str) -> None:
    settings.CACHES = {
        "default": {"BACKEND": f"django.core.cache.backends.{backend}"},
        "shared": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "cache"},
    }
    assert deployed() == []
    settings.USERPODS_CACHE = "default"
    (message,) = deployed()
    assert message.id == "userpods.W005"
    assert says in message.msg
    settings.USERPODS_CACHE = "shared"
    assert deployed() == []
