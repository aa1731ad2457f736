"""Going on with a rollout that was stopped, in the admin: who may, and what comes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.contrib.messages import get_messages
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_userpods.exceptions import ClusterUnavailable
from django_userpods.models import Installation, UserPod
from django_userpods.reconcile import reconcile, rollout
from tests.django.rollouts import failing, five_pods, turns, with_image
from tests.django.support import end_pause
from tests.factories import UserFactory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.test import Client

    from django_userpods.testing import MemoryCluster

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.urls("tests.django.admin_urls"),
]
PODS = "/admin/userpods/userpod/"
RESUME = f"{PODS}resume-rollout/"
BUTTON = f'href="{RESUME}"'


@pytest.fixture
def site(memory: MemoryCluster, settings: Any) -> Iterator[MemoryCluster]:
    """A rollout that was stopped by its first pod: one failed, one is being updated, three wait."""
    end_pause()
    five_pods(memory, settings, {"MAX_UNREADY": 2, "MAX_FAILURES": 1})
    reconcile()
    failing(memory, with_image(memory)[0])
    reconcile()
    assert rollout.stopped() is not None
    yield memory
    end_pause()


def staff(client: Client, *codenames: str) -> Client:
    user = UserFactory(username="boss", is_staff=True)
    UserPod.objects.filter(owner=user).delete()
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client.force_login(user)
    return client


def test_it_is_asked_first_and_goes_on_at_once(site: MemoryCluster, client: Client) -> None:
    boss = staff(client, "view_userpod", "sync_userpod")
    assert BUTTON in boss.get(PODS).content.decode()
    before = turns()
    page = boss.get(RESUME).content.decode()
    assert "was stopped: 1 updated pod failed" in page
    assert f"waiting for its turn: {before['waiting']}" in page
    assert "failed after its update: 1" in page
    assert rollout.stopped() is not None, "nothing is done by looking"

    answer = boss.post(RESUME)
    assert (answer.status_code, answer["Location"]) == (302, PODS)
    assert [str(message) for message in get_messages(answer.wsgi_request)][-1] == (
        "The rollout has been resumed."
    )
    assert Installation.objects.get().rollout_stopped_at is None
    assert "failed" not in turns(), "who failed is left alone, and takes no room"
    assert turns()["waiting"] < before["waiting"], "the next have had their turn"
    entry = LogEntry.objects.get()
    assert (entry.user.username, entry.change_message) == (
        "boss",
        "Resuming the rollout was requested.",
    )
    assert BUTTON not in boss.get(PODS).content.decode()


@pytest.mark.parametrize("codenames", [("view_userpod",), ("sync_userpod",), ()])
def test_it_needs_the_permissions_to_sync_and_to_see_pods(
    site: MemoryCluster, client: Client, codenames: tuple[str, ...]
) -> None:
    person = staff(client, *codenames)
    assert BUTTON not in person.get(PODS).content.decode()
    assert person.get(RESUME).status_code == 403
    assert person.post(RESUME).status_code == 403
    assert rollout.stopped() is not None
    client.logout()
    assert client.post(RESUME).status_code == 302, "to the login page"
    assert rollout.stopped() is not None


def test_without_a_token_of_the_form_nothing_is_done(site: MemoryCluster, client: Client) -> None:
    boss = staff(client, "view_userpod", "sync_userpod")
    boss.handler.enforce_csrf_checks = True
    assert boss.post(RESUME).status_code == 403
    assert boss.put(RESUME).status_code == 403
    assert rollout.stopped() is not None


def test_who_comes_late_is_told_that_none_is_stopped(site: MemoryCluster, client: Client) -> None:
    boss = staff(client, "view_userpod", "sync_userpod")
    rollout.resume()
    for answer in (boss.get(RESUME), boss.post(RESUME)):
        assert (answer.status_code, answer["Location"]) == (302, PODS)
        said = [str(message) for message in get_messages(answer.wsgi_request)]
        assert said[-1] == "No rollout is stopped."
    assert not LogEntry.objects.exists()
    assert boss.put(RESUME).status_code == 405


def test_a_cluster_that_is_down_fails_no_request(site: MemoryCluster, client: Client) -> None:
    boss = staff(client, "view_userpod", "sync_userpod")
    site.fail_with(ClusterUnavailable("down"))
    assert boss.post(RESUME).status_code == 302
    assert rollout.stopped() is None


def test_with_a_controller_it_is_that_which_gives_turns(
    site: MemoryCluster, client: Client, settings: Any
) -> None:
    boss = staff(client, "view_userpod", "sync_userpod")
    settings.USERPODS_CONTROLLER = True
    site.calls.clear()
    boss.post(RESUME)
    assert list(site.calls) == []
    assert UserPod.objects.filter(asked_at__isnull=False, turn="waiting").exists()
    assert rollout.stopped() is None


def test_pages_ask_as_much_however_many_pods_wait(site: MemoryCluster, client: Client) -> None:
    boss = staff(client, "view_userpod", "sync_userpod")
    boss.get(RESUME)
    with CaptureQueriesContext(connection) as few:
        boss.get(RESUME)
    UserPod.objects.update(turn="waiting")
    with CaptureQueriesContext(connection) as more:
        boss.get(RESUME)
    assert len(few) == len(more)
