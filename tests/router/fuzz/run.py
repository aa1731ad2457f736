"""Runs examples until the time is over: first all known attacks, then what Hypothesis makes."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.router.fuzz import oracles
from tests.router.fuzz.addressed import KNOWN, AddressedExample, pods_answer
from tests.router.fuzz.addressed_requests import sequences
from tests.router.fuzz.answers import asked, programs
from tests.router.fuzz.examples import ClientExample, PodExample, site_answers
from tests.router.fuzz.pods import Program
from tests.router.fuzz.requests import requests
from tests.router.fuzz.seeds import ANSWERS, REQUESTS
from tests.router.hostile_answers import SECOND

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.router.fuzz.findings import Example, Report
    from tests.router.fuzz.world import World

#: Examples between two looks at whether the site still answers.
BATCH = 250
#: Seconds that may be spent on making one finding small.
SHRINK = 15.0

clients = st.builds(ClientExample, requests)
pods = st.builds(PodExample, asked, programs())


def addressed(pods_url: str) -> st.SearchStrategy[Example]:
    """Requests to pods that are found there."""
    return sequences(pods_url).map(lambda drawn: AddressedExample(pods_url, *drawn))


class Found(AssertionError):  # noqa: N818 - says what it is
    """Tells Hypothesis to look for a smaller example of the same."""


@dataclass
class Fuzzer:
    """Fuzzes a world until ``end`` (of ``time.monotonic``)."""

    world: World
    report: Report
    end: float

    def run(self, first_seed: int) -> None:
        """All known attacks, then batches with one seed after the other, of clients and of pods."""
        url = self.world.pods_url
        for example in known_addressed(url) if url else known_attacks():
            self.attempt(example, first_seed)
        self._look(first_seed)
        number = first_seed
        while time.monotonic() < self.end:
            at_root = clients if number % 2 else pods
            self._batch(addressed(url) if url else at_root, number)
            number += 1

    def _batch(self, strategy: st.SearchStrategy[Example], number: int) -> None:
        wanted: set[tuple[str, str]] = set()
        give_up = 0.0

        @seed(number)
        @settings(
            max_examples=BATCH,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate, Phase.shrink],
        )
        @given(strategy)
        def one(example: Example) -> None:
            nonlocal give_up
            now = time.monotonic()
            if now > (give_up or self.end):
                return
            keys, new = self.attempt(example, number)
            if new and not wanted:
                wanted.add(new[0])
                give_up = now + SHRINK
            if wanted & set(keys):
                raise Found

        # What was found is in the report; Hypothesis also raises where it does not happen again.
        with contextlib.suppress(Exception):
            one()
        self._look(number)

    def attempt(
        self, example: Example, number: int
    ) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        """Run one example; the kinds of what it found, and those that are new."""
        self.report.examples["pods" if isinstance(example, PodExample) else "clients"] += 1
        findings = example.run(self.world)
        if any(map(oracles.is_silence, findings)):
            # Once, it may be the machine that is too busy. Who silences Django does it again.
            self.world.count["examples during which Django did not answer in time"] += 1
            findings = [it for it in findings if not oracles.is_silence(it)]
            findings += example.run(self.world)
        new = [it[:2] for it in findings if self.report.add(it, example, number)]
        return [it[:2] for it in findings], new

    def _look(self, number: int) -> None:
        look = pods_answer if self.world.pods_url else site_answers
        for finding in look(self.world):
            self.report.add(finding, None, number)


def known_addressed(pods_url: str) -> Iterator[Example]:
    """Every seed for pods that are found there."""
    return (example for example in KNOWN if example.pods_url == pods_url)


def known_attacks() -> Iterator[Example]:
    """Every seed as it is; of pods' answers also with more to come, and for other methods."""
    for data in REQUESTS:
        yield ClientExample(data)
    for data in ANSWERS:
        for method in (b"GET", b"HEAD", b"POST"):
            yield PodExample((method, b"HTTP/1.1", b""), Program((data,)))
        later = Program((data, SECOND, SECOND), keeps=True)
        yield PodExample((b"GET", b"HTTP/1.1", b""), later)
