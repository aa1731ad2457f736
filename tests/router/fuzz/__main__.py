"""``python -m tests.router.fuzz``: fuzz the router for some time, or try one reproducer again."""

from __future__ import annotations

import argparse
import logging
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.router.fuzz.findings import Report, load
from tests.router.fuzz.run import Fuzzer
from tests.router.fuzz.world import World


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
    with tempfile.TemporaryDirectory() as folder, World(Path(folder)) as world:
        if options.replay:
            found = load(options.replay).run(world)
            for finding in found:
                print(world.unfilled(str(finding)))
            return 1 if found else 0
        begun = time.monotonic()
        seed = random.randrange(1_000_000) if options.seed is None else options.seed
        report = Report(options.findings, world.count)
        Fuzzer(world, report, begun + options.seconds).run(seed)
        print(world.unfilled(report.summary(time.monotonic() - begun, seed)))
    return 1 if report.times else 0


if __name__ == "__main__":
    sys.exit(main())
