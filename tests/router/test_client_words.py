"""What clients say of themselves beside their credentials, and who may open a WebSocket."""

from __future__ import annotations

import contextlib
import re
import socket
from typing import TYPE_CHECKING

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.router.harness import ROUTER, Router

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.router.fake_django import FakeDjango

pytestmark = pytest.mark.router

ALICE = ("Cookie", "sessionid=s-alice")
SAID = (
    "Forwarded",
    "X-Real-IP",
    "X-Forwarded-Ssl",
    "X-Forwarded-Protocol",
    "X-Forwarded-Scheme",
    "X-Forwarded-Port",
    "X-Forwarded-Server",
    "X-Forwarded-Prefix",
    "X-Scheme",
    "X-Url-Scheme",
    "Front-End-Https",
    "X-Original-URL",
    "X-Rewrite-URL",
    "X-Client-IP",
    "True-Client-IP",
    "CF-Connecting-IP",
)


@pytest.mark.parametrize("name", SAID)
@pytest.mark.parametrize("copies", [1, 2])
def test_nobody_else_speaks_for_the_router(
    router: Router, django: FakeDjango, name: str, copies: int
) -> None:
    said = [(name, "on")] * copies
    assert router.get("/", ALICE, *said).sent(name) == []
    own = ["127.0.0.1"] if name == "X-Real-IP" else []
    assert router.get("/api/x", *said).sent(name) == own
    django.user("alice", None)
    router.purge("id-alice")
    assert router.get("/", ALICE, *said).status == 503
    waiting = django.seen[-1]
    assert waiting["path"] == "/userpods/waiting/"
    assert [value for key, value in waiting["headers"] if key.lower() == name.lower()] == own


@contextlib.contextmanager
def websocket(router: Router, origin: str | None, host: str = "site.test") -> Iterator[str]:
    headers = [ALICE] if origin is None else [ALICE, ("Origin", origin)]
    with connect(
        f"ws://{host}/",
        sock=socket.create_connection(("127.0.0.1", router.port), timeout=10),
        additional_headers=headers,
        proxy=None,
        close_timeout=1,
    ) as connection:
        yield str(connection.recv(timeout=5))


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (None, "site.test"),
        ("http://site.test", "site.test"),
        ("https://site.test", "site.test"),
        ("HTTPS://SITE.test", "site.test"),
        ("http://site.test:8080", "site.test:8080"),
        ("http://site.test", "site.test:80"),
    ],
)
def test_a_page_of_the_same_host_opens_a_websocket(
    router: Router, origin: str | None, host: str
) -> None:
    for _ in range(2):
        with websocket(router, origin, host) as said:
            assert said == "hello from alice"


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "https://bob.site.test",
        "http://site.test.evil.example",
        "http://site.test:81",
        "null",
        "",
        "file://",
        "http://site.test, http://evil.example",
        "http://site.test/",
        "ws://site.test",
    ],
)
def test_a_page_of_another_origin_opens_none(router: Router, origin: str) -> None:
    # Also when whose session it is stands in the cache.
    assert router.get("/", ALICE).status == 200
    with pytest.raises(InvalidStatus) as refused, websocket(router, origin):
        pass
    assert refused.value.response.status_code == 401
    assert b"another origin" in (refused.value.response.body or b"")


def test_over_tls_a_page_without_it_is_another_origin(tmp_path: Path, django: FakeDjango) -> None:
    options: dict[str, object] = {"admitted_origins": ["https://desk.example"]}
    with Router(tmp_path / "nginx", django.port, gateway=True, options=options) as router:
        tls = ("X-Forwarded-Proto", "https"), ("X-Forwarded-For", "198.51.100.1")
        upgrade = [("Upgrade", "websocket"), ("Sec-WebSocket-Key", "x"), ALICE, *tls]

        def status(origin: str) -> int:
            head = "GET / HTTP/1.1\r\nHost: site.test\r\nConnection: upgrade\r\n"
            head += "".join(f"{key}: {value}\r\n" for key, value in [*upgrade, ("Origin", origin)])
            return status_of(router, head)

        assert status("https://site.test") == 101
        assert status("http://site.test") == 401
        # An application may admit others.
        assert status("https://desk.example") == 101
        assert status("https://other.example") == 401


def status_of(router: Router, head: str) -> int:
    with socket.create_connection(("127.0.0.1", router.port), timeout=10) as connection:
        connection.sendall(f"{head}\r\n".encode())
        return int(connection.recv(100).split()[1])


def test_what_the_lua_leaves_in_nginx_takes_out() -> None:
    """Names that headers.lua lets be are written or emptied wherever headers are passed on."""
    lua = (ROUTER / "lua" / "userpods" / "headers.lua").read_text()
    words = re.findall(r'"(\w+)"', lua.partition("for _, word in ipairs {")[2].partition("}")[0])
    assert len(words) == 10
    unsaid = (ROUTER / "unsaid.conf").read_text()
    emptied = {name.lower() for name in re.findall(r'^proxy_set_header (\S+) "";$', unsaid, re.M)}
    written = {"x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"}
    assert {f"x-forwarded-{word}" for word in words} <= emptied | written
    assert "forwarded" in emptied
    for conf in ("nginx.conf", "site.conf"):
        text = (ROUTER / conf).read_text()
        assert text.count("include unsaid.conf;") == len(re.findall("X-Real-I[Pp] ", text))


def test_what_a_stranger_says_of_the_client_is_not_believed(router: Router) -> None:
    answer = router.get(
        "/",
        ALICE,
        ("X-Forwarded-For", "1.2.3.4"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "evil.example"),
    )
    assert answer.sent("x-forwarded-for") == ["127.0.0.1"]
    assert answer.sent("x-forwarded-proto") == ["http"]
    assert answer.sent("x-forwarded-host") == ["site.test"]
    for said in ("https", "1https"):
        for more in ([], [("X-Forwarded-For", "1.2.3.4")]):
            spoofed = router.get("/", ALICE, ("X-Forwarded-Proto", said), *more)
            assert spoofed.sent("x-forwarded-proto") == ["http"]
