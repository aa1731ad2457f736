"""What stands in for a cluster while a project's tests run: nothing is sent anywhere."""

# ruff: noqa: ARG002 - what would be sent is not looked at
from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from django_userpods.clusters.base import Cluster
from django_userpods.exceptions import NotInTests

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django_userpods.core.objects import Kind, Manifest, Ref


class InertCluster(Cluster):
    """A cluster that does nothing; what can be known without one is known from ``cluster``."""

    concurrency = 1

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.cluster_domain = cluster.cluster_domain

    def whereabouts(self) -> str:
        """Say that there is none."""
        return "none, since this is a test run"

    def list(
        self,
        kind: Kind,
        *,
        namespace: str | None,
        labels: Mapping[str, str | frozenset[str]],
        without: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> NoReturn:
        """Raise NotInTests, as all that would be sent."""
        raise NotInTests

    def get(self, ref: Ref, *, timeout: float | None = None) -> NoReturn:
        """Raise NotInTests."""
        raise NotInTests

    def create(self, manifest: Manifest, *, timeout: float | None = None) -> NoReturn:
        """Raise NotInTests."""
        raise NotInTests

    def apply(self, manifest: Manifest, *, timeout: float | None = None) -> NoReturn:
        """Raise NotInTests."""
        raise NotInTests

    def delete(self, ref: Ref, *, uid: str, timeout: float | None = None) -> NoReturn:
        """Raise NotInTests."""
        raise NotInTests

    def replace(self, manifest: Manifest, *, timeout: float | None = None) -> NoReturn:
        """Raise NotInTests."""
        raise NotInTests

    def version(
        self,
        kind: Kind,
        *,
        namespace: str | None,
        labels: Mapping[str, str],
        timeout: float | None = None,
    ) -> NoReturn:
        """Raise NotInTests."""
        raise NotInTests

    def watch(
        self,
        kind: Kind,
        *,
        namespace: str | None,
        labels: Mapping[str, str],
        since: str,
        seconds: float = 300.0,
    ) -> NoReturn:
        """Raise NotInTests."""
        raise NotInTests

    def address(self, *, namespace: str, name: str, port: int, peer: str | None) -> str:
        """Return what the cluster would."""
        return self._cluster.address(namespace=namespace, name=name, port=port, peer=peer)

    def peer(self, service: Manifest) -> str | None:
        """Return what the cluster would."""
        return self._cluster.peer(service)

    def events(
        self,
        *,
        namespace: str,
        labels: Mapping[str, str],
        limit: int,
        timeout: float | None = None,
    ) -> NoReturn:
        """Raise NotInTests."""
        raise NotInTests

    def logs(
        self,
        *,
        namespace: str,
        labels: Mapping[str, str],
        lines: int,
        size: int,
        timeout: float | None = None,
    ) -> NoReturn:
        """Raise NotInTests."""
        raise NotInTests
