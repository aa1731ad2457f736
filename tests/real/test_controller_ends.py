"""A controller that is told to end while a call of its own is under way."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from django_userpods.core.objects import SERVICE
from django_userpods.models import UserPod
from tests.real.controllers import until
from tests.real.faulty_site import LONG, agreed, make, pods

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faultproxy import Exchange, FaultProxy
    from tests.real.controllers import Controller, Site
    from tests.real.faulty_site import Leaders

pytestmark = pytest.mark.cluster


class Gate:
    """Holds a call back until it is opened, and lets it through then."""

    def __init__(self) -> None:
        self.is_reached, self.opened = threading.Event(), threading.Event()

    def __call__(self, exchange: Exchange) -> None:
        self.is_reached.set()
        self.opened.wait(3 * LONG)
        exchange.pass_through()


@pytest.fixture
def gate(faulty: FaultProxy) -> Iterator[Gate]:
    """What the first Deployment that is to be made has to pass."""
    made = Gate()
    faulty.on(made, method="POST", path="/deployments$", times=1)
    yield made
    made.opened.set()


def begun(here: Site, faulty: FaultProxy, gate: Gate, *options: str) -> Controller:
    """Return a leader that is making alice's Deployment, and waits for the answer."""
    controller = here.start(faulty.kubeconfig, *options)
    until(lambda: controller.is_synced, LONG, "a leader")
    make("alice")
    until(gate.is_reached.is_set, LONG, "a Deployment's call")
    return controller


def threads(controller: Controller) -> int:
    return len(list(Path(f"/proc/{controller.process.pid}/task").iterdir()))


def test_it_ends_what_it_has_begun(
    here: Site, faulty: FaultProxy, leader: Leaders, gate: Gate
) -> None:
    leader.end()
    controller = begun(here, faulty, gate)
    before = threads(controller)
    controller.send(signal.SIGTERM)
    # Its watches and all who have nothing in hand end at once: only then is the call answered.
    until(lambda: threads(controller) < before - 4, LONG, "the end of its other threads")
    assert controller.process.poll() is None
    assert here.names() == []
    gate.opened.set()
    # Not by another signal, which would end it at once.
    controller.process.wait(LONG)
    assert controller.end() == 0, controller.text
    assert here.holder() == ""
    assert here.has_pairs(*pods("alice"))
    pod, service = UserPod.objects.get(), here.get("user-alice", SERVICE)
    assert service is not None
    assert pod.address == f"{service['spec']['clusterIP']}:8000"
    assert (pod.state in {"starting", "running"}, pod.asked_at) == (True, None)


def test_what_takes_longer_than_its_grace_is_left_to_the_next(
    here: Site, faulty: FaultProxy, leader: Leaders, gate: Gate
) -> None:
    leader.end()
    controller = begun(here, faulty, gate, "--grace", "1")
    assert controller.end() == 1, controller.text
    assert "not all that had begun came to its end" in controller.text
    assert here.holder() == ""
    assert here.names() == []
    assert UserPod.objects.get().asked_at is not None
    gate.opened.set()
    leader()
    until(agreed(here, "alice"), LONG)
