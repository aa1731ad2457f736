"""``userpods_doctor``: what stands in the way, and what to do about it."""

from __future__ import annotations

import datetime
import json
import socketserver
import ssl
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest
from django.core.management import call_command
from django.utils import timezone
from django.utils.translation import override

from django_userpods.doctor import (
    Finding,
    Level,
    examination,
    examine,
    inside,
    outside,
    permissions,
)
from django_userpods.exceptions import ClusterUnavailable, UnknownKind
from django_userpods.models import Installation
from tests.django.support import bulk, examine_here, sync
from tests.testcluster.certificates import Authority

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from django_userpods.testing import MemoryCluster

pytestmark = pytest.mark.django_db


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    examine_here(monkeypatch)


def run(*arguments: str) -> tuple[int, str]:
    out, code = StringIO(), 0
    try:
        call_command("userpods_doctor", *arguments, stdout=out, stderr=StringIO())
    except SystemExit as error:
        code = int(str(error.code))
    return code, out.getvalue()


def of(about: str, **options: Any) -> list[Finding]:
    return [finding for finding in examine(**options) if finding.about == about]


def levels(findings: list[Finding]) -> list[str]:
    return [finding.level.value for finding in findings]


@pytest.mark.usefixtures("here")
def test_where_all_is_well_it_says_so_and_exits_0(memory: MemoryCluster, settings: Any) -> None:
    settings.USERPODS_SITE_URL = "http://localhost:8000/"
    settings.USERPODS_URL = "http://{pod}.localhost:8000/"
    bulk(1)
    sync()
    code, out = run()
    assert code == 0, out
    assert {line.split()[1] for line in out.splitlines() if line.startswith("ok")} >= {
        "database",
        "cluster",
        "rights",
        "DNS",
        "clock",
    }
    assert "wrong" not in out
    found = json.loads(run("--format", "json")[1])
    assert found["ok"] is True
    assert {item["about"] for item in found["findings"]} == {
        *("settings", "database", "cluster", "rights"),
        *("dns", "router", "certificates", "clock"),
    }


@pytest.mark.usefixtures("here")
def test_what_is_wrong_comes_with_what_to_do_and_exits_1(
    memory: MemoryCluster, settings: Any
) -> None:
    settings.USERPODS_PORT = "many"
    memory.fail_with(ClusterUnavailable("cannot reach 10.0.0.1:6443"))
    code, out = run()
    assert code == 1
    assert "USERPODS_PORT" in out
    assert "cannot reach 10.0.0.1:6443" in out
    findings = examine()
    assert all(finding.hint for finding in findings if finding.level is Level.WRONG)
    assert json.loads(run("--format", "json")[1])["ok"] is False


@pytest.mark.usefixtures("here")
def test_missing_rights_are_named_with_namespace_and_kind(
    memory: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str, str | None]] = []

    def is_allowed(verb: str, kind: Any, *, namespace: str | None, timeout: Any = None) -> bool:
        asked.append((verb, kind.kind, namespace))
        return (verb, kind.kind) not in {("patch", "Service"), ("list", "Pod")}

    monkeypatch.setattr(type(memory), "is_allowed", staticmethod(is_allowed))
    (finding,) = of("rights")
    assert finding.level is Level.WRONG
    assert "In default these rights are missing: Pod: list; Service: patch." in finding.text
    assert "userpods_manifests --only rbac" in finding.hint
    assert not [verb for verb, *_ in asked if verb == "watch"]
    of("rights", controller=True)
    assert ("watch", "Deployment", "default") in asked
    assert ("update", "Lease", "default") in asked


@pytest.mark.usefixtures("here")
def test_a_namespace_that_is_not_there_is_told_once(
    memory: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        type(memory), "lacks_namespace", staticmethod(lambda name: f"no namespace {name}")
    )
    assert [finding.text for finding in of("rights")] == ["no namespace default"]


@pytest.mark.usefixtures("here")
def test_a_namespace_by_user_needs_rights_in_all(
    memory: MemoryCluster, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.USERPODS_NAMESPACE = lambda user: f"home-{user.pk}"
    monkeypatch.setattr(
        type(memory), "is_allowed", staticmethod(lambda *_, namespace, **__: namespace is not None)
    )
    (finding,) = of("rights")
    assert finding.text.startswith("In all namespaces these rights are missing")


@pytest.mark.usefixtures("here")
def test_a_kind_that_the_cluster_lacks_is_told(
    memory: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_allowed(verb: str, kind: Any, **_: Any) -> bool:
        if kind.kind == "Service":
            message = "no Services here"
            raise UnknownKind(message)
        return True

    monkeypatch.setattr(type(memory), "is_allowed", staticmethod(is_allowed))
    assert of("rights")[0].text == "no Services here"


def test_it_ends_whatever_hangs(memory: MemoryCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    let_go = threading.Event()

    def hang(*_: Any, **__: Any) -> list[Finding]:
        let_go.wait(60)
        return []

    monkeypatch.setattr(inside, "settings", hang)
    monkeypatch.setattr(inside, "database", lambda _facts: [])
    monkeypatch.setattr(outside, "names", hang)
    monkeypatch.setattr(permissions, "clock", hang)
    began = time.monotonic()
    found = examine(timeout=0.5)
    assert time.monotonic() - began < 30
    let_go.set()
    assert {f.about for f in found if "no answer within 0.5 s" in f.text} >= {
        "settings",
        "dns",
        "clock",
    }


@pytest.mark.usefixtures("here")
def test_a_part_that_breaks_leaves_the_others_and_tells_no_secret(
    memory: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> list[Finding]:
        message = "password=hunter2"
        raise RuntimeError(message)

    monkeypatch.setattr(outside, "names", broken)
    found = examine()
    assert [f.text for f in found if f.about == "dns"] == [
        "This could not be examined: RuntimeError."
    ]
    assert "hunter2" not in str(found)
    assert any(f.about == "database" and f.level is Level.OK for f in found) or (
        not Installation.objects.exists()
    )


@pytest.mark.usefixtures("here")
def test_a_clock_that_is_off_is_told(
    memory: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def server_time(**_: Any) -> datetime.datetime:
        return timezone.now() + datetime.timedelta(minutes=5)

    monkeypatch.setattr(type(memory), "server_time", staticmethod(server_time))
    finding = of("clock")[-1]
    assert finding.level is Level.WRONG
    assert "the API server differs" in finding.text
    assert "NTP" in finding.hint


def test_a_name_that_is_not_found_is_told(memory: MemoryCluster, settings: Any) -> None:
    settings.USERPODS_SITE_URL = "https://userpods.invalid/"
    settings.USERPODS_URL = "https://{pod}.pods.invalid/"
    found = list(outside.names())
    assert levels(found) == ["wrong", "wrong"]
    assert "userpods-doctor.pods.invalid" in found[1].text
    assert "wildcard" in found[1].hint
    assert levels(list(outside.certificates(1.0))) == ["note", "note"]


@contextmanager
def router(status: int) -> Iterator[str]:
    """Serve one status at /healthz, 404 elsewhere; gives the URL, with a password in it."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/healthz" else 404)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://me:hunter2@127.0.0.1:{server.server_port}"
        server.shutdown()


def test_routers_are_asked_and_their_passwords_not_told(settings: Any) -> None:
    with router(200) as well, router(503) as ill:
        settings.USERPODS_ROUTERS = [well, ill, "http://127.0.0.1:1"]
        found = list(outside.routers(5.0))
    assert levels(found) == ["ok", "wrong", "wrong"]
    assert "status 503" in found[1].text
    assert "hunter2" not in str(found)
    settings.USERPODS_ROUTERS = []
    assert levels(list(outside.routers(5.0))) == ["note"]


@contextmanager
def tls_server(folder: Path, **issued: Any) -> Iterator[str]:
    """Serve nothing, by TLS, with a certificate of ``folder/ca.crt``; gives the URL."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*Authority(folder).issue("site", "site", **issued))
    with socketserver.ThreadingTCPServer(
        ("127.0.0.1", 0), socketserver.BaseRequestHandler
    ) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"https://localhost:{server.server_address[1]}/"
        server.shutdown()


@pytest.mark.parametrize(
    ("host", "lasts", "is_known", "level", "words"),
    [
        ("localhost", {"days": 90}, True, "ok", "localhost, is valid for 89 more days"),
        ("localhost", {"days": 10}, True, "note", "localhost, is valid for 9 more days"),
        ("localhost", {"minutes": -30}, True, "wrong", "is refused: certificate has expired"),
        ("other.example", {"days": 90}, True, "wrong", "is refused: Hostname mismatch"),
        ("localhost", {"days": 90}, False, "wrong", "is refused: unable to get local issuer"),
    ],
    ids=["ok", "ends soon", "expired", "of another name", "of an unknown authority"],
)
def test_certificates_are_looked_at_as_a_browser_would(
    settings: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    host: str,
    lasts: dict[str, int],
    is_known: bool,
    level: str,
    words: str,
) -> None:
    if is_known:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.crt"))
    with tls_server(tmp_path, hosts=[host], lasts=datetime.timedelta(**lasts)) as url:
        settings.USERPODS_SITE_URL, settings.USERPODS_URL = url, None
        found = list(outside.certificates(60.0))
    assert levels(found) == [level]
    assert words in found[0].text
    assert bool(found[0].hint) is (level != "ok")


def test_findings_are_in_the_language_of_whoever_asks(
    memory: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.utils.translation import get_language

    seen: list[str | None] = []

    def part() -> list[Finding]:
        seen.append(get_language())
        return []

    with override("de"):
        examination._side_by_side({"dns": part}, 5.0)
    assert seen == ["de"]
