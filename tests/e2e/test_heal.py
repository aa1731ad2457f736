"""What somebody broke with kubectl, the shipped CronJob of ``sync_userpods`` makes good."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from tests.e2e.site import DJANGO, USERS
from tests.testcluster.processes import wait_for

if TYPE_CHECKING:
    from tests.e2e.site import Site

pytestmark = [pytest.mark.node, pytest.mark.timeout(600, func_only=True)]


def run_cronjob(site: Site, name: str) -> str:
    """Run the shipped CronJob's Job now; its log."""
    site.kubectl("create", "job", name, "--from=cronjob/userpods-sync", "-n", DJANGO)
    site.kubectl("wait", "--for=condition=Complete", f"job/{name}", "-n", DJANGO, "--timeout=120s")
    return site.kubectl("logs", f"job/{name}", "-n", DJANGO).stdout


def test_what_kubectl_broke_is_healed(site: Site) -> None:
    alice, bob = site.signed_in("alice"), site.signed_in("bob")
    before = site.get("deployment", "user-bob")["spec"]
    site.kubectl("delete", "deployment/user-alice", "service/user-alice", "-n", USERS)
    site.kubectl("scale", "deployment/user-bob", "--replicas=0", "-n", USERS)
    env = ("set", "env", "deployment/user-bob", "USERPODS_USER=alice", "-n", USERS)
    site.kubectl(*env)
    run_cronjob(site, "heal")
    assert site.get("deployment", "user-bob")["spec"] == before
    assert site.wait_for_pod(alice)["user"] == "alice"
    assert site.wait_for_pod(bob)["user"] == "bob"


def test_an_orphan_goes_and_a_strangers_deployment_stays(site: Site) -> None:
    orphan = site.get("deployment", "user-bob")
    name = "user-orphan"
    labels = {**orphan["metadata"]["labels"], "django-userpods/pod": "0123456789abcdef"}
    for key in ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields"):
        orphan["metadata"].pop(key, None)
    orphan.pop("status")
    orphan["metadata"] |= {"name": name, "labels": labels}
    text = json.dumps(orphan["spec"]).replace("user-bob", name)
    orphan["spec"] = json.loads(text) | {"replicas": 0}
    stranger = json.loads(json.dumps(orphan))
    stranger["metadata"] |= {"name": "stranger", "labels": {"app": "stranger"}}
    site.cluster.create(orphan, stranger)
    run_cronjob(site, "orphans")
    site.gone("deployment", name)
    assert site.exists("deployment", "stranger")
    site.kubectl("delete", "deployment/stranger", "-n", USERS)


def test_it_runs_by_itself_every_minute(site: Site) -> None:
    status = site.get("cronjob", "userpods-sync", namespace=DJANGO)
    assert status["spec"]["schedule"] == "* * * * *"
    started = time.time()

    def ran() -> bool:
        jobs = site.cluster.get("jobs", "-n", DJANGO)["items"]
        mine = [job for job in jobs if job["metadata"].get("ownerReferences")]
        return any(job["status"].get("succeeded") for job in mine)

    wait_for(ran, f"a run after {started:.0f}", 150)
