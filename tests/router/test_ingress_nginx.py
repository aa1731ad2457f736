"""The ingress-nginx variant: its Lua under real nginx with the controller's own balancer Lua."""

from __future__ import annotations

import base64
import re
import socket
import urllib.parse
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.router.harness import ROUTER, workload
from tests.router.ingress_nginx import VARIANT, Ingress, ingress_nginx
from tests.router.raw_pod import MARK, RawPod, read_quiet, split_answer
from tests.router.test_hostile_pods import OF_THE_HOST

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.router.fake_django import FakeDjango

pytestmark = pytest.mark.router

ALICE = ("Cookie", "sessionid=s-alice; theme=dark")
BOB = ("Cookie", "sessionid=s-bob")
HOST = "userpods.example.org"


@pytest.fixture(scope="module")
def other_app(folder: Path) -> Iterator[str]:
    with workload("other", folder) as peer:
        yield peer


@pytest.fixture(scope="module")
def ingress(folder: Path, running_django: FakeDjango, other_app: str) -> Iterator[Ingress]:
    with ingress_nginx(folder / "ingress", running_django.port, other_app) as running:
        yield running


@pytest.fixture(autouse=True)
def _users(django: FakeDjango) -> None:
    """Alice and bob have pods."""


def test_each_user_reaches_their_own_pod(ingress: Ingress) -> None:
    for _ in range(2):
        for name, cookie in (("alice", ALICE), ("bob", BOB)):
            answer = ingress.get("/a%2Fb", cookie)
            assert answer.json()["name"] == name
            assert answer.json()["target"] == "/a%2Fb"
            assert answer.sent("x-userpods-user") == [name]
    answer = ingress.get("/", ("Authorization", "Bearer upt_bob"))
    assert answer.json()["name"] == "bob"
    assert answer.sent("authorization") == []


def test_site_paths_go_to_django(ingress: Ingress) -> None:
    answer = ingress.get("/admin/", ALICE)
    assert answer.json()["name"] == "django"
    assert answer.sent("cookie") == [ALICE[1]]
    assert answer.all("set-cookie") == ["csrftoken=abc; Path=/"]


def test_other_hosts_are_as_they_were(ingress: Ingress) -> None:
    headers = [("X-Target-Service", "user-bob"), ("X-Userpods-User", "x"), ("X-Auth-User", "me")]
    query = urllib.parse.urlencode({"Set-Cookie": "sessionid=theirs; Domain=example.org"})
    for path in (f"/headers-back?{query}", f"/auth/headers-back?{query}"):
        answer = ingress.get(path, ALICE, *headers, host="other.example.org")
        assert answer.json()["name"] == "other"
        assert answer.sent("cookie") == [ALICE[1]]
        assert answer.sent("x-auth-user") == ["me"]
    answer = ingress.get(f"/headers-back?{query}", ALICE, host="other.example.org")
    assert answer.all("set-cookie") == ["sessionid=theirs; Domain=example.org"]


def test_forged_headers_change_nothing(ingress: Ingress, django: FakeDjango) -> None:
    # With more, Django's own server refuses to answer whoami.
    filler = [(f"X-Filler-{number}", "x") for number in range(80)]
    forged = [
        ("X-Target-Service", "user-bob"),
        ("X-Target-Peer", django.peers["bob"]),
        ("x-userpods-user", "bob"),
        ("X-Userpods-User-Id", "id-bob"),
        ("X-Remote-User", "bob"),
        ("authHeader0", "user-bob"),
    ]
    answer = ingress.get("/", *filler, *forged, ALICE)
    assert answer.json()["name"] == "alice"
    assert answer.sent("x-target-service") == ["user-alice"]
    assert answer.sent("x-userpods-user") == ["alice"]
    assert answer.sent("x-userpods-user-id") == []
    assert answer.sent("x-remote-user") == []
    assert ingress.get("/", *forged).status == 302


@pytest.mark.parametrize(
    "name", ["Forwarded", "X-Forwarded-Ssl", "X-Forwarded-Prefix", "True-Client-IP"]
)
def test_what_a_client_says_of_itself_reaches_no_pod(ingress: Ingress, name: str) -> None:
    assert ingress.get("/", ALICE, (name, "on")).sent(name) == []


@pytest.mark.parametrize("scheme", ["Token", "\xa0Bearer", "Bearer,", "Basic"])
def test_no_token_of_ours_reaches_a_pod_however_it_is_dressed(
    ingress: Ingress, scheme: str
) -> None:
    token = "upt_secret"
    text = base64.b64encode(f"alice:{token}".encode()).decode() if scheme == "Basic" else token
    answer = ingress.get("/", ALICE, ("Authorization", f"{scheme} {text}"))
    assert answer.sent("authorization") == []
    own = ("Authorization", "Basic YTpi")
    assert ingress.get("/", ALICE, own).sent("authorization") == [own[1]]


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("https://{host}", 101),
        ("http://{host}", 101),
        ("https://evil.example", 302),
        ("https://bob.{host}", 302),
        ("null", 302),
    ],
)
def test_a_page_of_another_origin_opens_no_websocket(
    ingress: Ingress, origin: str, status: int
) -> None:
    own = f"Host: {HOST}\r\n{': '.join(ALICE)}\r\nOrigin: {origin.format(host=HOST)}\r\n"
    asked = "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n"
    head = f"GET / HTTP/1.1\r\n{own}{asked}"
    with socket.create_connection(("127.0.0.1", ingress.port), timeout=10) as connection:
        connection.sendall(f"{head}\r\n".encode())
        assert int(connection.recv(100).split()[1]) == status


def test_without_credentials_there_is_no_way_in(ingress: Ingress) -> None:
    answer = ingress.get("/x")
    assert answer.status == 302
    assert "/accounts/login/" in (answer.get("location") or "")
    assert ingress.get("/x", ("Authorization", "Bearer upt_no")).status == 403


@pytest.mark.parametrize(
    "change",
    [
        {"X-Target-Service": "user-bob.kube-system"},
        {"X-Target-Service": ""},
        {"X-Target-Service": "user-" + "b" * 59},
        {"X-Target-Peer": "localhost:80"},
        {"X-Target-Peer": "169.254.169.254:80"},
        {"X-Target-Peer": "0.0.0.0:80"},
        {"X-Target-Peer": "[::1]:80"},
        {"X-Target-Peer": "[fe80::1]:80"},
        {"X-Target-Peer": "unix:/x"},
    ],
)
def test_an_answer_that_names_no_pod_is_refused(
    ingress: Ingress, django: FakeDjango, change: dict[str, str]
) -> None:
    django.answer = change
    assert ingress.get("/", ALICE).status == 503


def test_a_service_named_under_another_prefix_is_reached(
    ingress: Ingress, django: FakeDjango
) -> None:
    django.answer = {"X-Target-Service": "former-alice"}
    assert ingress.get("/", ALICE).json()["name"] == "alice"


def test_auth_that_is_unwell_lets_nobody_in(ingress: Ingress, django: FakeDjango) -> None:
    for status in (302, 404, 500, 503):
        django.odd = lambda handler, status=status: handler.say(status, b"")
        assert ingress.get("/", ALICE).status == 500


def test_a_pod_without_an_address_shows_djangos_waiting_page(
    ingress: Ingress, django: FakeDjango
) -> None:
    django.user("alice", None)
    answer = ingress.get("/deep?x=1", ALICE)
    assert answer.status == 503
    assert answer.json()["message"] == "Django says wait"
    assert django.seen[-1]["path"] == "/userpods/waiting/"


def test_the_sites_cookies_stay_with_the_site(ingress: Ingress) -> None:
    assert ingress.get("/", ALICE).sent("cookie") == ["theme=dark"]
    assert ingress.get("/", BOB).sent("cookie") == []
    pairs = [
        ("Set-Cookie", "good=1"),
        ("Set-Cookie", "SessionID=evil"),
        ("Set-Cookie", "__Host-csrftoken=evil"),
        ("Set-Cookie", "a=1; Domain=example.org"),
        ("Set-Cookie", "=sessionid=evil"),
    ]
    answer = ingress.get(f"/headers-back?{urllib.parse.urlencode(pairs)}", ALICE)
    assert answer.all("set-cookie") == ["good=1"]


@pytest.mark.parametrize(
    "authorization",
    ["\xa0Bearer upt_x", "\x85Bearer upt_x", "Token upt_x", "Bearer,upt_x", "Basic YTp1cHRfeA=="],
)
def test_a_token_in_any_dress_does_not_reach_the_pod(ingress: Ingress, authorization: str) -> None:
    cookie = ("Cookie", "sessionid=s-alice; t=upt_x; b=2")
    answer = ingress.get("/", cookie, ("Authorization", authorization))
    assert answer.json()["name"] == "alice"
    assert answer.sent("authorization") == []
    assert answer.sent("cookie") == ["b=2"]


def test_an_authorization_of_the_applications_own_reaches_the_pod(ingress: Ingress) -> None:
    answer = ingress.get("/", ALICE, ("Authorization", "Basic YTpi"))
    assert answer.sent("authorization") == ["Basic YTpi"]
    answer = ingress.get("/", ("Cookie", "a=1"), ("Authorization", "Bearer upt_alice"))
    assert answer.json()["name"] == "alice"
    assert answer.sent("authorization") == []


def test_a_pod_does_not_speak_for_the_host(ingress: Ingress) -> None:
    query = urllib.parse.urlencode([*OF_THE_HOST.items(), ("X-Own", "1")])
    answer = ingress.get(f"/headers-back?{query}", ALICE)
    for name in OF_THE_HOST:
        assert answer.all(name.lower()) == []
    assert answer.all("x-own") == ["1"]
    answer = ingress.get(f"/headers-back?{query}", host="other.example.org")
    for name, value in OF_THE_HOST.items():
        assert answer.all(name.lower()) == [value]


@pytest.mark.parametrize("to", ["/_auth", "@login", "/admin/", "/.userpods/sign-in"])
def test_a_pod_does_not_steer_the_controller(ingress: Ingress, to: str) -> None:
    """Where nginx goes on by a pod's word, it takes the pod's cookies along, past the Lua."""
    said = [("X-Accel-Redirect", to), ("Set-Cookie", "sessionid=evil"), ("Set-Cookie", "own=1")]
    answer = ingress.get(f"/headers-back?{urllib.parse.urlencode(said)}", ALICE)
    assert answer.json()["name"] == "alice"
    assert answer.all("set-cookie") == ["own=1"]


def test_no_script_of_a_pod_becomes_a_service_worker(ingress: Ingress) -> None:
    worker = ("Service-Worker", "script")
    assert ingress.get("/sw.js", ALICE, worker).status == 403
    assert ingress.get("/sw.js", ALICE, worker, host="other.example.org").status == 200


def test_no_cookie_of_the_site_hides_behind_many_others(
    ingress: Ingress, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Lua is shown the first hundred headers of a name; Python takes no more either.
    monkeypatch.setattr("http.client._MAXHEADERS", 1000)
    pairs = [("Set-Cookie", f"c{number}=1") for number in range(100)]
    query = urllib.parse.urlencode([*pairs, ("Set-Cookie", "sessionid=evil")])
    answer = ingress.get(f"/headers-back?{query}", ALICE)
    assert answer.all("set-cookie") == [value for _, value in pairs]


@pytest.mark.parametrize("more", ["", "Upgrade: h2c\r\nConnection: Upgrade\r\n"])
@pytest.mark.parametrize("status", ["100", "101", "103", "199", "099", "000", "1030", "2x0"])
def test_no_byte_of_a_pod_is_seen_by_another_user(
    ingress: Ingress, django: FakeDjango, status: str, more: str
) -> None:
    with RawPod() as pod:
        django.user("alice", pod.peer)
        pod.answer = (
            f"HTTP/1.1 {status} EVIL\r\nSet-Cookie: EVIL=1\r\n\r\n"
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL"
        ).encode()
        with socket.create_connection(("127.0.0.1", ingress.port), timeout=10) as gateway:
            gateway.sendall(request("alice", more))
            found, is_closed = read_quiet(gateway)
            assert MARK not in found
            if not is_closed:
                assert split_answer(found)[0] == 502
                gateway.sendall(request("bob"))
                found, _ = read_quiet(gateway)
                assert MARK not in found
                assert b'"name": "bob"' in split_answer(found)[2]


@pytest.mark.parametrize("asked", ["Upgrade", "keep-alive, upgrade"])
def test_a_websocket_that_was_asked_for_passes(
    ingress: Ingress, django: FakeDjango, asked: str
) -> None:
    with RawPod() as pod:
        django.user("alice", pod.peer)
        pod.answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\nhello"
        with socket.create_connection(("127.0.0.1", ingress.port), timeout=10) as gateway:
            gateway.sendall(request("alice", f"Upgrade: websocket\r\nConnection: {asked}\r\n"))
            found, is_closed = read_quiet(gateway)
            assert not is_closed
            assert found.startswith(b"HTTP/1.1 101 ")
            assert found.endswith(b"hello")


def test_an_address_that_passes_to_another_user_rests_first(
    ingress: Ingress, django: FakeDjango
) -> None:
    """nginx would take a connection to the former pod for the new one's."""
    with RawPod() as pod:
        pod.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
        django.user("alice", pod.peer)
        assert ingress.get("/", ALICE).status == 200
        assert ingress.get("/", ALICE).status == 200
        django.user("alice", None)
        django.user("bob", pod.peer)
        answer = ingress.get("/", BOB)
        assert (answer.status, answer.json()["message"]) == (503, "Django says wait")
        assert len(pod.heads) == 2


@pytest.mark.parametrize("name", [b"\xa0Content-Length", b"C,ontent-Length", b"(Location"])
def test_an_answer_with_a_name_that_is_none_is_refused(
    ingress: Ingress, django: FakeDjango, name: bytes
) -> None:
    with RawPod() as pod:
        pod.answer = b"HTTP/1.1 200 OK\r\n%s: 1\r\nContent-Length: 2\r\n\r\nhi" % name
        django.user("alice", pod.peer)
        with socket.create_connection(("127.0.0.1", ingress.port), timeout=10) as gateway:
            gateway.sendall(request("alice"))
            found, _ = read_quiet(gateway)
    assert split_answer(found)[0] == 502
    assert name not in found


@pytest.mark.parametrize("domain", ["Domain", "\x0bDomain", "DOMAIN ", "\xa0domain"])
def test_no_cookie_of_a_pod_is_for_more_than_its_host(
    ingress: Ingress, django: FakeDjango, domain: str
) -> None:
    query = urllib.parse.urlencode({"Set-Cookie": f"a=1; {domain}=example.org"}, encoding="latin-1")
    assert ingress.get(f"/headers-back?{query}", ALICE).all("set-cookie") == []


@pytest.mark.parametrize(
    "name", ["X-Forwarded-Email", "X-Forwarded-Groups", "X-Forwarded-Anything", "X-Original-Url"]
)
def test_what_the_controller_does_not_say_is_not_said(ingress: Ingress, name: str) -> None:
    assert ingress.get("/", ALICE, (name, "forged")).sent(name.lower()) == []
    assert ingress.get("/", (name, "forged"), host="other.example.org").sent(name.lower()) != []


def request(name: str, more: str = "") -> bytes:
    lines = f"Host: userpods.example.org\r\nCookie: sessionid=s-{name}\r\n{more}"
    return f"GET / HTTP/1.1\r\n{lines}\r\n".encode()


def test_no_lua_error_was_logged(ingress: Ingress) -> None:
    log = (ingress.folder / "log").read_text(errors="replace")
    assert "lua entry thread aborted" not in log
    assert "failed to run" not in log


def test_the_ingress_fits_the_lua() -> None:
    documents = list(yaml.safe_load_all((VARIANT / "ingress.yaml").read_text()))
    pods = next(one for one in documents if one["metadata"]["name"] == "userpods-pods")
    annotations = pods["metadata"]["annotations"]
    prefix = "nginx.ingress.kubernetes.io/"
    # $authHeader0 and $authHeader1 are the first two.
    assert annotations[prefix + "auth-response-headers"].split(",") == [
        "X-Target-Service",
        "X-Target-Peer",
        "X-Userpods-User",
    ]
    for trap in ("satisfy", "auth-keepalive", "auth-cache-key", "configuration-snippet"):
        assert prefix + trap not in annotations
    backend = pods["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
    name = f"{pods['metadata']['namespace']}-{backend['name']}-{backend['port']['number']}"
    assert name == "userpods-userpods-pods-8000"
    snippet = (VARIANT / "server-snippet.conf").read_text()
    assert 'NAMESPACE .. "-userpods-pods-8000"' in snippet
    assert 'local NAMESPACE = "userpods" --' in snippet


def test_the_sites_cookies_are_those_that_the_router_knows() -> None:
    """A name that is missing is one that a pod may set, and sign its visitor in as somebody."""
    words = (ROUTER / "settings" / "settings.lua").read_text()
    text = (VARIANT / "server-snippet.conf").read_text()
    for setting, name in (("cookies", "COOKIES"), ("credential_cookies", "CREDENTIALS")):
        cookies = re.search(rf"\n\s*{setting} = \{{([^}}]*)\}}", words)
        snippet = re.search(rf"local {name} = \{{([^}}]*)\}}", text)
        assert cookies
        assert snippet
        known = re.findall(r'"([\w-]+)"', cookies[1])
        assert known
        assert known == re.findall(r'\["([\w-]+)"\] = true', snippet[1])
