"""The router is restarted while pods are being started: it, the database and the cluster agree.

An API server alone is enough, where pods come to run a second after they were made. Its Services
have addresses of this machine's own, so that what answers at all of them is one workload here, and
a request through the router gets there or does not.
"""

from __future__ import annotations

import os
import secrets
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.models import User
from django.db import connections
from django.test.utils import override_settings

from django_userpods.cluster import get_cluster
from django_userpods.core.objects import DEPLOYMENT, SERVICE, Ref
from django_userpods.models import AccessToken, UserPod
from tests.real.controllers import Site, site, until
from tests.real.faulty_site import LONG, agreed, make
from tests.real.matrix import MATRIX
from tests.real.pretended import ready
from tests.router.harness import ROOT, Router, workload
from tests.router.real_django import SLOW, serving
from tests.testcluster.controlplane import ControlPlane
from tests.testcluster.fixtures import restricted_namespace
from tests.testcluster.processes import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.real.controllers import Controller

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.router,
    pytest.mark.skipif(
        "USERPODS_TEST_CONTEXT" in os.environ, reason="Services need addresses of this machine"
    ),
]
_SETTINGS = """
USERPODS_ROUTERS = ["http://127.0.0.1:{internal}"]
USERPODS_PORT = {port}
# Whoever is stopped is stopped for want of a router that tells.
USERPODS_IDLE_TIMEOUT = 3600
"""


@dataclass
class World:
    """A whole site but for kubelets: Django, a router, a controller and an API server."""

    here: Site
    router: Router
    controller: Controller

    def reaches(self, name: str, token: str) -> bool:
        """Whether somebody with a token gets to their own pod."""
        answer = self.router.get("/", ("Authorization", f"Bearer {token}"))
        return answer.status == 200 and answer.sent("x-userpods-user") == [name]


@pytest.fixture
def world(tmp_path: Path, django_db_setup: None, django_db_blocker: Any) -> Iterator[World]:
    namespace = f"test-{secrets.token_hex(5)}"
    with ExitStack() as stack:
        plane = stack.enter_context(
            ControlPlane(
                controller_manager=False, scheduler=False, kwok=False, service_cidr="127.96.0.0/16"
            )
        )
        plane.create(restricted_namespace(namespace))
        stack.enter_context(ready(plane, namespace, after=1.0))
        port = int(stack.enter_context(workload("all", tmp_path, host="0.0.0.0")).split(":")[1])  # noqa: S104 - at each Service's address
        stack.enter_context(django_db_blocker.unblock())
        here = stack.enter_context(site(tmp_path, plane.kubeconfig, namespace))
        django = free_port()
        router = Router(tmp_path / "nginx", django, options=SLOW)
        more = _SETTINGS.format(internal=router.internal, port=port)
        stack.enter_context(override_settings(USERPODS_PORT=port))
        controller = here.start(plane.kubeconfig, settings=more)
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "settings_0",
            "PYTHONPATH": os.pathsep.join(map(str, (tmp_path, ROOT, ROOT / "src"))),
        }
        stack.enter_context(serving(tmp_path, django, environment))
        stack.enter_context(router)
        until(lambda: controller.is_synced, LONG, "a leader")
        yield World(here, router, controller)
        connections.close_all()


def tokens_of(*names: str) -> dict[str, str]:
    users = {user.username: user for user in User.objects.filter(username__in=names)}
    return {name: AccessToken.objects.issue(users[name])[1] for name in names}


def test_a_router_that_is_restarted_while_pods_start_goes_by_what_is_so_now(world: World) -> None:
    here, router = world.here, world.router
    here_before = [f"old{number}" for number in range(4)]
    make(*here_before)
    until(agreed(here, *here_before), LONG)
    tokens = tokens_of(*here_before)
    for name, token in tokens.items():
        until(lambda name=name, token=token: world.reaches(name, token), LONG, name)  # type: ignore[misc]
    moved = here.get("user-old0", SERVICE)
    assert moved is not None

    coming = [f"new{number}" for number in range(20)]
    make(*coming)
    until(lambda: len(here.names()) > len(here_before), LONG, "a beginning", every=0.01)
    assert UserPod.objects.filter(state="running").count() < 24, "it is in the middle"
    router.process.stop()
    # What it would have been told to forget, if it had been there.
    get_cluster().delete(Ref.of(moved), uid=moved["metadata"]["uid"])
    User.objects.get(username="old1").delete()
    until(lambda: "user-old1" not in here.names(DEPLOYMENT), LONG, "the end of old1's pod")
    until(lambda: (now := here.get("user-old0", SERVICE)) is not None and now != moved, LONG)
    router.process.__enter__()
    began = time.monotonic()

    gone = tokens.pop("old1")
    staying = [name for name in here_before if name != "old1"] + coming
    tokens |= tokens_of(*coming)
    until(agreed(here, *staying), LONG, every=0.2)
    for name, token in tokens.items():
        until(lambda name=name, token=token: world.reaches(name, token), LONG, name)  # type: ignore[misc]
    MATRIX.note("router", time.monotonic() - began)
    assert router.get("/", ("Authorization", f"Bearer {gone}")).status in (401, 403)
    here.assert_at_rest()
    assert not UserPod.objects.exclude(wanted="running").exists(), "nobody was stopped"
    assert world.controller.is_leading
    assert "Traceback" not in world.controller.text
