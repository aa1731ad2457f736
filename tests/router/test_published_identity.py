"""Published holes of proxies that were talked into another identity, path or target.

What was published, and where, is in docs/published-holes.md; headers that say who somebody is, and
underscores in them, are in test_attacks.py.
"""

from __future__ import annotations

import urllib.parse
from typing import TYPE_CHECKING

import pytest

from tests.router.harness import raw

if TYPE_CHECKING:
    from tests.router.fake_django import FakeDjango
    from tests.router.harness import Response, Router

pytestmark = pytest.mark.router

ALICE = ("Cookie", "sessionid=s-alice")
BOB = ("Cookie", "sessionid=s-bob")
PODS = {"alice", "bob"}

#: Identities by the names of kubeflow, Grafana, Authelia, Authentik, Envoy, Istio, Cloudflare.
NAMES = [
    "kubeflow-userid",
    "X-WEBAUTH-USER",
    "X-Authentik-Username",
    "X-Goog-Authenticated-User-Email",
    "X-Envoy-External-Address",
    "X-MS-CLIENT-PRINCIPAL-NAME",
    "Cf-Access-Authenticated-User-Email",
]


def answered_by(answer: Response) -> str:
    """Whose answer it is: a pod's, Django's, or (empty) the router's own."""
    try:
        return str(answer.json().get("name", ""))
    except ValueError:
        return ""


@pytest.mark.parametrize("name", NAMES)
def test_no_header_lets_anybody_in(router: Router, django: FakeDjango, name: str) -> None:
    """kubeflow took whoever could reach it for the user in ``kubeflow-userid``."""
    assert router.get("/", (name, "bob")).status == 401
    assert router.get("/", (name, "bob"), ALICE).json()["name"] == "alice"
    assert not [1 for seen in django.seen for key, _ in seen["headers"] if key == name]


@pytest.mark.parametrize(
    "connection",
    [
        "close, X-Userpods-User",
        "close, X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host",
        "close, Cookie, Authorization, Host",
        "close, x-userpods-user, cookie",
        "close, Upgrade, Transfer-Encoding, Content-Length",
    ],
)
def test_no_header_is_dropped_by_naming_it_in_connection(
    router: Router, django: FakeDjango, connection: str
) -> None:
    """CVE-2021-32813 and CVE-2024-45410 of Traefik, CVE-2021-33197 of Go."""
    head = (
        f"POST /x HTTP/1.1\r\nHost: site.test\r\nConnection: {connection}\r\n"
        "Cookie: sessionid=s-alice; theme=dark\r\nContent-Length: 3\r\n\r\nabc"
    )
    answer = raw(router.port, head.encode())
    assert answer.json()["body"] == 3
    assert answer.sent("x-userpods-user") == ["alice"]
    assert answer.sent("x-forwarded-for") == ["127.0.0.1"]
    assert answer.sent("cookie") == ["theme=dark"]
    assert answer.sent("connection") == []
    (whoami,) = (seen for seen in django.seen if seen["path"] == "/whoami")
    assert "sessionid=s-alice" in dict(whoami["headers"])["Cookie"]


#: Paths that one side may read as the site's and the other as a pod's.
PATHS = [
    "/accounts/../x",
    "/accounts/..;/x",
    "/accounts/..;a=b/x",
    "/accounts/%2e%2e/x",
    "/accounts/%2e%2e%2fx",
    "/accounts/..%2fx",
    "/accounts/..\\x",
    "/accounts/..%5cx",
    "/accounts/..%00/x",
    "/accounts%2f..%2fx",
    "/x/..;/accounts/",
    "/x/%2e%2e/accounts/",
    "/x#/accounts/",
    "/x%23/../accounts/",
    "/x?/accounts/",
    "/x;/accounts/",
    "//accounts//../x",
    "/./x",
    "/ACCOUNTS/x",
    "/%61ccounts/x",
    "/accounts\t/x",
]


@pytest.mark.parametrize("path", PATHS)
def test_no_path_leads_past_whoami(router: Router, path: str) -> None:
    """CVE-2019-9901 (Envoy), CVE-2025-32431, CVE-2026-40912, CVE-2026-137481 (Traefik).

    Whatever a path is read as, a pod is reached by those alone who are somebody, and by that user.
    """
    assert answered_by(router.get(path)) not in PODS
    for who, name in ((ALICE, "alice"), (BOB, "bob")):
        assert answered_by(router.get(path, who)) in {name, "django", ""}


@pytest.mark.parametrize(
    "target", ["/%", "/%zz", "/%0", "/\x01", "/\x7f", "/\xff", "*", "site.test:443", "http://", "?"]
)
@pytest.mark.parametrize("method", ["GET", "OPTIONS", "CONNECT"])
def test_a_malformed_target_lets_nobody_in(router: Router, method: str, target: str) -> None:
    """CVE-2021-32637: Authelia said 200 where it could not read the address."""
    head = f"{method} {target} HTTP/1.1\r\nHost: site.test\r\n\r\n".encode("latin-1")
    answer = raw(router.port, head, method="GET")
    assert answer.status in {400, 401, 405}
    assert answered_by(answer) not in PODS


@pytest.mark.parametrize(
    ("name", "value"),
    [
        # CVE-2026-40575 and CVE-2026-76835 of oauth2-proxy, CVE-2023-27487 of Envoy.
        ("X-Forwarded-Uri", "/accounts/login/"),
        ("X-Forwarded-Prefix", "/accounts"),
        ("X-Envoy-Original-Path", "/accounts/login/"),
        # CVE-2026-94197 of the NGINX Ingress Controller.
        ("X-Original-URI", "/accounts/login/"),
        ("X-Original-URL", "http://site.test/accounts/login/"),
        ("X-Rewrite-URL", "/accounts/login/"),
        ("X-Forwarded-Method", "OPTIONS"),
        ("X-Original-Method", "OPTIONS"),
        ("X-HTTP-Method-Override", "OPTIONS"),
        # CVE-2026-34457 of oauth2-proxy.
        ("User-Agent", "kube-probe/1.34"),
        ("User-Agent", "GoogleHC/1.0"),
        # Skipped middleware, by Next.js' own header.
        ("X-Middleware-Subrequest", "middleware"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "OPTIONS", "HEAD", "TRACE", "PROPFIND"])
def test_no_header_and_no_method_skips_whoami(
    router: Router, name: str, value: str, method: str
) -> None:
    answer = router.get("/x", (name, value), method=method)
    assert answer.status in {401, 405}
    assert answered_by(answer) not in PODS
    assert answered_by(router.get("/x?/accounts/login/", (name, value))) not in PODS


def test_a_websocket_needs_to_be_somebodys(router: Router) -> None:
    """CVE-2024-28179: jupyter-server-proxy asked requests who they are, but not WebSockets."""
    upgrade = (
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="),
    )
    assert router.get("/", *upgrade).status == 401
    assert router.get("/", *upgrade, ("Cookie", "sessionid=nobody")).status == 401


def test_a_pods_cookie_is_kept_for_nobody(router: Router) -> None:
    """CVE-2026-48545 of Gradio, GHSA-7vwr-g6pm-9hc8: the proxy's own client kept cookies."""
    query = urllib.parse.urlencode({"Set-Cookie": "theme=evil; Path=/"})
    for _ in range(3):
        assert router.get(f"/headers-back?{query}", ALICE).all("set-cookie")
    for _ in range(3):
        assert router.get("/", BOB).sent("cookie") == []
        assert router.get("/", ALICE).sent("cookie") == []


@pytest.mark.parametrize(
    "path",
    [
        "/proxy/8000@127.0.0.1/",
        "/proxy/127.0.0.1:1/",
        "/@bob/",
        "/user/bob/",
        "/user-bob:8000/",
        "/http://user-bob:8000/",
    ],
)
def test_no_path_names_a_target(router: Router, path: str) -> None:
    """CVE-2025-47269: code-server put what the path said into the address it went to."""
    answer = router.get(path, ALICE)
    assert answer.json()["name"] == "alice"
    assert answer.json()["target"] == path


@pytest.mark.parametrize("value", ["s-alice\x00", "\x00s-alice", "s-al\x00ice"])
def test_a_zero_byte_ends_no_value(router: Router, django: FakeDjango, value: str) -> None:
    """CVE-2019-9900: Envoy's matchers read up to it, the servers behind on."""
    answer = router.get("/", ("Cookie", f"sessionid={value}"))
    assert answer.status in {400, 401}
    assert answered_by(answer) not in PODS


@pytest.mark.parametrize(
    ("target", "state", "statuses"),
    [
        ("/", "nobody", {302, 401}),
        ("/%", "nobody", {400}),
        ("/_userpods/whoami", "nobody", {404}),
        ("/" + "x" * 200_000, "nobody", {414}),
        ("/", "bad host", {400}),
        ("/", "no address", {503}),
        ("/", "waiting page broken", {503}),
        ("/", "Django is silent", {503}),
        ("/close", "alice", {502}),
        ("/hang", "alice", {504}),
    ],
)
@pytest.mark.parametrize("accept", ["text/html", "*/*"])
def test_no_page_of_the_router_repeats_the_request(
    router: Router, django: FakeDjango, target: str, state: str, statuses: set[int], accept: str
) -> None:
    """CVE-2024-35225: jupyter-server-proxy's own error page held the host of the address."""
    script = "<script>alert(1)</script>"
    headers = [("Accept", accept), ("Referer", script), ("X-Request-Id", script)]
    if state != "nobody":
        headers.append(ALICE)
    if state in {"no address", "waiting page broken"}:
        django.user("alice", None)
        django.waiting_is_broken = state == "waiting page broken"
    if state == "Django is silent":
        django.odd = lambda handler: setattr(handler, "close_connection", True)
    host = f"site.test{script}" if state == "bad host" else "site.test"
    try:
        answer = router.get(f"{target}?{script}", *headers, host=host)
    finally:
        django.waiting_is_broken = False
    assert answer.status in statuses
    said = (answer.body + str(answer.headers).encode()).lower()
    # The page's own script, which waits for another page, is none of the request's.
    assert b"<script>" not in said.replace(b"<script>\ndocument.currentscript.", b"")


def test_what_a_pod_says_of_its_own_page_passes(router: Router) -> None:
    """Unlike what it would say of the whole host: test_hostile_pods.py."""
    own = {
        "Content-Security-Policy": "default-src 'none'",
        "Permissions-Policy": "camera=()",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Access-Control-Allow-Origin": "https://elsewhere.example",
        "Cache-Control": "no-store",
        "Link": "</style.css>; rel=preload",
    }
    answer = router.get(f"/headers-back?{urllib.parse.urlencode(own)}", ALICE)
    assert {name: answer.get(name.lower()) for name in own} == own
