"""Pages in a browser without JavaScript: what changes is loaded anew, and what stays is not."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from django.utils import timezone

from django_userpods.models import UserPod

if TYPE_CHECKING:
    from django.test import Client

pytestmark = pytest.mark.django_db(transaction=True)

HOME, PODS, WAITING = "/userpods/", "/userpods/pods/", "/userpods/waiting/"
BROWSER = {"Accept": "text/html,application/xhtml+xml", "Sec-Fetch-Mode": "navigate"}


def reloads(page: str) -> list[str]:
    """Return after how many seconds a page is loaded anew without scripts; with them it is not."""
    head = page.partition("</head>")[0]
    found = re.findall(r'<noscript><meta http-equiv="refresh" content="(\d+)"></noscript>', head)
    assert page.count("http-equiv") == len(found)
    return found


@pytest.mark.parametrize(("state", "seconds"), [("starting", "3"), ("failed", "15")])
def test_the_waiting_page_is_loaded_anew(signed_in: Client, state: str, seconds: str) -> None:
    UserPod.objects.update(state=state, looked_at=timezone.now())
    answer = signed_in.get(WAITING, headers=BROWSER)
    assert reloads(answer.text) == [seconds]


def test_my_pods_is_loaded_anew_while_something_changes(signed_in: Client) -> None:
    assert reloads(signed_in.get(HOME).text) == []
    UserPod.objects.update(state="starting", looked_at=timezone.now())
    assert reloads(signed_in.get(HOME).text) == ["5"]


def test_what_is_wrong_with_a_form_stays_to_be_read(signed_in: Client) -> None:
    UserPod.objects.update(state="starting", looked_at=timezone.now())
    answer = signed_in.post(PODS, {"slot": "two words"})
    assert answer.status_code == 400
    assert reloads(answer.text) == []


def test_a_failed_pod_is_tried_again_by_a_plain_form(signed_in: Client) -> None:
    UserPod.objects.update(state="failed", message="CrashLoopBackOff: no", looked_at=timezone.now())
    text = signed_in.get(WAITING, headers=BROWSER).text
    form = re.search(r'<form method="post" action="([^"]+)"[^>]*><button[^>]*>Try again</', text)
    assert form is not None
    answer = signed_in.post(form[1], headers=BROWSER)
    assert (answer.status_code, answer["Location"]) == (303, "/")
    assert UserPod.objects.get().restarted_at is not None
