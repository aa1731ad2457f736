"""Collects what the tests measured and writes ``docs/benchmarks/e2e.md`` when all is over."""

from __future__ import annotations

import datetime
import os
import platform
import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.e2e.images import TOP
from tests.real.matrix import busy

if TYPE_CHECKING:
    from collections.abc import Sequence

FILE = TOP / "docs" / "benchmarks" / "e2e.md"


@dataclass(frozen=True, kw_only=True)
class Disruption:
    """What a steady load met while something was disrupted."""

    name: str
    requests: int
    failed: int
    detail: str
    slowest: float
    seconds: float


@dataclass(frozen=True)
class Prompt:
    """How many seconds something took, and may take on a machine that has nothing else to do."""

    what: str
    bound: float
    seconds: float


@dataclass
class Report:
    """The measured numbers of one run."""

    disruptions: list[Disruption] = field(default_factory=list)
    #: Seconds from a user's creation, and from ``kubectl create``, to the first answer.
    users: list[float] = field(default_factory=list)
    kubectl: list[float] = field(default_factory=list)
    #: What the controller did, and the busiest that the machine was meanwhile.
    prompt: list[Prompt] = field(default_factory=list)
    busiest: float = 1.0

    def hold(self, what: str, seconds: float, *, bound: float) -> None:
        """Note how long something took, and hold it to its bound, as ``tests.real.matrix`` does."""
        self.prompt.append(Prompt(what, bound, seconds))
        self.busiest = max(self.busiest, load := busy())
        assert seconds <= bound * load, f"{what}: {seconds:.1f} s of {bound}, at {load:.1f} a core"

    def write(self) -> None:
        """Write the page; only a run that measured everything replaces it."""
        if self.users and self.disruptions:
            FILE.write_text(self.page())

    def page(self) -> str:
        """The page as Markdown."""
        today = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
        head = [
            "# End to end on a real node",
            "",
            (
                f"Written by `make e2e` on {today}: Kubernetes 1.36 with one node,"
                f" {os.cpu_count()} cores ({platform.machine()}) for everything,"
                " the load and the control plane included."
            ),
            "",
            "## From a new user to their pod's first answer",
            "",
            (
                "`users`: from just before the user is saved in Django to the first answer of the"
                " pod through the router. `kubectl`: the same Deployment and Service with"
                " `kubectl create`, from its start to the first answer of the Service. One at a"
                " time, in turn, each at any moment of a second, because the kubelet looks at pods"
                " once a second. The ratio at p50 is the median of the ratios of neighbours."
            ),
            "",
            "| | runs | p50 | p99 |",
            "| --- | --- | --- | --- |",
            _row("users", self.users),
            _row("kubectl", self.kubectl),
            (
                f"| ratio | | {ratio(self.users, self.kubectl):.2f} |"
                f" {quantile(self.users, 0.99) / quantile(self.kubectl, 0.99):.2f} |"
            ),
            "",
            *self._of_controller(),
            "## Requests that fail while something is disrupted",
            "",
            (
                "A steady load from two signed-in users: to their pods over new and over kept"
                " connections, and to the site. Every answer but a 200 of the own pod is a failure."
            ),
            "",
            "| disruption | seconds | requests | failed | slowest |",
            "| --- | --- | --- | --- | --- |",
        ]
        rows = [
            f"| {item.name} | {item.seconds:.0f} | {item.requests} |"
            f" {_failed(item)} | {item.slowest:.2f} s |"
            for item in self.disruptions
        ]
        return "\n".join([*head, *rows, ""])

    def _of_controller(self) -> list[str]:
        if not self.prompt:
            return []
        return [
            "## How prompt the controller is",
            "",
            (
                "The bounds are those of a machine that has nothing else to do; where others wanted"
                f" its cores, too (here up to {self.busiest:.1f} processes each), they are longer."
            ),
            "",
            "| | at most | measured |",
            "| --- | --- | --- |",
            *(f"| {it.what} | {it.bound:g} s | {it.seconds:.1f} s |" for it in self.prompt),
            "",
        ]


def quantile(values: Sequence[float], share: float) -> float:
    """The value that *share* of *values* do not exceed."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """How many times as long ours took: the median of the ratios of neighbours.

    Not the ratio of medians: the kubelet looks once a second, so times come in two groups a second
    apart, and a median falls into one or the other by chance.
    """
    return statistics.median(one / other for one, other in zip(ours, theirs, strict=True))


def _row(name: str, values: Sequence[float]) -> str:
    p50, p99 = statistics.median(values), quantile(values, 0.99)
    return f"| {name} | {len(values)} | {p50:.2f} s | {p99:.2f} s |"


def _failed(item: Disruption) -> str:
    return f"{item.failed} ({item.detail})" if item.failed else "0"
