"""Rounds of wrk against two ways to the same workload, and how they compare."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

# What Chromium sends with a navigation.
BROWSER = {
    "sec-ch-ua": '"Chromium";v="142", "Not?A_Brand";v="24"',
    "sec-ch-ua-mobile": "?0",
    "sec-ch-ua-platform": '"Linux"',
    "upgrade-insecure-requests": "1",
    "user-agent": (
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
        "Chrome/142.0.0.0 Safari/537.36"
    ),
    "accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8",
    "sec-fetch-site": "same-origin",
    "sec-fetch-mode": "navigate",
    "sec-fetch-user": "?1",
    "sec-fetch-dest": "document",
    "referer": "https://site.test/notes/",
    "accept-encoding": "gzip, deflate, br, zstd",
    "accept-language": "en-GB,en;q=0.9,de;q=0.8",
    "cookie": (
        "csrftoken=4bBmT8mN1sYtq3JmJ8yq2yQ3cV7rX0aL; theme=dark; _ga=GA1.1.1234567890.1700000000; "
        "sessionid=s-alice; lang=en"
    ),
}

WRK = """
done = function(summary, latency, requests)
    io.write(string.format('\\nRESULT {"requests": %d, "microseconds": %d, "errors": %d, '
        .. '"p50": %.1f, "p99": %.1f}\\n', summary.requests, summary.duration,
        summary.errors.connect + summary.errors.read + summary.errors.write
            + summary.errors.status + summary.errors.timeout,
        latency:percentile(50), latency:percentile(99)))
end
"""


@dataclass(frozen=True)
class Round:
    """One round: CPU in microseconds a request, requests a second, latency in microseconds."""

    cpu: float
    rate: float
    p50: float
    p99: float


@dataclass(frozen=True)
class Side:
    """One way to the workload: its port and the master process of the measured workers."""

    port: int
    pid: int


def workers_of(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children]


def cpu_seconds(pid: int) -> float:
    """Time on a CPU (utime + stime, in nanoseconds there) of the workers of a master process."""
    texts = (Path(f"/proc/{worker}/schedstat").read_text() for worker in workers_of(pid))
    return sum(int(text.split()[0]) for text in texts) / 1e9


def measure(side: Side, seconds: int, connections: int, sent: dict[str, str] = BROWSER) -> Round:
    """One round of wrk."""
    headers = [part for key, value in sent.items() for part in ("-H", f"{key}: {value}")]
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency"]
    with tempfile.NamedTemporaryFile("w", prefix="wrk-", suffix=".lua") as script:
        script.write(WRK)
        script.flush()
        before = cpu_seconds(side.pid)
        done = subprocess.run(
            [*command, "-s", script.name, *headers, f"http://127.0.0.1:{side.port}/"],
            capture_output=True,
            text=True,
            check=True,
        )
        used = cpu_seconds(side.pid) - before
    line = next(x for x in done.stdout.splitlines() if x.startswith("RESULT "))
    words = json.loads(line.removeprefix("RESULT "))
    assert words["errors"] == 0, done.stdout
    return Round(
        cpu=used / words["requests"] * 1e6,
        rate=words["requests"] / words["microseconds"] * 1e6,
        p50=words["p50"],
        p99=words["p99"],
    )


def pin(sides: list[Side], workload: list[int]) -> None:
    """Give the measured workers one CPU and everything else another, where there are two."""
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        return
    for side in sides:
        for worker in workers_of(side.pid):
            os.sched_setaffinity(worker, {cpus[0]})
    # This process and with it wrk, which inherits it.
    for pid in (*workload, os.getpid()):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), {cpus[1]})


def median(rounds: list[Round]) -> Round:
    return Round(
        **{
            key: statistics.median(getattr(one, key) for one in rounds)
            for key in ("cpu", "rate", "p50", "p99")
        }
    )


@dataclass(frozen=True)
class Comparison:
    """Medians of each side, and medians of the ratios of neighbouring rounds."""

    plain: Round
    router: Round
    ratio: Round


def compare(plain: Side, router: Side, rounds: int, run: Callable[[Side], Round]) -> Comparison:
    """Rounds in turn, in alternating order, so that what else the machine does hits both."""
    pairs: list[tuple[Round, Round]] = []
    for number in range(rounds):
        if number % 2:
            first = run(plain)
            pairs.append((first, run(router)))
        else:
            second = run(router)
            pairs.append((run(plain), second))
        one, other = pairs[-1]
        print(f"  round {number + 1}: {one.cpu:.1f} and {other.cpu:.1f} us", flush=True)
    ratios = [
        Round(
            cpu=other.cpu / one.cpu,
            rate=other.rate / one.rate,
            p50=other.p50 / one.p50,
            p99=other.p99 / one.p99,
        )
        for one, other in pairs
    ]
    return Comparison(
        plain=median([one for one, _ in pairs]),
        router=median([other for _, other in pairs]),
        ratio=median(ratios),
    )
