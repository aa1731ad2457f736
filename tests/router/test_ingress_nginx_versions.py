"""The ingress-nginx variant and clients of other versions of HTTP than 1.0 and 1.1."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from tests.router.harness import workload
from tests.router.ingress_nginx import Ingress, ingress_nginx
from tests.router.raw_pod import MARK, RawPod, read_quiet, split_answer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.router.fake_django import FakeDjango

pytestmark = pytest.mark.router

HOST = "userpods.example.org"
ALICES = b"GET /x HTTP/1.1\r\nHost: userpods.example.org\r\nCookie: sessionid=s-alice\r\n\r\n"


@pytest.fixture(scope="module")
def ingress(folder: Path, running_django: FakeDjango) -> Iterator[Ingress]:
    with (
        workload("other", folder) as other,
        ingress_nginx(folder / "ingress", running_django.port, other) as running,
    ):
        yield running


@pytest.fixture(autouse=True)
def _users(django: FakeDjango) -> None:
    """Alice and bob have pods."""


def test_a_request_without_a_version_is_not_answered(ingress: Ingress) -> None:
    """Its answer would have no head. (Without a host it is for the controller's default server.)"""
    for path in ("/", "/admin/", "/hid;HTTP/1.1"):
        for before in (b"", ALICES):
            with socket.create_connection(("127.0.0.1", ingress.port), timeout=10) as connection:
                connection.sendall(before + f"GET http://{HOST}{path}\r\n\r\n".encode())
                data, is_closed = read_quiet(connection)
            assert is_closed
            assert (split_answer(data)[3] if before else data) == b""
    with socket.create_connection(("127.0.0.1", ingress.port), timeout=10) as connection:
        connection.sendall(b"GET http://other.example.org/\r\n\r\n")
        assert b'"name": "other"' in read_quiet(connection)[0]


def test_a_client_of_a_later_http_1_is_answered_and_guarded(
    ingress: Ingress, django: FakeDjango
) -> None:
    """Of such a version nginx's Lua knows no number."""
    later = ALICES.replace(b" HTTP/1.1\r\n", b" HTTP/1.7\r\n")
    ok = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    with RawPod() as pod:
        django.user("alice", pod.peer)
        for answer, status in ((ok, 200), (b"HTTP/1.1 103 EVIL\r\n\r\n" + ok, 502)):
            pod.answer = answer
            with socket.create_connection(("127.0.0.1", ingress.port), timeout=10) as gateway:
                gateway.sendall(later)
                found, _ = read_quiet(gateway)
            assert split_answer(found)[0] == status
            assert MARK not in found
