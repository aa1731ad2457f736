"""Fixtures for the tests of the Django side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import django
import pytest

from django_userpods import signals
from django_userpods.reconcile import reconcile
from tests.django.support import end_pause
from tests.factories import UserFactory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.dispatch import Signal
    from django.test import Client

    from django_userpods.testing import MemoryCluster


@pytest.fixture(autouse=True)
def _no_pause() -> None:
    """Let no test suffer from an earlier one's cluster that was down."""
    end_pause()


@pytest.fixture
def untouched_session(settings: Any) -> None:
    """Let no middleware look at the session's user before the view does.

    Before Django 6.0 LoginRequiredMiddleware does so even for views that need no login.
    """
    if django.VERSION < (6, 0):
        settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if "LoginReq" not in name]


@pytest.fixture
def commit(django_capture_on_commit_callbacks: Any) -> Any:
    """A block after which everything is committed: what waits for that is called."""
    return lambda: django_capture_on_commit_callbacks(execute=True)


@pytest.fixture
def alice(memory: MemoryCluster) -> Any:
    """A user with a pod; what that asked of the cluster is forgotten."""
    user = UserFactory(username="alice")
    reconcile()
    memory.calls.clear()
    return user


@pytest.fixture
def signed_in(client: Client, alice: Any) -> Client:
    """Alice's browser."""
    client.force_login(alice)
    return client


@pytest.fixture
def heard() -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """What our own signals said."""
    said: list[tuple[str, dict[str, Any]]] = []
    receivers: list[tuple[Signal, Any]] = []
    for name in ("userpod_applied", "userpod_deleted", "userpod_failed"):

        def receive(*, name: str = name, signal: Any, **arguments: Any) -> None:
            said.append((name, arguments))

        signal: Signal = getattr(signals, name)
        signal.connect(receive)
        receivers.append((signal, receive))
    yield said
    for signal, receiver in receivers:
        signal.disconnect(receiver)


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has been done is written down by number alone, and so as often on a slow machine."""
    monkeypatch.setattr("django_userpods.reconcile.carry_out._FLUSH_SECONDS", 600.0)
