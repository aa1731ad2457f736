"""The pytest plugin: ``pytest_plugins = ["tests.testcluster.fixtures"]`` in a test module.

``cluster`` is one for the whole session; ``namespace`` is a fresh one for each test.
``node_cluster`` and ``node_namespace`` are the same with a real node, as root. With
``USERPODS_TEST_CONTEXT`` set they are on the cluster of that context; a test that would have to
restart its API server or fill it with pretended nodes is then skipped, and says so.
"""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

import pytest

from tests.testcluster.controlplane import ControlPlane
from tests.testcluster.external import ExternalCluster, UnsupportedError
from tests.testcluster.node import NodeCluster, NodeUnavailableError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from tests.testcluster.cluster import Cluster


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A cluster whose pods become Ready, without running where it is ours."""
    if context := os.environ.get("USERPODS_TEST_CONTEXT"):
        with ExternalCluster(context) as external:
            yield external
        return
    with ControlPlane() as control_plane:
        yield control_plane


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """The name of a new namespace that enforces Pod Security ``restricted``."""
    name = f"test-{secrets.token_hex(5)}"
    cluster.create(restricted_namespace(name))
    yield name
    # Its contents go in the background; no other test has the same name.
    cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="session")
def node_cluster() -> Iterator[NodeCluster]:
    """A cluster with a real node; where this machine cannot have one, the tests are skipped."""
    if context := os.environ.get("USERPODS_TEST_CONTEXT"):
        pytest.skip(f"NOT RUN: the images made here cannot be given to the cluster of {context}")
    node = NodeCluster()
    try:
        node.start()
    except NodeUnavailableError as error:
        pytest.skip(f"NOT RUN, NO NODE: {error}")
    try:
        yield node
    finally:
        node.stop()


@pytest.fixture
def node_namespace(node_cluster: NodeCluster) -> Iterator[str]:
    """The name of a new namespace of ``node_cluster`` that enforces ``restricted``."""
    name = f"test-{secrets.token_hex(5)}"
    node_cluster.create(restricted_namespace(name))
    yield name
    node_cluster.kubectl("delete", "namespace", name, "--wait=false")


def restricted_namespace(name: str) -> dict[str, object]:
    """A Namespace object that refuses pods which are not hardened."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": labels},
    }


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """Turn what an external cluster refuses into a skip with the reason."""
    try:
        return (yield)
    except UnsupportedError as error:
        pytest.skip(f"SKIPPED ON YOUR CLUSTER: {error}")
