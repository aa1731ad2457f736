"""A changed image for very many pods, all at once and in waves: time, and the controller's memory.

    python benchmarks/rollouts.py [--users 10000] [--at-once 100] [--output docs/benchmarks]

A real API server on the same machine, without Kubernetes' own controllers; Deployments say that
they are ready as soon as they are changed. *All at once* is without ``USERPODS_ROLLOUT``; in waves
no more pods than named have another image at once and do not run by it yet. Time is from when a
controller leads until every row says that its pod runs by that image: first all at once, then in
waves by yet another.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.common import DOCS, publish, set_up_django
from benchmarks.controller import NAMESPACE, led, say_ready, settled
from benchmarks.resting import megabytes
from tests.testcluster.controlplane import ControlPlane

if TYPE_CHECKING:
    from tests.real.controllers import Site

#: Seconds that either may take.
_LONG = 3600.0


def main() -> None:
    """Measure and publish."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--at-once", type=int, default=100, help="MAX_UNREADY")
    parser.add_argument("--output", type=Path, default=DOCS, metavar="DIR")
    options = parser.parse_args()
    set_up_django()
    rows = rolled_out(options.users, options.at_once)
    notes = (__doc__ or "").split("\n\n", 2)[2]
    title = "What another image takes for all pods"
    publish("rollouts", title, rows, notes, folder=options.output)


def rolled_out(users: int, at_once: int) -> list[tuple[str, str, str]]:
    """Measure it, with ``users`` pods that run."""
    from django.contrib.auth.models import User

    from tests.real.controllers import site
    from tests.real.pretended import ready

    with (
        ControlPlane(controller_manager=False, scheduler=False, kwok=False) as plane,
        tempfile.TemporaryDirectory() as folder,
        site(Path(folder), plane.kubeconfig, NAMESPACE) as here,
    ):
        plane.kubectl("create", "namespace", NAMESPACE)
        User.objects.bulk_create(
            (User(username=f"many{number}") for number in range(users)), batch_size=500
        )
        here.sync()
        say_ready(here, plane)
        here.sync()
        settled(here)
        controller = led(here, plane)
        time.sleep(60)
        resting = megabytes(controller, "VmRSS")
        controller.end()
        with ready(plane, here.namespace):
            whole, _ = _change(here, plane, "example.org/app:2", users, "")
            rule = f'USERPODS_ROLLOUT = {{"MAX_UNREADY": {at_once}}}\n'
            waves, memory = _change(here, plane, "example.org/app:3", users, rule)
    return [
        (
            f"Another image for {users:,} pods, {at_once} at once unready, against all at once",
            f"{waves / whole:.2f} times as long ({waves:.0f} s, {whole:.0f} s)",
            "",
        ),
        (
            "The controller's memory in that rollout, at the most",
            f"{memory:.0f} MB ({memory / resting:.2f} times that at rest)",
            "at most 400 MB",
        ),
    ]


def _change(
    here: Site, plane: ControlPlane, image: str, users: int, rule: str
) -> tuple[float, float]:
    """Return the seconds until all have an image, and the controller's memory at the most."""
    from django_userpods.models import UserPod
    from tests.real.controllers import until

    controller = here.start(plane.kubeconfig, settings=f'USERPODS_IMAGE = "{image}"\n{rule}')
    until(lambda: controller.is_leading, 60, "a leader")
    began = time.monotonic()
    done = UserPod.objects.filter(image=image, state="running", turn="")
    until(lambda: done.count() == users, _LONG, f"{image} everywhere", every=0.5)
    took = time.monotonic() - began
    memory = megabytes(controller, "VmHWM")
    controller.end()
    return took, memory


if __name__ == "__main__":
    main()
