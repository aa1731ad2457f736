"""Reloads, rolls and configurations: nothing is dropped, and nginx accepts what we ship."""

from __future__ import annotations

import contextlib
import http.client
import shutil
import signal
import socket
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Self

import pytest
import yaml

from tests.router.harness import (
    ROOT,
    ROUTER,
    Process,
    Router,
    eventually,
    is_open,
    lua,
    nginx_binary,
    read_response,
)
from tests.testcluster.processes import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.router.fake_django import FakeDjango

pytestmark = pytest.mark.router

ALICE = ("Cookie", "sessionid=s-alice")


class Load:
    """Clients that ask without a pause, on kept connections, and count what fails."""

    def __init__(self, ports: list[int], clients: int = 4) -> None:
        self.ports = ports
        self.done = 0
        self.failures: list[str] = []
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(n,)) for n in range(clients)]

    def __enter__(self) -> Self:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join()

    def run(self, number: int) -> None:
        port = self.ports[number % len(self.ports)]
        connection: http.client.HTTPConnection | None = None
        while not self.over.is_set():
            fresh = connection is None
            connection = connection or http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            try:
                connection.request("GET", "/slow?seconds=0.01", headers=dict([ALICE]))
                answer = connection.getresponse()
                answer.read()
                if answer.status != 200:
                    self.failures.append(f"status {answer.status}")
                self.done += 1
                if answer.will_close:
                    connection.close()
                    connection = None
            except (ConnectionResetError, http.client.RemoteDisconnected, BrokenPipeError) as error:
                # A kept connection may be closed between two requests (RFC 9112, 9.5), and is
                # then tried anew, as every client does. A fresh one may not.
                if fresh:
                    self.failures.append(repr(error))
                if connection is not None:
                    connection.close()
                connection = None
            except OSError as error:
                self.failures.append(repr(error))
                if connection is not None:
                    connection.close()
                connection = None
        if connection is not None:
            connection.close()


def test_a_reload_drops_no_request(tmp_path: Path, django: FakeDjango) -> None:
    with Router(tmp_path / "nginx", django.port) as router:
        with Load([router.port]) as load:
            for _ in range(4):
                time.sleep(0.5)
                router.process.process.send_signal(signal.SIGHUP)
            time.sleep(1)
        assert load.failures == []
        assert load.done > 100


def test_a_reload_finishes_what_is_under_way(tmp_path: Path, django: FakeDjango) -> None:
    with (
        Router(tmp_path / "nginx", django.port) as router,
        socket.create_connection(("127.0.0.1", router.port), timeout=10) as connection,
    ):
        head = f"GET /slow?seconds=2 HTTP/1.1\r\nHost: x\r\n{': '.join(ALICE)}\r\n\r\n"
        connection.sendall(head.encode())
        time.sleep(0.3)
        router.process.process.send_signal(signal.SIGHUP)
        assert read_response(connection).json()["name"] == "alice"


def test_a_reload_with_broken_settings_changes_nothing(tmp_path: Path, django: FakeDjango) -> None:
    router = Router(tmp_path / "nginx", django.port)
    with router:
        settings = router.folder / "settings" / "settings.lua"
        good = settings.read_text()
        settings.write_text('return { pods_url = "not a URL" }')
        router.process.process.send_signal(signal.SIGHUP)
        time.sleep(0.5)
        assert router.get("/", ALICE).json()["name"] == "alice"
        settings.write_text(good)
        (router.folder / "log").write_text("")


def test_draining_asks_clients_to_connect_elsewhere(tmp_path: Path, django: FakeDjango) -> None:
    with Router(tmp_path / "nginx", django.port) as router:
        kept = http.client.HTTPConnection("127.0.0.1", router.port, timeout=5)
        kept.request("GET", "/", headers=dict([ALICE]))
        answer = kept.getresponse()
        answer.read()
        assert not answer.will_close
        assert router.get("/readyz", port=router.internal).status == 200
        begin = time.monotonic()
        drained = router.get("/drain?seconds=2&most=10", port=router.internal)
        assert drained.json() == {"status": "draining"}
        assert 1.9 < time.monotonic() - begin < 4
        assert router.get("/readyz", port=router.internal).status == 503
        assert router.get("/healthz", port=router.internal).status == 200
        for path in ("/", "/accounts/login/"):
            client = http.client.HTTPConnection("127.0.0.1", router.port, timeout=5)
            client.request("GET", path, headers=dict([ALICE]))
            answer = client.getresponse()
            answer.read()
            assert answer.status == 200
            assert answer.will_close
        kept.close()


def test_draining_waits_for_what_runs(tmp_path: Path, django: FakeDjango) -> None:
    with (
        Router(tmp_path / "nginx", django.port) as router,
        socket.create_connection(("127.0.0.1", router.port), timeout=10) as connection,
    ):
        head = f"GET /slow?seconds=3 HTTP/1.1\r\nHost: x\r\n{': '.join(ALICE)}\r\n\r\n"
        connection.sendall(head.encode())
        time.sleep(0.3)
        begin = time.monotonic()
        router.get("/drain?seconds=0&most=10", port=router.internal)
        assert 2 < time.monotonic() - begin < 5
        assert read_response(connection).status == 200


def test_a_roll_drops_no_request(tmp_path: Path, django: FakeDjango) -> None:
    """As the Deployment does it: drain, then stop, while a new one has taken over.

    The balancing Service is here a plain nginx that stops sending to a router that is draining.
    """
    old = Router(tmp_path / "old", django.port)
    new = Router(tmp_path / "new", django.port)
    with service(tmp_path / "service", [old.port]) as (port, send_to), new, old:
        with Load([port]) as load:
            time.sleep(1)
            drain = threading.Thread(
                target=lambda: old.get("/drain?seconds=2&most=20", port=old.internal)
            )
            drain.start()
            time.sleep(0.5)
            send_to([new.port])
            drain.join()
            old.process.stop(signal.SIGTERM)
            time.sleep(1)
        assert load.failures == []
        assert load.done > 100


@contextlib.contextmanager
def service(folder: Path, ports: list[int]) -> Iterator[tuple[int, Callable[[list[int]], None]]]:
    """A gateway with kept connections, and a function that gives it other routers."""
    (folder / "run").mkdir(parents=True)
    port = free_port()

    def write(ports: list[int]) -> None:
        servers = "".join(f"server 127.0.0.1:{one};" for one in ports)
        temporary = "".join(
            f"{kind}_temp_path run/{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "scgi", "uwsgi")
        )
        (folder / "nginx.conf").write_text(f"""
            daemon off; pid run/nginx.pid; error_log stderr; worker_processes 1;
            events {{ }}
            http {{
                access_log off; {temporary}
                upstream routers {{ {servers} keepalive 16; }}
                server {{
                    listen 127.0.0.1:{port};
                    location / {{
                        proxy_pass http://routers; proxy_http_version 1.1;
                        proxy_set_header Connection "";
                    }}
                }}
            }}""")

    write(ports)
    command = [nginx_binary(), "-p", str(folder), "-c", str(folder / "nginx.conf")]
    with Process(command, folder / "log") as process:
        eventually(lambda: is_open(port))

        def send_to(ports: list[int]) -> None:
            write(ports)
            process.process.send_signal(signal.SIGHUP)

        yield port, send_to


def test_the_shipped_files_are_accepted(tmp_path: Path) -> None:
    """`nginx -t` with the shipped settings, but for a name that only a cluster knows."""
    folder = tmp_path / "shipped"
    shutil.copytree(ROUTER, folder)
    (folder / "run").mkdir()
    http_conf = folder / "settings" / "http.conf"
    text = http_conf.read_text()
    assert "server django.userpods.svc.cluster.local:8000;" in text
    http_conf.write_text(text.replace("django.userpods.svc.cluster.local", "127.0.0.1"))
    main_conf = folder / "settings" / "main.conf"
    main_conf.write_text(main_conf.read_text().replace("worker_rlimit_nofile 65536;", ""))
    command = [nginx_binary(), "-t", "-p", str(folder), "-c", str(folder / "nginx.conf")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "[warn]" not in done.stderr.replace("worker_connections exceed", ""), done.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"pods_url": "not a URL"}, "pods_url has blanks"),
        ({"cache_secs": 5}, "unknown setting: cache_secs"),
        ({"cache_seconds": "5"}, "cache_seconds must be a number"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, options: dict[str, object], words: str) -> None:
    router = Router(tmp_path / "nginx", 1, options=options)
    router.write()
    done = subprocess.run(router.command, capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode != 0
    assert words in done.stderr


def test_the_kustomization_has_every_file() -> None:
    text = yaml.safe_load((ROUTER / "kustomization.yaml").read_text())
    listed = {file for one in text["configMapGenerator"] for file in one["files"]}
    there = {
        path.relative_to(ROUTER).as_posix()
        for path in ROUTER.rglob("*")
        if path.suffix in {".conf", ".lua"}
    }
    assert listed == there


def test_the_deployment_fits_nginx() -> None:
    deployment = yaml.safe_load((ROUTER / "deployment.yaml").read_text())
    spec = deployment["spec"]["template"]["spec"]
    container = spec["containers"][0]
    conf = (ROUTER / "nginx.conf").read_text()
    hook = container["lifecycle"]["preStop"]["httpGet"]["path"]
    assert hook == "/drain?seconds=8&most=70"
    assert "worker_shutdown_timeout 60s;" in conf
    assert spec["terminationGracePeriodSeconds"] > 70 + 60
    mounted = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounted == {f"/etc/userpods/{file.name}" for file in ROUTER.glob("*.conf")} | {
        "/etc/userpods/lua/userpods",
        "/etc/userpods/settings",
        "/etc/userpods/run",
    }
    dockerfile = (ROUTER / "Dockerfile").read_text()
    assert str(container["command"]).replace("'", "") == str(
        [part.strip('" ') for part in dockerfile.rpartition("CMD [")[2].rstrip("]\n").split(",")]
    ).replace("'", "")
    for path in ("/readyz", "/healthz", "/drain"):
        assert f"location = {path} {{" in conf


def test_the_lua_values_of_the_tests_are_lua() -> None:
    assert lua({"a": [1, True, 'x"\n']}) == '{ a = { 1, true, "x\\034\\010" } }'
    assert (ROOT / "manifests" / "router").is_dir()


def test_ingress_nginx_bounds_the_site_as_the_router_does() -> None:
    """What the annotations and settings/site.conf say is the same where both can say it."""
    ingresses = yaml.safe_load_all((ROUTER.parent / "ingress-nginx" / "ingress.yaml").read_text())
    site = next(one for one in ingresses if one["metadata"]["name"] == "userpods-site")
    prefix = "nginx.ingress.kubernetes.io/"
    said = {
        name.removeprefix(prefix): value for name, value in site["metadata"]["annotations"].items()
    }
    limits = (ROUTER / "settings" / "site.conf").read_text()
    assert f"limit_conn userpods_clients {said['limit-connections']};" in limits
    assert f"client_max_body_size {said['proxy-body-size']};" in limits
    assert f"proxy_max_temp_file_size {said['proxy-max-temp-file-size']};" in limits
    for name in ("connect", "read", "send"):
        assert f"proxy_{name}_timeout {said[f'proxy-{name}-timeout']}s;" in limits
    assert said["proxy-request-buffering"] == said["proxy-buffering"] == "on"


def test_a_purge_that_an_old_worker_finishes_reaches_the_new_ones(
    tmp_path: Path, django: FakeDjango
) -> None:
    options: dict[str, object] = {"cache_seconds": 60}
    alice = ("Cookie", "sessionid=s-alice")
    body = b'{"user_id": "id-alice"}'
    with (
        Router(tmp_path / "nginx", django.port, options=options, workers=1) as router,
        socket.create_connection(("127.0.0.1", router.internal), timeout=10) as connection,
    ):
        head = b"POST /purge HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        connection.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body[:5])
        time.sleep(0.3)
        router.process.process.send_signal(signal.SIGHUP)
        time.sleep(1.5)
        # The new worker has compared its answer, and holds it for good.
        assert [router.get("/", alice).status for _ in range(3)] == [200] * 3
        del django.sessions["s-alice"]
        connection.sendall(body[5:])
        assert read_response(connection).status == 200
        assert router.get("/", alice).status == 401
