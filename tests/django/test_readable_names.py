"""People whose names are no DNS labels read their own names in pages, the admin and commands."""

from __future__ import annotations

import json
from contextlib import suppress
from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest
from django.core.management import CommandError, call_command
from django.utils.html import escape

from django_userpods import lifecycle
from django_userpods.admin import wording
from django_userpods.core import naming
from django_userpods.management import sync_words
from django_userpods.models import Share, UserPod
from django_userpods.reconcile import reconcile
from django_userpods.reconcile.report import Report
from tests.django.support import deployment, row
from tests.factories import UserFactory

if TYPE_CHECKING:
    from django.test import Client

    from django_userpods.testing import MemoryCluster

pytestmark = pytest.mark.django_db(transaction=True)

BROWSER = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate"}
NAMES = ["李雷", "Zoë", "Ωmega", "שלום", "محمد", "x" * 150, " a  b ", "<b>&amp;"]


@pytest.fixture(params=NAMES)
def person(request: pytest.FixtureRequest, memory: MemoryCluster) -> Any:
    return UserFactory(username=request.param)


@pytest.fixture
def theirs(person: Any, client: Client) -> Client:
    client.force_login(person)
    return client


def test_the_name_in_the_cluster_stays_a_label(person: Any) -> None:
    name = row(person).name
    assert name is not None
    assert name.isascii()
    assert len(name) <= 63
    assert name == name.lower().strip("-")


def test_my_pods_and_the_waiting_page_have_it_as_it_is_written(person: Any, theirs: Client) -> None:
    shown = f"<bdi>{escape(person.username)}</bdi>"
    assert shown in theirs.get("/userpods/").text
    UserPod.objects.update(state="failed", message="OOMKilled", looked_at="2999-01-01T00:00Z")
    assert shown in theirs.get("/userpods/waiting/", headers=BROWSER).text


def test_whom_it_is_shared_with_reads_whose_it_is(
    person: Any, client: Client, settings: Any
) -> None:
    settings.USERPODS_SHARING = True
    settings.USERPODS_URL = "https://{pod}.pods.example.org/"
    settings.USERPODS_SITE_URL = "https://www.example.org/"
    settings.USERPODS_MAX_PODS = 2
    guest = UserFactory(username="guest")
    lab = lifecycle.add_pod(person, "lab")
    for pod in (row(person), lab):
        Share.objects.create(pod=pod, user=guest)
    client.force_login(guest)
    page = client.get("/userpods/").text
    assert f"<bdi>{escape(person.username)}</bdi>" in page
    assert f"<bdi>{escape(person.username)} – lab</bdi>" in page  # noqa: RUF001 - a dash


def test_the_admin_names_the_user_beside_the_pod(person: Any, client: Client) -> None:
    client.force_login(UserFactory(username="boss", is_staff=True, is_superuser=True))
    for url in ("", f"{row(person).pk}/change/"):
        assert escape(person.username) in client.get(f"/admin/userpods/userpod/{url}").text


def test_a_command_names_the_user_of_what_failed(person: Any, memory: MemoryCluster) -> None:
    label = failing(person, memory)
    said = StringIO()
    with suppress(SystemExit, CommandError):
        call_command("sync_userpods", stdout=said, stderr=said)
    assert f"{label}: exceeded quota" in said.getvalue()


def failing(person: Any, memory: MemoryCluster) -> str:
    """Have a person's pod fail, and return what people are to read of whose it is."""
    name = str(row(person).name)
    refused = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: pods"}
    deployment(memory, name)["status"] = {"observedGeneration": 99, "conditions": [refused]}
    label = naming.readable(name, person.username)
    assert label != name
    return label


@pytest.fixture
def lei(memory: MemoryCluster) -> Any:
    return UserFactory(username="李雷")


def test_why_pods_failed_names_the_user_of_the_example(
    lei: Any, client: Client, memory: MemoryCluster
) -> None:
    label = failing(lei, memory)
    reconcile()
    client.force_login(UserFactory(username="boss", is_staff=True, is_superuser=True))
    page = client.get("/admin/userpods/userpod/overview/").text
    # The link looks for the name in the cluster, which is what the list finds it by.
    assert f'/?q={row(lei).name}">{escape(label)}</a>' in page
    said = StringIO()
    call_command("userpods_status", stdout=said)
    assert f"For example {label}: exceeded quota" in said.getvalue()
    told = StringIO()
    call_command("userpods_status", "--format", "json", stdout=told)
    [reason] = json.loads(told.getvalue())["reasons"]
    assert (reason["example"], reason["username"]) == (row(lei).name, lei.username)


def test_a_message_after_an_action_names_the_user_of_what_failed(
    lei: Any, memory: MemoryCluster
) -> None:
    label = failing(lei, memory)
    # What has just come to be so, and what was so before.
    for _ in range(2):
        result = lifecycle.sync(UserPod.objects.all())
        assert result.failures == [f"{label}: exceeded quota: pods"]
        [(_, text)] = wording.said(result)
        assert text.startswith(f"1 failed: {label}")


def test_whoever_acts_on_their_own_pod_reads_their_own_name(lei: Any) -> None:
    label = naming.readable(str(row(lei).name), lei.username)
    assert wording.own([row(lei)]) == f"Your own pod is among them: {label}."


def test_what_is_left_for_the_next_sync_is_named_by_its_user(lei: Any) -> None:
    name = str(row(lei).name)
    label = naming.readable(name, lei.username)
    report, command = Report(not_done=[name, str(lei.pk), "user-gone"]), Said()
    sync_words.tell(command, report, [], verbosity=0)  # type: ignore[arg-type]
    left = "Left for the next sync: "
    assert command.complaints == [f"{left}{label}", f"{left}{label}", f"{left}user-gone"]
    assert report.as_json()["not_done"] == [name, str(lei.pk), "user-gone"]


class Said:
    """What a command complains of."""

    def __init__(self) -> None:
        self.complaints: list[str] = []

    def complain(self, text: str, style: str = "") -> None:
        self.complaints.append(text)

    def say(self, text: str, style: str = "") -> None:
        pass


@pytest.mark.parametrize(
    ("name", "username", "shown"),
    [
        ("user-alice", "alice", "user-alice"),
        ("user-alice", "", "user-alice"),
        ("user-u-1f2e", "李雷", "user-u-1f2e (李雷)"),
        ("user-a-1f2e", " a \n b ", "user-a-1f2e (a b)"),
        ("user-x-1f2e", "x" * 41, f"user-x-1f2e ({'x' * 39}…)"),
    ],
)
def test_a_name_for_people_has_the_users_where_that_says_more(
    name: str, username: str, shown: str
) -> None:
    assert naming.readable(name, username) == shown
