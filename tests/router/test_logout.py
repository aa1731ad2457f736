"""A session that is used all the time while it is logged out, behind two routers of one site."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import pytest

from tests.router.harness import Router, eventually
from tests.router.real_django import SLOW, environment_of, serving
from tests.router.test_django import Site
from tests.testcluster.processes import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.router


@dataclass
class Hammer:
    """Requests with one session, one right after the other, each noted as (begun, status)."""

    router: Router
    cookie: tuple[str, str]
    seen: list[tuple[float, int]] = field(default_factory=list)
    thread: threading.Thread = field(init=False)
    enough: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self.thread = threading.Thread(target=self.run)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.enough.set()
        self.thread.join()

    def run(self) -> None:
        while not self.enough.is_set():
            begun = time.monotonic()
            self.seen.append((begun, self.router.get("/", self.cookie).status))


@pytest.fixture(params=["", "USERPODS_CACHE"], ids=["no cache", "USERPODS_CACHE"])
def two_routers(
    request: pytest.FixtureRequest, tmp_path: Path, alice_pod: str, bob_pod: str
) -> Iterator[tuple[Site, Site]]:
    """One site, whose logout takes its time, as it is seen through two routers."""
    port = free_port()
    # What ends at once, ends because Django told the routers.
    options = SLOW | {"login_url": "/admin/login/"}
    routers = [Router(tmp_path / name, port, options=options) for name in ("one", "two")]
    environment = environment_of(
        tmp_path,
        *routers,
        SITE_URLS="tests.router.site_urls",
        SITE_CACHE=str(tmp_path / "cache") if request.param else "",
    )
    with ExitStack() as stack:
        for router in routers:
            stack.enter_context(router)
        one, two = (Site(router, environment) for router in routers)
        one.command("prepare", alice_pod, bob_pod)
        stack.enter_context(serving(tmp_path, port, environment, threads=8))
        yield one, two


def log_out_under_load(site: Site, other: Site) -> None:
    """Log alice out at one router while her session is used at both."""
    alice = site.sign_in("alice")
    hammers = [Hammer(its.router, alice) for its in (site, site, other, other)]
    with ExitStack() as stack:
        for hammer in hammers:
            stack.enter_context(hammer)
        eventually(lambda: all(len(hammer.seen) > 3 for hammer in hammers))
        started = time.monotonic()
        assert site.log_out(alice).status == 200
        answered = time.monotonic()
        time.sleep(1)
    for hammer in hammers:
        assert {status for begun, status in hammer.seen if begun < started} == {200}
        assert {status for begun, status in hammer.seen if begun > answered} == {401}


def test_no_request_passes_after_a_logout_is_answered(two_routers: tuple[Site, Site]) -> None:
    one, two = two_routers
    bob = one.sign_in("bob")
    log_out_under_load(one, two)
    log_out_under_load(two, one)
    for site in two_routers:
        assert site.router.get("/", bob).status == 200
