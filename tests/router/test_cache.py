"""What the router remembers of whoami's answers, for how long, and how it forgets."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

import pytest

from tests.router.harness import Router, read_response, workload

if TYPE_CHECKING:
    from pathlib import Path

    from tests.router.fake_django import FakeDjango

pytestmark = pytest.mark.router

ALICE = ("Cookie", "sessionid=s-alice")
BOB = ("Cookie", "sessionid=s-bob")


@pytest.fixture(scope="module")
def options() -> dict[str, object]:
    return {"cache_seconds": 2}


def on_every_worker(router: Router, *headers: tuple[str, str], count: int = 40) -> set[int]:
    """Many requests, each on a connection of its own, so that all workers answer; statuses."""
    return {router.get("/", *headers).status for _ in range(count)}


def test_one_answer_serves_all_workers(router: Router, django: FakeDjango) -> None:
    begin = time.monotonic()
    assert on_every_worker(router, ALICE) == {200}
    if time.monotonic() - begin < 2:
        assert django.count["/whoami"] == 1


def test_an_answer_is_believed_for_its_time_and_not_longer(
    router: Router, django: FakeDjango
) -> None:
    router.get("/", ALICE)
    asked = time.monotonic()
    django.inactive.add("alice")
    last_yes = asked
    while time.monotonic() - asked < 4:
        if router.get("/", ALICE).status == 200:
            last_yes = time.monotonic()
        time.sleep(0.02)
    assert 1 < last_yes - asked < 2.1
    assert on_every_worker(router, ALICE) == {403}


def test_the_time_counts_from_the_question(router: Router, django: FakeDjango) -> None:
    """An answer that took a second to come is a second old when it comes."""
    django.delay = 1
    begin = time.monotonic()
    router.get("/", ALICE)
    django.delay = 0
    django.inactive.add("alice")
    time.sleep(max(0, begin + 2.1 - time.monotonic()))
    assert router.get("/", ALICE).status == 403


def test_only_a_yes_is_remembered(router: Router, django: FakeDjango, tmp_path: Path) -> None:
    cookie = ("Cookie", "sessionid=s-new")
    assert router.get("/", cookie).status == 401
    with workload("new", tmp_path) as peer:
        django.user("new", peer)
        assert router.get("/", cookie).status == 200
        router.purge("id-new")
        django.inactive.add("new")
        assert router.get("/", cookie).status == 403
        django.inactive.clear()
        assert router.get("/", cookie).status == 200


def test_a_purge_reaches_all_workers_at_once(router: Router, django: FakeDjango) -> None:
    for _ in range(3):
        assert on_every_worker(router, ALICE) == {200}
        django.inactive.add("alice")
        assert router.purge("id-alice").status == 200
        assert on_every_worker(router, ALICE) == {403}
        django.inactive.clear()


def test_a_purge_is_of_one_user_alone(router: Router, django: FakeDjango) -> None:
    router.get("/", ALICE)
    router.get("/", BOB)
    django.count.clear()
    router.purge("id-alice")
    router.get("/", BOB)
    assert django.count["/whoami"] == 0
    router.get("/", ALICE)
    assert django.count["/whoami"] == 1


def test_a_purge_forgets_all_credentials_of_a_user(router: Router, django: FakeDjango) -> None:
    ways = [ALICE, ("Authorization", "Bearer upt_alice"), ("Cookie", "a=1; sessionid=s-alice")]
    for way in ways:
        assert router.get("/", way).status == 200
    django.inactive.add("alice")
    router.purge("id-alice")
    for way in ways:
        assert router.get("/", way).status == 403


def test_an_answer_under_way_during_a_purge_is_not_kept(router: Router, django: FakeDjango) -> None:
    """Django said yes, then the user was deactivated and purged, then the yes arrived."""
    django.delay = 1
    head = f"GET / HTTP/1.1\r\nHost: x\r\n{': '.join(ALICE)}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", router.port), timeout=5) as connection:
        connection.sendall(head)
        time.sleep(0.3)
        router.purge("id-alice")
        assert read_response(connection).status == 200
    django.delay = 0
    django.inactive.add("alice")
    assert on_every_worker(router, ALICE) == {403}


def test_a_logout_through_the_router_is_a_purge(router: Router, django: FakeDjango) -> None:
    assert on_every_worker(router, ALICE) == {200}
    assert router.get("/accounts/logout/", ALICE, method="POST").status == 302
    assert on_every_worker(router, ALICE) == {401}


def test_the_credentials_are_not_written_anywhere(router: Router) -> None:
    router.get("/", ("Cookie", "sessionid=s-alice; secret=find-me"))
    router.get("/", ("Authorization", "Bearer upt_alice"))
    time.sleep(1.2)
    for file in router.folder.rglob("*"):
        if file.is_file() and not file.is_symlink():
            assert b"s-alice" not in file.read_bytes(), file
            assert b"upt_alice" not in file.read_bytes(), file


def test_the_cache_can_be_off(tmp_path: Path, django: FakeDjango) -> None:
    with Router(tmp_path / "nginx", django.port, options={"cache_seconds": 0}) as router:
        for _ in range(10):
            assert router.get("/", ALICE).status == 200
        assert django.count["/whoami"] == 10
        django.inactive.add("alice")
        assert router.get("/", ALICE).status == 403


def test_an_address_that_passed_to_another_user_leads_to_their_pod(
    router: Router, django: FakeDjango, tmp_path: Path
) -> None:
    """A kept connection to alice's pod is never used for bob, whose pod has the address now.

    As in a cluster, the first pod lives on and holds its connections while the address (here: the
    listening socket) is already the second one's.
    """
    with (
        workload("shared-alice", tmp_path, host="127.0.0.5") as peer,
        socket.create_connection(("127.0.0.1", router.port), timeout=5) as connection,
    ):

        def ask(cookie: tuple[str, str]) -> tuple[int, str | None]:
            head = f"GET / HTTP/1.1\r\nHost: x\r\n{': '.join(cookie)}\r\n\r\n"
            connection.sendall(head.encode())
            answer = read_response(connection)
            return answer.status, answer.json().get("name")

        django.user("alice", peer)
        assert ask(ALICE) == (200, "shared-alice")
        # The same address, at once, on the same worker: not over the connection that is open.
        django.user("bob", peer)
        django.user("alice", None)
        router.purge("id-alice")
        router.purge("id-bob")
        begin = time.monotonic()
        while (answer := ask(BOB))[0] == 503:
            assert time.monotonic() - begin < 8
            time.sleep(0.1)
        # Longer than nginx keeps an idle connection.
        assert time.monotonic() - begin > 1.6
        assert answer[0] == 200
        # And alice's next answer that names the address again has to wait in turn.
        django.user("alice", peer)
        assert ask(ALICE)[0] == 503
