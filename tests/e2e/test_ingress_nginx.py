"""The real ingress-nginx with ``manifests/ingress-nginx`` and no router: the original way."""

from __future__ import annotations

import ssl
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e import ingress_nginx
from tests.e2e.client import HOST, Client
from tests.e2e.site import DJANGO, USERS
from tests.testcluster.processes import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.site import Site

pytestmark = [pytest.mark.node, pytest.mark.timeout(900, func_only=True)]
OVERLAY = Path(__file__).with_name("overlay-ingress-nginx")
OTHER = "other.example.org"


class Controller:
    """The site behind ingress-nginx."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.address = site.address("controller", namespace=ingress_nginx.NAMESPACE)
        self.tls = ssl.create_default_context(cafile=site.cluster.ca_file)

    def client(self) -> Client:
        return Client(self.address, 443, tls=self.tls)

    def signed_in(self, user: str) -> Client:
        client = self.client()
        answer = client.api_login(user, self.site.passwords[user])
        assert answer.status == 200, (answer.status, answer.text)
        return client


@pytest.fixture(scope="module")
def controller(site: Site) -> Iterator[Controller]:
    cluster = site.cluster
    cluster.load_image(ingress_nginx.image())
    site.put_certificate()
    cluster.apply(*ingress_nginx.objects())
    cluster.apply(*_other_tenant())
    site.kubectl("apply", "-k", OVERLAY)
    site.rollout("deployment/controller", namespace=ingress_nginx.NAMESPACE)
    found = Controller(site)
    client = found.client()

    def serves() -> bool:
        try:
            return client.get("/accounts/login/").status == 200
        except OSError:
            return False

    wait_for(serves, "ingress-nginx to serve the site", 60)
    yield found
    site.kubectl("delete", "-k", OVERLAY, "--ignore-not-found")
    site.kubectl("delete", "namespace", ingress_nginx.NAMESPACE, "other", "--wait=false")


@pytest.mark.parametrize("name", ["alice", "bob"])
def test_everybody_reaches_their_own_pod(controller: Controller, name: str) -> None:
    client = controller.signed_in(name)
    for path in ("/", "/some/page?x=1"):
        said = client.get(path).json()
        assert (said["user"], said["path"]) == (name, path)
    client.cookies["own"] = "kept"
    sent = client.get("/headers").json()
    assert sent["X-Userpods-User"] == [name]
    assert sent["Cookie"] == ["own=kept"]


def test_forged_headers_change_nothing(controller: Controller) -> None:
    bob = controller.signed_in("bob")
    alice = controller.site.get("service", "user-alice")["spec"]["clusterIP"]
    forged = {
        "X-Target-Service": "user-alice",
        "X-Target-Peer": f"{alice}:8000",
        "X-Userpods-User": "alice",
        "X-Userpods-User-Id": "2",
    }
    assert bob.request("GET", "/", headers=forged).json()["user"] == "bob"
    sent = bob.request("GET", "/headers", headers=forged).json()
    assert sent["X-Userpods-User"] == ["bob"]
    nobody = controller.client().request("GET", "/", headers=forged)
    assert nobody.status in {302, 401}


def test_who_is_unknown_is_sent_to_the_login(controller: Controller) -> None:
    client = controller.client()
    client.cookies["sessionid"] = "x" * 32
    answer = client.get("/deep", Accept="text/html")
    assert answer.status == 302
    assert answer.header("Location").startswith(f"https://{HOST}/accounts/login/?next=")
    assert client.get("/", Authorization="Bearer upt_" + "x" * 43).status == 403


def test_another_tenants_host_is_as_it_was(controller: Controller) -> None:
    plain = Client(controller.address, 80)
    for headers in ({}, {"X-Target-Service": "user-alice"}):
        answer = plain.request("GET", "/x", headers={"Host": OTHER, **headers})
        assert answer.json()["hostname"].startswith("theirs")
    # Its own cookie of the same name stays as it is.
    cookie = {"Host": OTHER, "Cookie": "sessionid=their-own"}
    assert plain.request("GET", "/headers", headers=cookie).json()["Cookie"] == [
        "sessionid=their-own"
    ]


def test_nobody_gets_in_while_the_auth_service_is_down(controller: Controller) -> None:
    site = controller.site
    alice = controller.signed_in("alice")
    assert alice.get("/").status == 200
    site.kubectl("scale", "deployment/django", "--replicas=0", "-n", DJANGO)
    try:
        wait_for(lambda: alice.get("/").status >= 500, "requests to be refused", 60)
        for _ in range(5):
            assert alice.get("/").status in {500, 502, 503, 504}
            time.sleep(0.2)
        plain = Client(controller.address, 80)
        assert plain.request("GET", "/", headers={"Host": OTHER}).status == 200
    finally:
        site.kubectl("scale", "deployment/django", "--replicas=2", "-n", DJANGO)
        site.rollout("deployment/django")
    wait_for(lambda: alice.get("/").status == 200, "alice's pod again", 60)


def test_a_stopped_pod_is_waited_for(controller: Controller) -> None:
    site = controller.site
    site.add_user("erin")
    erin = controller.signed_in("erin")
    end = time.monotonic() + 60
    while (answer := erin.get("/")).status != 200:
        assert answer.status in {502, 503}, answer.text
        assert time.monotonic() < end
        time.sleep(0.2)
    assert answer.json()["user"] == "erin"
    assert site.exists("deployment", "user-erin", namespace=USERS)


def _other_tenant() -> list[dict[str, Any]]:
    labels = {"app": "theirs"}
    metadata = {"name": "theirs", "namespace": "other"}
    backend = {"service": {"name": "theirs", "port": {"number": 80}}}
    container = {"name": "app", "image": "localhost/workload:1", "imagePullPolicy": "Never"}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}},
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": metadata,
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": 8000}]},
        },
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": metadata,
            "spec": {
                "ingressClassName": "nginx",
                "rules": [
                    {
                        "host": OTHER,
                        "http": {
                            "paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]
                        },
                    }
                ],
            },
        },
    ]
