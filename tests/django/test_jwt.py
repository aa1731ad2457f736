"""JSON Web Tokens of an issuer whose keys are on a real port."""

from __future__ import annotations

import base64
import datetime
import hmac
import http.server
import json
import threading
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from django_userpods.access import JWTAuthenticator
from tests.django.test_adapters import AUDIENCE, ISSUER, OURS, SECRET, ask, check
from tests.factories import UserFactory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.test import Client

pytestmark = pytest.mark.django_db

HERE = "tests.django.test_jwt"


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
