"""``python -m tests.router.fuzz``: fuzz the router for some time, or try one reproducer again."""

from __future__ import annotations

import argparse
import logging
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.router.fuzz.addressed import AddressedExample
from tests.router.fuzz.addressed_requests import HOSTS, PATHS
from tests.router.fuzz.findings import Report, load
from tests.router.fuzz.run import Fuzzer
from tests.router.fuzz.world import World

#: Where pods are found (`pods_url`), and what part of the time that gets.
PARTS = {"": 0.5, HOSTS: 0.25, PATHS: 0.25}


def main() -> int:
    """Print what was found; 1 if anything was."""
    parser = argparse.ArgumentParser(prog="python -m tests.router.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, help="the first batch's; every batch has one more")
    parser.add_argument("--findings", type=Path, default=Path("fuzz-findings"))
    parser.add_argument("--replay", type=Path, metavar="FILE", help="a reproducer to try again")
    options = parser.parse_args()
    # What fails on purpose is not worth a line.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    if options.replay:
        return again(options.replay)
    seed = random.randrange(1_000_000) if options.seed is None else options.seed
    found = [
        fuzz(url, options.seconds * part, seed, options.findings) for url, part in PARTS.items()
    ]
    return 1 if any(found) else 0


def again(path: Path) -> int:
    """Try one reproducer again and print what is wrong; 1 if anything is."""
    example = load(path)
    url = example.pods_url if isinstance(example, AddressedExample) else ""
    with tempfile.TemporaryDirectory() as folder, World(Path(folder), pods_url=url) as world:
        found = example.run(world)
        for finding in found:
            print(world.unfilled(str(finding)))
    return 1 if found else 0


def fuzz(pods_url: str, seconds: float, seed: int, findings: Path) -> bool:
    """Fuzz a router whose pods are found there and print a summary; whether anything was found."""
    with tempfile.TemporaryDirectory() as folder, World(Path(folder), pods_url=pods_url) as world:
        begun = time.monotonic()
        report = Report(findings, world.count)
        Fuzzer(world, report, begun + seconds).run(seed)
        print(f"Pods at {pods_url or '/'}:")
        print(world.unfilled(report.summary(time.monotonic() - begun, seed)), flush=True)
    return bool(report.times)


if __name__ == "__main__":
    sys.exit(main())
