"""What a person's browser gets from our pages while nobody can tell who is asking."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import django
import pytest
from django.db import OperationalError, connection
from django.utils.html import escape

from tests.django.pods_hosts import ALICES, STATE
from tests.django.test_home import FORMS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.test import Client

pytestmark = pytest.mark.django_db(transaction=True)

BROWSER = {"Accept": "text/html,application/xhtml+xml", "Sec-Fetch-Mode": "navigate"}
ENTER = "/userpods/enter/?to=%2Fpods%2Falice%2F"
PAGES = ("/userpods/", "/userpods/pods/user-alice/logs/", ENTER)
SENT = {**FORMS, "/userpods/sign-out/": {}, "/userpods/wake/": {}}


@pytest.fixture
def is_away(signed_in: Client, settings: Any) -> Iterator[None]:
    """Let the database answer no query."""
    if django.VERSION < (6, 1):
        # It asks who comes before it looks whether the view wants that, and no view is reached.
        required = "django.contrib.auth.middleware.LoginRequiredMiddleware"
        settings.MIDDLEWARE = [one for one in settings.MIDDLEWARE if one != required]

    def down(*_: Any) -> None:
        message = "could not connect to server"
        raise OperationalError(message)

    with connection.execute_wrapper(down):
        yield


def is_a_page_that_says_when_to_come_again(answer: Any) -> bool:
    assert answer.status_code == 503
    assert answer["Retry-After"] == "3"
    assert answer["Content-Type"].startswith("text/html")
    assert "no-store" in answer["Cache-Control"]
    assert "could not connect" not in answer.text
    return "<h1>This page is not available right now</h1>" in answer.text


@pytest.mark.usefixtures("is_away")
@pytest.mark.parametrize("path", PAGES)
def test_a_person_gets_a_page_and_a_way_on_while_the_database_is_away(
    signed_in: Client, settings: Any, path: str
) -> None:
    settings.USERPODS_URL = "/pods/{pod}/"
    answer = signed_in.get(path, headers=BROWSER)
    assert is_a_page_that_says_when_to_come_again(answer)
    assert f'<a class="button first" href="{escape(path)}">Try again</a>' in answer.text
    assert signed_in.get(path).json() == {"error": "unavailable"}


@pytest.mark.usefixtures("is_away")
@pytest.mark.parametrize("path", SENT)
def test_a_form_that_could_not_be_taken_leads_back_to_its_page(
    signed_in: Client, path: str
) -> None:
    came_from = {**BROWSER, "Referer": "http://testserver/userpods/?a=1"}
    answer = signed_in.post(path, SENT[path], headers=came_from)
    assert is_a_page_that_says_when_to_come_again(answer)
    assert "may not have been done" in answer.text
    assert 'href="/userpods/?a=1">Try again</a>' in answer.text
    elsewhere = {**BROWSER, "Referer": "https://evil.example/"}
    answer = signed_in.post(path, SENT[path], headers=elsewhere)
    assert 'href="/userpods/">Try again</a>' in answer.text


def test_where_the_project_cannot_tell_it_is_the_same(signed_in: Client, settings: Any) -> None:
    settings.USERPODS_SELECT = lambda user: user.no_such_field
    answer = signed_in.get("/userpods/", headers=BROWSER)
    assert is_a_page_that_says_when_to_come_again(answer)


@pytest.mark.usefixtures("is_away")
@pytest.mark.parametrize("path", [f"/.userpods/enter?ticket={STATE}", "/.userpods/sign-out"])
def test_on_a_pods_host_too_and_nothing_is_told_to_the_next_page(
    signed_in: Client, settings: Any, path: str
) -> None:
    settings.USERPODS_URL = "https://{pod}.pods.example.org/"
    settings.USERPODS_SITE_URL = "https://www.example.org/"
    at = {**BROWSER, "X-Userpods-Host": ALICES, "Origin": f"https://{ALICES}"}
    signed_in.cookies["__Host-userpods"] = "any"
    is_form = path.endswith("sign-out")
    answer = (signed_in.post if is_form else signed_in.get)(path, headers=at)
    assert is_a_page_that_says_when_to_come_again(answer)
    assert f'href="{"/" if is_form else path}">Try again</a>' in answer.text
    assert answer["Referrer-Policy"] == "no-referrer"
    assert answer["X-Frame-Options"] == "DENY"
