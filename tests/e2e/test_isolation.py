"""What the shipped NetworkPolicies keep apart, tried from inside users' pods."""

from __future__ import annotations

import json
import socket
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.site import DJANGO, USERS
from tests.testcluster.processes import wait_for

if TYPE_CHECKING:
    from tests.e2e.site import Site

pytestmark = [pytest.mark.node, pytest.mark.timeout(600, func_only=True)]


def blocked(site: Site, url: str) -> None:
    """Assert that a connection from alice's pod to *url* is not answered, in any way."""
    done = site.inside("user-alice", "fetch", url)
    assert done.returncode != 0, done.stdout
    # Dropped; an answer of any kind (refused, a certificate) would mean that it got through.
    assert "deadline exceeded" in done.stderr, done.stderr


def test_a_pod_reaches_names(site: Site) -> None:
    done = site.inside("user-alice", "resolve", "django.userpods.svc.cluster.local")
    assert site.address("django") in done.stdout


def test_a_pod_cannot_reach_another_users_pod(site: Site) -> None:
    service = site.get("service", "user-bob")["spec"]["clusterIP"]
    (pod,) = site.pods("app=user-bob", namespace=USERS)
    for host in (service, pod["status"]["podIP"], "user-bob"):
        blocked(site, f"http://{host}:8000/")


def test_a_pod_cannot_reach_the_api_server(site: Site) -> None:
    network = site.cluster.network
    blocked(site, f"https://{site.address('kubernetes', namespace='default')}/")
    blocked(site, f"{site.cluster.server}/")
    blocked(site, f"https://{network.node}:10250/")
    done = site.kubectl("get", "pod", "-n", USERS, "-l", "app=user-alice", "-o", "json")
    (pod,) = json.loads(done.stdout)["items"]
    assert pod["spec"]["automountServiceAccountToken"] is False


@pytest.mark.parametrize(
    ("service", "port"), [("postgres", 5432), ("django", 8000), ("django", 80)]
)
def test_a_pod_cannot_reach_the_sites_own_parts(site: Site, service: str, port: int) -> None:
    blocked(site, f"http://{site.address(service)}:{port}/")


def test_a_pod_cannot_reach_the_routers_internal_port(site: Site) -> None:
    for pod in site.pods("app.kubernetes.io/name=userpods-router"):
        blocked(site, f"http://{pod['status']['podIP']}:8081/healthz")


def test_this_machine_is_a_stranger_to_a_pod_and_to_the_database(site: Site) -> None:
    alice = site.get("service", "user-alice")["spec"]["clusterIP"]
    for address in (f"{alice}:8000", f"{site.address('postgres')}:5432"):
        with pytest.raises(OSError, match="timed out"):
            _connect(address)


def test_a_pod_that_answers_for_anothers_address_is_not_believed(site: Site) -> None:
    """Alice's Service is deleted by hand, and its address given to one that leads to bob's pod."""
    alice = site.signed_in("alice")
    assert site.wait_for_pod(alice)["user"] == "alice"
    address = site.get("service", "user-alice")["spec"]["clusterIP"]
    site.kubectl("delete", "service", "user-alice", "-n", USERS)
    impostor = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "impostor", "namespace": USERS},
        "spec": {
            "clusterIP": address,
            "selector": {"app": "user-bob"},
            "ports": [{"port": 8000}],
        },
    }
    wait_for(partial(_is_created, site, impostor), "the address to be free again", 60)
    try:
        # Until the next sync the row still has the address, so the request does arrive there.
        # The pod sees that it is not meant, and whatever it says, alice does not see bob's.
        wait_for(lambda: alice.get("/").status == 421, "the impostor to be asked", 30)
        # Then alice gets another address, and the impostor is left alone: it is not ours.
        site.manage("sync_userpods", "--user", "alice")
        assert site.get("service", "user-alice")["spec"]["clusterIP"] != address

        def every_router_knows() -> bool:
            answers = [alice.get("/") for _ in range(12)]
            assert all(answer.status in {200, 421, 503} for answer in answers)
            return all(a.status == 200 and a.json()["user"] == "alice" for a in answers)

        # They remember for seconds what they were told, each for itself.
        wait_for(every_router_knows, "alice to be led to her own pod", 30)
        assert site.exists("service", "impostor")
    finally:
        site.kubectl("delete", "service", "impostor", "-n", USERS)


def _is_created(site: Site, service: dict[str, Any]) -> bool:
    """Create a Service; False where the address that it asks for is not given back yet."""
    try:
        site.cluster.create(service)
    except AssertionError as error:
        if "provided IP is already allocated" in str(error):
            return False
        raise
    return True


def test_the_database_is_reached_by_django_alone(site: Site) -> None:
    """Not even from the site's own namespace: the router has no business there."""
    code = "import socket; socket.create_connection(('postgres', 5432), 3); print('through')"
    done = site.kubectl("exec", "-n", DJANGO, "deployment/django", "--", "python", "-c", code)
    assert done.stdout.strip() == "through"
    (router, *_) = site.pods("app.kubernetes.io/name=userpods-router")
    address = site.address("postgres")
    done = site.cluster.kubectl(
        *("exec", "-n", DJANGO, router["metadata"]["name"], "--"),
        *("timeout", "4", "bash", "-c", f"exec 3<>/dev/tcp/{address}/5432"),
        check=False,
    )
    assert done.returncode == 124, (done.returncode, done.stderr)


def _connect(address: str) -> None:
    host, port = address.split(":")
    socket.create_connection((host, int(port)), timeout=3).close()
