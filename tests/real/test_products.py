"""Products from PyPI with the README's lines added: pods come, and their own tests still pass."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.faultproxy import FaultProxy
from tests.real.products import NEMO, WAFER, Product, Site, installed
from tests.real.project import objects, pair
from tests.real.test_other_projects import everything

if TYPE_CHECKING:
    from pathlib import Path

    from tests.testcluster.cluster import Cluster

pytestmark = pytest.mark.cluster


@pytest.mark.timeout(900)
@pytest.mark.parametrize("product", [NEMO, WAFER], ids=lambda product: product.name)
def test_the_readmes_lines_give_a_product_pods_and_leave_its_tests_passing(
    product: Product, cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    python, database = installed(product)
    site = Site(product, python, tmp_path / "site")
    shutil.copy(database, site.folder / "test.sqlite3")
    shutil.copy(database, site.folder / "db.sqlite3")
    assert f"Ran {product.count} tests" in site.own_tests()
    site.add_user("alice")

    with FaultProxy(cluster.kubeconfig) as watched:
        site.add_the_app(watched.kubeconfig, namespace)
        assert "System check identified no issues" in site.manage("check")
        site.manage("migrate")
        site.add_user("bob")
        assert objects(cluster, namespace) == pair("user-bob")
        site.manage("sync_userpods", "--wait", "60")
        assert objects(cluster, namespace) == pair("user-alice", "user-bob")

        found = site.ask()
        assert found["users"] == product.users
        assert found[""][0] == 401
        for name in ("alice", "bob"):
            status, headers = found[name]
            spec = cluster.get("service", f"user-{name}", "-n", namespace)["spec"]
            assert status == 200
            assert headers["X-Target-Service"] == f"user-{name}"
            assert headers["X-Target-Peer"] == f"{spec['clusterIP']}:{spec['ports'][0]['port']}"
            assert json.loads(found[f"status {name}"])["state"] == "running"
        assert "Restart pods" in found["admin"]

        before = everything(cluster, namespace)
        watched.forget()
        assert f"Ran {product.count} tests" in site.own_tests()
        assert watched.calls == []
        assert everything(cluster, namespace) == before
