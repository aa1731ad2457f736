"""One deadline for a call, whatever drips or hangs, and a bound on what an answer may weigh."""

from __future__ import annotations

import gzip
import socket
import subprocess
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from django_userpods.clusters.kubernetes import KubernetesCluster
from django_userpods.clusters.kubernetes.transport import LARGEST
from django_userpods.core.objects import SERVICE, Ref
from django_userpods.exceptions import (
    BadAnswer,
    ClusterConfigurationError,
    ClusterError,
    ClusterTimeout,
)
from tests import faults
from tests.clusters.kubeconfigs import credential, plugin, write
from tests.clusters.manifests import service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.faultproxy import FaultProxy

NOTHING = Ref(SERVICE, "default", "nothing")
BEGINNING = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@contextmanager
def peer(say: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server on a port of its own that does this with every connection."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve(connection: socket.socket) -> None:
        with suppress(OSError), connection:
            say(connection)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=serve, args=[listening.accept()[0]], daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listening.getsockname()[1]
    finally:
        listening.close()


def dripping(beginning: bytes, again: bytes, *, pause: float = 0.05) -> Callable[..., None]:
    """Say something, and then a byte of something else now and then, without an end."""

    def say(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(beginning)
        while True:
            for index in range(len(again)):
                connection.sendall(again[index : index + 1])
                time.sleep(pause)

    return say


def taken(client: KubernetesCluster, *, timeout: float | None) -> tuple[ClusterError, float]:
    client.prepare()
    begun = time.monotonic()
    with pytest.raises(ClusterError) as caught:
        client.get(NOTHING, timeout=timeout)
    return caught.value, time.monotonic() - begun


DRIPS = {
    "the status line": (b"", b"H"),
    "a header's value": (BEGINNING + b"X-Long: ", b"a"),
    "many headers": (BEGINNING, b"A: b\r\n"),
    "answers before the answer": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "a body": (BEGINNING + b"Content-Length: 100000\r\n\r\n{", b" "),
    "a body without a length": (BEGINNING + b"Connection: close\r\n\r\n{", b" "),
    "a chunk's size": (BEGINNING + b"Transfer-Encoding: chunked\r\n\r\n1;", b"a"),
    "chunks": (BEGINNING + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "trailers": (BEGINNING + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX: ", b"a"),
}


@pytest.mark.parametrize("what", DRIPS)
def test_a_peer_that_drips_holds_nobody_longer_than_the_deadline(nowhere: Path, what: str) -> None:
    with peer(dripping(*DRIPS[what])) as port:
        path = write(nowhere / "config", {}, server=f"http://127.0.0.1:{port}")
        client = KubernetesCluster(kubeconfig=path)
        error, seconds = taken(client, timeout=1)
        client.close()
    assert isinstance(error, ClusterTimeout)
    assert "within 1 s" in str(error)
    assert 0.9 < seconds < 1.5


@pytest.mark.parametrize(
    "drip", [(b"", b""), (b"\x16\x03\x03\x40\x00\x02", b"\x00")], ids=["silent", "dripping"]
)
def test_a_handshake_that_does_not_end_holds_nobody_either(
    nowhere: Path, drip: tuple[bytes, bytes]
) -> None:
    def say(connection: socket.socket) -> None:
        if drip[1]:
            dripping(*drip)(connection)
        time.sleep(30)

    with peer(say) as port:
        path = write(nowhere / "config", {}, server=f"https://127.0.0.1:{port}")
        client = KubernetesCluster(kubeconfig=path, connect_timeout=30)
        error, seconds = taken(client, timeout=1)
        client.close()
    assert isinstance(error, ClusterTimeout)
    assert 0.9 < seconds < 1.5


def test_a_proxy_that_drips_holds_nobody_either(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with peer(dripping(b"HTTP/1.1 200 OK\r\n", b"A: b\r\n")) as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        path = write(nowhere / "config", {}, server="https://kubernetes.example")
        client = KubernetesCluster(kubeconfig=path, connect_timeout=30)
        error, seconds = taken(client, timeout=1)
        client.close()
    assert isinstance(error, ClusterError)
    assert f"the proxy http://127.0.0.1:{port}" in str(error)
    assert 0.9 < seconds < 1.5


def test_a_peer_that_takes_a_request_a_byte_at_a_time_holds_nobody_either(nowhere: Path) -> None:
    def say(connection: socket.socket) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        while connection.recv(1):
            time.sleep(0.02)

    large = service("default")
    large["metadata"]["annotations"] = {"a": "x" * 20_000_000}
    with peer(say) as port:
        path = write(nowhere / "config", {}, server=f"http://127.0.0.1:{port}")
        client = KubernetesCluster(kubeconfig=path)
        client.prepare()
        begun = time.monotonic()
        with pytest.raises(ClusterTimeout):
            client.create(large, timeout=3)
        assert 2.9 < time.monotonic() - begun < 4
        client.close()


def test_a_name_that_does_not_resolve_for_long_holds_nobody_either(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    freed = threading.Event()

    def hang(*_: object, **__: object) -> None:
        freed.wait(30)
        raise socket.gaierror(socket.EAI_AGAIN, "no answer")

    # As the C library does where no name server answers; it takes no time limit from a caller.
    monkeypatch.setattr(socket, "getaddrinfo", hang)
    path = write(nowhere / "config", {}, server="https://kubernetes.example")
    client = KubernetesCluster(kubeconfig=path)
    error, seconds = taken(client, timeout=1)
    freed.set()
    client.close()
    assert isinstance(error, ClusterTimeout)
    assert "does its host name resolve?" in str(error)
    assert 0.9 < seconds < 1.5


@pytest.mark.cluster
def test_all_pages_of_a_list_share_the_time_that_its_caller_gives(
    through: KubernetesCluster, proxy: FaultProxy, namespace: str
) -> None:
    for number in range(8):
        through.create(service(namespace, f"user-{number}"))
    proxy.on(faults.delay(0.4), query="limit=2")
    begun = time.monotonic()
    with pytest.raises(ClusterTimeout):
        list(through.list(SERVICE, namespace=namespace, labels={}, timeout=1))
    assert 0.9 < time.monotonic() - begun < 1.5
    proxy.clear()
    assert len(list(through.list(SERVICE, namespace=namespace, labels={}, timeout=5))) == 8


def test_a_list_that_gives_the_same_page_for_ever_ends(nowhere: Path) -> None:
    page = (
        b'{"kind": "ServiceList", "apiVersion": "v1", "metadata": {"continue": "a"}, "items": []}'
    )

    def say(connection: socket.socket) -> None:
        while connection.recv(65536):
            connection.sendall(BEGINNING + b"Content-Length: %d\r\n\r\n%b" % (len(page), page))

    with peer(say) as port:
        path = write(nowhere / "config", {}, server=f"http://127.0.0.1:{port}")
        client = KubernetesCluster(kubeconfig=path)
        with pytest.raises(BadAnswer, match="the same page again and again"):
            list(client.list(SERVICE, namespace="default", labels={}))
        client.close()


@pytest.mark.parametrize("packed", [False, True])
def test_an_answer_that_is_too_large_is_refused_before_it_fills_the_memory(
    nowhere: Path, packed: bool
) -> None:
    piece = b" " * (1 << 20)
    bomb = gzip.compress(piece * ((LARGEST >> 20) + 8), 1)
    sent = [0]

    def say(connection: socket.socket) -> None:
        connection.recv(65536)
        if packed:
            head = b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb)
            connection.sendall(BEGINNING + head + bomb)
            time.sleep(5)
            return
        connection.sendall(BEGINNING + b"Connection: close\r\n\r\n")
        while True:
            connection.sendall(piece)
            sent[0] += len(piece)

    with peer(say) as port:
        path = write(nowhere / "config", {}, server=f"http://127.0.0.1:{port}")
        client = KubernetesCluster(kubeconfig=path, timeout=30)
        with pytest.raises(BadAnswer, match=r"more than 128 MiB.*page_size"):
            list(client.list(SERVICE, namespace="default", labels={}))
        client.close()
    assert sent[0] < LARGEST + (16 << 20)


# --- credentials


def runs_of(path: Path) -> int:
    return path.read_text().count("x") if path.exists() else 0


def test_a_plugin_that_hangs_is_run_once_and_ended(nowhere: Path) -> None:
    runs, pids = nowhere / "runs", nowhere / "pids"
    script = f"echo x >> {runs}; sleep 600 & echo $! >> {pids}; wait"
    path = write(nowhere / "config", plugin(nowhere / "plugin", script))
    client = KubernetesCluster(kubeconfig=path, timeout=2)
    for _ in range(4):
        error, seconds = taken(client, timeout=0.3)
        assert isinstance(error, ClusterConfigurationError)
        assert seconds < 0.8
    assert runs_of(runs) == 1
    started = pids.read_text().split()
    for _ in range(50):
        if not alive(started):
            break
        time.sleep(0.1)
    assert alive(started) == []


def alive(pids: list[str]) -> list[str]:
    found = subprocess.run(
        ["ps", "-o", "pid=,stat=", "-p", ",".join(pids)],
        capture_output=True,
        text=True,
        check=False,
    )
    return [line for line in found.stdout.splitlines() if line.split()[1][0] != "Z"]


@pytest.mark.cluster
def test_a_plugin_that_is_slower_than_the_call_serves_the_next_one(
    nowhere: Path, through: KubernetesCluster, proxy: FaultProxy
) -> None:
    runs = nowhere / "runs"
    script = f"echo x >> {runs}; sleep 1; {credential('a-token')}"
    user = plugin(nowhere / "plugin", script)
    path = write(nowhere / "config", user, server=proxy.url)
    client = KubernetesCluster(kubeconfig=path)
    error, seconds = taken(client, timeout=0.3)
    assert isinstance(error, ClusterConfigurationError)
    assert seconds < 0.8
    time.sleep(1)
    with suppress(ClusterError):
        client.get(NOTHING, timeout=0.5)
    assert proxy.calls[-1].headers["Authorization"] == "Bearer a-token"
    client.close()


@pytest.mark.parametrize("output", ["1", "2"])
def test_a_plugin_that_prints_without_an_end_is_ended(nowhere: Path, output: str) -> None:
    path = write(nowhere / "config", plugin(nowhere / "plugin", f"exec yes >&{output}"))
    client = KubernetesCluster(kubeconfig=path, timeout=20)
    error, seconds = taken(client, timeout=None)
    assert "it printed more than 1024 KiB" in str(error)
    assert seconds < 5
