"""A changed image for very many pods, all at once and in waves: time, memory, calls.

Part of ``controller.py``: what it measures is the controller that is at rest there.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.real.controllers import Controller, Site
    from tests.testcluster.controlplane import ControlPlane

#: How many pods at once may be given another template and not run by it yet.
AT_ONCE = 100
#: Seconds that either may take.
_LONG = 3600.0


def rolled_out(
    here: Site, plane: ControlPlane, users: int, *, at_rest: float
) -> list[tuple[str, str, str]]:
    """Measure it, with ``users`` pods that run and no controller.

    ``at_rest`` is the memory, in MB, of one that has nothing to do.
    """
    from tests.real.pretended import ready

    with ready(plane, here.namespace):
        whole, _ = _change(here, plane, "example.org/app:2", users, "")
        rule = f'USERPODS_ROLLOUT = {{"MAX_UNREADY": {AT_ONCE}}}\n'
        waves, memory = _change(here, plane, "example.org/app:3", users, rule)
    return [
        (
            f"Another image for {users:,} pods, {AT_ONCE} at once unready, against all at once",
            f"{waves / whole:.2f} times as long ({waves:.0f} s, {whole:.0f} s)",
            "",
        ),
        (
            "The controller's memory in that rollout, at the most",
            f"{memory:.0f} MB ({memory / at_rest:.2f} times that at rest)",
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
    memory = most_memory(controller)
    controller.end()
    return took, memory


def most_memory(controller: Controller) -> float:
    """Return how much memory a controller has had at once so far, in MB (10^6 bytes)."""
    status = (Path("/proc") / str(controller.process.pid) / "status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024 / 1e6
