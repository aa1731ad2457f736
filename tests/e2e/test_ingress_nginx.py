"""The real ingress-nginx with ``manifests/ingress-nginx`` and no router: the original way."""

from __future__ import annotations

import ssl
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e import ingress_nginx
from tests.e2e.client import HOST, POD_SESSION, Client, pods_host
from tests.e2e.images import TOP
from tests.e2e.site import DJANGO, USERS
from tests.testcluster.processes import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.site import Site

pytestmark = [pytest.mark.node, pytest.mark.timeout(900, func_only=True)]
SHIPPED = TOP / "manifests" / "ingress-nginx"
OTHER = "other.example.org"


class Controller:
    """The site behind ingress-nginx."""

    def __init__(self, site: Site, address: str) -> None:
        self.site = site
        self.address = address
        self.tls = ssl.create_default_context(cafile=site.cluster.ca_file)

    def client(self) -> Client:
        return Client(lambda _: (self.address, 443), tls=self.tls)

    def plain(self) -> Client:
        return Client(lambda _: (self.address, 80))

    def signed_in(self, user: str) -> Client:
        return self.site.signed_in(user, client=self.client())


@pytest.fixture(scope="module")
def controller(site: Site) -> Iterator[Controller]:
    with ingress_nginx.controller(site) as address:
        site.cluster.apply(*_other_tenant())
        site.kubectl("apply", "-k", SHIPPED)
        found = Controller(site, address)
        client = found.client()

        def serves() -> bool:
            try:
                pods = client.request("GET", "/", host=pods_host("alice")).status == 302
                return pods and client.get("/accounts/login/").status == 200
            except OSError:
                return False

        wait_for(serves, "ingress-nginx to serve the site", 60)
        yield found
        site.kubectl("delete", "-k", SHIPPED, "--ignore-not-found")
        site.kubectl("delete", "namespace", "other", "--wait=false")


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
    nobody = controller.client().request("GET", "/", host=bob.host, headers=forged)
    assert nobody.status == 302
    # At alice's host bob is told that it is not his, whatever he says.
    for headers in ({}, forged):
        there = bob.request("GET", "/", headers={"Host": pods_host("alice"), **headers})
        assert there.status == 403


@pytest.mark.parametrize("size", [8 << 10, 16 << 10, 32 << 10])
def test_an_applications_cookies_keep_nobody_out(controller: Controller, size: int) -> None:
    client = controller.signed_in("alice")
    own = "; ".join(f"c{number}={'x' * 2000}" for number in range(size // 2000 + 1))
    ours = f"{POD_SESSION}={client.cookies[POD_SESSION]}"
    answer = client.get("/headers", Cookie=f"{own}; {ours}")
    assert answer.status == 200, answer.text
    assert answer.json()["Cookie"] == [own]
    # Signed out, the same browser comes in again.
    ended = client.request("POST", "/api/logout", host=HOST)
    assert ended.status == 200
    assert client.get("/", Cookie=f"{own}; {ours}").status == 302
    for pair in own.split("; "):
        name, _, value = pair.partition("=")
        client.cookies[name] = value
    assert controller.site.signed_in("alice", client=client).get("/").json()["user"] == "alice"


def test_a_page_of_another_pod_asks_as_nobody(controller: Controller) -> None:
    alice = controller.signed_in("alice")
    for said in (
        {"Origin": f"https://{pods_host('bob')}"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"},
    ):
        assert alice.request("GET", "/", headers=said).status == 302
    assert alice.request("GET", "/", headers={"Origin": f"https://{alice.host}"}).status == 200


@pytest.mark.parametrize("path", ["/%2euserpods/status/", "//.userpods/status/", "/.userpods/../x"])
def test_another_spelling_of_what_is_ours_reaches_nobody(controller: Controller, path: str) -> None:
    alice = controller.signed_in("alice")
    assert alice.get("/.userpods/status/").json()["state"]
    assert alice.get(path).status == 404


def test_who_is_unknown_is_sent_to_the_login_and_back_again(controller: Controller) -> None:
    client = controller.client()
    client.host = pods_host("alice")
    client.cookies[POD_SESSION] = "x" * 43
    answer = client.get("/deep?x=1", Accept="text/html")
    assert answer.status == 302
    sign_in = f"https://{client.host}/.userpods/sign-in?next=%2Fdeep%3Fx%3D1"
    assert answer.header("Location") == sign_in
    url, page = client.open(sign_in)
    assert url.startswith(f"https://{HOST}/accounts/login/?next=")
    assert page.status == 200
    password = controller.site.passwords["alice"]
    assert client.api_login("alice", password).status == 200
    url, page = client.open(sign_in)
    assert url == f"https://{client.host}/deep?x=1"
    assert page.json()["user"] == "alice"
    assert client.get("/", Authorization="Bearer upt_" + "x" * 43, Cookie="a=b").status == 403


def test_another_tenants_host_is_as_it_was(controller: Controller) -> None:
    plain = controller.plain()
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
        # Until then its Service leads to pods that are about to end.
        wait_for(lambda: not site.pods("app.kubernetes.io/name=django"), "Django to be gone", 90)
        wait_for(lambda: alice.get("/").status >= 500, "requests to be refused", 60)
        for _ in range(5):
            assert alice.get("/").status in {500, 502, 503, 504}
            time.sleep(0.2)
        plain = controller.plain()
        assert plain.request("GET", "/", headers={"Host": OTHER}).status == 200
    finally:
        site.kubectl("scale", "deployment/django", "--replicas=2", "-n", DJANGO)
        site.rollout("deployment/django")
    wait_for(lambda: alice.get("/").status == 200, "alice's pod again", 60)
    # That asks Django for itself; the login is of another Ingress, with endpoints of its own.
    client = controller.client()
    wait_for(lambda: client.get("/accounts/login/").status == 200, "the login again", 60)


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
