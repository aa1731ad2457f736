"""The admin's open pages, with a controller and a real API server: nothing is loaded anew."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth import get_user_model

from django_userpods.models import UserPod
from tests.browser.chromium import keep_pictures, wait_for_text
from tests.browser.kubelet import Kubelet, kubelet
from tests.browser.real_site import PODS, RealSite, site_of_a_module
from tests.factories import UserFactory
from tests.real.controllers import until

pytestmark = [pytest.mark.browser, pytest.mark.cluster]

#: What is written as one gives up, and seconds that a page may take to show something new.
BROKEN = "ModuleNotFoundError: No module named 'numpy'"
SOON = 60


site = site_of_a_module(controller=True, only_ours="has pods there crash as no pod of yours would")


def settled(site: RealSite, name: str) -> UserPod:
    """A user, and their pod once it runs."""
    user = UserFactory(username=name)
    pods = UserPod.objects.filter(owner=user)
    until(lambda: pods.filter(state="running").exists(), SOON, f"{name}'s pod")
    return pods.get()


def pod_in_cluster(site: RealSite, pod: UserPod) -> dict[str, Any]:
    """The Pod that is there, apart from those that are going."""
    found = site.cluster.get("pods", "-n", site.inner.namespace, "-l", f"app={pod.name}")["items"]
    [here] = [item for item in found if "deletionTimestamp" not in item["metadata"]]
    return dict(here)


def crash(site: RealSite, pod: UserPod) -> str:
    """Have the node say that a pod crashes, which runs; return the Pod's name."""
    found = pod_in_cluster(site, pod)
    [container] = found["status"]["containerStatuses"]
    ended = {"exitCode": 1, "reason": "Error"}
    waits = {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting failed container"}
    status = {
        "conditions": [
            {"type": kind, "status": "False", "reason": "ContainersNotReady"}
            for kind in ("Ready", "ContainersReady")
        ],
        "containerStatuses": [
            {
                **container,
                "ready": False,
                "restartCount": 1,
                "state": {"waiting": waits},
                "lastState": {"terminated": ended},
            }
        ],
    }
    metadata = found["metadata"]
    name = str(metadata["name"])
    patch = f"--patch={json.dumps({'status': status})}"
    kubectl, where = site.cluster.kubectl, ("-n", site.inner.namespace)
    kubectl("patch", "pod", name, *where, "--subresource=status", patch)
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": f"{name}.", "namespace": site.inner.namespace},
        "involvedObject": {
            "apiVersion": "v1",
            "kind": "Pod",
            **{key: metadata[key] for key in ("name", "namespace", "uid")},
        },
        "type": "Warning",
        "reason": "BackOff",
        "message": "Back-off restarting failed container app",
        "count": 4,
        "lastTimestamp": metadata["creationTimestamp"],
    }
    site.cluster.create(event)
    return name


def replace(site: RealSite, name: str) -> None:
    """Have a Pod taken away; the Deployment makes another, which runs."""
    site.cluster.kubectl("delete", "pod", name, "-n", site.inner.namespace, "--wait=false")


def shown(pod: UserPod, what: str) -> str:
    return f'[data-userpods-pod="{pod.pk}"][data-userpods-shows="{what}"]'


def test_an_open_list_shows_what_becomes_of_pods_in_the_cluster(site: RealSite) -> None:
    browser = site.browser
    alice, bob = settled(site, "alice"), settled(site, "bob")
    site.open(PODS, staff=True)
    browser.execute_script("window.isTheSamePage = true")
    for pod in (alice, bob):
        assert site.find(shown(pod, "state")).text == "running"

    name = crash(site, alice)
    wait_for_text(browser, shown(alice, "state"), "failed", seconds=SOON)
    wait_for_text(browser, shown(alice, "reason"), "CrashLoopBackOff: back-off 10s")
    assert site.find(shown(bob, "state")).text == "running"
    keep_pictures(browser, "real-list")
    replace(site, name)
    wait_for_text(browser, shown(alice, "state"), "running", seconds=SOON)
    assert site.find(shown(alice, "reason")).text == ""

    get_user_model()._default_manager.get(username="bob").delete()
    wait_for_text(browser, shown(bob, "state"), "gone", seconds=SOON)
    assert browser.execute_script("return window.isTheSamePage")


def test_a_pods_page_and_its_tabs_tell_why_it_crashes_and_when_it_runs_again(
    site: RealSite, tmp_path: Any
) -> None:
    browser = site.browser
    pod = settled(site, "carol")
    with kubelet(site.cluster, tmp_path) as node:
        site.open(f"{PODS}{pod.pk}/change/", staff=True)
        browser.execute_script("window.isTheSamePage = true")
        start = site.find("button[value=userpods_start]")
        assert not start.is_enabled()
        name = crash(site, pod)
        node.texts[name, True] = f"Traceback (most recent call last):\n{BROKEN}\n"
        wait_for_text(browser, shown(pod, "state"), "failed", seconds=SOON)
        wait_for_text(browser, shown(pod, "message"), "(last exit code 1, Error)")
        assert start.is_enabled()
        assert browser.execute_script("return window.isTheSamePage")

        tabs = ".userpods-tabs"
        site.press("Events", within=tabs)
        wait_for_text(browser, "tbody", "Successfully assigned")
        wait_for_text(browser, "tbody", "BackOff (4")
        wait_for_text(browser, "tbody", "Back-off restarting failed container app")
        keep_pictures(browser, "real-events")

        site.press("Logs", within=tabs)
        wait_for_text(browser, "h2", "Log of app before its last restart")
        wait_for_text(browser, "pre", BROKEN)
        keep_pictures(browser, "real-logs")
        follow_to_its_end(site, node, pod, name)


def follow_to_its_end(site: RealSite, node: Kubelet, pod: UserPod, crashed: str) -> None:
    """Follow the logs from a crash to the pod in its place, until its node answers no more."""
    browser = site.browser
    site.find("#userpods-follow").click()
    replace(site, crashed)
    until(lambda: pod_in_cluster(site, pod)["metadata"]["name"] != crashed, SOON, "another")
    name = pod_in_cluster(site, pod)["metadata"]["name"]
    node.texts[name, False] = "listening on port 8000\n"
    wait_for_text(browser, "pre", "listening on port 8000", seconds=SOON)
    assert BROKEN not in site.find("#userpods-logs").text
    node.texts[name, False] += "the first request\n"
    wait_for_text(browser, "pre", "the first request", seconds=SOON)
    node.is_out_of_order = True
    said = "The machine that it runs on does not answer at the moment."
    wait_for_text(browser, "#userpods-problems", said, seconds=SOON)
    assert "the first request" in site.find("pre").text, "what was read stays"
    keep_pictures(browser, "real-logs-away")

    site.press("Overview", within=".userpods-tabs")
    wait_for_text(browser, shown(pod, "state"), "running", seconds=SOON)
