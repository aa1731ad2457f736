"""Fixtures of the router tests: one nginx and one pretended Django for each module."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from django_userpods.core import addresses
from tests.router.fake_django import FakeDjango
from tests.router.harness import Router, workload

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("router")


@pytest.fixture(scope="module")
def alice_pod(folder: Path) -> Iterator[str]:
    with workload("alice", folder) as peer:
        yield peer


@pytest.fixture(scope="module")
def bob_pod(folder: Path) -> Iterator[str]:
    with workload("bob", folder) as peer:
        yield peer


@pytest.fixture(scope="module")
def running_django() -> Iterator[FakeDjango]:
    with FakeDjango() as django:
        yield django


@pytest.fixture(scope="module")
def options() -> dict[str, object]:
    """What goes into settings.lua; a module has its own by overriding this."""
    return {"cache_seconds": 1, "recheck_seconds": 2, "grace_seconds": 3}


@pytest.fixture(scope="module")
def running_router(
    folder: Path, running_django: FakeDjango, options: dict[str, object]
) -> Iterator[Router]:
    if url := str(options.get("pods_url", "")):
        running_django.where = addresses.parse(url)
    with Router(folder / "nginx", running_django.port, options=options) as router:
        yield router


@pytest.fixture
def django(running_django: FakeDjango, alice_pod: str, bob_pod: str) -> FakeDjango:
    """Django as it should be: alice and bob, each with a pod."""
    running_django.odd = None
    running_django.delay = 0.0
    running_django.answer = {}
    running_django.headers = []
    running_django.cookie = ""
    running_django.shares.clear()
    running_django.inactive.clear()
    running_django.user("alice", alice_pod)
    running_django.user("bob", bob_pod)
    running_django.count.clear()
    running_django.seen.clear()
    return running_django


@pytest.fixture
def router(running_router: Router, django: FakeDjango) -> Router:
    """The router with nothing in its cache about alice and bob."""
    for name in ("alice", "bob"):
        assert running_router.purge(f"id-{name}").status == 200
    return running_router
