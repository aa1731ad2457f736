"""What the admin says before pods are touched: which, how many, and what goes with a user."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_userpods.core.operations import Operation
from django_userpods.lifecycle import applies
from django_userpods.models import UserPod
from django_userpods.templatetags.userpods_admin import userpods_that_go
from tests.django.support import VOLUME, bulk, row, template_with, users
from tests.django.test_admin import PODS, act, boss, said, users_url
from tests.factories import UserFactory

if TYPE_CHECKING:
    from django.test import Client, RequestFactory

    from django_userpods.testing import MemoryCluster

__all__ = ["boss"]

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.urls("tests.django.admin_urls"),
]


@pytest.fixture(autouse=True)
def _cluster(memory: MemoryCluster) -> None:
    """Do nothing but keep the cluster empty."""


def rows(count: int, **fields: Any) -> list[UserPod]:
    """Return rows of users whom no signal told of."""
    return UserPod.objects.bulk_create(
        [
            UserPod(
                owner=user,
                owner_pk=str(user.pk),
                name=f"user-x{number:03}",
                namespace="default",
                **fields,
            )
            for number, user in enumerate(bulk(count))
        ]
    )


def asked(client: Client, verb: str, pods: Any, **more: str) -> str:
    """Return the page that asks before an action."""
    data = {"action": f"userpods_{verb}", "_selected_action": [pod.pk for pod in pods], **more}
    return client.post(PODS, data).text


def test_the_question_names_what_is_in_there_and_the_button_what_it_does(boss: Client) -> None:
    found = rows(3, state="running")
    UserPod.objects.filter(pk=found[0].pk).update(state="failed")

    page = asked(boss, "stop", found)

    assert ">Stop 3 pods</button>" in page
    assert "sure" not in page
    assert re.findall(r'userpods-state userpods-(\w+)">\w+</span> (\d+)', page) == [
        ("running", "2"),
        ("failed", "1"),
    ]
    assert "Your own" not in page


def test_ones_own_pod_is_named(boss: Client) -> None:
    boss_user = users().get(username="boss")
    own = UserPod.objects.create(
        owner=boss_user, owner_pk=str(boss_user.pk), name="user-boss", namespace="default"
    )
    assert "Your own pod is among them: user-boss." in asked(boss, "restart", [own, *rows(1)])


def test_many_are_not_stopped_without_their_number(boss: Client) -> None:
    found = rows(51, state="running")
    page = asked(boss, "stop", found)
    assert "To continue, type the number of pods: 51" in page

    for typed in ("", "50", "yes", "5l"):
        page = act(boss, "stop", found, count="51", typed=typed).text
        assert ("That is not the right number." in page) is bool(typed), typed
        assert not UserPod.objects.filter(wanted="stopped").exists()

    assert act(boss, "stop", found, count="51", typed=" 51 ").status_code == 302
    assert UserPod.objects.filter(wanted="stopped").count() == 51


def test_few_are_stopped_by_a_yes(boss: Client) -> None:
    found = rows(50, state="running")
    assert "type the number" not in asked(boss, "stop", found)
    assert act(boss, "stop", found).status_code == 302


def test_columns_that_are_the_same_for_all_are_left_out(boss: Client) -> None:
    found = rows(3, state="running", image="example.org/app:1")
    always = ["action_checkbox", "name_label", "state_and_reason", "user_link"]
    assert boss.get(PODS).context["cl"].list_display == always
    first = UserPod.objects.filter(pk=found[0].pk)
    first.update(image="example.org/app:2", namespace="other", last_activity=timezone.now())
    assert boss.get(PODS).context["cl"].list_display == [
        *always,
        "last_seen",
        "namespace",
        "short_image",
    ]
    # A pod that has no image yet has not another one.
    first.update(image="", namespace="default", last_activity=None)
    assert boss.get(PODS).context["cl"].list_display == always


def test_the_reason_is_below_the_state_in_one_line(boss: Client) -> None:
    rows(1, state="failed", message="CrashLoopBackOff:\n  back-off 5m0s")
    page = boss.get(PODS).text
    assert ">CrashLoopBackOff: back-off 5m0s</span>" in page
    assert "By wanted" not in page


def test_show_all_is_offered_only_where_something_is_left_out(boss: Client) -> None:
    rows(2, state="running")
    for url in (PODS, "/admin/userpods/accesstoken/"):
        assert "Show all" not in boss.get(url).text
    assert "Show all" in boss.get(f"{PODS}?state__exact=failed").text
    assert "Show all" in boss.get(f"{PODS}?q=user-x001").text


def enabled(page: str) -> set[str]:
    """Return the actions whose buttons can be pressed."""
    found = re.findall(r'<button [^>]*value="userpods_(\w+)"([^>]*)>', page)
    assert len(found) == len(Operation)
    return {verb for verb, rest in found if "disabled" not in rest}


@pytest.mark.parametrize(
    ("wanted", "state", "expected"),
    [
        ("running", "running", {"sync", "stop", "restart", "recreate"}),
        ("running", "failed", {"sync", "start", "stop", "restart", "recreate"}),
        ("stopped", "stopped", {"sync", "start", "recreate"}),
        ("stopped", "pending", {"sync", "start", "stop", "recreate"}),
        ("absent", "deleting", {"sync"}),
    ],
)
def test_only_what_changes_something_can_be_pressed(
    boss: Client, wanted: str, state: str, expected: set[str]
) -> None:
    [pod] = rows(1, wanted=wanted, state=state, looked_at=timezone.now())
    assert enabled(boss.get(f"{PODS}{pod.pk}/change/").text) == expected
    assert {verb.value for verb in Operation if applies(verb, pod)} == expected


def user_page(user: Any, what: str) -> str:
    return f"{users_url()}{user.pk}/{what}/"


def test_deleting_a_user_says_what_becomes_of_pod_and_volume(boss: Client, settings: Any) -> None:
    settings.USERPODS_TEMPLATE = template_with(VOLUME)
    alice = UserFactory(username="alice")
    said_of = (
        "Pod user-alice will be deleted. Its volume stays in the cluster (PersistentVolumeClaim)."
    )

    page = boss.get(user_page(alice, "delete")).text
    assert said_of in page
    assert re.search(r"(?i)user pods: 1", page)
    data = {"action": "delete_selected", "_selected_action": [alice.pk]}
    assert said_of in boss.post(users_url(), data).text

    settings.USERPODS_RETAIN = []
    page = boss.get(user_page(alice, "delete")).text
    assert "with its volume and everything in it (PersistentVolumeClaim)." in page
    assert boss.post(user_page(alice, "delete"), {"post": "yes"}).status_code == 302
    assert not users().filter(pk=alice.pk).exists()


def test_a_user_without_a_volume_has_none_to_lose(boss: Client) -> None:
    alice = UserFactory(username="alice")
    page = boss.get(user_page(alice, "delete")).text
    assert "Pod user-alice will be deleted, with everything in it." in page


def test_what_is_said_of_many_users_is_asked_once(boss: Client) -> None:
    for number in range(3):
        UserFactory(username=f"u{number}")
    counts = []
    for number in (1, 3):
        chosen = users().filter(username__startswith="u")[:number]
        data = {"action": "delete_selected", "_selected_action": [user.pk for user in chosen]}
        with CaptureQueriesContext(connection) as queries:
            boss.post(users_url(), data)
        counts.append(sum("userpods_userpod" in query["sql"] for query in queries))
    assert counts[0] == counts[1]


def test_adding_a_user_says_that_a_pod_comes(boss: Client) -> None:
    page = boss.get(f"{users_url()}add/").text
    assert "Each user who should have a pod gets one" in page
    sent = {"username": "dave", "password": "x", "is_active": "on"}
    times = {"date_joined_0": "2026-01-01", "date_joined_1": "10:00"}
    response = boss.post(f"{users_url()}add/", {**sent, **times})
    assert response.status_code == 302, response.context["errors"]
    assert "A pod is being made for dave." in said(response)
    assert row(users().get(username="dave")).name == "user-dave"


def test_djangos_own_page_says_it_too_without_a_mixin(rf: RequestFactory) -> None:
    alice = UserFactory(username="alice")
    if not isinstance(alice, User):
        pytest.skip("the page is Django's own user model's")
    request = rf.get("/")
    request.user = UserFactory(username="boss", is_staff=True, is_superuser=True)
    plain = admin.ModelAdmin(User, admin.site)
    page = plain.delete_view(request, str(alice.pk))
    page.render()  # type: ignore[attr-defined]
    assert "Pod user-alice will be deleted, with everything in it." in page.text

    said_of = userpods_that_go({"request": request}, users().filter(pk=alice.pk))
    assert said_of == {"pods": ["Pod user-alice will be deleted, with everything in it."]}
