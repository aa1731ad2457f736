"""Real applications in users' pods, from images made without a registry, each on a host of its own.

The templates of ``examples/apps`` as they are, in a namespace as shipped, behind Traefik with TLS.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from tests.apps.conftest import Visitor
from tests.apps.jupyterlab import run_cell
from tests.browser.chromium import sign_in
from tests.e2e import images, traefik
from tests.e2e.client import HOST, ORIGIN, SITE_SESSION, pods_host
from tests.e2e.images import TOP
from tests.e2e.site import DJANGO, USERS
from tests.testcluster.processes import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from selenium.webdriver.remote.webelement import WebElement

    from tests.e2e.site import Site
    from tests.e2e.traefik import WayIn

pytestmark = [pytest.mark.node, pytest.mark.timeout(1800, func_only=True)]
#: Where the node keeps the volumes; the cluster has no storage class.
VOLUMES = "/var/lib/userpods-e2e/applications"
PEOPLE = ("alice", "bob")


@pytest.fixture(scope="module")
def way(behind_traefik: Site) -> Iterator[WayIn]:
    with traefik.way_in(behind_traefik, "ingress") as way:
        yield way


@contextmanager
def everybody_runs(site: Site, name: str) -> Iterator[None]:
    """Alice's and bob's pods from the template of an application."""
    site.cluster.load_image(images.application(name))
    template = TOP / "examples" / "apps" / name / "template.yaml"
    words = ("create", "configmap", "template", "-n", DJANGO, "--dry-run=client", "-o=yaml")
    made = site.kubectl(*words, f"--from-file={template}").stdout
    site.cluster.kubectl("apply", "-f", "-", input=made)
    for person in PEOPLE:
        _volume(site, name, person)
    _set_template(site, {})
    try:
        rights = site.manage("userpods_manifests", "--only=rbac")
        site.cluster.kubectl("apply", "-f", "-", input=rights)
        _replace_pods(site)
        yield
    finally:
        _set_template(site, {"$patch": "delete"})
        _replace_pods(site)
        for person in PEOPLE:
            site.kubectl("delete", "pvc", f"user-{person}--home", "-n", USERS)
            site.kubectl("delete", "pv", f"{name}-{person}")


def _volume(site: Site, name: str, person: str) -> None:
    path = f"{VOLUMES}/{name}-{person}"
    site.cluster.inside("install", "-d", "-m", "700", "-o", "1000", "-g", "1000", path)
    site.cluster.apply(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": f"{name}-{person}"},
            "spec": {
                "capacity": {"storage": "10Gi"},
                "accessModes": ["ReadWriteOnce"],
                "claimRef": {"namespace": USERS, "name": f"user-{person}--home"},
                "hostPath": {"path": path, "type": "Directory"},
            },
        }
    )


def _set_template(site: Site, change: dict[str, str]) -> None:
    """Mount the template where Django and the CronJob find it, or take it away again."""
    volume: dict[str, Any] = {"name": "template", **(change or {"configMap": {"name": "template"}})}
    mount = {"name": "template", "mountPath": "/template", **change}
    variable = {"name": "USER_APP_TEMPLATE", **(change or {"value": "/template/template.yaml"})}
    for part, container in (("deployment/django", "django"), ("cronjob/userpods-sync", "sync")):
        inside = {"name": container, "env": [variable], "volumeMounts": [mount]}
        patch: dict[str, Any] = {
            "template": {"spec": {"containers": [inside], "volumes": [volume]}}
        }
        if part.startswith("cronjob"):
            patch = {"jobTemplate": {"spec": patch}}
        words = ("patch", part, "-n", DJANGO, "--type=strategic")
        site.kubectl(*words, "-p", json.dumps({"spec": patch}))
    site.rollout("deployment/django")


def _replace_pods(site: Site) -> None:
    for person in PEOPLE:
        wait_for(partial(_sync, site, person), f"a sync of {person}'s pod", 60)
    for person in PEOPLE:
        site.rollout(f"deployment/user-{person}", namespace=USERS, seconds=300)


def _sync(site: Site, person: str) -> bool:
    """Sync; False where the database was not found, since DNS has its turn late on a busy node."""
    try:
        site.manage("sync_userpods", "--user", person)
    except AssertionError as error:
        if "Temporary failure in name resolution" in str(error):
            return False
        raise
    return True


class Patient(Visitor):
    """A visitor of a small machine, on which the whole cluster runs beside the browser."""

    def wait_for(self, css: str, *, text: str = "", seconds: float = 240) -> WebElement:
        return super().wait_for(css, text=text, seconds=seconds)


@contextmanager
def visitor(way: WayIn, folder: Path, name: str) -> Iterator[Visitor]:
    """Somebody who has signed in at the site, coming from their pod's address."""
    url = f"https://{pods_host(name)}/"
    with traefik.browser(way, folder) as browser:
        browser.get(url)
        assert browser.current_url.startswith(f"{ORIGIN}/accounts/login/")
        sign_in(browser, name, way.site.passwords[name])
        yield Patient(name, url, browser, folder)


def test_jupyterlab_runs_a_cell(way: WayIn, tmp_path: Path) -> None:
    say = 'import os, socket; print("for", os.environ["USERPODS_USER"], "on", socket.gethostname())'
    with everybody_runs(way.site, "jupyterlab"):
        for name in PEOPLE:
            with visitor(way, tmp_path / name, name) as person:
                run_cell(person, say)
                # A kernel of the user's own pod.
                person.wait_for(".jp-OutputArea-output", text=f"for {name} on user-{name}-")


def test_a_django_site_has_accounts_of_its_own(way: WayIn, tmp_path: Path) -> None:
    password = "only-in-the-pod-1"
    with everybody_runs(way.site, "django"):
        for name in PEOPLE:
            with visitor(way, tmp_path / name, name) as person:
                person.open()
                assert person.browser.current_url == f"{person.url}first-account/"
                owner = {"username": f"{name}s-own", "password1": password, "password2": password}
                for field, value in owner.items():
                    person.wait_for(f"[name={field}]").send_keys(value)
                person.wait_for("form button").click()
                person.wait_for("h1", text=f"Notes of {name}s-own")
                person.wait_for("[name=text]").send_keys(f"Pears of {name}")
                person.wait_for("form:not([action]) button").click()
                person.wait_for("li", text=f"Pears of {name}")
                # Its own admin, with its own style, for a staff account that the site has not.
                person.open("admin/")
                person.wait_for("#site-name")
                assert person.script("return document.styleSheets[0].cssRules.length") > 100
                # Its session and the site's live side by side, each on its own host.
                assert person.browser.get_cookie("sessionid")
                assert not person.browser.get_cookie(SITE_SESSION)
                person.browser.get(f"https://{HOST}/accounts/")
                person.wait_for("#pod-name", text=f"user-{name}")
                assert person.browser.get_cookie(SITE_SESSION)
                assert not person.browser.get_cookie("sessionid")
