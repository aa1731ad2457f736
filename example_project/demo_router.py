"""The router of ``manifests/router`` laid out for the demo, with this machine's settings."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from demo_machine import HOST, DemoError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from demo_ways import Way

ROUTER = Path(__file__).resolve().parents[1] / "manifests" / "router"


#: The site's paths, where it shares its host with pods: all that are not theirs.
SITE_PATHS = "location ~ ^/(?!{pods}) {{ include site.conf; }}\n"
#: For the site's own host: what the ingress or gateway of a cluster does.
SITE = """
server {{
    {listen}
    server_name localhost;
    include site-server.conf;
    location / {{ include site.conf; }}
}}
"""
#: Whoever comes by a number is told the name: cookies and pods' addresses go by that.
BY_NUMBER = """
server {{
    {listen}
    server_name {host} [::1];
    include site-server.conf;
    location / {{ return 302 {site}$request_uri; }}
}}
"""


def lay_out(
    folder: Path, *, way: Way, hosts: Sequence[str], internal_port: int, django_port: int
) -> None:
    """Make a folder that ``nginx -p`` runs the router from; what was there is replaced.

    For people it listens on the way's port of these ``hosts``, and on ``internal_port`` for Django,
    which listens on ``django_port``. DemoError where the shipped settings are not those that this
    knows.
    """
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "run").mkdir(parents=True)
    for shipped in ROUTER.iterdir():
        if shipped.name != "settings":
            (folder / shipped.name).symlink_to(shipped)
    settings = folder / "settings"
    shutil.copytree(ROUTER / "settings", settings)
    _replace(settings / "main.conf", "worker_processes 2;", "worker_processes 1;")
    # More than a user's limit may be.
    _replace(settings / "main.conf", "worker_rlimit_nofile 65536;", "")
    django = f"{HOST}:{django_port}"
    _replace(settings / "http.conf", "django.userpods.svc.cluster.local:8000", django)
    own = f"default localhost:{way.port};"
    _replace(settings / "http.conf", "default userpods.example.org;", own)
    _replace(settings / "http.conf", "default https;", "default http;")
    _replace(settings / "internal.conf", "listen 8081;", f"listen {HOST}:{internal_port};")
    listen = "\n    ".join(f"listen {host}:{way.port};" for host in hosts)
    # Not `reuseport`: a port that a user's other demo has would be shared with it in silence.
    _replace(settings / "public.conf", "listen 8080 reuseport;", listen)
    servers = BY_NUMBER.format(listen=listen, host=HOST, site=way.site.rstrip("/"))
    if way.has_hosts:
        servers += SITE.format(listen=listen)
    else:
        pods = way.pods.partition("{pod}")[0].lstrip("/")
        with (settings / "public.conf").open("a") as public:
            public.write(SITE_PATHS.format(pods=pods))
    (settings / "servers.conf").write_text(servers)
    (settings / "pods.conf").write_text("".join(f"include {name};\n" for name in way.includes))
    (settings / "settings.lua").write_text(
        "return {\n"
        f'    pods_url = "{way.pods}",\n'
        f'    site_url = "{way.site}",\n'
        '    login_url = "/accounts/login/",\n'
        f'    internal = "{HOST}:{internal_port}",\n'
        "    allow_loopback = true,\n"
        "    retry_after = 1,\n"
        "}\n"
    )


def _replace(path: Path, old: str, new: str) -> None:
    """Replace a line's text in a file; DemoError where it is not there."""
    text = path.read_text()
    if old not in text:
        msg = f"{path} does not say {old!r}"
        raise DemoError(msg)
    path.write_text(text.replace(old, new))
