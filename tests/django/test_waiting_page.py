"""What the waiting page says of a pod that failed, to whom, and the ways on from it."""

from __future__ import annotations

import datetime
import re
from typing import TYPE_CHECKING, Any

import pytest
from django.test import Client
from django.utils import timezone
from django.utils.translation import override

from django_userpods.models import UserPod
from django_userpods.reconcile import reconcile
from tests.django.support import deployment, row

if TYPE_CHECKING:
    from django_userpods.testing import MemoryCluster

# With commits, after which what is asked for is done.
pytestmark = pytest.mark.django_db(transaction=True)

BROWSER = {"Accept": "text/html,application/xhtml+xml", "Sec-Fetch-Mode": "navigate"}
WAITING, STATUS, WAKE = "/userpods/waiting/", "/userpods/status/", "/userpods/wake/"
CRASHES = (
    "CrashLoopBackOff: back-off 5m0s restarting failed container=app (last exit code 1, Error)"
)
UNBOUND = "0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims."
#: Messages, each with what in it a user must not read.
INTERNALS = {
    "CrashLoopBackOff: ended with 1; see /var/lib/a.log: KeyError: 'TOKEN'": "/var/lib|KeyError",
    "cannot reach https://10.96.0.1:443: no route to host": "10.96.0.1|no route",
    "ErrImagePull: failed to pull registry.internal:5000/app:1: unauthorized": "registry|5000",
    "OOMKilled at /var/lib/pods": "OOMKilled|/var/lib",
    "Unschedulable: 0/3 nodes are available: node-7.internal": "node-7|0/3",
    "NodeNotReady: node worker-2.internal does not answer": "worker-2",
}


def fail(message: str, *, looked_at: datetime.datetime | None = None) -> None:
    """Have a pod that failed, looked at just now."""
    UserPod.objects.update(
        state="failed", message=message, looked_at=looked_at or timezone.now(), restarted_at=None
    )


def page(client: Client) -> str:
    return client.get(WAITING, headers=BROWSER).text


def test_a_failure_is_not_called_a_start(signed_in: Client) -> None:
    fail(CRASHES)

    text = page(signed_in)

    assert "<h1>Your workspace could not start</h1>" in text
    assert "It stops right after it is started." in text
    assert "is starting" not in text
    assert 'class="bar"' not in text
    assert ">Try again</button>" in text
    assert ">Sign out</button>" in text
    assert "<details>" in text, "folded"


def test_a_start_is_called_one(signed_in: Client) -> None:
    UserPod.objects.update(state="starting", message="", looked_at=timezone.now())

    text = page(signed_in)

    assert "<h1>Your workspace is starting</h1>" in text
    assert ">Try again</button>" not in text


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ("starting", "Unschedulable: 0/3 nodes are available: 3 Insufficient memory."),
        ("pending", 'pods "user-alice" is forbidden: exceeded quota: pods'),
    ],
)
def test_what_there_is_no_room_for_is_not_called_a_start(
    signed_in: Client, state: str, message: str
) -> None:
    UserPod.objects.update(state=state, message=message, looked_at=timezone.now())

    text = page(signed_in)

    assert "<h1>Your workspace cannot start yet</h1>" in text
    assert 'class="bar"' not in text
    assert ">My workspaces</a>" in text
    assert ">Sign out</button>" in text
    assert ">Try again</button>" not in text, "a new pod would not have room either"
    assert 'data-standing="failed"' in text
    told = signed_in.get(STATUS).json()
    assert (told["state"], told["standing"]) == (state, "failed")


@pytest.mark.parametrize("state", ["failed", "starting", "running"])
@pytest.mark.parametrize("message", INTERNALS)
def test_a_user_is_told_nothing_of_the_inside(signed_in: Client, message: str, state: str) -> None:
    fail(message)
    UserPod.objects.update(state=state)

    answers = [page(signed_in), signed_in.get(WAITING).text, signed_in.get(STATUS).text]
    answers.append(signed_in.post(WAKE).text)

    for text in answers:
        assert not re.search(INTERNALS[message], text)


@pytest.mark.parametrize("message", INTERNALS)
def test_staff_are_told_what_was_really_said(signed_in: Client, alice: Any, message: str) -> None:
    alice.is_staff = True
    alice.save()
    fail(message)

    assert message.replace("'", "&#x27;") in page(signed_in)
    assert signed_in.get(STATUS).json()["details"] == message


def test_a_failure_of_an_unknown_kind_is_said_to_be_one(signed_in: Client) -> None:
    fail("Internal error occurred: failed calling webhook")
    assert signed_in.get(STATUS).json()["message"] == (
        "Something is wrong that only an administrator can see."
    )


def test_a_pod_that_answers_again_is_no_failure_any_more(
    signed_in: Client, memory: MemoryCluster
) -> None:
    fail(CRASHES, looked_at=timezone.now() - datetime.timedelta(minutes=1))

    assert signed_in.get(STATUS).json()["state"] == "running"


def test_a_failed_pod_is_looked_at_now_and_then(
    signed_in: Client, alice: Any, memory: MemoryCluster
) -> None:
    fail(CRASHES, looked_at=timezone.now() - datetime.timedelta(seconds=5))
    for _ in range(5):
        assert signed_in.get(STATUS).json()["state"] == "failed"
    assert not memory.calls


def test_try_again_makes_a_new_pod(signed_in: Client, alice: Any, memory: MemoryCluster) -> None:
    fail(CRASHES)
    before = deployment(memory, "user-alice")["spec"]["template"]["metadata"].get("annotations")

    answer = signed_in.post(WAKE, headers=BROWSER)

    assert answer.status_code == 303
    assert row(alice).restarted_at is not None
    template = deployment(memory, "user-alice")["spec"]["template"]
    assert template["metadata"]["annotations"] != before


def test_trying_again_and_again_makes_one_new_pod(
    signed_in: Client, alice: Any, memory: MemoryCluster
) -> None:
    fail(CRASHES)
    signed_in.post(WAKE)
    first = row(alice).restarted_at
    UserPod.objects.update(state="failed", message=CRASHES)

    for _ in range(3):
        assert signed_in.post(WAKE).status_code == 202

    assert row(alice).restarted_at == first


def test_a_pod_that_runs_is_not_restarted_by_a_wake(signed_in: Client, alice: Any) -> None:
    assert signed_in.post(WAKE).json()["state"] == "running"
    assert row(alice).restarted_at is None


@pytest.mark.parametrize(
    ("referer", "to"),
    [
        ("http://testserver/deep/page?x=1", "/deep/page?x=1"),
        ("http://evil.example/deep", "/"),
        ("http://testserver//evil.example/", "/"),
        ("", "/"),
    ],
)
def test_a_browser_is_led_back_to_where_it_tried_again(
    signed_in: Client, referer: str, to: str
) -> None:
    fail(CRASHES)
    answer = signed_in.post(WAKE, headers={**BROWSER, "Referer": referer})
    assert (answer.status_code, answer["Location"]) == (303, to)


def test_the_page_has_no_script_and_no_style_inside(signed_in: Client) -> None:
    for message in (CRASHES, ""):
        fail(message)
        if not message:
            UserPod.objects.update(state="starting")
        text = page(signed_in)
        assert "<style" not in text
        assert not re.search(r"<script(?![^>]* src=)", text)
        assert not re.search(r'\son[a-z]+="|\sstyle="', text)


@pytest.mark.usefixtures("untouched_session")
def test_its_files_are_everybodys_and_may_be_kept(signed_in: Client, client: Client) -> None:
    UserPod.objects.update(state="starting")
    urls = re.findall(r'(?:href|src)="([^"]*assets[^"]*)"', page(signed_in))
    assert len(urls) == 2
    for url in urls:
        answer = Client().get(url)
        assert answer.status_code == 200
        assert answer["Cache-Control"] == "public, max-age=31536000"
        assert "Cookie" not in answer.get("Vary", "")
        assert not answer.cookies
        assert Client().head(url).status_code == 200
    assert Client().get("/userpods/assets/css")["Cache-Control"] == "public, max-age=60"
    assert Client().get("/userpods/assets/__init__").status_code == 404
    assert Client().get("/userpods/assets/..%2fwaiting").status_code == 404


@pytest.mark.parametrize(
    ("chosen", "language", "heading"),
    [
        ("zh-hans", "zh-Hans", "您的工作区正在启动"),
        ("en-gb", "en", "Your workspace is starting"),
        # Django speaks German and we do not: the words are English, whatever was asked for.
        ("de", "en", "Your workspace is starting"),
    ],
)
def test_the_page_names_the_language_that_it_is_in(
    signed_in: Client, chosen: str, language: str, heading: str
) -> None:
    UserPod.objects.update(state="starting", looked_at=timezone.now())
    with override(chosen):
        text = page(signed_in)
    assert f'<html lang="{language}">' in text
    assert f"<h1>{heading}</h1>" in text


def test_the_page_signs_out_of_the_site(alice: Any) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    fail(CRASHES)
    text = page(client)
    form = re.search(
        r'action="(/userpods/sign-out/)"><input [^>]*name="csrfmiddlewaretoken" value="(\w+)"', text
    )
    assert form is not None
    assert client.post(form[1]).status_code == 403, "not without its token"

    answer = client.post(form[1], {"csrfmiddlewaretoken": form[2]})

    assert answer.status_code == 302
    assert client.get("/whoami").status_code == 401


def test_on_a_pods_host_all_is_below_our_own_prefix(signed_in: Client, settings: Any) -> None:
    settings.USERPODS_URL = "https://{pod}.pods.example.org/"
    settings.USERPODS_SITE_URL = "https://www.example.org/"
    headers = {**BROWSER, "X-Userpods-Host": "alice.pods.example.org"}
    fail(CRASHES)

    answer = signed_in.get("/.userpods/waiting/", headers=headers)

    addresses = re.findall(r'(?:href|src|action|data-status)="([^"]*)"', answer.text)
    addresses.remove("https://www.example.org/userpods/")
    assert len(addresses) == 5
    assert all(address.startswith("/.userpods/") for address in addresses), addresses
    assert "csrftoken" not in answer.cookies, "nothing of the site's is set there"
    for address in addresses:
        if "assets" in address:
            assert signed_in.get(address, headers=headers).status_code == 200


def test_a_stale_token_leads_to_signing_in(client: Client, memory: MemoryCluster) -> None:
    client.cookies["userpods_token"] = "upt_stale"
    answer = client.get(WAITING, headers=BROWSER)
    assert answer.status_code == 403
    assert "Your access token is no longer valid" in answer.text
    assert 'href="/accounts/login/"' in answer.text


def test_a_browser_without_credentials_is_led_to_signing_in(
    client: Client, memory: MemoryCluster
) -> None:
    answer = client.get(WAITING, headers=BROWSER)
    assert answer.status_code == 401
    assert 'href="/accounts/login/"' in answer.text


def test_a_user_who_is_not_selected_is_told_so_and_may_sign_out(
    signed_in: Client, settings: Any
) -> None:
    settings.USERPODS_SELECT = lambda user: False
    answer = signed_in.get(WAITING, headers=BROWSER)
    assert answer.status_code == 403
    assert "There is no workspace for your account" in answer.text
    assert 'action="/userpods/sign-out/"' in answer.text
    assert signed_in.get(WAITING).json() == {"error": "invalid token"}


def test_anothers_host_leads_to_ones_own(signed_in: Client, settings: Any) -> None:
    settings.USERPODS_URL = "https://{pod}.pods.example.org/"
    settings.USERPODS_SITE_URL = "https://www.example.org/"
    headers = {**BROWSER, "X-Userpods-Host": "bob.pods.example.org"}
    answer = signed_in.get("/.userpods/waiting/", headers=headers)
    assert answer.status_code == 403
    assert 'href="https://www.example.org/userpods/"' in answer.text


def test_a_reconcile_says_why_and_the_page_its_reason(
    signed_in: Client, alice: Any, memory: MemoryCluster
) -> None:
    memory_deployment = deployment(memory, "user-alice")
    memory_deployment["status"] = {
        "observedGeneration": 9,
        "conditions": [
            {
                "type": "ReplicaFailure",
                "status": "True",
                "reason": "FailedCreate",
                "message": 'pods "user-alice" is forbidden: exceeded quota: pods, limited: pods=5',
            }
        ],
    }
    reconcile()
    assert row(alice).state == "failed"
    assert "There is no room left for more workspaces." in page(signed_in)


def steps(client: Client) -> list[tuple[str, str]]:
    return re.findall(r'<li class="(\w*)"[^>]*>([^<]+?) ?<', page(client))


@pytest.mark.parametrize(
    ("state", "message", "expected"),
    [
        ("pending", "", ["current", "", "", ""]),
        ("starting", "", ["current", "", "", ""]),
        ("starting", "Unschedulable: 0/3 nodes are available", ["current", "", "", ""]),
        ("starting", f"Unschedulable: {UNBOUND}", ["current", "", "", ""]),
        ("failed", f"Unschedulable: {UNBOUND}", ["failed", "", "", ""]),
        ("starting", "OOMKilled: container app", ["done", "done", "done", "current"]),
        ("starting", "Evicted: The node was low", ["current", "", "", ""]),
        ("failed", "ErrImagePull: no such image", ["done", "failed", "", ""]),
        ("failed", "CreateContainerConfigError: no secret", ["done", "done", "failed", ""]),
        ("failed", CRASHES, ["done", "done", "done", "failed"]),
        ("failed", "exceeded quota: pods", ["failed", "", "", ""]),
        ("failed", "Internal error occurred", []),
        ("running", "", ["done", "done", "done", "current"]),
    ],
)
def test_the_steps_say_how_far_it_has_come_and_no_more(
    signed_in: Client, state: str, message: str, expected: list[str]
) -> None:
    UserPod.objects.update(state=state, message=message, looked_at=timezone.now())
    assert [status for status, _ in steps(signed_in)] == expected


def test_the_time_since_it_was_asked_for_is_told(signed_in: Client) -> None:
    since = timezone.now() - datetime.timedelta(minutes=3)
    UserPod.objects.update(state="starting", message="", looked_at=timezone.now(), started_at=since)
    text = page(signed_in)
    assert "Requested 3\xa0minutes ago." in text
    assert 'id="userpods-elapsed"' in text


def test_a_failure_leads_to_what_is_ones_own(signed_in: Client) -> None:
    fail(CRASHES)
    assert 'href="/userpods/">My workspaces</a>' in page(signed_in)
