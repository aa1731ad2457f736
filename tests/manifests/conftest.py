"""Two namespaces of a test's own, and the shipped manifests with their names in them."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from django_userpods.deploy import shipped
from tests.testcluster.processes import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.testcluster.cluster import Cluster


@dataclass(frozen=True)
class Site:
    """A site as its operator sees it: a cluster, the namespace of Django and that of users."""

    cluster: Cluster
    django: str
    users: str
    folder: Path

    def write(self, *groups: str, **values: Any) -> Path:
        """Write bases for these namespaces, and return the folder that they are in."""
        text = {"django-namespace": self.django, "users-namespace": self.users}
        tree = shipped.tree(
            groups, shipped.ProjectValues(**{**values, "text": text | values.get("text", {})})
        )
        for path, content in tree.items():
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / path).write_text(content)
        return self.folder

    def apply(self, *groups: str, **values: Any) -> str:
        """``kubectl apply -k`` each group; return what kubectl said besides, warnings say."""
        folder = self.write(*groups, **values)
        return "".join(
            self.cluster.kubectl("apply", "-k", folder / group).stderr for group in groups
        )

    def wait_for_quota(self) -> None:
        """Wait until the quota counts: before, the API server refuses what it would count."""
        get = ("get", "resourcequota", "user-pods", "-n", self.users, "-o=jsonpath={.status.hard}")
        wait_for(lambda: self.cluster.kubectl(*get).stdout, "the quota to count")


@pytest.fixture
def site(cluster: Cluster, tmp_path: Path) -> Iterator[Site]:
    """A site for which nothing has been applied yet."""
    token = secrets.token_hex(4)
    made = Site(cluster, f"test-django-{token}", f"test-users-{token}", tmp_path / "manifests")
    yield made
    cluster.kubectl(
        *("delete", "namespace", made.django, made.users),
        *("--ignore-not-found", "--wait=false"),
    )


@pytest.fixture
def cluster_wide(site: Site) -> Iterator[str]:
    """The namespace of the ServiceAccounts that have rights in all, under names of the test's own.

    Those of Django, by ``rbac/cluster``, and of the controller, by ``controller/cluster``.
    """
    site.cluster.kubectl("create", "namespace", site.django)
    folder = site.write("rbac", "controller", everywhere=True)
    for group, account in (("rbac", "userpods-django"), ("controller", "userpods-controller")):
        for file in ("clusterrole.yaml", "clusterrolebinding.yaml"):
            path = folder / group / "cluster" / file
            head, subjects, rest = path.read_text().partition("subjects:")
            changed = head.replace(f"name: {account}", f"name: {site.django}-{group}")
            path.write_text(changed + subjects + rest)
    site.cluster.kubectl("apply", "-k", folder / "rbac" / "cluster")
    site.cluster.kubectl("apply", "-k", folder / "controller" / "cluster")
    for file in ("serviceaccount.yaml", "lease.yaml"):
        site.cluster.kubectl("apply", "-f", folder / "controller" / file)
    yield site.django
    site.cluster.kubectl(
        *("delete", "clusterrole,clusterrolebinding", "--ignore-not-found"),
        *(f"{site.django}-{group}" for group in ("rbac", "controller")),
    )


def built(cluster: Cluster, folder: Path) -> list[dict[str, Any]]:
    """Return what ``kubectl kustomize`` makes of a folder."""
    text = cluster.kubectl("kustomize", folder).stdout
    return [document for document in yaml.safe_load_all(text) if document]
