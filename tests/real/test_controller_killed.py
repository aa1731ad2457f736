"""A leader that is killed at an API call, at each once: the next one finds what was left."""

from __future__ import annotations

import json
import re
import signal
import time
from typing import TYPE_CHECKING, NamedTuple

import pytest
from django.contrib.auth.models import User

from django_userpods import lifecycle
from django_userpods.core.objects import DEPLOYMENT, SERVICE
from django_userpods.models import UserPod
from tests.real.controllers import until
from tests.real.faulty_site import LONG, agreed, forget_lease, has_one_replica, make
from tests.real.matrix import MATRIX

if TYPE_CHECKING:
    from _pytest.mark import ParameterSet

    from tests.faultproxy import Exchange, FaultProxy
    from tests.faults import Action
    from tests.real.controllers import Controller, Site
    from tests.real.faulty_site import Leaders
    from tests.testcluster.cluster import Cluster

pytestmark = pytest.mark.cluster


class Call(NamedTuple):
    """What is called: regular expressions for its path and query."""

    method: str
    path: str
    query: str = ""

    def __str__(self) -> str:
        return re.sub(r"[^A-Za-z=]+", "-", f"{self.method} {self.path} {self.query}").strip("-")


#: What is called when a controller begins to lead.
AT_START = [
    Call("GET", "/leases/"),
    Call("POST", "/leases$"),
    *(Call("GET", f"/{kind}$", "^limit=1&") for kind in ("pods", "deployments", "services")),
    *(Call("GET", f"/{kind}$", "watch=true") for kind in ("pods", "deployments", "services")),
]
#: What is called when one is to come, one to go, and one was edited by hand.
AT_WORK = [
    Call("PUT", "/leases/"),
    *(Call("GET", f"/{kind}$", "^limit=500&") for kind in ("pods", "deployments", "services")),
    *(Call("POST", f"/{kind}$") for kind in ("deployments", "services")),
    Call("GET", "/deployments/user-keep$"),
    Call("PATCH", "/deployments/user-keep$", "^$"),
    Call("PATCH", "/deployments/user-keep$", "fieldManager"),
    *(Call("DELETE", f"/{kind}/user-gone$") for kind in ("deployments", "services")),
    *(Call("GET", f"/{kind}/user-gone$") for kind in ("deployments", "services")),
]
#: What is called at a start where there is more than one page.
IN_PAGES = [
    Call("GET", f"/{kind}$", "^limit=1&.*continue=") for kind in ("pods", "deployments", "services")
]
#: What is called when a pod is recreated.
AT_RECREATION = [
    Call(method, f"/{kind}{'' if method == 'POST' else '/user-keep'}$")
    for method in ("DELETE", "GET", "POST")
    for kind in ("deployments", "services")
]


def cases(*calls: Call) -> list[ParameterSet]:
    """Return each call, and each that writes once more: killed after it was carried out."""
    return [
        pytest.param(call, carried_out, id=f"{call}{'-carried-out' if carried_out else ''}")
        for call in calls
        for carried_out in ((False,) if call.method == "GET" else (False, True))
    ]


def killing(doomed: list[Controller], *, carried_out: bool) -> Action:
    """Return what kills the one that is doomed, once there is one, and answers nothing."""

    def kill(exchange: Exchange) -> None:
        if carried_out:
            exchange.forward()
        until(lambda: doomed, LONG)
        doomed[0].end(signal.SIGKILL)
        exchange.reset()

    return kill


@pytest.mark.parametrize(("call", "carried_out"), cases(*AT_START, *IN_PAGES, *AT_WORK))
def test_what_one_that_is_killed_at_a_call_leaves_is_done_by_the_next(
    here: Site,
    cluster: Cluster,
    faulty: FaultProxy,
    leader: Leaders,
    call: Call,
    carried_out: bool,
) -> None:
    doomed = [leader()]
    make("keep", "gone")
    until(agreed(here, "keep", "gone"), LONG)
    is_at_start = call in (*AT_START, *IN_PAGES)
    if is_at_start:
        doomed.clear()
        leader.end()
    kill = killing(doomed, carried_out=carried_out)
    faulty.on(kill, method=call.method, path=call.path, query=call.query, times=1)
    on = ("deployment", "user-keep", "-n", here.namespace)
    cluster.kubectl("scale", *on, "--replicas=3")
    User.objects.get(username="gone").delete()
    make("new")
    if is_at_start:
        pages = {"page_size": 1} if call in IN_PAGES else {}
        doomed.append(here.start(faulty.kubeconfig, cluster=pages))
    until(lambda: doomed[0].process.poll() is not None, LONG, "its death")
    forget_lease()
    leader()
    began = time.monotonic()

    def is_right() -> bool:
        return has_one_replica(here, "user-keep") and agreed(here, "keep", "new")()

    until(is_right, LONG)
    MATRIX.note("killed-at-calls", time.monotonic() - began)
    assert here.changes_of_a_sync() == 0


@pytest.mark.parametrize(("call", "carried_out"), cases(*AT_RECREATION))
def test_what_one_that_is_killed_has_begun_to_recreate_is_recreated_by_the_next(
    here: Site, faulty: FaultProxy, leader: Leaders, call: Call, carried_out: bool
) -> None:
    doomed = [leader()]
    make("keep")
    until(agreed(here, "keep"), LONG)
    before = uids(here)
    kill = killing(doomed, carried_out=carried_out)
    faulty.on(kill, method=call.method, path=call.path, query=call.query, times=1)
    lifecycle.recreate(UserPod.objects.all())
    until(lambda: doomed[0].process.poll() is not None, LONG, "its death")
    forget_lease()
    leader()
    began = time.monotonic()
    until(lambda: agreed(here, "keep")() and not UserPod.objects.get().recreate, LONG)
    MATRIX.note("killed-at-calls", time.monotonic() - began)
    assert not set(uids(here)) & set(before)
    assert here.changes_of_a_sync() == 0


def uids(here: Site) -> list[str]:
    """Return those of keep's objects."""
    found = (here.get("user-keep", kind) for kind in (DEPLOYMENT, SERVICE))
    return [item["metadata"]["uid"] for item in found if item is not None]


@pytest.mark.parametrize("carried_out", [False, True])
def test_one_that_is_killed_while_it_gives_its_lease_back_is_followed(
    here: Site, faulty: FaultProxy, leader: Leaders, carried_out: bool
) -> None:
    doomed = leader()
    make("keep")
    until(agreed(here, "keep"), LONG)
    kill = killing([doomed], carried_out=carried_out)

    def at_its_end(exchange: Exchange) -> None:
        if json.loads(exchange.body)["spec"]["holderIdentity"]:
            exchange.pass_through()
        else:
            kill(exchange)

    faulty.on(at_its_end, method="PUT", path="/leases/")
    doomed.send(signal.SIGTERM)
    until(lambda: doomed.process.poll() is not None, LONG, "its death")
    assert doomed.process.returncode == -signal.SIGKILL, "it was through before"
    assert (here.holder() == "") is carried_out
    make("new")
    if not carried_out:
        forget_lease()  # that it runs out is seen where one is killed
    next_one = here.start(faulty.kubeconfig)
    try:
        until(lambda: next_one.is_synced, LONG, "the next one")
        began = time.monotonic()
        until(agreed(here, "keep", "new"), LONG)
        MATRIX.note("killed-at-calls", time.monotonic() - began)
    finally:
        next_one.end(signal.SIGKILL)
        forget_lease()
    assert here.changes_of_a_sync() == 0


def test_it_was_killed_at_each_call_that_there_is(
    here: Site, cluster: Cluster, faulty: FaultProxy, leader: Leaders
) -> None:
    """Of all that the tests above have seen, and one more from its start to its end."""
    leader().end()
    leader()
    make("keep", "gone")
    until(agreed(here, "keep", "gone"), LONG)
    User.objects.get(username="gone").delete()
    until(agreed(here, "keep"), LONG)
    lifecycle.recreate(UserPod.objects.all())
    until(lambda: agreed(here, "keep")() and not UserPod.objects.get().recreate, LONG)
    seen = {(call.method, call.path, call.query) for call in faulty.calls}
    known = [*AT_START, *AT_WORK, *AT_RECREATION]
    # Of another user it is the same call.
    named = {
        (method, re.sub("user-[a-z]+$", "user-*", path), query) for method, path, query in seen
    }
    patterns = [call._replace(path=re.sub("user-[a-z]+", "user-.", call.path)) for call in known]
    unknown = {
        (method, path, query)
        for method, path, query in named
        if not any(
            method == call.method and re.search(call.path, path) and re.search(call.query, query)
            for call in patterns
        )
    }
    assert not unknown
