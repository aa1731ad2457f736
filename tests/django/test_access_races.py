"""What happens between whoami's reading of the database and its writing of the cache."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from django.core.cache import cache as django_cache
from django.core.cache.backends.locmem import LocMemCache
from django.core.management import call_command
from django.test import Client

from django_userpods.access import cache
from django_userpods.models import AccessToken
from django_userpods.reconcile import reconcile
from tests.django.asking_whoami import ask
from tests.django.support import by_name, service, users

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from django_userpods.testing import MemoryCluster

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("untouched_session")]

BACKENDS = "django.core.cache.backends"


@pytest.fixture(params=["locmem.LocMemCache", "filebased.FileBasedCache", "db.DatabaseCache"])
def shared_cache(request: pytest.FixtureRequest, settings: Any, tmp_path: Path) -> Iterator[None]:
    location = {"db": "userpods_test_cache", "filebased": str(tmp_path), "locmem": "races"}
    backend = str(request.param)
    settings.CACHES = {
        "default": {
            "BACKEND": f"{BACKENDS}.{backend}",
            "LOCATION": location[backend.partition(".")[0]],
        }
    }
    settings.USERPODS_CACHE = "default"
    if backend.startswith("db"):
        call_command("createcachetable", verbosity=0)
    yield
    django_cache.clear()


def in_the_middle(settings: Any, act: Callable[[], None]) -> None:
    """Act once, after the next whoami has read the database and before it writes the cache."""
    todo = [act]

    def select(user: Any) -> bool:
        if todo:
            todo.pop()()
        return bool(user.is_active)

    settings.USERPODS_SELECT = select


def revoke_tokens() -> None:
    AccessToken.objects.revoke()


def delete_tokens() -> None:
    AccessToken.objects.get().delete()


def deactivate() -> None:
    user = by_name("alice")
    user.is_active = False
    user.save()


def delete() -> None:
    by_name("alice").delete()


@pytest.mark.usefixtures("shared_cache")
@pytest.mark.parametrize("act", [revoke_tokens, delete_tokens, deactivate, delete])
def test_a_token_that_ends_meanwhile_is_not_remembered(
    alice: Any, settings: Any, commit: Any, act: Callable[[], None]
) -> None:
    _, token = AccessToken.objects.issue(alice)

    def meanwhile() -> None:
        with commit():
            act()

    in_the_middle(settings, meanwhile)
    assert ask(Client(), token).status_code == 200
    assert ask(Client(), token).status_code == 403


@pytest.mark.usefixtures("shared_cache")
def test_a_session_whose_password_changes_meanwhile_is_not_remembered(
    signed_in: Client, settings: Any, commit: Any
) -> None:
    def meanwhile() -> None:
        user = by_name("alice")
        user.set_password("new")
        with commit():
            user.save()

    in_the_middle(settings, meanwhile)
    assert ask(signed_in).status_code == 200
    assert ask(signed_in).status_code == 401


@pytest.mark.usefixtures("shared_cache")
def test_a_session_that_is_logged_out_meanwhile_is_not_remembered(
    signed_in: Client, alice: Any, settings: Any, commit: Any
) -> None:
    key = signed_in.session.session_key

    def meanwhile() -> None:
        other = Client()
        other.cookies["sessionid"] = str(key)
        with commit():
            other.logout()

    in_the_middle(settings, meanwhile)
    assert ask(signed_in).status_code == 200
    assert ask(signed_in).status_code == 401


@pytest.mark.usefixtures("shared_cache")
def test_an_address_that_changes_meanwhile_is_not_remembered(
    signed_in: Client, settings: Any, memory: MemoryCluster, commit: Any
) -> None:
    def meanwhile() -> None:
        spec = service(memory, "user-alice")["spec"]
        spec["clusterIP"], spec["clusterIPs"] = "10.96.7.7", ["10.96.7.7"]
        with commit():
            reconcile()

    in_the_middle(settings, meanwhile)
    assert ask(signed_in)["X-Target-Peer"] != "10.96.7.7:8000"
    assert ask(signed_in)["X-Target-Peer"] == "10.96.7.7:8000"


@pytest.mark.usefixtures("shared_cache")
def test_another_users_logout_costs_a_query_and_nothing_that_is_known(
    signed_in: Client, alice: Any, settings: Any, django_assert_num_queries: Any
) -> None:
    in_the_middle(settings, lambda: cache.forget(["somebody else"]))
    ask(signed_in)
    request_again = ask(signed_in)
    assert request_again.json()["user"] == "alice"
    cache.forget(["somebody else"])
    users().update(is_active=False)
    # It comes from the cache, which nobody told of this.
    assert ask(signed_in).status_code == 200


class Stepwise(LocMemCache):
    """A cache that tells a thread's own ``step`` of each operation before it is done."""

    local = threading.local()

    def _step(self) -> None:
        step = getattr(self.local, "step", None)
        if step is not None:
            step()

    def get(self, *args: Any, **kwargs: Any) -> Any:
        self._step()
        return super().get(*args, **kwargs)

    def set(self, *args: Any, **kwargs: Any) -> None:
        self._step()
        super().set(*args, **kwargs)

    def add(self, *args: Any, **kwargs: Any) -> bool:
        self._step()
        return super().add(*args, **kwargs)


class Forgetting(threading.Thread):
    """Forgets a user in a thread of its own, one operation of the cache at a time."""

    def __init__(self, user_pk: str) -> None:
        super().__init__(daemon=True)
        self.user_pk = user_pk
        self.may, self.waits = threading.Semaphore(0), threading.Semaphore(0)
        self.is_over = False
        self.start()
        self.waits.acquire()

    def run(self) -> None:
        Stepwise.local.step = self._pause
        cache.forget([self.user_pk])
        self.is_over = True
        self.waits.release()

    def _pause(self) -> None:
        self.waits.release()
        self.may.acquire()

    def go(self, steps: int = 100) -> None:
        """Do the next operations and stop before the one after them."""
        for _ in range(steps):
            if self.is_over:
                return
            self.may.release()
            self.waits.acquire()


@pytest.mark.parametrize("known", [False, True], ids=["new to the cache", "known to the cache"])
@pytest.mark.parametrize("done_before", range(3))
@pytest.mark.parametrize("resumed_at", range(6))
def test_no_order_of_forgetting_and_remembering_lets_a_dead_token_in(
    alice: Any, settings: Any, known: bool, done_before: int, resumed_at: int
) -> None:
    """The token dies after whoami read it; the two write the cache in any order of their steps."""
    settings.CACHES = {
        "default": {
            "BACKEND": "tests.django.test_access_races.Stepwise",
            "LOCATION": "stepwise",
        }
    }
    settings.USERPODS_CACHE = "default"
    django_cache.clear()
    pk = str(alice.pk)
    _, token = AccessToken.objects.issue(alice)
    _, other = AccessToken.objects.issue(alice)
    if known:
        assert ask(Client(), other).status_code == 200
    left = [resumed_at]
    started: list[Forgetting] = []

    def resume() -> None:
        left[0] -= 1
        if left[0] < 0:
            started[0].go()

    def die() -> None:
        # Not by `revoke`, whose own forgetting is what goes on beside.
        AccessToken.objects.all().update(expires_at="2001-01-01T00:00:00Z")
        started.append(Forgetting(pk))
        started[0].go(done_before)
        Stepwise.local.step = resume

    in_the_middle(settings, die)
    try:
        assert ask(Client(), token).status_code == 200
    finally:
        Stepwise.local.step = None
    started[0].go()
    started[0].join(5)
    assert started[0].is_over
    assert ask(Client(), token).status_code == 403
    django_cache.clear()
