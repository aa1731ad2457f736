"""Credentials that other libraries validate: Django REST framework, PyJWT, the server itself."""

from __future__ import annotations

import base64
import datetime
import hmac
import http.server
import json
import threading
from io import StringIO
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
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
    from collections.abc import Iterator

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
        ("Asynchronous", "of which a method is async"),
        ("Abstract", "of which none can be made"),
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


# --- JSON Web Tokens


class Issuer:
    """An OpenID provider as far as its keys go, on a port of this machine."""

    def __init__(self) -> None:
        self.keys = {"one": rsa.generate_private_key(public_exponent=65537, key_size=2048)}
        self.asked = 0
        issuer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked += 1
                body = json.dumps({"keys": [issuer.public(kid) for kid in issuer.keys]}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/keys"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def public(self, kid: str) -> dict[str, Any]:
        found = jwt.algorithms.RSAAlgorithm.to_jwk(self.keys[kid].public_key(), as_dict=True)
        return {**found, "kid": kid, "use": "sig", "alg": "RS256"}

    def token(self, kid: str = "one", **claims: Any) -> str:
        now = datetime.datetime.now(datetime.UTC)
        found = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": "alice",
            "exp": now + datetime.timedelta(minutes=5),
            **claims,
        }
        return jwt.encode(found, self.keys[kid], "RS256", headers={"kid": kid})


class Staff(JWTAuthenticator):
    issuer, audience = ISSUER, AUDIENCE


class ByMail(Staff):
    claim = field = "email"


class BySecret(JWTAuthenticator):
    issuer, audience, key, algorithms = ISSUER, AUDIENCE, SECRET, ("HS256",)


def by_hand(claims: dict[str, Any], header: dict[str, str], key: bytes) -> str:
    """Return a token as an attacker writes it, whom no library keeps from anything."""
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()) for part in (header, claims)]
    signed = b".".join(part.rstrip(b"=") for part in parts)
    signature = hmac.digest(key, signed, "sha256") if key else b""
    return (signed + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()


def pem_of(key: rsa.RSAPrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture
def issuer(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Issuer]:
    found = Issuer()
    monkeypatch.setattr(Staff, "jwks_url", found.url)
    settings.USERPODS_AUTHENTICATORS = [f"{HERE}.Staff", OURS]
    yield found
    found.server.shutdown()
    found.server.server_close()


def test_a_token_of_the_issuer_lets_its_user_in(client: Client, alice: Any, issuer: Issuer) -> None:
    assert check() == ""
    for _ in range(3):
        assert ask(client, issuer.token()).json()["user"] == "alice"
    assert issuer.asked == 1, "its keys are kept"


def test_tokens_that_are_not_for_us_let_nobody_in(
    client: Client, alice: Any, issuer: Issuer
) -> None:
    past = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=1)
    claims = jwt.decode(issuer.token(), options={"verify_signature": False})
    bad = [
        issuer.token(aud="another application"),
        issuer.token(exp=past),
        issuer.token(exp=None),
        issuer.token(nbf=datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)),
        issuer.token(sub="nobody"),
        issuer.token(sub=""),
        issuer.token(sub=["alice"]),
        by_hand(claims, {"alg": "none"}, b""),
        by_hand(claims, {"alg": "HS256", "kid": "one"}, pem_of(issuer.keys["one"])),
        issuer.token()[:-8] + "AAAAAAAA",
    ]
    for text in bad:
        answer = ask(client, text)
        assert answer.status_code == 403, text
        assert "X-Target-Service" not in answer


@pytest.mark.parametrize("text", ["an-opaque-token", "a.b.c", ""])
def test_a_bearer_of_another_kind_counts_as_none(
    client: Client, alice: Any, issuer: Issuer, text: str
) -> None:
    assert ask(client, text).status_code == 401
    assert ask(client, issuer.token(iss="https://elsewhere.example/")).status_code == 401
    assert issuer.asked == 0


def test_a_new_key_of_the_issuer_is_fetched_and_an_invented_one_not_each_time(
    client: Client, alice: Any, issuer: Issuer
) -> None:
    assert ask(client, issuer.token()).status_code == 200
    issuer.keys["two"] = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    assert ask(client, issuer.token("two")).status_code == 200
    assert issuer.asked == 2
    stranger = Issuer()
    stranger.server.server_close()
    stranger.keys = {"three": stranger.keys["one"]}
    for _ in range(3):
        assert ask(client, stranger.token("three")).status_code == 403
    assert issuer.asked == 2


def test_an_issuer_that_is_away_is_503(
    client: Client, alice: Any, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Staff, "jwks_url", "http://127.0.0.1:1/keys")
    assert ask(client, issuer.token()).status_code == 503


def test_an_address_counts_only_if_the_issuer_has_verified_it(
    client: Client, alice: Any, issuer: Issuer, settings: Any
) -> None:
    alice.email = "alice@example.org"
    alice.save()
    settings.USERPODS_AUTHENTICATORS = [f"{HERE}.ByMail"]
    mail = {"sub": "7", "email": "alice@example.org"}
    assert ask(client, issuer.token(**mail)).status_code == 403
    assert ask(client, issuer.token(**mail, email_verified=True)).json()["user"] == "alice"
    UserFactory(username="another", email="alice@example.org")
    assert ask(client, issuer.token(**mail, email_verified=True)).status_code == 403


def test_a_secret_of_ones_own_will_do(client: Client, alice: Any, settings: Any) -> None:
    settings.USERPODS_AUTHENTICATORS = [f"{HERE}.BySecret"]
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "exp": 2**33}
    assert ask(client, jwt.encode(claims, SECRET, "HS256")).json()["user"] == "alice"
    assert ask(client, jwt.encode(claims, SECRET + "x", "HS256")).status_code == 403


def test_a_token_is_not_remembered_beyond_its_own_end(
    client: Client, alice: Any, issuer: Issuer
) -> None:
    ends = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=90)
    answer = ask(client, issuer.token(exp=ends))
    assert vars(answer.wsgi_request)["userpods_valid_until"] == ends.replace(microsecond=0)


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
