"""The router of ``manifests/router`` laid out for the demo, with this machine's settings."""

from __future__ import annotations

import shutil
from pathlib import Path

from demo_machine import HOST, DemoError

ROUTER = Path(__file__).resolve().parents[1] / "manifests" / "router"


def lay_out(folder: Path, *, port: int, internal_port: int, django_port: int) -> None:
    """Make a folder that ``nginx -p`` runs the router from; what was there is replaced.

    It listens on ``port`` for people and on ``internal_port`` for Django, which listens on
    ``django_port``. DemoError where the shipped settings are not those that this knows.
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
    _replace(settings / "http.conf", "default userpods.example.org;", f"default {HOST};")
    _replace(settings / "http.conf", "default https;", "default http;")
    (settings / "settings.lua").write_text(
        "return {\n"
        '    name_prefix = "user-",\n'
        '    login_url = "/accounts/login/",\n'
        '    cookies = { "sessionid", "csrftoken", "messages", "userpods_token" },\n'
        f'    internal = "{HOST}:{internal_port}",\n'
        "    allow_loopback = true,\n"
        "    retry_after = 1,\n"
        "}\n"
    )
    _replace(settings / "public.conf", "listen 8080;", f"listen {HOST}:{port};")
    _replace(settings / "internal.conf", "listen 8081;", f"listen {HOST}:{internal_port};")


def _replace(path: Path, old: str, new: str) -> None:
    """Replace a line's text in a file; DemoError where it is not there."""
    text = path.read_text()
    if old not in text:
        msg = f"{path} does not say {old!r}"
        raise DemoError(msg)
    path.write_text(text.replace(old, new))
