"""What several tests of clusters share: a client of the real API server, a local cluster."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from django_userpods.clusters.kubernetes import KubernetesCluster
from django_userpods.clusters.local import LocalCluster
from django_userpods.clusters.local.__main__ import main
from django_userpods.core.objects import SERVICE, Ref
from django_userpods.testing import MemoryCluster
from tests.clusters.local import COMMAND, all_marked, wait_for
from tests.faultproxy import FaultProxy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from django_userpods.clusters.base import Cluster
    from django_userpods.core.objects import Manifest
    from tests.testcluster.cluster import Cluster as RealCluster


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without any cluster; its home directory is returned."""
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="module")
def shared_proxy(cluster: RealCluster) -> Iterator[FaultProxy]:
    with FaultProxy(cluster.kubeconfig) as proxy:
        yield proxy


@pytest.fixture
def proxy(shared_proxy: FaultProxy) -> Iterator[FaultProxy]:
    shared_proxy.forget()
    yield shared_proxy
    shared_proxy.clear()
    shared_proxy.listen()


@pytest.fixture
def through(proxy: FaultProxy) -> Iterator[KubernetesCluster]:
    """A client of the proxy, its connection made and credentials read."""
    client = KubernetesCluster(kubeconfig=proxy.kubeconfig, timeout=5, page_size=2)
    client.get(Ref(SERVICE, "default", "nothing"))
    proxy.forget()
    yield client
    client.close()


@pytest.fixture(params=["memory", pytest.param("kubernetes", marks=pytest.mark.cluster)])
def place(request: pytest.FixtureRequest) -> Iterator[tuple[Cluster, str, Callable[..., None]]]:
    """A cluster, a namespace of ours on it, and what edits an object as another person would."""
    if request.param == "memory":
        MemoryCluster.reset("contract")
        memory = MemoryCluster(name="contract")

        def edit(ref: Ref, change: Callable[[Manifest], None]) -> None:
            change(memory.objects[ref])

        yield memory, "default", edit
        return
    real = request.getfixturevalue("cluster")
    namespace = request.getfixturevalue("namespace")

    def edit_really(ref: Ref, change: Callable[[Manifest], None]) -> None:
        words = (ref.kind.kind, ref.name, "-n", ref.namespace)
        found = real.get(*words)
        # kubectl replace would otherwise race with the controllers' writes to the status.
        del found["metadata"]["resourceVersion"]
        change(found)
        replace, text = ("replace", "--field-manager=kubectl-edit", "-f", "-"), json.dumps(found)
        # It reads the version by itself, between which and its write there may be one, too.
        while (done := real.kubectl(*replace, input=text, check=False)).returncode:
            assert "(Conflict)" in done.stderr, done.stderr

    with_options = KubernetesCluster(kubeconfig=real.kubeconfig, page_size=3, timeout=30)
    yield with_options, namespace, edit_really
    with_options.close()


@pytest.fixture
def cluster_(place: Any) -> Cluster:
    return place[0]  # type: ignore[no-any-return]


@pytest.fixture
def namespace_(place: Any) -> str:
    return place[1]  # type: ignore[no-any-return]


@pytest.fixture
def edit(place: Any) -> Callable[[Ref, Callable[[Manifest], None]], None]:
    return place[2]  # type: ignore[no-any-return]


@pytest.fixture
def state_dir(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "state"
    yield path
    if path.is_dir():
        assert main(["stop", str(path)]) == 0
        wait_for(lambda: not all_marked(path), seconds=5)


@pytest.fixture
def local_cluster(state_dir: Path) -> Iterator[LocalCluster]:
    """A local cluster; its tests call it ``cluster``, in place of the real one."""
    cluster = LocalCluster(state_dir=str(state_dir), command=COMMAND, idle_grace=1.0)
    yield cluster
    cluster.close()
