"""How long a new user waits for the pod, against what Kubernetes itself needs for the same."""

from __future__ import annotations

import json
import random
import subprocess
import time
from typing import TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from tests.e2e.client import pods_host
from tests.e2e.report import ratio
from tests.e2e.site import DJANGO
from tests.testcluster.fixtures import restricted_namespace

if TYPE_CHECKING:
    from tests.e2e.report import Report
    from tests.e2e.site import Site

pytestmark = [pytest.mark.node, pytest.mark.timeout(1200, func_only=True)]
RUNS = 30
#: How much longer than ``kubectl create`` it may take at the median.
AT_MOST = 1.3
PAUSE = 0.02

# Adds a user with a token for each line that it reads: a password's hash would be measured too.
_CREATE = """
import sys, time
from django.contrib.auth import get_user_model
from django_userpods.models import AccessToken
print("ready", flush=True)
for line in sys.stdin:
    action, name = line.split()
    users = get_user_model().objects
    if action == "delete":
        users.get(username=name).delete()
        print("deleted", flush=True)
        continue
    started = time.time()
    user = users.create(username=name)
    saved = time.time()
    print(started, saved, AccessToken.objects.issue(user)[1], flush=True)
"""


class Django:
    """A Python in a Django pod that adds and deletes users when it is told."""

    def __init__(self, site: Site) -> None:
        command = [*site.cluster.kubectl_command(), f"--kubeconfig={site.cluster.kubeconfig}"]
        command += ["exec", "-i", "-n", DJANGO, "deployment/django", "-c", "django", "--"]
        command += ["/app/entrypoint", "shell", "--command", _CREATE]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        while (line := self._read()) != "ready":
            assert self.process.poll() is None, line

    def tell(self, words: str) -> str:
        assert self.process.stdin
        self.process.stdin.write(words + "\n")
        self.process.stdin.flush()
        return self._read()

    def close(self) -> None:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(30)

    def _read(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()


def test_a_new_user_waits_hardly_longer_than_kubernetes_takes(site: Site, report: Report) -> None:
    site.cluster.create(restricted_namespace("plain"))
    objects = [_plain(site.get(kind, "user-bob")) for kind in ("deployment", "service")]
    django = Django(site)
    try:
        # The first of each pays for what is loaded once.
        for index in range(-1, RUNS):
            name = f"timed{index + 1}"
            if index % 2:
                ours = _user(site, django, name)
                theirs = _kubectl(site, objects, f"user-{name}")
            else:
                theirs = _kubectl(site, objects, f"user-{name}")
                ours = _user(site, django, name)
            if index >= 0:
                report.users.append(ours)
                report.kubectl.append(theirs)
    finally:
        django.close()
        site.kubectl("delete", "namespace", "plain", "--wait=false")
    said = ratio(report.users, report.kubectl)
    assert said <= AT_MOST, (said, report.users, report.kubectl)


def _any_moment() -> None:
    """Fall out of step with the kubelet, which looks at its pods once a second."""
    time.sleep(random.random())


def _user(site: Site, django: Django, name: str) -> float:
    _any_moment()
    started, _, token = django.tell(f"create {name}").split()
    client = site.client()
    client.host = pods_host(name)
    while True:
        answer = client.get("/", Authorization=f"Bearer {token}")
        if answer.status == 200:
            break
        assert answer.status == 503, (answer.status, answer.text)
        assert time.time() - float(started) < 60, answer.text
        time.sleep(PAUSE)
    took = time.time() - float(started)
    assert answer.json()["user"] == name
    assert django.tell(f"delete {name}") == "deleted"
    site.gone("deployment", f"user-{name}")
    return took


def _kubectl(site: Site, objects: list[dict[str, Any]], name: str) -> float:
    named = [json.loads(json.dumps(item).replace("user-bob", name)) for item in objects]
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": named})
    _any_moment()
    started = time.time()
    site.cluster.kubectl("create", "-f", "-", input=text)
    address = site.get("service", name, namespace="plain")["spec"]["clusterIP"]
    while not _answers(f"http://{address}:8000/"):
        assert time.time() - started < 60
        time.sleep(PAUSE)
    took = time.time() - started
    site.kubectl("delete", f"deployment/{name}", f"service/{name}", "-n", "plain")
    return took


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=2) as answer:  # noqa: S310 - our own address
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


def _plain(item: dict[str, Any]) -> dict[str, Any]:
    """The object as somebody would write it who wants the same."""
    item.pop("status", None)
    metadata = {"name": item["metadata"]["name"], "namespace": "plain"}
    item["metadata"] = metadata | {"labels": item["metadata"]["labels"]}
    for key in ("clusterIP", "clusterIPs"):
        item["spec"].pop(key, None)
    return item
