"""The Django side against a real API server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.django.support import end_pause
from tests.faultproxy import FaultProxy
from tests.real.faulty_site import faulty, foreign, here, leader, there  # noqa: F401 - fixtures
from tests.real.matrix import MATRIX
from tests.real.project import PATIENT, use_cluster

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_django.fixtures import Settings

    from tests.testcluster.cluster import Cluster


@pytest.fixture
def real(settings: Settings, cluster: Cluster, namespace: str) -> Iterator[str]:
    """The settings point at a fresh namespace of the real cluster; gives its name."""
    use_cluster(settings, cluster.kubeconfig, namespace)
    settings.USERPODS_INLINE_TIMEOUT = PATIENT
    end_pause()
    yield namespace
    end_pause()


@pytest.fixture
def proxy(settings: Settings, cluster: Cluster, namespace: str) -> Iterator[FaultProxy]:
    """The same with a proxy in between that can be made to misbehave."""
    with FaultProxy(cluster.kubeconfig) as between:
        use_cluster(settings, between.kubeconfig, namespace)
        end_pause()
        yield between
        end_pause()


@pytest.fixture(scope="session", autouse=True)
def _matrix_is_written() -> Iterator[None]:
    """Write the fault matrix's page, once all its rows were measured."""
    yield
    MATRIX.write()
