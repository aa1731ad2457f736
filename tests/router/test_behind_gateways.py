"""No byte that one pod sent is ever seen by another user, whichever gateway shares connections.

Every test of hostile pods runs again behind each gateway. After each request one of bob's follows,
on the same connection between the gateway and the router.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest

from tests.router.gateways import KINDS, Behind, Gateway, Second, gateway
from tests.router.harness import Router, workload
from tests.router.hostile_answers import HOSTILE, KEY, SECOND, UPGRADES
from tests.router.test_hostile_answers import PASSED, REFUSED, UNENDED
from tests.router.test_hostile_pods import *  # noqa: F403 - its tests, with the router below
from tests.router.wire import Gone, Malformed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.router.fake_django import FakeDjango

pytestmark = pytest.mark.router

ANSWERS = HOSTILE | REFUSED | PASSED | UNENDED


@pytest.fixture(scope="module")
def options() -> dict[str, object]:
    """Bob is remembered for the whole module: none of his requests needs Django."""
    return {"cache_seconds": 60, "recheck_seconds": 60}


@pytest.fixture(scope="module", params=KINDS)
def running_gateway(
    request: pytest.FixtureRequest, folder: Path, running_router: Router
) -> Iterator[Gateway]:
    with gateway(request.param, running_router.port, folder / request.param) as running:
        yield running


@pytest.fixture(scope="module")
def addresses() -> Iterator[str]:
    """Addresses of this machine."""
    return (f"127.1.{number // 250}.{1 + number % 250}" for number in itertools.count())


@pytest.fixture(scope="module")
def mallory_port(folder: Path) -> Iterator[str]:
    with workload("mallory", folder, host="0.0.0.0") as peer:  # noqa: S104 - on loopback only
        yield peer.partition(":")[2]


@pytest.fixture
def mallory_pod(mallory_port: str, addresses: Iterator[str]) -> str:
    """One process, at an address of its own for each test.

    After some answers the router lets nobody use their address for four seconds: tests that are
    fast would ask no pod at all.
    """
    return f"{next(addresses)}:{mallory_port}"


@pytest.fixture
def router(
    running_router: Router, running_gateway: Gateway, django: FakeDjango, mallory_pod: str
) -> Iterator[Router]:
    django.user("mallory", mallory_pod)
    assert running_router.purge("id-mallory").status == 200
    second = Second(running_gateway.plain)
    second.follows()
    yield Behind(running_router, running_gateway, second)
    second.follows()
    second.close()


def accepted(router: Router) -> int:
    """How many connections the router ever took, but for those that ask this."""
    lines = router.get("/status", port=router.internal).body.split(b"\n")
    return int(lines[2].split()[0])


def test_users_share_a_connection_to_the_router(router: Behind) -> None:
    """Or the tests of this module would prove nothing."""
    router.get("/", ("Cookie", "sessionid=s-alice"))
    before = accepted(router)
    for _ in range(10):
        assert router.get("/", ("Cookie", "sessionid=s-alice")).json()["name"] == "alice"
    # One asks this; HAProxy's "safe" gives a client's first request a connection of its own.
    most = 11 if router.gateway_kind == "haproxy-safe" else 1
    assert accepted(router) - before <= most


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("name", ANSWERS)
def test_nothing_of_a_hostile_pod_reaches_the_next_user(
    router: Behind, name: str, method: str
) -> None:
    attack(router, method, f"/raw?{urlencode({'bytes': ANSWERS[name]})}")


@pytest.mark.parametrize("name", ANSWERS)
def test_nothing_that_a_pod_adds_later_reaches_the_next_user(router: Behind, name: str) -> None:
    """The gateway took the first answer for whole, and asks for bob while the pod goes on."""
    parts = [ANSWERS[name], SECOND, SECOND, SECOND]
    query = urlencode([("apart", "0.1"), *(("bytes", part) for part in parts)])
    attack(router, "GET", f"/parts?{query}")


UPGRADE = (
    f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\nConnection: Upgrade\r\nUpgrade: "
)
OTHER_PROTOCOLS = {
    "websocket": f"{UPGRADE}websocket\r\n",
    "h2c": f"{UPGRADE}h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
}


@pytest.mark.parametrize(
    ("protocol", "name"),
    [*(("websocket", name) for name in HOSTILE | UPGRADES), *(("h2c", name) for name in UPGRADES)],
)
def test_nothing_of_a_pod_that_was_asked_for_another_protocol_reaches_the_next_user(
    router: Behind, protocol: str, name: str
) -> None:
    query = urlencode({"bytes": (HOSTILE | UPGRADES)[name]})
    status = attack(router, "GET", f"/raw?{query}", OTHER_PROTOCOLS[protocol])
    if protocol == "h2c":
        assert status != 101
    # Or the others would prove nothing.
    if (protocol, name) == ("websocket", "accepted"):
        assert status == 101
    if name.startswith("refused with "):
        assert f"refused with {status}" == name


@pytest.mark.parametrize("name", UPGRADES)
def test_nothing_that_a_pod_adds_later_to_another_protocol_reaches_the_next_user(
    router: Behind, name: str
) -> None:
    parts = [UPGRADES[name], SECOND, SECOND, SECOND]
    query = urlencode([("apart", "0.1"), *(("bytes", part) for part in parts)])
    attack(router, "GET", f"/parts?{query}", OTHER_PROTOCOLS["websocket"])


def attack(router: Behind, method: str, path: str, more: str = "") -> int | None:
    """Mallory asks her pod for this; bob follows while the answer may still be coming.

    ``more`` are lines of headers. Returns the answer's status; None where there was none.
    """
    wire = router.wire()
    try:
        wire.send(
            f"{method} {path} HTTP/1.1\r\nHost: site.test\r\nContent-Length: 0\r\n{more}"
            "Cookie: sessionid=s-mallory\r\n\r\n".encode()
        )
        try:
            answer = wire.answer(method)
        except (Gone, Malformed, TimeoutError):
            # What mallory herself gets to see of her own pod is the fuzzer's concern.
            return None
        cookies = [value for key, value in answer.headers if key == b"set-cookie"]
        assert not [value for value in cookies if b"sessionid" in value]
        # The router's word where it did not ask the pod; no pod here says it.
        assert answer.status != 503
        return answer.status
    finally:
        router.second.follows()
        wire.close()
