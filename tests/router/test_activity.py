"""What counts as use of a pod, as whoever stops idle pods reads it on the internal port."""

from __future__ import annotations

import http.client
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest
from websockets.sync.client import connect

from tests.router.harness import eventually, workload

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.router.fake_django import FakeDjango
    from tests.router.harness import Router

pytestmark = pytest.mark.router

RULES = "ignore GET,HEAD /poll/*; quiet /socket; ignore /deaf; open /slow"
LOOK = 1


@pytest.fixture(scope="module")
def options() -> dict[str, object]:
    return {"cache_seconds": 1, "look_seconds": LOOK}


@pytest.fixture
def user(django: FakeDjango, router: Router, tmp_path: Path) -> Iterator[str]:
    """A user, with a pod, of whom no other test here has said a word."""
    name = f"u{len(django.sessions)}"
    with workload(name, tmp_path) as peer:
        django.user(name, peer)
        yield name


def activity(router: Router, within: float | None = None) -> dict[str, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", router.internal, timeout=5)
    connection.request("GET", "/activity" + (f"?within={within}" if within else ""))
    found: dict[str, Any] = json.loads(connection.getresponse().read())
    connection.close()
    return found


def ago(router: Router, user: str) -> float | None:
    """Return how many seconds ago the user's pod was used; None for never."""
    found: float | None = activity(router)["pods"].get(f"user-{user}")
    return found


def cookie(user: str) -> tuple[str, str]:
    return ("Cookie", f"sessionid=s-{user}")


def looks(router: Router, count: int) -> None:
    """Wait until the router has looked so many times at what runs."""
    end = activity(router)["since"] + LOOK * count + 2
    eventually(lambda: activity(router)["since"] > end, 60)


def test_a_request_is_use_of_its_users_pod_alone(router: Router, user: str) -> None:
    assert ago(router, user) is None
    assert router.get("/", cookie(user)).status == 200
    seconds = ago(router, user)
    assert seconds is not None
    assert seconds < 5
    assert activity(router)["since"] >= seconds
    # Asked for what is new alone, the router does not tell of the rest.
    eventually(lambda: f"user-{user}" not in activity(router, within=0.5)["pods"])
    assert ago(router, user) is not None


def test_what_the_rules_leave_out_is_no_use(router: Router, django: FakeDjango, user: str) -> None:
    django.answer = {"X-Userpods-Activity": RULES}
    for path in ("/poll/kernels", "/poll/kernels?1796", "/deaf"):
        assert router.get(path, cookie(user)).status == 200
    assert ago(router, user) is None
    assert router.get("/poll/kernels", cookie(user), method="POST").status == 200
    assert ago(router, user) is not None


def test_rules_are_remembered_for_all_workers(
    router: Router, django: FakeDjango, user: str
) -> None:
    django.answer = {"X-Userpods-Activity": RULES}
    for _ in range(20):
        # Each on a connection of its own, so that both workers answer some.
        assert router.get("/poll/kernels", cookie(user)).status == 200
    assert ago(router, user) is None


def test_an_open_websocket_is_use_while_more_flows_than_a_heartbeat(
    router: Router, django: FakeDjango, user: str
) -> None:
    django.answer = {"X-Userpods-Activity": RULES}
    address = f"ws://127.0.0.1:{router.port}/socket"
    with connect(address, additional_headers=[cookie(user)], proxy=None) as connection:
        connection.recv(timeout=5)
        looks(router, 2)
        connection.ping()
        connection.send("beat")
        looks(router, 2)
        assert ago(router, user) is None, "it was opened, and is alive: nobody works there"
        connection.send("x" * 1000)
        eventually(lambda: ago(router, user) is not None, 60)


def test_a_websocket_that_is_to_be_ignored_is_no_use_whatever_flows(
    router: Router, django: FakeDjango, user: str
) -> None:
    django.answer = {"X-Userpods-Activity": RULES}
    address = f"ws://127.0.0.1:{router.port}/deaf"
    with connect(address, additional_headers=[cookie(user)], proxy=None) as connection:
        connection.recv(timeout=5)
        looks(router, 1)
        connection.send("x" * 1000)
        looks(router, 2)
        assert ago(router, user) is None


def test_what_counts_as_long_as_it_runs_is_use_without_a_byte(
    router: Router, django: FakeDjango, user: str
) -> None:
    django.answer = {"X-Userpods-Activity": RULES}
    thread = threading.Thread(target=router.get, args=("/slow?seconds=15", cookie(user)))
    thread.start()
    eventually(lambda: ago(router, user) is not None)
    # Later than any note of its beginning.
    begun = activity(router)["since"]
    eventually(lambda: (ago(router, user) or 0) < 1.5 and activity(router)["since"] > begun + 4, 11)
    thread.join()


def test_the_public_port_says_nothing_of_it(router: Router, user: str) -> None:
    answer = router.get("/activity", cookie(user))
    assert answer.json()["target"] == "/activity", "that is a path of the pod's"
    assert router.get("/activity").status == 401


def test_it_is_known_since_when(router: Router) -> None:
    before = activity(router)["since"]
    eventually(lambda: activity(router)["since"] > before)
