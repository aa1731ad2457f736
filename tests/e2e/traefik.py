"""Traefik on the node, as a DaemonSet with the host's network would be: the way in, with TLS."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.browser.chromium import chromium
from tests.e2e.client import Client, pods_host
from tests.e2e.images import TOP
from tests.testcluster import build
from tests.testcluster.processes import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from selenium.webdriver.chrome.webdriver import WebDriver

    from tests.e2e.site import Site

GATEWAY_API = "sigs.k8s.io/gateway-api"
_CLASS = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "GatewayClass",
    "metadata": {"name": "traefik"},
    "spec": {"controllerName": "traefik.io/gateway-controller"},
}


class WayIn:
    """The site's address as people have it."""

    def __init__(self, site: Site, name: str) -> None:
        self.site = site
        self.name = name
        self.address = site.cluster.network.node
        self.ca: Path = site.cluster.ca_file
        self.tls = ssl.create_default_context(cafile=self.ca)

    def client(self) -> Client:
        """A browser that speaks TLS with the gateway."""
        return Client(lambda _: (self.address, 443), tls=self.tls)

    def signed_in(self, user: str) -> Client:
        return self.site.signed_in(user, client=self.client())


def start(site: Site) -> None:
    """Install the Gateway API and start Traefik with both of its providers."""
    cluster = site.cluster
    crds = build.module_dir("traefik", GATEWAY_API) / "config" / "crd" / "standard"
    # Some are too large for the annotation that a plain apply keeps.
    site.kubectl("apply", "--server-side", "-f", crds)
    cluster.apply(_CLASS)
    site.put_certificate()
    address = cluster.network.node
    cluster._start_inside(
        "traefik",
        *("env", f"KUBECONFIG={cluster.kubeconfig}", build.binary("traefik")),
        # The Gateway's listeners have the same ports, or Traefik does not take them.
        f"--entrypoints.web.address={address}:80",
        f"--entrypoints.websecure.address={address}:443",
        # As its Helm chart has it; without, an Ingress is served on plain HTTP alone.
        "--entrypoints.websecure.http.tls=true",
        "--entrypoints.web.http.redirections.entrypoint.to=websecure",
        f"--entrypoints.ping.address={address}:8082",
        "--providers.kubernetesingress=true",
        "--providers.kubernetesgateway=true",
        "--global.checknewversion=false",
        "--global.sendanonymoususage=false",
        "--ping=true",
        "--ping.entrypoint=ping",
        "--log.level=INFO",
    )
    cluster.run.wait_ready("traefik", lambda: _pings(f"http://{address}:8082/ping"), 90)


@contextmanager
def way_in(site: Site, name: str) -> Iterator[WayIn]:
    """The shipped ``manifests/ingress`` or ``manifests/gateway``, applied unchanged."""
    folder = TOP / "manifests" / name
    site.kubectl("apply", "-k", folder)
    way = WayIn(site, name)
    client = way.client()

    def serves() -> bool:
        try:
            pods = client.request("GET", "/", host=pods_host("alice")).status == 401
            return pods and client.get("/accounts/login/").status == 200
        except OSError:
            return False

    try:
        wait_for(serves, f"Traefik to serve {folder.name}", 60)
        yield way
    finally:
        site.kubectl("delete", "-k", folder)


@contextmanager
def browser(way: WayIn, folder: Path) -> Iterator[WebDriver]:
    """Chromium for which all names lead to the gateway."""
    with chromium(
        folder,
        "--no-proxy-server",
        f"--host-resolver-rules=MAP *.example.org {way.address}",
        # Chromium has a list of authorities of its own; the certificate is checked by curl.
        "--ignore-certificate-errors",
    ) as found:
        found.set_page_load_timeout(90)
        yield found


def _pings(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - our own address
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
