"""One deployment for all end-to-end tests: empty cluster, images, manifests, alice and bob."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e import traefik
from tests.e2e.report import Report
from tests.e2e.site import Site

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.testcluster.node import NodeCluster


@pytest.fixture(scope="session")
def bare_site(node_cluster: NodeCluster) -> Site:
    """The site as ``kubectl apply`` leaves it, with an administrator and nobody else."""
    site = Site(node_cluster)
    site.deploy()
    return site


@pytest.fixture(scope="session")
def site(bare_site: Site) -> Site:
    """The site with alice and bob, added in the admin, and their pods up."""
    admin = bare_site.admin()
    for name in ("alice", "bob"):
        bare_site.add_user(name, admin=admin)
    for name in ("alice", "bob"):
        bare_site.wait_for_pod(bare_site.signed_in(name))
    return bare_site


@pytest.fixture(scope="session")
def behind_traefik(site: Site) -> Site:
    """The site with Traefik running on its node; what it is to serve a test applies itself."""
    traefik.start(site)
    return site


@pytest.fixture(scope="session")
def report() -> Iterator[Report]:
    """What is measured; at the end it becomes a page of the documentation."""
    report = Report()
    yield report
    report.write()
