"""A leader that is killed at an API call, at each once: the next one finds what was left."""

from __future__ import annotations

import re
import signal
import time
from typing import TYPE_CHECKING, NamedTuple

import pytest
from django.contrib.auth.models import User

from tests.real.controllers import until
from tests.real.faulty_site import LONG, agreed, forget_lease, has_one_replica, make
from tests.real.matrix import MATRIX

if TYPE_CHECKING:
    from tests.faultproxy import Exchange, FaultProxy
    from tests.real.controllers import Site
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
CASES = [
    pytest.param(call, carried_out, id=f"{call}{'-carried-out' if carried_out else ''}")
    for call in (*AT_START, *AT_WORK)
    for carried_out in ((False,) if call.method == "GET" else (False, True))
]


@pytest.mark.parametrize(("call", "carried_out"), CASES)
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

    def kill(exchange: Exchange) -> None:
        if carried_out:
            exchange.forward()
        until(lambda: doomed, LONG)
        doomed[0].end(signal.SIGKILL)
        exchange.reset()

    if call in AT_START:
        doomed.clear()
        leader.end()
    faulty.on(kill, method=call.method, path=call.path, query=call.query, times=1)
    on = ("deployment", "user-keep", "-n", here.namespace)
    cluster.kubectl("scale", *on, "--replicas=3")
    User.objects.get(username="gone").delete()
    make("new")
    if call in AT_START:
        doomed.append(here.start(faulty.kubeconfig))
    until(lambda: doomed[0].process.poll() is not None, LONG, "its death")
    forget_lease()
    leader()
    began = time.monotonic()

    def is_right() -> bool:
        return has_one_replica(here, "user-keep") and agreed(here, "keep", "new")()

    until(is_right, LONG)
    MATRIX.note("killed-at-calls", time.monotonic() - began)
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
    seen = {(call.method, call.path, call.query) for call in faulty.calls}
    known = [*AT_START, *AT_WORK]
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
