"""Credentials that other libraries validate: Django REST framework, PyJWT, the server itself."""

from __future__ import annotations

import datetime
from io import StringIO
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import APIException
from rest_framework_simplejwt.tokens import AccessToken as SimpleToken

from django_userpods.access import (
    Authenticator,
    JWTAuthenticator,
    RemoteUserAuthenticator,
    RestFrameworkAuthenticator,
)
from django_userpods.models import AccessToken
from tests.factories import UserFactory

if TYPE_CHECKING:
    from django.test import Client
    from django.test.client import _MonkeyPatchedWSGIResponse as Answer

pytestmark = pytest.mark.django_db

HERE = "tests.django.test_adapters"
OURS = "django_userpods.access.TokenAuthenticator"
SIMPLE = "rest_framework_simplejwt.authentication.JWTAuthentication"
ISSUER, AUDIENCE = "https://login.example.org/realms/staff", "pods"
SECRET = "a secret of more than thirty-two characters"


def ask(client: Client, text: str = "", scheme: str = "Bearer", **more: Any) -> Answer:
    headers = {"Authorization": f"{scheme} {text}"} if text else {}
    return client.get("/whoami", headers=headers, **more)


def check() -> str:
    try:
        call_command("check", stderr=StringIO(), stdout=StringIO())
    except SystemCheckError as error:
        return str(error)
    return ""


# --- Django REST framework


class Unavailable(BaseAuthentication):
    def authenticate(self, request: Any) -> None:
        error = APIException("the directory is down")
        error.status_code = 503
        raise error


class Unreached(BaseAuthentication):
    def authenticate(self, request: Any) -> None:
        # As those of requests, which mozilla-django-oidc lets through.
        raise ConnectionError("refused")


class ByApiKey(BaseAuthentication):
    """A key in a header of the project's own."""

    def authenticate(self, request: Any) -> tuple[Any, None] | None:
        from tests.django.support import by_name

        name = request.headers.get("X-Api-Key")
        return (by_name(name), None) if name else None


class Keys(RestFrameworkAuthenticator):
    authentication_classes = (ByApiKey,)


class Directory(RestFrameworkAuthenticator):
    authentication_classes = (f"{HERE}.Unavailable",)


class Provider(RestFrameworkAuthenticator):
    authentication_classes = (Unreached,)


@pytest.fixture
def simple_jwt(settings: Any) -> None:
    """Have a project whose API takes JSON Web Tokens, and pods what the API takes."""
    settings.SIMPLE_JWT = {"SIGNING_KEY": SECRET}
    settings.REST_FRAMEWORK = {"DEFAULT_AUTHENTICATION_CLASSES": [SIMPLE]}
    settings.USERPODS_AUTHENTICATORS = [
        "django_userpods.access.RestFrameworkAuthenticator",
        OURS,
    ]


@pytest.mark.usefixtures("simple_jwt")
def test_what_the_projects_api_takes_is_taken(client: Client, alice: Any) -> None:
    assert check() == ""
    answer = ask(client, str(SimpleToken.for_user(alice)))
    assert (answer.status_code, answer.json()["user"]) == (200, "alice")


@pytest.mark.usefixtures("simple_jwt")
def test_what_the_projects_api_refuses_is_refused(client: Client, alice: Any) -> None:
    stale = SimpleToken.for_user(alice)
    stale.set_exp(lifetime=-datetime.timedelta(seconds=1))
    forged = jwt.encode({"user_id": str(alice.pk), "token_type": "access"}, SECRET + "x", "HS256")
    for text in (str(stale), forged, "nonsense"):
        assert ask(client, text).status_code == 403
    assert ask(client).status_code == 401
    alice.is_active = False
    alice.save()
    assert ask(client, str(SimpleToken.for_user(alice))).status_code == 403


@pytest.mark.usefixtures("simple_jwt")
def test_our_own_tokens_are_good_beside_them(client: Client, alice: Any) -> None:
    _, text = AccessToken.objects.issue(alice)
    assert ask(client, text).json()["user"] == "alice"


def test_a_provider_that_is_not_reached_is_503(client: Client, alice: Any, settings: Any) -> None:
    settings.USERPODS_AUTHENTICATORS = [f"{HERE}.Provider"]
    assert ask(client, "x").status_code == 503


def test_a_class_that_cannot_tell_is_503_and_lets_nobody_in(
    client: Client, alice: Any, settings: Any
) -> None:
    settings.USERPODS_AUTHENTICATORS = [f"{HERE}.Directory"]
    assert ask(client, "x").status_code == 503


def test_a_class_that_reads_another_header_is_never_answered_from_the_cache(
    client: Client, alice: Any, settings: Any
) -> None:
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    settings.USERPODS_CACHE = "default"
    settings.USERPODS_AUTHENTICATORS = [f"{HERE}.Keys"]
    UserFactory(username="bob")
    for name in ("alice", "bob", "alice"):
        answer = client.get("/whoami", headers={"X-Api-Key": name})
        assert answer.json()["user"] == name


def test_a_class_of_rest_framework_itself_is_refused_by_the_check(settings: Any) -> None:
    settings.USERPODS_AUTHENTICATORS = [SIMPLE]
    said = check()
    assert "userpods.E012" in said
    assert "subclass of django_userpods.access.RestFrameworkAuthenticator" in said


class Asynchronous(Authenticator):
    async def authenticate(self, request: Any) -> None:  # type: ignore[override]
        return None


class Abstract(Authenticator):
    pass


class Open(RestFrameworkAuthenticator):
    authentication_classes = ("rest_framework.authentication.SessionAuthentication",)


class Anybodys(JWTAuthenticator):
    issuer = ISSUER
    key = SECRET


class Keyless(JWTAuthenticator):
    issuer, audience = ISSUER, AUDIENCE


class Confused(JWTAuthenticator):
    issuer, audience, jwks_url = ISSUER, AUDIENCE, "https://login.example.org/keys"
    algorithms = ("RS256", "HS256")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Asynchronous", "which has an async method"),
        ("Abstract", "which cannot be instantiated"),
        ("Open", "no authentication_classes"),
        ("Anybodys", "says no audience"),
        ("Keyless", "neither of key, jwks_url"),
        ("Confused", "takes public keys for secrets"),
        ("RemoteUserAuthenticator", "AUTHENTICATION_BACKENDS no RemoteUserBackend"),
    ],
)
def test_an_authenticator_that_cannot_work_is_refused_by_the_check(
    settings: Any, name: str, words: str
) -> None:
    settings.USERPODS_AUTHENTICATORS = [f"{HERE}.{name}"]
    said = check()
    assert "userpods.E012" in said
    assert words in said


def test_an_async_function_in_a_setting_is_refused_by_the_check(settings: Any) -> None:
    async def nobody(user: Any) -> bool:
        return False

    settings.USERPODS_SELECT = nobody
    assert "Write the function without async" in check()


# --- the server


@pytest.fixture
def remote_user(settings: Any) -> None:
    settings.AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.RemoteUserBackend"]
    settings.USERPODS_AUTHENTICATORS = ["django_userpods.access.RemoteUserAuthenticator"]


@pytest.mark.usefixtures("remote_user")
def test_whom_the_server_names_is_let_in(client: Client, alice: Any) -> None:
    assert check() == ""
    assert ask(client, REMOTE_USER="alice").json()["user"] == "alice"
    alice.is_active = False
    alice.save()
    assert ask(client, REMOTE_USER="alice").status_code == 403
    assert ask(client).status_code == 401


@pytest.mark.usefixtures("remote_user")
def test_a_client_cannot_name_itself(client: Client, alice: Any) -> None:
    for name in ("Remote-User", "REMOTE_USER", "X-Remote-User"):
        assert client.get("/whoami", headers={name: "alice"}).status_code == 401


@pytest.mark.usefixtures("remote_user")
@pytest.mark.parametrize(("kind", "status"), [("Persistent", 200), ("", 401)])
def test_the_session_that_the_servers_login_began_is_good_while_it_is_let_be(
    client: Client, alice: Any, settings: Any, kind: str, status: int
) -> None:
    """As through the router: the login comes by the server, the question with the cookie alone."""
    middleware = f"django.contrib.auth.middleware.{kind}RemoteUserMiddleware"
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, middleware]
    settings.USERPODS_AUTHENTICATORS = ["django_userpods.access.SessionAuthenticator"]
    client.get("/userpods/status/", REMOTE_USER="alice")
    assert client.cookies["sessionid"].value
    assert ask(client).status_code == status


def test_the_adapters_say_what_the_router_has_to_send() -> None:
    assert RestFrameworkAuthenticator.reads_authorization
    assert JWTAuthenticator.reads_authorization
    assert not RemoteUserAuthenticator.reads_authorization
