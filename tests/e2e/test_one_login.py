"""One login for two hosts, to the letter: ``curl -c jar`` at the one, ``curl -b jar`` at the other.

One host for all pods beside the site's, and a session cookie for both. What runs is what the
project's own ``userpods_manifests`` writes with these settings.
"""

from __future__ import annotations

import json
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.e2e import ingress_nginx
from tests.e2e.images import ROUTER
from tests.e2e.site import DJANGO, OVERLAY
from tests.testcluster.processes import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.site import Site

pytestmark = [pytest.mark.node, pytest.mark.timeout(900, func_only=True)]
LOGIN, APP = "login.example.org", "app.example.org"
SETTINGS = {
    "USERPODS_URL": f"https://{APP}/",
    "USERPODS_SITE_URL": f"https://{LOGIN}/",
    "SESSION_COOKIE_DOMAIN": "example.org",
    "ALLOWED_HOSTS": f"{LOGIN},localhost,django.userpods.svc.cluster.local",
    "CSRF_TRUSTED_ORIGINS": f"https://{LOGIN}",
}


class Curl:
    """curl in a shell of somebody who knows the two names, and a file for their cookies."""

    def __init__(self, address: str, ca: Path, folder: Path) -> None:
        self.folder = folder
        self.common = ["--silent", "--show-error", "--max-time", "30", "--cacert", str(ca)]
        self.common += ["--noproxy", "*"]
        for host in (LOGIN, APP):
            self.common += ["--resolve", f"{host}:443:{address}"]

    def __call__(self, *args: str) -> str:
        command = ["curl", *self.common, *args]
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.folder, check=True)
        return done.stdout

    def status(self, *args: str) -> int:
        return int(self(*args, "-o", "/dev/null", "-w", "%{http_code}"))


@pytest.fixture(scope="module")
def two_hosts(behind_traefik: Site) -> Iterator[Site]:
    """The site with these settings, and the router as its own command writes it."""
    site = behind_traefik
    parts = ("deployment/django", "cronjob/userpods-sync")
    words = [f"{key}={value}" for key, value in SETTINGS.items()]
    site.kubectl("set", "env", "-n", DJANGO, *parts, *words)
    try:
        site.rollout("deployment/django")
        # Applications are told their address, so every pod is another now.
        site.manage("sync_userpods", "--wait", "120")
        applied(site, "router")
        site.rollout("deployment/userpods-router")
        yield site
    finally:
        site.kubectl("set", "env", "-n", DJANGO, *parts, *(f"{key}-" for key in SETTINGS))
        site.kubectl("apply", "-k", OVERLAY)
        site.rollout("deployment/django")
        site.rollout("deployment/userpods-router")
        site.manage("sync_userpods", "--wait", "120")


def applied(site: Site, group: str) -> str:
    """Apply what the project's own command writes; that, to be deleted again."""
    text = site.manage("userpods_manifests", f"--only={group}")
    text = text.replace("django-userpods-router:1", ROUTER)
    site.cluster.kubectl("apply", "-f", "-", input=text)
    return text


@contextmanager
def traefik(site: Site) -> Iterator[str]:
    """The address of Traefik, which serves the Ingresses that the command writes."""
    text = applied(site, "ingress")
    yield site.cluster.network.node
    site.cluster.kubectl("delete", "-f", "-", input=text)


@contextmanager
def nginx(site: Site) -> Iterator[str]:
    """The address of ingress-nginx, which does the router's work as the command writes it."""
    with ingress_nginx.controller(site) as address:
        text = applied(site, "ingress-nginx")
        yield address
        site.cluster.kubectl("delete", "-f", "-", input=text)


# One after the other: some of their objects have the same names.
@pytest.fixture(scope="module", params=[traefik, nginx], ids=["router", "ingress-nginx"])
def way_in(request: pytest.FixtureRequest, two_hosts: Site) -> Iterator[str]:
    with request.param(two_hosts) as address:
        yield address


@pytest.fixture
def curl(way_in: str, two_hosts: Site, tmp_path: Path) -> Curl:
    """A shell in front of it, when it serves."""
    found = Curl(way_in, two_hosts.cluster.ca_file, tmp_path)

    def serves() -> bool:
        # Each is of another Ingress, and a controller may take in one after the other.
        paths = (f"{APP}/", f"{LOGIN}/healthz", f"{LOGIN}/api/login")
        try:
            pod, site, login = (found.status(f"https://{path}") for path in paths)
        except subprocess.CalledProcessError:
            return False
        return pod in {302, 401} and site == 200 and login != 404

    wait_for(serves, "both hosts to be served", 90)
    return found


@pytest.mark.parametrize("user", ["alice", "bob"])
def test_who_signs_in_at_one_host_is_answered_by_their_own_pod_at_the_other(
    curl: Curl, two_hosts: Site, user: str
) -> None:
    body = json.dumps({"user": user, "pwd": two_hosts.passwords[user]})
    said = curl("-c", "jar", "-X", "POST", f"https://{LOGIN}/api/login", "-d", body)
    assert json.loads(said) == {"user": user}
    page = json.loads(curl("-b", "jar", f"https://{APP}/"))
    assert (page["user"], page["host"]) == (user, APP)
    assert page["hostname"].startswith(f"user-{user}-")
    # The pod hears who asks, and nothing of the session.
    sent = json.loads(curl("-b", "jar", "-b", "own=1", f"https://{APP}/headers"))
    assert "sessionid" not in json.dumps(sent)
    # Signed out at the one is out at the other.
    assert curl.status("-b", "jar", "-X", "POST", f"https://{LOGIN}/api/logout") == 200
    assert curl.status("-b", "jar", f"https://{APP}/") in {302, 401}


def test_without_the_jar_nobody_is_answered(curl: Curl) -> None:
    assert curl.status(f"https://{APP}/") in {302, 401}
    assert curl.status("-b", "sessionid=x", f"https://{APP}/") in {302, 401}


@pytest.mark.parametrize(
    "said",
    [
        "Origin: https://evil.example",
        # What users run is at the other host, whose pages are the same site to browsers.
        f"Origin: https://{APP}",
        "Origin: null",
        "Sec-Fetch-Site: same-site",
        "Sec-Fetch-Site: cross-site",
    ],
)
def test_no_page_elsewhere_signs_its_visitor_in(curl: Curl, two_hosts: Site, said: str) -> None:
    body = json.dumps({"user": "bob", "pwd": two_hosts.passwords["bob"]})
    url = f"https://{LOGIN}/api/login"
    answer = json.loads(curl("-c", "jar", "-X", "POST", url, "-d", body, "-H", said))
    assert answer == {"error": "a page of another site may not ask for this"}
    assert "sessionid" not in (curl.folder / "jar").read_text()
