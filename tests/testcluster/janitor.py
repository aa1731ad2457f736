"""Ends a run whose Python was killed: waits for the end of its input, then cleans up.

Its input is a pipe that only Python holds open, so it ends when Python does, however it ends.
After an orderly stop there is nothing left to do.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from tests.testcluster.processes import clean


def main() -> None:
    directory = Path(sys.argv[1])
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    sys.stdin.buffer.read()
    if directory.exists():
        clean(directory)


if __name__ == "__main__":
    main()
