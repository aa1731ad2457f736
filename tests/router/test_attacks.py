"""Bad input and attacks: nothing a client sends, and nothing a pod answers, changes who is who."""

from __future__ import annotations

import urllib.parse
from typing import TYPE_CHECKING

import pytest

from tests.router.harness import Router, raw, workload

if TYPE_CHECKING:
    from pathlib import Path

    from tests.router.fake_django import FakeDjango

pytestmark = pytest.mark.router

ALICE = ("Cookie", "sessionid=s-alice")
BROWSER = ("Accept", "text/html,application/xhtml+xml")

FORGED = {
    "X-Target-Service": "user-bob",
    "X-Target-Address": "127.0.0.1:1",
    "X-Target-Peer": "127.0.0.1:1",
    "X-Userpods-User": "bob",
    "X-Userpods-User-Id": "id-bob",
    "X-Remote-User": "bob",
    "X-Remote-User-Id": "bob",
    "X-Auth-Request-User": "bob",
    "X-Forwarded-User": "bob",
    "X-Forwarded-Email": "bob@example.org",
    "Remote-User": "bob",
    "Forwarded": "for=1.2.3.4;proto=https",
    "Proxy": "http://evil.example",
    "X-Real-IP": "1.2.3.4",
    "X-Forwarded-Ssl": "on",
    "X-Forwarded-Port": "443",
    "X-Forwarded-Protocol": "ssl",
    "X-Forwarded-Scheme": "https",
    "X-Forwarded-Server": "evil.example",
    "X-Forwarded-Prefix": "/evil",
}


def assert_closed(router: Router) -> None:
    """Whoami's answer is not usable: nobody gets in, and it is not taken for a pod not up."""
    answer = router.get("/", ALICE)
    assert answer.status == 503
    assert answer.json()["error"] == "unavailable"
    assert answer.get("retry-after") == "2"


def spell(name: str, how: str) -> str:
    return {"as is": name, "upper": name.upper(), "lower": name.lower()}[how]


@pytest.mark.parametrize("how", ["as is", "upper", "lower"])
@pytest.mark.parametrize("fillers", [0, 150])
@pytest.mark.parametrize("copies", [1, 3])
def test_forged_headers_reach_nobody(router: Router, how: str, fillers: int, copies: int) -> None:
    filler = [(f"X-Filler-{number}", "x") for number in range(fillers)]
    forged = [(spell(name, how), value) for name, value in FORGED.items()] * copies
    answer = router.get("/", *filler, *forged, ALICE)
    assert answer.json()["name"] == "alice"
    assert answer.sent("x-userpods-user") == ["alice"]
    for name in FORGED.keys() - {"X-Userpods-User"}:
        assert answer.sent(name) == []
    assert len(answer.sent("x-filler-149")) == (1 if fillers else 0)


@pytest.mark.parametrize("name", FORGED)
def test_each_forged_header_alone_is_removed(router: Router, name: str) -> None:
    expected = ["alice"] if name == "X-Userpods-User" else []
    assert router.get("/", ALICE, (name, "bob")).sent(name) == expected
    # On a site path too, where Django hears the client's address from us.
    expected = ["127.0.0.1"] if name == "X-Real-IP" else []
    assert router.get("/api/x", ALICE, (name, "bob")).sent(name) == expected


def test_inventing_many_names_lets_none_through(router: Router) -> None:
    """More than the router remembers at a time, and names longer than it remembers."""
    invented = [(f"X-Auth-{number}", "bob") for number in range(450)]
    invented += [("X-Auth-" + "a" * 100, "bob"), ("X-Forwarded-" + "a" * 100, "bob")]
    kept = ("X-Remote-Addr", "198.51.100.1")
    for _ in range(2):
        answer = router.get("/", ALICE, *invented, *FORGED.items(), kept)
        assert answer.sent("x-remote-addr") == ["198.51.100.1"]
        assert answer.sent("x-userpods-user") == ["alice"]
        names = {name.lower() for name, _ in answer.json()["headers"]}
        forged = {name.lower() for name, _ in [*invented, *FORGED.items()]} - {"x-userpods-user"}
        assert names & forged == set()


def test_underscores_are_no_way_around(router: Router) -> None:
    forged = [(name.replace("-", "_"), value) for name, value in FORGED.items() if "-" in name]
    answer = router.get("/", *forged, ALICE)
    assert not [key for key, _ in answer.json()["headers"] if "_" in key]
    assert answer.sent("x-userpods-user") == ["alice"]


def test_an_odd_spelling_of_a_header_is_refused_or_dropped(router: Router) -> None:
    for name in ("X-Userpods-User ", "X-Userpods-User\t", "\x0bX-Userpods-User"):
        answer = router.get("/", (name, "bob"), ALICE)
        if answer.status == 200:
            assert answer.sent("x-userpods-user") == ["alice"]
        else:
            assert answer.status == 400


def test_forged_headers_alone_let_nobody_in(router: Router) -> None:
    assert router.get("/", *FORGED.items()).status == 401


def test_forged_headers_do_not_reach_whoami(router: Router, django: FakeDjango) -> None:
    router.get("/", *FORGED.items(), ALICE)
    names = {key.lower() for key, _ in django.seen[0]["headers"]}
    assert names == {"host", "cookie", "x-forwarded-for", "x-forwarded-proto"}


@pytest.mark.parametrize("order", [("alice", "bob"), ("bob", "alice")])
@pytest.mark.parametrize("shape", ["one header", "two headers"])
def test_duplicated_session_cookies_are_nobodys_way_in(
    router: Router, django: FakeDjango, order: tuple[str, str], shape: str
) -> None:
    """The user is always the one whom Django sees in exactly this request."""
    first, last = (f"sessionid=s-{name}" for name in order)
    # Both alone are in the cache.
    assert router.get("/", ("Cookie", first)).json()["name"] == order[0]
    assert router.get("/", ("Cookie", last)).json()["name"] == order[1]
    if shape == "one header":
        headers = [("Cookie", f"{first}; {last}")]
    else:
        headers = [("Cookie", first), ("Cookie", last)]
    for _ in range(2):
        answer = router.get("/", *headers)
        assert answer.json()["name"] == order[1]
        assert answer.sent("x-userpods-user") == [order[1]]
        assert answer.sent("cookie") == []
    assert django.seen[-1]["headers"].count(("Cookie", f"{first}; {last}")) == 1


def test_two_authorizations_are_read_alike_by_all(router: Router, django: FakeDjango) -> None:
    headers = [("Authorization", f"Bearer t-{name}") for name in ("alice", "bob")]
    answer = router.get("/", *headers)
    if answer.status == 200:
        assert answer.json()["name"] == "alice"
        assert answer.sent("authorization") == []
        sent = [value for key, value in django.seen[-1]["headers"] if key == "Authorization"]
        assert sent == ["Bearer upt_alice"]
    else:
        assert answer.status == 400


@pytest.mark.parametrize("byte", ["\x01", "\x08", "\x0b", "\x0c", "\x1c", "\x1f", "\x7f"])
def test_credentials_with_control_characters_are_refused(
    router: Router, django: FakeDjango, byte: str
) -> None:
    """Some servers strip them, some refuse them: Django is not even asked."""
    for header in (
        ("Cookie", f"sessionid={byte}s-alice"),
        ("Authorization", f"Bearer {byte}upt_x"),
    ):
        answer = router.get("/", header)
        assert (answer.status, answer.json()["error"]) == (400, "bad request")
    assert django.count["/whoami"] == 0
    # The application's own are its own affair.
    assert router.get("/", ALICE, ("Authorization", f"Own {byte}x")).json()["name"] == "alice"


def test_a_cookie_cannot_pass_for_an_authorization(router: Router, django: FakeDjango) -> None:
    """The cache key tells where the one ends and the other begins."""
    assert router.get("/", ("Authorization", "Bearer upt_alice")).status == 200
    for cookie in ("Bearer upt_alice", "\\nBearer upt_alice", "%0aBearer upt_alice"):
        assert router.get("/", ("Cookie", cookie)).status == 401


@pytest.mark.parametrize(
    "service",
    [
        "user-bob.kube-system",
        "user-bob.default.svc.cluster.local",
        "user-bob/x",
        "user-bob:80",
        "user-bob\x0b",
        "user-Bob",
        "user-",
        "user-bob-",
        "10.0.0.1",
        "127.0.0.1",
        "[::1]",
        "user-" + "b" * 59,
        "user-b%0aob",
        "user-bób",
        " ",
        "",
    ],
)
def test_a_target_that_is_no_name_of_a_service_is_refused(
    router: Router, django: FakeDjango, service: str
) -> None:
    django.answer = {"X-Target-Service": service}
    assert_closed(router)


def test_a_service_named_under_another_prefix_is_reached(
    router: Router, django: FakeDjango
) -> None:
    """Pods keep the names that they were given when USERPODS_NAME_PREFIX changes."""
    django.answer = {"X-Target-Service": "former-alice"}
    assert router.get("/", ALICE).json()["name"] == "alice"


def test_a_target_with_a_newline_is_refused(router: Router, django: FakeDjango) -> None:
    """A folded header: some servers join its lines, and `$` in a pattern would admit it."""
    django.answer = {"X-Target-Service": "user-bob\n x"}
    assert_closed(router)


@pytest.mark.parametrize(
    "peer",
    [
        "localhost:80",
        "user-bob.default:80",
        "169.254.169.254:80",
        "0.0.0.0:80",
        "224.0.0.1:80",
        "10.0.0.256:80",
        "010.0.0.1:80",
        "10.0.0.1",
        "10.0.0.1:0",
        "10.0.0.1:65536",
        "10.0.0.1:80/x",
        "10.0.0.1:80:80",
        "[::]:80",
        "[fe80::1]:80",
        "[::ffff:a00:1]:80",
        "[::1",
        "::1:80",
        "unix:/run/x.sock",
        "2130706433:80",
        "127.1:80",
        "10.0.0.1:80, 10.0.0.2:80",
    ],
)
def test_a_peer_that_cannot_be_a_pods_is_refused(
    router: Router, django: FakeDjango, peer: str
) -> None:
    django.answer = {"X-Target-Peer": peer}
    assert_closed(router)


@pytest.mark.parametrize("name", ["X-Userpods-User", "X-Userpods-User-Id"])
@pytest.mark.parametrize("value", ["", "a b", 'a"b', "a\tb", "ü"])
def test_a_user_who_is_not_well_written_is_refused(
    router: Router, django: FakeDjango, name: str, value: str
) -> None:
    django.answer = {name: value}
    assert_closed(router)


@pytest.mark.parametrize("name", ["a@b.example", "a+b", "%C3%BC%20%2F", "a_b-c.d~e", "%22%0A"])
def test_a_username_of_any_kind_arrives(
    router: Router, django: FakeDjango, tmp_path: Path, name: str
) -> None:
    django.answer = {"X-Userpods-User": name, "X-Userpods-User-Id": name}
    with workload("odd", tmp_path) as peer:
        django.user("alice", peer)
        assert router.get("/", ALICE).sent("x-userpods-user") == [name]
        django.inactive.add("alice")
        router.purge(urllib.parse.unquote(name))
        assert router.get("/", ALICE).status == 403


def test_an_evil_host_changes_neither_target_nor_whoami(router: Router, django: FakeDjango) -> None:
    for host in ("evil.example", "user-bob", "127.0.0.1:8001", "bob.evil.example:99"):
        answer = router.get("/", ALICE, host=host)
        assert answer.json()["name"] == "alice"
    assert {value for seen in django.seen for key, value in seen["headers"] if key == "Host"} == {
        "site.test"
    }


def test_an_absolute_form_request_line_names_no_pod(router: Router) -> None:
    head = "GET http://user-bob/x HTTP/1.1\r\nHost: site.test\r\nCookie: sessionid=s-alice\r\n\r\n"
    answer = raw(router.port, head.encode())
    assert answer.json()["name"] == "alice"


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example/x",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/%5cevil.example",
        "http://evil.example/x",
        "http://evil.example//evil.example",
        "/./\\evil.example",
        "/x?next=//evil.example",
        "/\t/evil.example",
        "/%09/evil.example",
        "//",
    ],
)
def test_the_return_address_stays_on_the_site(router: Router, target: str) -> None:
    head = f"GET {target} HTTP/1.1\r\nHost: evil.example\r\nAccept: text/html\r\n\r\n"
    answer = raw(router.port, head.encode())
    if answer.status == 400:
        return
    assert answer.status == 302
    location = answer.get("location") or ""
    assert location.startswith("/accounts/login/?next=%2F"), location
    back = urllib.parse.parse_qs(urllib.parse.urlsplit(location).query)["next"]
    assert len(back) == 1
    # As a browser reads it: blanks gone, backslashes are slashes.
    seen = back[0].replace("\t", "").replace("\n", "").replace("\\", "/")
    assert seen.startswith("/")
    assert not seen.startswith("//")
    assert urllib.parse.urlsplit(urllib.parse.urljoin("https://site.test/a", seen)).netloc == (
        "site.test"
    )


def test_the_return_address_is_the_whole_path_and_query(router: Router) -> None:
    location = router.get("/notes/a%2Fb?x=1&y=%26#", BROWSER).get("location") or ""
    query = urllib.parse.urlsplit(location).query
    assert urllib.parse.parse_qs(query) == {"next": ["/notes/a%2Fb?x=1&y=%26#"]}


@pytest.mark.parametrize(
    "framing",
    [
        "Content-Length: 6\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 6",
        "Content-Length: 6\r\nContent-Length: 7",
        "Content-Length: +6",
        "Content-Length: 6, 6",
        "Content-Length: 0x6",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: identity, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding:\x0bchunked",
    ],
)
def test_request_smuggling_is_refused(router: Router, framing: str) -> None:
    """No second request ever comes out of the body of a first."""
    hidden = "GET /smuggled HTTP/1.1\r\nHost: x\r\nX-Userpods-User: bob\r\n\r\n"
    before = router.get("/", ALICE).json()["requests"]
    head = f"POST / HTTP/1.1\r\nHost: x\r\nCookie: sessionid=s-alice\r\n{framing}\r\n\r\n"
    answer = raw(router.port, (head + "0\r\n\r\n" + hidden).encode("latin-1"))
    assert answer.status in {400, 501}
    assert router.get("/", ALICE).json()["requests"] == before + 1


def test_a_chunked_body_hides_no_request(router: Router) -> None:
    """What a header that is dropped would say of the length, the pod does not hear either."""
    body = "5\r\nhello\r\n0\r\n\r\n"
    head = (
        "POST /upload HTTP/1.1\r\nHost: x\r\nCookie: sessionid=s-alice\r\n"
        "Content_Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    answer = raw(router.port, (head + body).encode())
    assert answer.json()["body"] == 5


@pytest.mark.parametrize("upgrade", ["h2c", "h2c, websocket", "TLS/1.0"])
def test_no_other_protocol_is_upgraded_to(router: Router, upgrade: str) -> None:
    answer = router.get("/", ALICE, ("Upgrade", upgrade), ("HTTP2-Settings", "AAMAAABkAAQAAP__"))
    assert answer.status == 200
    assert answer.sent("upgrade") == []


def test_oversized_headers_are_refused(router: Router) -> None:
    assert router.get("/", ALICE, ("X-Big", "x" * 70000)).status == 431
    many = [(f"X-Many-{number}", "x" * 10000) for number in range(30)]
    assert router.get("/", ALICE, *many).status == 431
    assert router.get("/" + "x" * 70000, ALICE).status == 414


def test_a_large_cookie_still_passes(router: Router) -> None:
    answer = router.get("/", ("Cookie", "big=" + "x" * 12000 + "; sessionid=s-alice"))
    assert answer.sent("cookie") == ["big=" + "x" * 12000]


def test_the_internal_location_is_nobodys(router: Router) -> None:
    for path in ("/_userpods/whoami", "//_userpods/whoami", "/x/../_userpods/whoami"):
        assert router.get(path, ALICE).status == 404
