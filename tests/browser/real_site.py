"""A site in this process whose pods are on a real API server, and Chromium that looks at it.

``localhost`` and ``127.0.0.1`` are two hosts to a browser: a user is signed in at the one, staff
at the other, and both look at once.
"""

from __future__ import annotations

import secrets
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.test.utils import override_settings
from pytest_django.live_server_helper import LiveServer
from selenium.webdriver.common.by import By

from tests.browser.chromium import chromium, press_one
from tests.django.support import end_pause
from tests.real.controllers import Site, until
from tests.real.controllers import site as real_site
from tests.real.project import PATIENT
from tests.testcluster.controlplane import ControlPlane
from tests.testcluster.fixtures import restricted_namespace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import Message
    from pathlib import Path

    from selenium.webdriver.chrome.webdriver import WebDriver
    from selenium.webdriver.remote.webelement import WebElement

    from tests.testcluster.cluster import Cluster

PODS = "/admin/userpods/userpod/"


Customize = Callable[[list[Any], Any], list[Any]]


def told(annotations: dict[str, str] | None = None, **pod_spec: Any) -> Customize:
    """What has the pretended node treat pods so (``testcluster/kwok/stages.yaml``)."""
    found = {f"testcluster/{key}": value for key, value in (annotations or {}).items()}

    def customize(manifests: list[Any], user: object) -> list[Any]:
        for manifest in manifests:
            if manifest["kind"] == "Deployment":
                template = manifest["spec"]["template"]
                metadata = template["metadata"]
                metadata["annotations"] = {**metadata.get("annotations", {}), **found}
                template["spec"] |= pod_spec
        return manifests

    return customize


def each_told(which: dict[str, Customize]) -> Customize:
    """What has the pods of some users treated so, by username, and others' as any pod."""

    def customize(manifests: list[Any], user: Any) -> list[Any]:
        return which.get(user.get_username(), told())(manifests, user)

    return customize


@dataclass
class OpenSite:
    """A site, and two people who look at it."""

    inner: Site
    browser: WebDriver
    port: str

    def url(self, path: str, *, staff: bool = False) -> str:
        return f"http://{'127.0.0.1' if staff else 'localhost'}:{self.port}{path}"

    def client(self, user: Any) -> Client:
        """Somebody who is signed in, though not in the browser."""
        client = Client()
        client.force_login(user)
        return client

    def sign_in(self, user: Any, *, staff: bool = False) -> Client:
        """Have the browser be somebody, at the users' host or at staff's; return their client."""
        client = self.client(user)
        self.browser.get(self.url("/userpods/assets/css", staff=staff))
        key = client.cookies["sessionid"].value
        self.browser.add_cookie({"name": "sessionid", "value": key})
        return client

    def open(self, path: str, *, staff: bool = False) -> None:
        self.browser.get(self.url(path, staff=staff))

    def find(self, css: str) -> WebElement:
        return self.browser.find_element(By.CSS_SELECTOR, css)

    def press(self, text: str, *, within: str = "body", kind: str = "button, summary, a") -> None:
        """Press the one button or link that says so, once it is there."""
        press_one(self.browser, f"{within} :is({kind})", text)

    def write(self, css: str, text: str) -> None:
        field = self.find(css)
        field.clear()
        field.send_keys(text)

    def whoami(self, **headers: str) -> tuple[int, Message]:
        """What the router would be told over HTTP: the status and the answer's headers."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self.url("/whoami"), headers=given)  # noqa: S310 - our own
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - as above
                return answer.status, answer.headers
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers


@dataclass
class RealSite(OpenSite):
    """One of which we see what there is in the cluster."""

    cluster: Cluster

    def deployment(self, name: str) -> dict[str, Any]:
        return self.cluster.get("deployment", name, "-n", self.inner.namespace)

    def replicas(self) -> list[int]:
        """How many pods each Deployment is to have."""
        found = self.cluster.get("deployment", "-n", self.inner.namespace)["items"]
        return [item["spec"]["replicas"] for item in found]


@contextmanager
def running(
    folder: Path, cluster: Cluster, *, controller: bool = False, **settings: Any
) -> Iterator[RealSite]:
    """A site with a database and a namespace of its own, and a browser; use it with database
    access. With a controller in its own process, or with what a request does itself."""
    namespace = f"test-{secrets.token_hex(5)}"
    cluster.create(restricted_namespace(namespace))
    with ExitStack() as stack:
        remove = ("delete", "namespace", namespace, "--wait=false")
        stack.callback(cluster.kubectl, *remove)
        inner = stack.enter_context(real_site(folder, cluster.kubeconfig, namespace))
        own = {
            "ROOT_URLCONF": "tests.browser.real_urls",
            "USERPODS_CONTROLLER": controller,
            "USERPODS_INLINE_TIMEOUT": PATIENT,
        }
        stack.enter_context(override_settings(**own, **settings))
        end_pause()
        stack.callback(end_pause)
        server = LiveServer("localhost")
        stack.callback(server.stop)
        browser = stack.enter_context(chromium(folder))
        site = RealSite(inner, browser, server.url.rpartition(":")[2], cluster)
        if controller:
            said = "".join(f"{name} = {value!r}\n" for name, value in settings.items())
            started = inner.start(cluster.kubeconfig, settings=said)
            until(lambda: started.is_synced, 60, "a leader")
        yield site


def boss() -> Any:
    """Somebody who may do everything."""
    users: Any = get_user_model()._default_manager
    return users.filter(username="boss").first() or users.create_superuser("boss")


def site_of_a_module(*, only_ours: str = "", **settings: Any) -> Any:
    """Return a fixture: a site that all tests of a module share, with ``boss`` signed in as staff.

    Give what ``running`` takes, and why it is not for a cluster that is not ours.
    """

    @pytest.fixture(scope="module")
    def site(
        tmp_path_factory: pytest.TempPathFactory,
        cluster: Cluster,
        django_db_setup: None,
        django_db_blocker: Any,
    ) -> Iterator[RealSite]:
        if only_ours and not isinstance(cluster, ControlPlane):
            pytest.skip(f"SKIPPED ON YOUR CLUSTER: {only_ours}")
        folder = tmp_path_factory.mktemp("site")
        with django_db_blocker.unblock(), running(folder, cluster, **settings) as made:
            made.sign_in(boss(), staff=True)
            yield made

    return site
