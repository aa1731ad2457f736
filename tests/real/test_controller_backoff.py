"""What has failed so often that it would be tried seldom is done soon once it can be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from django_userpods.clusters.kubernetes import KubernetesCluster
from django_userpods.controller.metrics import Metrics
from django_userpods.controller.term import Options, Term
from django_userpods.models import UserPod
from tests import faults
from tests.real.controllers import until
from tests.real.faulty_site import LONG, has_one_replica, make, pods, put_quota
from tests.real.matrix import MATRIX

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faultproxy import FaultProxy
    from tests.real.controllers import Site
    from tests.real.faulty_site import Leaders
    from tests.testcluster.cluster import Cluster

pytestmark = pytest.mark.cluster

#: Doubled from 0.1 s so often, a pause would be minutes.
OFTEN = 12


@pytest.fixture
def term(here: Site, faulty: FaultProxy, leader: Leaders) -> Iterator[Term]:
    """A term in this process, whose queue a test can reach; nobody else leads.

    It has no watches: what it does, marks and its own pauses bring about.
    """
    leader.end()
    client = KubernetesCluster(kubeconfig=faulty.kubeconfig)
    made = Term(Options(), Metrics(), client)
    made.start()
    until(lambda: made.is_synced, LONG, "a look at everything")
    yield made
    assert made.end(LONG)
    client.close()


def test_what_has_failed_often_is_done_soon_once_it_can_be(
    here: Site, cluster: Cluster, faulty: FaultProxy, term: Term
) -> None:
    """One cannot be put right (500), another not be made (a quota)."""
    make("keep")
    until(lambda: here.has_pairs(*pods("keep")), LONG)
    faulty.on(faults.status(500), method="PATCH", path="/deployments/user-keep$")
    put_quota(cluster, here.namespace, "count/deployments.apps", 1)
    make("new")
    cluster.kubectl("scale", "deployment/user-keep", "-n", here.namespace, "--replicas=3")
    failing = list(UserPod.objects.values_list("pk", flat=True))
    for pod in failing:
        term.pods._failures[pod] = OFTEN
        term.notice(pod)
    until(lambda: min(map(term.pods.failures, failing)) > OFTEN, LONG, "one more failure of each")
    faulty.clear()
    cluster.kubectl("delete", "resourcequota", "few", "-n", here.namespace)

    def is_right() -> bool:
        return has_one_replica(here, "user-keep") and here.has_pairs(*pods("keep", "new"))

    MATRIX.note("failed-often", until(is_right, LONG))
