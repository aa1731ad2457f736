"""Odd requests to pods' own hosts, with the router and Django themselves."""

from __future__ import annotations

import pytest

from tests.router.harness import raw
from tests.router.hosts_fixtures import alice, known, site
from tests.router.hosts_site import ALICES, BOBS, SITE, Client
from tests.router.wire import Wire

pytestmark = pytest.mark.router
__all__ = ["alice", "known", "site"]

ODD = [
    f"GET http://{ALICES}/odd HTTP/1.1\r\nHost: {BOBS}",
    f"GET http://www.example.org/odd HTTP/1.1\r\nHost: {ALICES}",
    f"GET http://{ALICES}/.userpods/status/ HTTP/1.1\r\nHost: {SITE[8:]}",
    f"GET http://www.example.org/.userpods/status/ HTTP/1.1\r\nHost: {ALICES}",
    f"GET http://x@{ALICES}/odd HTTP/1.1\r\nHost: {ALICES}",
    f"GET /odd HTTP/1.1\r\nHost: {ALICES}\r\nHost: {BOBS}",
    f"GET /odd HTTP/1.1\r\nHost: {ALICES}\r\nHost: {ALICES}",
    f"GET /odd HTTP/1.1\r\nHost : {ALICES}",
    f"GET /odd HTTP/1.1\r\nHost: {BOBS}\r\n {ALICES}",
    f"CONNECT {ALICES}:443 HTTP/1.1\r\nHost: {ALICES}",
    f"TRACE /odd HTTP/1.1\r\nHost: {ALICES}",
    f"OPTIONS * HTTP/1.1\r\nHost: {ALICES}",
    f"GET /.userpods/sign-out HTTP/1.1\r\nHost: {ALICES}\r\nX-HTTP-Method-Override: POST",
    f"PROPFIND /.userpods/sign-out HTTP/1.1\r\nHost: {ALICES}",
]


@pytest.mark.parametrize("head", ODD)
def test_an_odd_request_reaches_no_pod_and_signs_nobody_out(known: Client, head: str) -> None:
    known.navigate(f"https://{ALICES}/")
    before = known.site.received("alice")
    cookie = f"Cookie: __Host-userpods={known.jar(ALICES)['__Host-userpods']}"
    lines = [head, cookie, f"Origin: https://{ALICES}", "Connection: close", "", ""]
    answer = raw(known.site.router.port, "\r\n".join(lines).encode())
    assert 400 <= answer.status < 500
    assert known.site.received("alice") == before
    assert known.get(f"https://{ALICES}/").json()["name"] == "alice"


@pytest.mark.parametrize(
    "name",
    [
        "X-Userpods-Host", "x-userpods-host", "X_Userpods_Host", "X-Userpods_Host",
        "X.Userpods.Host", "HTTP-X-Userpods-Host", "X-Userpods-Path", "X-Userpods-Host:",
        "X-Forwarded-Host", "X-Original-Host", "X-Host", "Forwarded",
    ],
)  # fmt: skip
def test_no_header_says_which_host_was_asked_for(known: Client, name: str) -> None:
    known.navigate(f"https://{ALICES}/")
    secret = known.jar(ALICES)["__Host-userpods"]
    said = (name, f"host={ALICES}" if name == "Forwarded" else ALICES)
    # Another cookie with each, so that nothing is remembered of it.
    for path, status in (("/", 403), ("/.userpods/status/", 403)):
        thief = Client(known.site, {BOBS: {"__Host-userpods": f"{secret}; userpods_token=x{name}"}})
        assert thief.get(f"https://{BOBS}{path}", said).status == status
        assert known.get(f"https://{ALICES}{path}", (name, BOBS)).status == 200


def test_what_follows_a_sign_out_in_chunks_is_no_request(alice: Client) -> None:
    alice.navigate(f"https://{ALICES}/")
    cookie = f"Cookie: __Host-userpods={alice.jar(ALICES)['__Host-userpods']}"
    head = f"POST /.userpods/sign-out HTTP/1.1\r\nHost: {ALICES}\r\n{cookie}\r\n"
    head += f"Origin: https://{ALICES}\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n"
    follows = f"GET /smuggled HTTP/1.1\r\nHost: {ALICES}\r\n{cookie}\r\n\r\n"
    wire = Wire(alice.site.router.port)
    wire.send(f"{head}\r\n3\r\nabc\r\n0\r\n\r\n{follows}".encode())
    assert wire.answer().status == 303
    assert wire.rest(1) == b""
    wire.close()
    assert "GET /smuggled" not in alice.site.received("alice")
