"""Restarts of a pod that runs all the time reach its row by the controller's watch."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.models import User

from django_userpods.cluster import get_cluster
from django_userpods.core.objects import POD
from django_userpods.models import UserPod
from tests.real.controllers import site, until
from tests.testcluster.fixtures import restricted_namespace

if TYPE_CHECKING:
    from pathlib import Path

    from tests.testcluster.cluster import Cluster

pytestmark = pytest.mark.cluster

LONG = 60.0


def say_restarted(cluster: Cluster, namespace: str, times: int) -> None:
    """Have the one pod's status say that its container was started again, and is ready."""
    (pod,) = [
        found
        for found in get_cluster().list(POD, namespace=namespace, labels={})
        if "deletionTimestamp" not in found["metadata"]
    ]
    containers = pod["status"]["containerStatuses"]
    assert all(one["ready"] for one in containers)
    changed = [{**one, "restartCount": times} for one in containers]
    cluster.kubectl(
        *("patch", "pod", pod["metadata"]["name"], "-n", namespace, "--subresource=status"),
        *("--type=merge", "-p", json.dumps({"status": {"containerStatuses": changed}})),
    )


def test_restarts_reach_the_row_within_a_second_or_two(
    tmp_path: Path, cluster: Cluster, django_db_setup: None, django_db_blocker: Any
) -> None:
    namespace = f"test-{secrets.token_hex(5)}"
    cluster.create(restricted_namespace(namespace))
    with django_db_blocker.unblock(), site(tmp_path, cluster.kubeconfig, namespace) as here:

        def seen() -> tuple[str, int]:
            row = UserPod.objects.get()
            return row.state, row.restarts

        User.objects.create(username="alice")
        controller = here.start(cluster.kubeconfig, "--resync", "3600")
        until(lambda: seen() == ("running", 0), LONG, "a pod")
        say_restarted(cluster, namespace, 2)
        took = until(lambda: seen() == ("running", 2), LONG, "two restarts")
        assert took < 5, f"the watch has not told of it: {took:.1f} s"
        here.assert_at_rest()
        # What happens while nobody leads is found by the next who does.
        assert controller.end() == 0, controller.text
        say_restarted(cluster, namespace, 3)
        controller = here.start(cluster.kubeconfig, "--resync", "3600")
        until(lambda: seen() == ("running", 3), LONG, "a third")
        # Another pod has none, however it came to be.
        cluster.kubectl("delete", "pods", "--all", "-n", namespace, "--wait=false")
        until(lambda: seen() == ("running", 0), LONG, "another pod")
        here.assert_at_rest()
        assert controller.end() == 0, controller.text
    cluster.kubectl("delete", "namespace", namespace, "--wait=false")
