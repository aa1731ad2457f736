"""Logins that know nothing of ``next``: people get to their pod all the same."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib import admin
from django.contrib.auth import login
from django.contrib.auth.decorators import login_not_required
from django.contrib.sessions.models import Session
from django.core import signing
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.test import Client
from django.urls import include, path

from tests.django.pods_hosts import ALICES, BOBS, SITE, Browser, bob, browser, pods_hosts
from tests.django.support import by_name

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["bob", "browser", "pods_hosts"]  # fixtures

pytestmark = pytest.mark.django_db(transaction=True)

DEEP = "/deep/page?x=1"
WANTED = "__Host-userpods_wanted"


def sign(request: HttpRequest, to: str) -> HttpResponse:
    """Log in as whom the form names; where that leads is the host project's own idea."""
    user = by_name(request.POST["username"])
    login(request, user, "django.contrib.auth.backends.ModelBackend")
    return HttpResponseRedirect(to)


@login_not_required
def forgets(request: HttpRequest) -> HttpResponse:
    return sign(request, "/dashboard/")


@login_not_required
def leads_to_enter(request: HttpRequest) -> HttpResponse:
    return sign(request, "/userpods/enter/")


@login_not_required
def keeps(request: HttpRequest) -> HttpResponse:
    return sign(request, request.GET["next"])


@login_not_required
def asks_for_more(request: HttpRequest) -> HttpResponse:
    return sign(request, f"/terms/?{request.GET.urlencode()}")


@login_not_required
def page(request: HttpRequest) -> HttpResponse:
    return HttpResponse("hello")


urlpatterns = [
    path("login/forgets/", forgets),
    path("login/enter/", leads_to_enter),
    path("login/keeps/", keeps),
    path("login/more/", asks_for_more),
    path("dashboard/", page),
    path("admin/", admin.site.urls),
    path("", include("django_userpods.urls")),
]


@pytest.fixture(autouse=True)
def site(settings: Any, pods_hosts: None) -> None:
    settings.ROOT_URLCONF = __name__
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "django_userpods.middleware.BackToPodMiddleware"]


@pytest.fixture
def stranger(alice: Any) -> Browser:
    """A browser that nobody is signed in with."""
    return Browser()


@pytest.fixture
def sign_in(settings: Any) -> Callable[[Browser, str, str], str]:
    """Come to a pod's page, be sent to the login of a kind, and say where that leads."""

    def come(stranger: Browser, kind: str, username: str = "alice", host: str = ALICES) -> str:
        settings.USERPODS_LOGIN_URL = f"/login/{kind}/"
        asked = stranger.get(stranger.ask(host, DEEP))
        assert asked["Location"].startswith(f"/login/{kind}/?next=")
        client = stranger.at("www.example.org")
        answer = client.post(asked["Location"], {"username": username})
        assert answer.status_code == 302
        return str(answer["Location"])

    return come


def test_a_login_that_forgets_next_leads_back_to_the_page(stranger: Browser, sign_in: Any) -> None:
    back = sign_in(stranger, "forgets")

    assert back == f"https://{ALICES}{DEEP}"
    assert stranger.enter(ALICES, DEEP)["Location"] == back
    assert stranger.whoami(ALICES) == 200


def test_without_the_middleware_the_entry_without_an_address_leads_there(
    stranger: Browser, sign_in: Any, settings: Any
) -> None:
    settings.MIDDLEWARE = settings.MIDDLEWARE[:-1]
    assert sign_in(stranger, "enter") == "/userpods/enter/"
    assert stranger.get(f"{SITE}/userpods/enter/")["Location"] == f"https://{ALICES}{DEEP}"
    # Once: later it leads to the pod's first page.
    assert stranger.get(f"{SITE}/userpods/enter/")["Location"] == f"https://{ALICES}/"


@pytest.mark.parametrize("kind", ["keeps", "more", "enter"])
def test_a_login_that_leads_on_itself_is_left_alone(
    stranger: Browser, sign_in: Any, kind: str
) -> None:
    to = sign_in(stranger, kind)
    assert to.startswith("/terms/?next=" if kind == "more" else "/userpods/enter/")


def test_who_came_from_no_pod_is_led_nowhere_else(
    stranger: Browser, alice: Any, settings: Any
) -> None:
    client = stranger.at("www.example.org")
    assert client.post("/login/forgets/", {"username": "alice"})["Location"] == "/dashboard/"
    assert client.get("/dashboard/").status_code == 200


def test_it_is_meant_once_and_for_an_hour(
    stranger: Browser, sign_in: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.USERPODS_LOGIN_URL = "/login/forgets/"
    stranger.get(stranger.ask(ALICES, DEEP))
    now = time.time()
    monkeypatch.setattr("django.core.signing.time.time", lambda: now + 3601)
    client = stranger.at("www.example.org")
    assert client.post("/login/forgets/", {"username": "alice"})["Location"] == "/dashboard/"


def test_somebody_else_than_the_pods_user_comes_to_their_own(
    stranger: Browser, sign_in: Any, bob: Any, settings: Any
) -> None:
    settings.MIDDLEWARE = settings.MIDDLEWARE[:-1]
    sign_in(stranger, "enter", username="bob")
    assert stranger.get(f"{SITE}/userpods/enter/")["Location"] == f"https://{BOBS}/"


@pytest.mark.parametrize(
    "planted",
    [
        "https://evil.example/",
        "//evil.example/",
        "https://alice.pods.example.org.evil/",
        "",
    ],
)
def test_what_is_no_pods_address_leads_nowhere(stranger: Browser, alice: Any, planted: str) -> None:
    client = stranger.at("www.example.org")
    signer = signing.get_cookie_signer(salt=f"{WANTED}django_userpods.wanted_page")
    client.cookies[WANTED] = signer.sign(planted)
    assert client.post("/login/forgets/", {"username": "alice"})["Location"] == "/dashboard/"


def test_an_address_that_the_site_has_not_signed_leads_nowhere(
    stranger: Browser, alice: Any
) -> None:
    client = stranger.at("www.example.org")
    client.cookies[WANTED] = f"https://{ALICES}/"
    assert client.post("/login/forgets/", {"username": "alice"})["Location"] == "/dashboard/"


def test_a_visitor_without_an_account_makes_no_session(stranger: Browser) -> None:
    answer = stranger.get(stranger.ask(ALICES, DEEP))
    assert answer.cookies[WANTED]["httponly"]
    assert answer.cookies[WANTED]["secure"]
    assert answer.cookies[WANTED]["samesite"] == "Lax"
    assert not Session.objects.exists()


def test_an_address_that_is_too_long_for_a_cookie_is_not_kept(stranger: Browser) -> None:
    to = f"https://{ALICES}/{'a' * 3100}"
    answer = stranger.get(f"{SITE}/userpods/enter/?to={to}&state={'0' * 64}")
    assert answer.status_code == 302
    assert WANTED not in answer.cookies


def test_the_entry_leads_those_who_may_not_come_in_nowhere(browser: Browser, settings: Any) -> None:
    settings.USERPODS_SELECT = lambda user: False
    answer = browser.get(f"{SITE}/userpods/enter/")
    assert answer.status_code == 403
    assert "There is no workspace for your account" in answer.text


def test_signing_out_of_that_page_works_with_the_origin_that_browsers_send(
    alice: Any, settings: Any
) -> None:
    settings.USERPODS_SELECT = lambda user: False
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    answer = client.get("/userpods/enter/")
    # With "no-referrer" browsers send "Origin: null", which Django refuses.
    assert answer["Referrer-Policy"] == "same-origin"
    form = {"csrfmiddlewaretoken": client.cookies["csrftoken"].value}
    headers = {"Origin": "http://testserver"}
    assert client.post("/userpods/sign-out/", form, headers=headers).status_code == 302


def test_a_pod_that_is_a_path_is_led_back_to_as_well(
    client: Client, alice: Any, settings: Any
) -> None:
    settings.USERPODS_URL = "/pods/{pod}/"
    settings.USERPODS_SITE_URL = None
    client.get("/userpods/enter/", {"to": "/pods/alice/deep"})
    to = client.post("/login/forgets/", {"username": "alice"})["Location"]
    assert to == "/pods/alice/deep"
