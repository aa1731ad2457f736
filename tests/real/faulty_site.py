"""A site whose controllers reach the API server through a proxy that can misbehave.

The fixtures are this folder's: ``there``, ``faulty``, ``leader``, ``foreign``, ``here``. At the end
of each test that is ``here`` a sync writes nothing, and what is foreign is as it was.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction

from django_userpods.cluster import get_cluster
from django_userpods.core.objects import LEASE, Ref
from django_userpods.models import UserPod
from django_userpods.reconcile.wanted import this_installation
from tests.faultproxy import FaultProxy
from tests.real.controllers import Controller, Site, site, until
from tests.real.foreign import Foreign
from tests.testcluster.fixtures import restricted_namespace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.testcluster.cluster import Cluster

#: Seconds that anything may take on a machine that is busy.
LONG = 60.0


@pytest.fixture(scope="module")
def there(
    tmp_path_factory: Any, cluster: Cluster, django_db_setup: None, django_db_blocker: Any
) -> Iterator[Site]:
    """A site without a controller."""
    namespace = f"test-{secrets.token_hex(5)}"
    cluster.create(restricted_namespace(namespace))
    folder = tmp_path_factory.mktemp("faults")
    with django_db_blocker.unblock(), site(folder, cluster.kubeconfig, namespace) as made:
        yield made
    cluster.kubectl("delete", "namespace", namespace, "--wait=false")


@pytest.fixture(scope="module")
def faulty(cluster: Cluster) -> Iterator[FaultProxy]:
    """What is between them."""
    with FaultProxy(cluster.kubeconfig) as proxy:
        yield proxy


class Leaders:
    """Controllers behind the proxy, one after the other."""

    def __init__(self, there: Site, faulty: FaultProxy) -> None:
        self._there, self._faulty = there, faulty
        self._kept: Controller | None = None

    def __call__(self) -> Controller:
        """Return one that leads: that of the last test, if it still does."""
        if self._kept is None or self._kept.process.poll() is not None or not self._kept.is_leading:
            self.end()
            self._kept = self._there.start(self._faulty.kubeconfig)
        kept = self._kept
        until(lambda: kept.is_synced, LONG, "a leader")
        return kept

    def end(self) -> None:
        """Have nobody lead, and nobody wait for one who is dead.

        Nobody of a test that failed either.
        """
        self._there.end_all()
        forget_lease()


@pytest.fixture(scope="module")
def leader(there: Site, faulty: FaultProxy) -> Iterator[Leaders]:
    leaders = Leaders(there, faulty)
    yield leaders
    leaders.end()


@pytest.fixture(scope="module")
def foreign(there: Site, cluster: Cluster) -> Foreign:
    """What nobody of these may touch."""
    return Foreign(cluster, there.namespace)


@pytest.fixture
def here(there: Site, faulty: FaultProxy, foreign: Foreign) -> Iterator[Site]:
    yield there
    faulty.clear()
    faulty.listen()
    there.assert_at_rest()
    User.objects.all().delete()

    def is_empty() -> bool:
        there.sync()  # there may be no controller any more
        return not UserPod.objects.exists()

    until(is_empty, LONG, "the end", every=0.5)
    foreign.assert_untouched()


def forget_lease() -> None:
    """Let nobody wait for one who is dead."""
    for found in get_cluster().list(LEASE, namespace=None, labels={}):
        if found["metadata"]["name"] == f"userpods-{this_installation().id}":
            get_cluster().delete(Ref.of(found), uid=found["metadata"]["uid"])


def put_quota(cluster: Cluster, namespace: str, what: str, most: int) -> None:
    """Allow so many of something, by a quota of ours beside the foreign one: ``few``."""
    cluster.create(
        {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "few", "namespace": namespace},
            "spec": {"hard": {what: str(most)}},
        }
    )

    def is_in_force() -> bool:
        quota = cluster.get("resourcequota", "few", "-n", namespace)
        return bool(quota.get("status", {}).get("hard"))

    until(is_in_force, LONG, "a quota in force")


def make(*names: str) -> None:
    with transaction.atomic():
        for name in names:
            User.objects.create(username=name)


def pods(*names: str) -> list[str]:
    return [f"user-{name}" for name in names]


def agreed(here: Site, *names: str) -> Callable[[], bool]:
    """Return what tells whether exactly these have pods, and all rows say so."""
    return lambda: here.is_settled() and here.has_pairs(*pods(*names))


def has_one_replica(here: Site, name: str) -> bool:
    """Tell whether a Deployment that was scaled by hand is as it is to be."""
    found = here.get(name)
    return found is not None and found["spec"]["replicas"] == 1
