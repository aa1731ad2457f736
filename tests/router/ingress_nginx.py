"""Runs nginx with our Lua for ingress-nginx and the controller's own balancer Lua.

The Lua comes from the controller's Go module. What the controller's template would write around
it is written here in short; the whole controller runs in the end-to-end tests.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from django_userpods.deploy import shipped
from tests.router.harness import (
    ROOT,
    Process,
    Response,
    eventually,
    is_open,
    load_modules,
    nginx_binary,
    raw,
)
from tests.testcluster.processes import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

MODULE = "k8s.io/ingress-nginx@v0.0.0-20240708192948-52c50467d67d"
VARIANT = ROOT / "manifests" / "ingress-nginx"
#: What the controller calls the backends of our Ingresses: namespace, Service and port.
PODS, RESERVED = "userpods-userpods-pods-8000", "userpods-userpods-reserved-8000"
#: Site and pods on one host, with the site's own cookies.
SHARED = shipped.ProjectValues(
    where=None,
    lua={
        "cookies": ["sessionid", "csrftoken", "messages", "userpods_token"],
        "credential_cookies": ["sessionid", "userpods_token"],
    },
)

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
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection $connection_upgrade;
    proxy_request_buffering off;
    proxy_buffering off;
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
    access_log off; large_client_header_buffers {buffers};
    client_body_temp_path run/a; proxy_temp_path run/b; fastcgi_temp_path run/c;
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
    map $http_upgrade $connection_upgrade {{ default upgrade; "" ""; }}
    upstream upstream_balancer {{
        server 0.0.0.1;
        balancer_by_lua_block {{ balancer.balance() }}
        keepalive 320;
    }}
    server {{
        listen 127.0.0.1:{port};
        server_name {name};
        {snippet}
        {locations}
        location = /_auth {{
            internal;
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
            proxy_set_header Host site.test;
            {told}
            proxy_pass http://127.0.0.1:{django}/whoami;
        }}
        location @login {{
            return 302 {signin};
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
        cwd=tempfile.gettempdir(),
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


@contextlib.contextmanager
def ingress_nginx(
    top: Path, django_port: int, other_app: str, values: shipped.ProjectValues = SHARED
) -> Iterator[Ingress]:
    """The Ingresses of Django and the pods, beside one of another team with ``other_app``."""
    (top / "run").mkdir(parents=True)
    port, control = free_port(), free_port()
    text = configuration(values, port=port, control=control, django_port=django_port)
    (top / "nginx.conf").write_text(text)
    command = [nginx_binary(), "-p", str(top), "-c", str(top / "nginx.conf")]
    command += ["-g", "user root;"] if os.geteuid() == 0 else []
    with Process(command, top / "log"):
        eventually(lambda: is_open(port) or "[emerg]" in (top / "log").read_text())
        assert is_open(port), (top / "log").read_text()
        tell_backends(control, django_port, other_app)
        found = Ingress(port, top)
        eventually(lambda: found.get("/", host="other.example.org").status == 200)
        yield found


def configuration(
    values: shipped.ProjectValues, *, port: int, control: int, django_port: int
) -> str:
    """What the controller would write: nginx.conf with the shipped snippet and headers in it."""
    path = Path("ingress-nginx") / "server-snippet.conf"
    snippet = shipped.fill(path, (VARIANT / path.name).read_text(), values)
    headers = yaml.safe_load((VARIANT / "whoami.yaml").read_text())["data"]
    kustomization = yaml.safe_load((VARIANT / "kustomization.yaml").read_text())
    (literal,) = kustomization["configMapGenerator"][0]["literals"]
    buffers = literal.removeprefix("large-client-header-buffers=")
    told = "".join(f"proxy_set_header '{name}' '{value}';\n" for name, value in headers.items())
    # The name is all that allows an address in a cluster; here pods are on loopback.
    assert r"127\.|" in snippet
    snippet = snippet.replace(r"127\.|", "")
    return CONFIGURATION.format(
        modules=load_modules(),
        lua=controller_lua(),
        shims=SHIMS,
        port=port,
        control=control,
        django=django_port,
        snippet=snippet,
        told=told,
        buffers=buffers,
        signin=values.get("auth-signin").replace("$escaped_request_uri", "$request_uri"),
        name=values.get("pods-host"),
        locations=LOCATION.format(path=values.get("pods-path"), upstream=PODS, auth=AUTH)
        + LOCATION.format(path="/.userpods/", upstream=RESERVED, auth="")
        + LOCATION.format(path="/admin/", upstream="userpods-django-8000", auth=""),
        other=LOCATION.format(path="/", upstream="team-other-80", auth="")
        + LOCATION.format(path="/auth/", upstream="team-other-80", auth=AUTH).replace(
            "/_auth", "/no"
        )
        + "location = /no { internal; return 204; }\nlocation @login { return 401; }",
    )


def tell_backends(control: int, django_port: int, other_app: str) -> None:
    """Tell the controller's Lua, as the controller does, where each Service's pods are."""
    endpoint = {"address": "127.0.0.1", "port": str(django_port)}
    host, other_port = other_app.split(":")
    backends: list[dict[str, Any]] = [
        {"name": PODS, "endpoints": [endpoint]},
        {"name": RESERVED, "endpoints": [endpoint]},
        {"name": "userpods-django-8000", "endpoints": [endpoint]},
        {"name": "team-other-80", "endpoints": [{"address": host, "port": other_port}]},
    ]
    body = json.dumps([{"noServer": False, **one} for one in backends]).encode()
    head = f"POST /configuration/backends HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
    assert raw(control, (head + "Connection: close\r\n\r\n").encode() + body).status == 201
