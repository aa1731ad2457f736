"""The JSON API and odd requests: each is answered in words, and nothing of it is stored."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from django.core.cache import cache
from django.core.cache.backends.base import BaseCache
from django.http import HttpRequest, UnreadablePostError
from django.test import Client

from django_userpods.models import AccessToken
from tests.django.http_api import API, ask, signed_in
from tests.django.support import row, sync
from tests.factories import UserFactory

if TYPE_CHECKING:
    from django_userpods.testing import MemoryCluster

pytestmark = pytest.mark.django_db

STOP = f"{API}pods/user-alice/stop/"


class Down(BaseCache):
    """A cache that nobody reaches."""

    def __init__(self, *_: Any) -> None:
        super().__init__({})

    def add(self, *_: Any, **__: Any) -> bool:
        message = "connection refused"
        raise ConnectionError(message)


@pytest.fixture(autouse=True)
def _fresh(memory: MemoryCluster) -> None:
    cache.clear()


@pytest.fixture
def alice() -> Any:
    user = UserFactory(username="alice")
    sync()
    return user


@pytest.fixture
def strict(alice: Any) -> Client:
    """Alice, with Django's CSRF token in her cookie."""
    client = signed_in(alice, csrf=True)
    client.cookies["csrftoken"] = _csrf_token()
    return client


def _csrf_token() -> str:
    client = Client()
    client.get("/admin/login/")
    return client.cookies["csrftoken"].value


def _part(name: str, value: str) -> str:
    return f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n--x--\r\n'


@pytest.mark.parametrize("label", ["\ud800", "a\udfffb", "\0", "a\0b"])
def test_a_text_that_no_database_takes_is_refused(alice: Any, label: str) -> None:
    found = ask(signed_in(alice), "post", "tokens/", {"label": label}, status=400)
    assert "label" in found["error"]
    ask(signed_in(alice), "post", "pods/", {"slot": label}, status=400)
    assert not AccessToken.objects.exists()


def test_a_key_that_no_database_takes_is_refused(alice: Any) -> None:
    for path in ("pods/?after=%00", "tokens/?after=1%00"):
        ask(signed_in(alice), "get", path, status=400)


@pytest.mark.parametrize("end", ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59-23:59"])
def test_no_token_ends_when_no_time_zone_can_say_when(alice: Any, settings: Any, end: str) -> None:
    settings.TIME_ZONE = "Asia/Shanghai"
    client = signed_in(alice)
    ask(client, "post", "tokens/", {"label": "x", "expires_at": end}, status=400)
    last = "9998-12-31T23:59:59Z"
    ask(client, "post", "tokens/", {"label": "x", "expires_at": last}, status=201)
    ask(client, "get", "tokens/")
    assert client.get("/userpods/").status_code == 200


def test_a_form_of_several_parts_is_no_json_object(strict: Client, alice: Any) -> None:
    token, form = strict.cookies["csrftoken"].value, "multipart/form-data; boundary=x"
    for body, headers in (
        (_part("csrfmiddlewaretoken", token), {}),
        (_part("anything", "else"), {"X-CSRFToken": token}),
        ("--y", {"X-CSRFToken": token}),
    ):
        response = strict.generic("POST", STOP, body, content_type=form, headers=headers)
        assert response.status_code == 400
        assert response.json() == {"error": "the body has to be a JSON object"}
    assert row(alice).wanted == "running"


@pytest.mark.parametrize("content_type", ["application/json", "multipart/form-data; boundary=x"])
def test_a_body_that_is_too_large_is_refused(
    strict: Client, alice: Any, settings: Any, content_type: str
) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
    headers = {"X-CSRFToken": strict.cookies["csrftoken"].value}
    response = strict.generic("POST", STOP, " " * 101, content_type=content_type, headers=headers)
    assert (response.status_code, list(response.json())) == (400, ["error"])
    assert row(alice).wanted == "running"


def test_a_body_that_breaks_off_is_no_fault_of_the_site(
    strict: Client, alice: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: HttpRequest, *__: Any) -> bytes:
        raise UnreadablePostError

    monkeypatch.setattr(HttpRequest, "read", broken)
    headers = {"X-CSRFToken": strict.cookies["csrftoken"].value}
    response = strict.generic("POST", STOP, "{}", content_type="application/json", headers=headers)
    assert response.status_code == 400
    assert row(alice).wanted == "running"


def test_a_cache_that_is_down_keeps_nobody_out(alice: Any, settings: Any) -> None:
    settings.CACHES = {"default": {"BACKEND": f"{__name__}.Down"}}
    assert ask(signed_in(alice), "get", "me/")["user"] == "alice"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"tokens/{'9' * 40}/", 404),
        (f"tokens/{'9' * 5000}/", 404),
        ("pods/user-alice%00/", 404),
    ],
)
def test_a_name_that_cannot_be_is_not_there(alice: Any, path: str, status: int) -> None:
    assert signed_in(alice).delete(API + path).status_code == status


@pytest.mark.parametrize(
    "body", [b"[" * 100_000, b"\xff\xfe\xff", b"\xef\xbb\xbf{}{}", b'{"slot": NaN}', b"9" * 5000]
)
def test_what_is_no_json_is_refused(alice: Any, body: bytes) -> None:
    response = signed_in(alice).generic(
        "POST", f"{API}pods/", body, content_type="application/json; charset=utf-7"
    )
    assert response.status_code == 400
    assert "error" in json.loads(response.content)
