"""The ingress-nginx variant: its Lua under real nginx with the controller's own balancer Lua.

The Lua comes from the controller's Go module. What the controller's template would write around
it is written here in short; the whole controller runs in the end-to-end tests.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.router.harness import (
    ROOT,
    ROUTER,
    Process,
    Response,
    eventually,
    free_port,
    is_open,
    nginx_binary,
    raw,
    workload,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.router.fake_django import FakeDjango

pytestmark = pytest.mark.router

MODULE = "k8s.io/ingress-nginx@v0.0.0-20240708192948-52c50467d67d"
VARIANT = ROOT / "manifests" / "ingress-nginx"
ALICE = ("Cookie", "sessionid=s-alice; theme=dark")
BOB = ("Cookie", "sessionid=s-bob")

# Lua modules of the controller's image that Debian does not have, as far as they are used here.
SHIMS = """
package.preload["resty.lock"] = function()
    local lock = { lock = function() return 0 end, unlock = function() end }
    return { new = function() return lock end }
end
local function first_of(self, nodes)
    return { find = function() return (next(nodes)) end, nodes = nodes,
             reinit = function(this, new) nodes = new end }
end
package.preload["resty.roundrobin"] = function() return { new = first_of } end
package.preload["resty.chash"] = function() return { new = first_of } end
package.preload["resty.dns.resolver"] = function()
    return { TYPE_A = 1, TYPE_AAAA = 28, new = function() return nil, "not here" end }
end
package.preload["resty.cookie"] = function() return {} end
package.preload["resty.ipmatcher"] = function() return {} end
package.preload["resty.global_throttle"] = function() return {} end
package.preload["resty.http"] = function() return {} end
"""

LOCATION = """
location {path} {{
    set $proxy_upstream_name "{upstream}";
    set $proxy_alternative_upstream_name "";
    set $pass_access_scheme ""; set $best_http_host ""; set $pass_port "";
    set $pass_server_port $server_port;
    rewrite_by_lua_block {{
        lua_ingress.rewrite({{ force_no_ssl_redirect = true, global_throttle = {{
            namespace = "", limit = 0, window_size = 0, key = {{}}, ignored_cidrs = {{}} }} }})
        balancer.rewrite()
    }}
    header_filter_by_lua_block {{ lua_ingress.header() }}
    log_by_lua_block {{ balancer.log() }}
    {auth}
    proxy_http_version 1.1;
    proxy_set_header Host $best_http_host;
    proxy_request_buffering off;
    proxy_pass http://upstream_balancer;
}}
"""

AUTH = """
    auth_request /_auth;
    auth_request_set $authHeader0 $upstream_http_x_target_service;
    proxy_set_header X-Target-Service $authHeader0;
    auth_request_set $authHeader1 $upstream_http_x_target_peer;
    proxy_set_header X-Target-Peer $authHeader1;
    auth_request_set $authHeader2 $upstream_http_x_userpods_user;
    proxy_set_header X-Userpods-User $authHeader2;
    error_page 401 = @login;
"""

CONFIGURATION = """
{modules}
daemon off; pid run/nginx.pid; error_log stderr info; worker_processes 1;
events {{ }}
http {{
    access_log off; client_body_temp_path run/a; proxy_temp_path run/b; fastcgi_temp_path run/c;
    scgi_temp_path run/d; uwsgi_temp_path run/e;
    lua_package_path "{lua}/?.lua;;";
    lua_shared_dict configuration_data 1m;
    lua_shared_dict certificate_data 1m;
    lua_shared_dict certificate_servers 1m;
    lua_shared_dict ocsp_response_cache 1m;
    lua_shared_dict balancer_ewma 1m;
    lua_shared_dict balancer_ewma_last_touched_at 1m;
    lua_shared_dict balancer_ewma_locks 1m;
    lua_shared_dict global_throttle_cache 1m;
    init_by_lua_block {{
        {shims}
        lua_ingress = require("lua_ingress")
        lua_ingress.set_config({{
            use_forwarded_headers = false, use_proxy_protocol = false, hsts = false,
            is_ssl_passthrough_enabled = false, http_redirect_code = 308,
            listen_ports = {{ ssl_proxy = "442", https = "443" }},
            global_throttle = {{ memcached = {{ host = "", port = 0 }}, status_code = 429 }} }})
        configuration = require("configuration")
        configuration.prohibited_localhost_port = "10246"
        balancer = require("balancer")
    }}
    init_worker_by_lua_block {{ lua_ingress.init_worker() balancer.init_worker() }}
    upstream upstream_balancer {{
        server 0.0.0.1;
        balancer_by_lua_block {{ balancer.balance() }}
        keepalive 320;
    }}
    server {{
        listen 127.0.0.1:{port};
        server_name userpods.example.org;
        {snippet}
        {locations}
        location = /_auth {{
            internal;
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
            proxy_set_header Host site.test;
            proxy_pass http://127.0.0.1:{django}/whoami;
        }}
        location @login {{
            return 302 https://userpods.example.org/accounts/login/?next=$request_uri;
        }}
    }}
    server {{
        listen 127.0.0.1:{port};
        server_name other.example.org;
        {snippet}
        {other}
    }}
    server {{
        listen 127.0.0.1:{control};
        location /configuration {{
            client_max_body_size 1m; client_body_buffer_size 1m;
            content_by_lua_block {{ configuration.call() }}
        }}
    }}
}}
"""


def controller_lua() -> Path:
    """The controller's Lua, from the Go module's cache; loud where it is not to be had."""
    go = shutil.which("go") or shutil.which("/usr/local/go/bin/go")
    if go is None:
        pytest.skip("NOT RUN: ingress-nginx's Lua comes as a Go module, and there is no go")
    done = subprocess.run(
        [go, "mod", "download", "-json", MODULE],
        capture_output=True,
        text=True,
        check=False,
        cwd=os.environ.get("TMPDIR", "/tmp"),
        env=os.environ | {"GOFLAGS": "-mod=mod", "GOWORK": "off"},
    )
    if done.returncode:
        pytest.skip(f"NOT RUN: {MODULE} is not to be had: {done.stdout[-300:]}{done.stderr[-300:]}")
    return Path(json.loads(done.stdout)["Dir"]) / "rootfs" / "etc" / "nginx" / "lua"


@dataclass(frozen=True)
class Ingress:
    """The running nginx."""

    port: int
    folder: Path

    def get(
        self,
        path: str = "/",
        *headers: tuple[str, str],
        host: str = "userpods.example.org",
        method: str = "GET",
    ) -> Response:
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", "Connection: close"]
        lines += [f"{key}: {value}" for key, value in headers]
        return raw(self.port, "\r\n".join([*lines, "", ""]).encode("latin-1"))


@pytest.fixture(scope="module")
def other_app(folder: Path) -> Iterator[str]:
    with workload("other", folder) as peer:
        yield peer


@pytest.fixture(scope="module")
def ingress(folder: Path, running_django: FakeDjango, other_app: str) -> Iterator[Ingress]:
    lua = controller_lua()
    top = folder / "ingress"
    (top / "run").mkdir(parents=True)
    port, control = free_port(), free_port()
    snippet = (VARIANT / "server-snippet.conf").read_text()
    # The name is all that allows an address in a cluster; here pods are on loopback.
    assert r"127\.|" in snippet
    snippet = snippet.replace(r"127\.|", "")
    django = "userpods-userpods-pods-8000"
    modules = "\n".join(
        line
        for line in (ROUTER / "settings" / "main.conf").read_text().splitlines()
        if line.startswith("load_module")
    )
    text = CONFIGURATION.format(
        modules=modules,
        lua=lua,
        shims=SHIMS,
        port=port,
        control=control,
        django=running_django.port,
        snippet=snippet,
        locations=LOCATION.format(path="/", upstream=django, auth=AUTH)
        + LOCATION.format(path="/admin/", upstream="userpods-django-8000", auth=""),
        other=LOCATION.format(path="/", upstream="team-other-80", auth="")
        + LOCATION.format(path="/auth/", upstream="team-other-80", auth=AUTH).replace(
            "/_auth", "/no"
        )
        + "location = /no { internal; return 204; }\nlocation @login { return 401; }",
    )
    (top / "nginx.conf").write_text(text)
    command = [nginx_binary(), "-p", str(top), "-c", str(top / "nginx.conf")]
    command += ["-g", "user root;"] if os.geteuid() == 0 else []
    with Process(command, top / "log"):
        eventually(lambda: is_open(port) or "[emerg]" in (top / "log").read_text())
        assert is_open(port), (top / "log").read_text()
        endpoint = {"address": "127.0.0.1", "port": str(running_django.port)}
        host, other_port = other_app.split(":")
        backends: list[dict[str, Any]] = [
            {"name": django, "endpoints": [endpoint]},
            {"name": "userpods-django-8000", "endpoints": [endpoint]},
            {"name": "team-other-80", "endpoints": [{"address": host, "port": other_port}]},
        ]
        body = json.dumps([{"noServer": False, **one} for one in backends]).encode()
        head = (
            f"POST /configuration/backends HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
        )
        assert raw(control, (head + "Connection: close\r\n\r\n").encode() + body).status == 201
        found = Ingress(port, top)
        eventually(lambda: found.get("/", host="other.example.org").status == 200)
        yield found


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
    answer = ingress.get("/", ("Authorization", "Bearer t-bob"))
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


def test_without_credentials_there_is_no_way_in(ingress: Ingress) -> None:
    answer = ingress.get("/x")
    assert answer.status == 302
    assert "/accounts/login/" in (answer.get("location") or "")
    assert ingress.get("/x", ("Authorization", "Bearer no")).status == 403


@pytest.mark.parametrize(
    "change",
    [
        {"X-Target-Service": "user-bob.kube-system"},
        {"X-Target-Service": "kubernetes"},
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
def test_an_answer_that_names_no_pod_of_ours_is_refused(
    ingress: Ingress, django: FakeDjango, change: dict[str, str]
) -> None:
    django.answer = change
    assert ingress.get("/", ALICE).status == 503


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
