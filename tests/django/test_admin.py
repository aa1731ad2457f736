"""The admin of user pods: who may do what, what is asked first, and what is said afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.contrib.messages import get_messages
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from django_userpods.core import builtin
from django_userpods.core.objects import DEPLOYMENT, Ref
from django_userpods.exceptions import ClusterUnavailable, Invalid
from django_userpods.models import AccessToken, UserPod
from django_userpods.testing import MemoryCluster
from tests.django.support import count_but_for_history, end_pause, row
from tests.factories import UserFactory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.test import Client


pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.urls("tests.django.admin_urls"),
]

VERBS = ("sync", "start", "stop", "restart", "recreate")
PODS = "/admin/userpods/userpod/"


@pytest.fixture(autouse=True)
def _cluster(memory: MemoryCluster) -> Iterator[None]:
    end_pause()
    yield
    end_pause()


@pytest.fixture
def boss(client: Client) -> Client:
    """A client signed in as a superuser who has no pod in the way of the tests."""
    user = UserFactory(username="boss", is_staff=True, is_superuser=True)
    UserPod.objects.all().delete()
    MemoryCluster.reset()
    client.force_login(user)
    return client


def users_url() -> str:
    meta = get_user_model()._meta
    return reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist")


def act(client: Client, verb: str, rows: Any, *, url: str = PODS, **more: str) -> Any:
    """Post an action as the list does, with the answer to its question."""
    data = {
        "action": f"userpods_{verb}",
        "_selected_action": [str(row.pk) for row in rows],
        "post": "yes",
        **more,
    }
    return client.post(url, data)


def said(response: Any) -> list[str]:
    return [str(message) for message in get_messages(response.wsgi_request)]


def replicas(memory: MemoryCluster, name: str) -> int:
    count: int = memory.objects[Ref(DEPLOYMENT, "default", name)]["spec"]["replicas"]
    return count


def pod_of(name: str) -> UserPod:
    return UserPod.objects.get(name=f"user-{name}")


@pytest.mark.parametrize("verb", VERBS)
def test_each_action_has_its_own_permission(client: Client, verb: str) -> None:
    UserFactory(username="alice")
    staff = UserFactory(username="staff", is_staff=True)
    for codename in ("view_userpod", *(f"{other}_userpod" for other in VERBS if other != verb)):
        staff.user_permissions.add(Permission.objects.get(codename=codename))
    client.force_login(staff)
    choices = dict(client.get(PODS).context["action_form"].fields["action"].choices)
    assert f"userpods_{verb}" not in choices
    assert len([name for name in choices if name.startswith("userpods_")]) == len(VERBS) - 1
    detail = client.get(f"{PODS}{pod_of('alice').pk}/change/").content.decode()
    assert f'value="userpods_{verb}"' not in detail
    before = UserPod.objects.values().get(name="user-alice")
    assert said(act(client, verb, [pod_of("alice")])) == ["No action selected."]
    assert UserPod.objects.values().get(name="user-alice") == before

    staff.user_permissions.add(Permission.objects.get(codename=f"{verb}_userpod"))
    UserPod.objects.update(state="failed")
    act(client, verb, [pod_of("alice")])
    entry = LogEntry.objects.get()
    assert (entry.object_id, entry.user_id) == (str(pod_of("alice").pk), staff.pk)
    assert entry.change_message == f"{verb.capitalize()} was requested."


def test_nobody_adds_edits_or_deletes_rows(boss: Client) -> None:
    UserFactory(username="alice")
    url = f"{PODS}{pod_of('alice').pk}"
    assert boss.get(f"{PODS}add/").status_code == 403
    assert boss.post(f"{url}/change/", {"wanted": "absent"}).status_code == 403
    assert boss.post(f"{url}/delete/", {"post": "yes"}).status_code == 403
    choices = dict(boss.get(PODS).context["action_form"].fields["action"].choices)
    assert "delete_selected" not in choices
    assert [str(label) for name, label in choices.items() if name] == [
        "Sync",
        "Start",
        "Stop",
        "Restart",
        "Delete and recreate",
    ]


@pytest.mark.parametrize("verb", ["stop", "restart", "recreate"])
def test_what_interrupts_people_is_asked_first(boss: Client, verb: str) -> None:
    for number in range(7):
        UserFactory(username=f"u{number}")
    before = list(UserPod.objects.values().order_by("pk"))
    data = {"action": f"userpods_{verb}", "index": "0", "select_across": "0"}
    pks = [str(pod.pk) for pod in UserPod.objects.all()]
    response = boss.post(PODS, {**data, "_selected_action": pks})
    page = response.content.decode()
    assert response.status_code == 200
    assert "7 pods?" in page
    assert "user-u0, user-u1, user-u2, user-u3, user-u4 and 2 more" in page
    assert page.count('name="_selected_action"') == 7
    assert list(UserPod.objects.values().order_by("pk")) == before
    assert not LogEntry.objects.exists()


def test_start_and_sync_are_done_without_asking(boss: Client, memory: MemoryCluster) -> None:
    UserFactory(username="alice")
    act(boss, "stop", [pod_of("alice")])
    data = {"_selected_action": [str(pod_of("alice").pk)], "index": "0"}
    response = boss.post(PODS, {"action": "userpods_start", **data})
    on_its_way = "Start: 1 pod is in progress; its history will show the outcome."
    assert said(response)[-1] == on_its_way
    assert replicas(memory, "user-alice") == 1
    response = boss.post(PODS, {"action": "userpods_sync", **data})
    assert said(response)[-1] == "Synced 1 pod."


def test_the_message_counts_and_names_failures(boss: Client, memory: MemoryCluster) -> None:
    for number in range(8):
        UserFactory(username=f"u{number}")
    memory.fail_with(Invalid("over quota"), verb="apply")
    [text] = said(act(boss, "stop", UserPod.objects.all()))
    assert text.startswith("8 failed: user-u")
    assert text.count("over quota") == 5
    assert text.endswith(" and 3 more")


def test_what_a_controller_does_is_not_said_to_be_a_task_backends(
    boss: Client, settings: Any
) -> None:
    settings.USERPODS_CONTROLLER = True
    UserFactory(username="alice")
    [text] = said(act(boss, "stop", UserPod.objects.all()))
    assert text == "Stop: 1 pod was handed to the controller."


def test_a_cluster_that_is_down_is_said_with_the_reason(
    boss: Client, memory: MemoryCluster
) -> None:
    UserFactory(username="alice")
    memory.fail_with(ClusterUnavailable("no route to host"))
    [text] = said(act(boss, "stop", UserPod.objects.all()))
    assert text.startswith("Stop: 1 pod is recorded; the next sync does the work.")
    assert "no route to host" in text
    assert pod_of("alice").wanted == "stopped"


def test_inside_a_request_s_transaction_it_says_recorded(
    boss: Client, memory: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    UserFactory(username="alice")
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    [text] = said(act(boss, "stop", UserPod.objects.all()))
    assert text.startswith("Stop: 1 pod is recorded; the work is done right after this request")
    assert replicas(memory, "user-alice") == 0


def test_rows_of_the_already_stopped_and_the_absent_are_counted(boss: Client) -> None:
    for name in ("alice", "bob", "carol"):
        UserFactory(username=name)
    act(boss, "stop", [pod_of("alice")])
    get_user_model()._default_manager.filter(userpods__name="user-bob").update(is_active=False)
    UserPod.objects.filter(name="user-bob").update(wanted="absent")
    text = said(act(boss, "stop", UserPod.objects.all()))[-1]
    assert text == (
        "Stopped 1 pod. 1 was already stopped. "
        "1 user is to have no pod (inactive or not selected): skipped."
    )


@pytest.mark.usefixtures("unhurried")
def test_ten_thousand_selected_are_answered_in_few_statements(boss: Client) -> None:
    model: Any = get_user_model()
    users = model.objects.bulk_create(
        [model(**{model.USERNAME_FIELD: f"u{number}"}) for number in range(10_000)]
    )
    UserPod.objects.bulk_create(
        [
            UserPod(
                owner=user,
                owner_pk=str(user.pk),
                name=f"user-u{number:05}",
                namespace="default",
                state="running",
            )
            for number, user in enumerate(users)
        ]
    )
    with CaptureQueriesContext(connection) as queries:
        assert boss.get(PODS).status_code == 200
    assert len(queries) < 15
    url, first = f"{PODS}?state__exact=running", [UserPod.objects.order_by("name")[0]]
    asking = {"select_across": "1", "index": "0"}
    data = {"action": "userpods_stop", "_selected_action": [str(first[0].pk)], **asking}
    page = boss.post(url, data).content.decode()
    assert "Stop 10,000 pods?" in page
    assert "and 9,995 more" in page
    assert page.count('name="_selected_action"') == 1
    with CaptureQueriesContext(connection) as queries:
        agreed = {"select_across": "1", "count": "10000", "typed": "10,000"}
        response = act(boss, "stop", first, url=url, **agreed)
    assert response.status_code == 302
    assert count_but_for_history(queries, pods=10_000) < 200
    [text] = said(response)
    assert text == "Stopped 50 pods. 9,950 pods are recorded; the next sync does the work."
    assert UserPod.objects.filter(wanted="stopped").count() == 10_000
    entry = LogEntry.objects.get()
    assert entry.object_repr == "10000 user pods"
    assert "state__exact=running" in entry.change_message


def test_more_than_was_agreed_to_is_asked_again(boss: Client) -> None:
    UserFactory(username="alice")
    UserFactory(username="bob")
    rows = UserPod.objects.filter(name="user-alice")
    response = act(boss, "recreate", rows, select_across="1", count="1")
    assert response.status_code == 200
    assert "Delete and recreate 2 pods?" in response.content.decode()
    assert not LogEntry.objects.exists()


def test_the_user_lists_actions_reach_users_without_a_row(
    boss: Client, memory: MemoryCluster
) -> None:
    model: Any = get_user_model()
    UserFactory(username="alice")
    model.objects.bulk_create([model(**{model.USERNAME_FIELD: "bulk"})])
    model.objects.bulk_create([model(**{model.USERNAME_FIELD: "left", "is_active": False})])
    choices = dict(boss.get(users_url()).context["action_form"].fields["action"].choices)
    assert {"own", "delete_selected", *(f"userpods_{verb}" for verb in VERBS)} <= set(choices)
    response = act(boss, "stop", model.objects.all(), url=users_url())
    # The superuser has no row yet and gets one too.
    [text] = said(response)
    assert text.startswith(
        "Stopped 3 pods. 1 user is to have no pod (inactive or not selected): skipped. <a "
    )
    assert replicas(memory, "user-bulk") == replicas(memory, "user-alice") == 0
    assert {str(entry.get_edited_object()) for entry in LogEntry.objects.all()} == {
        "user-alice",
        "user-boss",
        "user-bulk",
    }


def test_the_user_list_s_actions_need_the_pods_permissions(client: Client) -> None:
    staff = UserFactory(username="staff", is_staff=True)
    model = get_user_model()._meta.model_name
    for codename in (f"view_{model}", f"change_{model}", "stop_userpod"):
        staff.user_permissions.add(Permission.objects.get(codename=codename))
    client.force_login(staff)
    choices = dict(client.get(users_url()).context["action_form"].fields["action"].choices)
    assert [name for name in choices if name.startswith("userpods_")] == ["userpods_stop"]


def test_the_list_is_searched_and_filtered(boss: Client) -> None:
    UserFactory(username="alice")
    UserFactory(username="bob")
    UserPod.objects.filter(name="user-bob").update(
        message="ImagePullBackOff", namespace="other", state="failed"
    )
    # Found by the username alone.
    UserPod.objects.filter(name="user-alice").update(name="user-renamed")
    for query, expected in (
        ("q=alice", "user-renamed"),
        ("q=ImagePull", "user-bob"),
        ("namespace=other", "user-bob"),
        ("state__exact=failed", "user-bob"),
    ):
        found = boss.get(f"{PODS}?{query}").context["cl"].result_list
        assert [pod.name for pod in found] == [expected], query


def test_the_list_s_queries_do_not_grow_with_it(boss: Client) -> None:
    counts = []
    for batch in ("a", "b"):
        for number in range(20):
            UserFactory(username=f"{batch}{number}")
        with CaptureQueriesContext(connection) as queries:
            boss.get(PODS)
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_what_one_pod_should_have_is_shown_with_secrets_masked(boss: Client, settings: Any) -> None:
    settings.USERPODS_TEMPLATE = [
        *builtin.manifests(image="example.org/app:1", port=8000, env={}, resources={}),
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "{name}--keys"},
            "stringData": {"password": "hunter2-{username}"},
            "data": {"other": "c2VjcmV0LXZhbHVl"},
        },
    ]
    UserFactory(username="alice")
    page = boss.get(f"{PODS}{pod_of('alice').pk}/comparison/").content.decode()
    assert "kind: Deployment" in page
    assert "name: user-alice--keys" in page
    assert "password: &#x27;********&#x27;" in page
    assert "other: &#x27;********&#x27;" in page
    for secret in ("hunter2", "aHVudGVyMi1hbGljZQ", "c2VjcmV0LXZhbHVl"):
        assert secret not in page
    assert "&amp;id001" not in page, "a YAML reference"


def test_the_page_on_a_pod_that_failed_looks_whether_it_is_so_still(
    boss: Client, memory: MemoryCluster
) -> None:
    pod = row(UserFactory(username="alice"))
    UserPod.objects.update(state="failed", message="CrashLoopBackOff", looked_at=None)
    assert ">running<" in boss.get(f"{PODS}{pod.pk}/change/").text
    calls = len(memory.calls)
    boss.get(f"{PODS}{pod.pk}/change/")
    assert len(memory.calls) == calls


def test_the_page_on_one_pod_says_what_is_wrong_with_the_settings(
    boss: Client, settings: Any
) -> None:
    UserFactory(username="alice")
    settings.USERPODS_IMAGE = None
    assert boss.get(f"{PODS}{pod_of('alice').pk}/change/").status_code == 200
    page = boss.get(f"{PODS}{pod_of('alice').pk}/comparison/")
    assert page.status_code == 200
    assert "USERPODS_IMAGE" in page.content.decode()


def test_a_row_whose_user_is_gone_has_a_page(boss: Client) -> None:
    UserPod.objects.create(owner_pk="77", name="user-x", namespace="n", wanted="absent")
    assert boss.get(f"{PODS}{pod_of('x').pk}/change/").status_code == 200
    assert boss.get(PODS).status_code == 200


def test_a_user_deleted_by_sql_breaks_no_page(boss: Client) -> None:
    alice = UserFactory(username="alice")
    token, _ = AccessToken.objects.issue(alice)
    meta: Any = get_user_model()._meta
    with connection.constraint_checks_disabled(), connection.cursor() as cursor:
        column = meta.get_field(get_user_model().USERNAME_FIELD).column
        cursor.execute(f"DELETE FROM {meta.db_table} WHERE {column} = 'alice'")  # noqa: S608 - names of tables, from the models
    assert not get_user_model()._default_manager.filter(pk=alice.pk).exists()
    tokens = "/admin/userpods/accesstoken/"
    for url in (PODS, f"{PODS}{pod_of('alice').pk}/change/", f"{tokens}{token.pk}/change/", tokens):
        assert boss.get(url).status_code == 200, url


def test_buttons_lead_back_to_their_page_and_nowhere_else(boss: Client) -> None:
    UserFactory(username="alice")
    rows, page = [pod_of("alice")], f"{PODS}{pod_of('alice').pk}/change/"
    assert f'name="userpods_back" value="{page}"' in boss.get(page).content.decode()
    asked = act(boss, "sync", rows, userpods_back=page)
    assert asked.url == page
    assert act(boss, "sync", rows, userpods_back="https://evil.example/").url == PODS


def test_a_hostile_username_stays_text(boss: Client) -> None:
    UserFactory(username="<script>alert(1)</script>")
    [pod] = UserPod.objects.all()
    UserPod.objects.update(message="<b>bold</b>")
    for url in (PODS, f"{PODS}{pod.pk}/change/"):
        page = boss.get(url).content.decode()
        assert "<script>alert" not in page
        assert "<b>bold" not in page
