"""``python -m tests.prepare router test e2e``: build beforehand what these tests would wait for.

What is built is kept for the next run, so it is done in a moment where nothing has changed. It may
run beside other tests: whoever needs what is being built waits for it.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.e2e import images as e2e_images
from tests.e2e import ingress_nginx
from tests.testcluster import apt, build, images

INSTALL = Path(__file__).parents[1] / "example_project" / "demo_apps.py"
# Go programs by the tests that need them, the slowest first; a node needs those of "test", too.
PROGRAMS = {
    "router": ("gateway",),
    "test": ("kubernetes", "kwok"),
    "e2e": ("traefik", "coredns", "netpol", "ingressnginx", "workload"),
}


def router() -> None:
    """The tests of the router: a gateway that is not nginx."""
    for program in PROGRAMS["router"]:
        build.binary(program)


def apps() -> None:
    """The applications in the demo's pods."""
    installing = [sys.executable, str(INSTALL), str(build.cache_dir() / "apps")]
    if subprocess.run(installing, check=False).returncode:
        msg = "what examples/apps need is not installed, see above"
        raise build.BuildError(msg)


def test() -> None:
    """All other tests of ``make test``: the control plane."""
    for program in PROGRAMS["test"]:
        build.binary(program)


def fresh() -> None:
    """``make fresh``: the bare root file system."""
    images.debian_layer(list(apt.packages("bare")))


def e2e() -> None:
    """``make e2e``: the node, the gateways, and all that runs in pods."""
    for program in PROGRAMS["e2e"]:
        build.binary(program)
    for image in (
        e2e_images.router,
        e2e_images.site,
        e2e_images.example_workload,
        e2e_images.postgres,
        ingress_nginx.image,
    ):
        image()
    for name in e2e_images.APPLICATIONS:
        e2e_images.application(name)


def main() -> int:
    """Build for the tests that are named; return the exit status."""
    steps = {"router": router, "apps": apps, "test": test, "fresh": fresh, "e2e": e2e}
    words = sys.argv[1:]
    if not words or set(words) - set(steps):
        print(f"name some of: {', '.join(steps)} (given: {', '.join(words) or 'nothing'})")
        return 2
    try:
        for word in words:
            steps[word]()
    except build.BuildError as error:
        print(f"{word}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
