"""What the local cluster keeps: objects, the ports of Services, and where it cannot keep them."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from django_userpods.clusters.local import LocalCluster
from django_userpods.core.objects import SERVICE, Kind
from django_userpods.exceptions import (
    AlreadyExists,
    ClusterConfigurationError,
    ClusterError,
    ClusterTimeout,
    ClusterUnavailable,
    Conflict,
    Invalid,
    QuotaExceeded,
)
from tests.clusters.local import (
    ask,
    deployment,
    port_of,
    ref,
    service,
    wait_for,
    wait_ready,
    wait_reason,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from django_userpods.core.objects import Manifest

pytestmark = pytest.mark.processes


@pytest.fixture
def cluster(local_cluster: LocalCluster) -> LocalCluster:
    return local_cluster


class TestObjects:
    def test_an_object_lives_as_on_an_api_server(self, cluster: LocalCluster) -> None:
        created = cluster.create(service())
        assert created["metadata"]["uid"]
        assert created["metadata"]["generation"] == 1
        assert created["spec"]["clusterIP"] == "127.0.0.1"
        assert cluster.get(ref(kind=SERVICE)) == created
        with pytest.raises(AlreadyExists, match="Service default/user-alice"):
            cluster.create(service())
        changed = service()
        changed["metadata"]["labels"] = {"new": "yes"}
        applied = cluster.apply(changed)
        assert applied["metadata"]["labels"] == {"new": "yes"}
        assert applied["metadata"]["uid"] == created["metadata"]["uid"]
        assert applied["metadata"]["resourceVersion"] != created["metadata"]["resourceVersion"]
        assert "labels" not in cluster.apply(service())["metadata"]
        with pytest.raises(Conflict, match="another object"):
            cluster.delete(ref(kind=SERVICE), uid="other")
        cluster.delete(ref(kind=SERVICE), uid=created["metadata"]["uid"])
        assert cluster.get(ref(kind=SERVICE)) is None
        cluster.delete(ref(kind=SERVICE), uid=created["metadata"]["uid"])

    def test_apply_makes_a_missing_object_and_an_equal_one_changes_nothing(
        self, cluster: LocalCluster
    ) -> None:
        first = cluster.apply(service())
        assert cluster.apply(service()) == first

    def test_what_was_read_may_be_sent_back(self, cluster: LocalCluster) -> None:
        created = cluster.create(service())
        again = cluster.apply(created)
        assert again["metadata"]["uid"] == created["metadata"]["uid"]
        assert cluster.peer(again) == cluster.peer(created)
        stale = {**created, "metadata": {**created["metadata"], "resourceVersion": "999"}}
        with pytest.raises(Conflict, match="changed meanwhile"):
            cluster.apply(stale)

    def test_a_list_is_narrowed_by_namespace_and_labels(self, cluster: LocalCluster) -> None:
        kind = Kind("v1", "ConfigMap")
        for namespace, name, labels in (
            ("a", "one", {"x": "1", "y": "1"}),
            ("a", "two", {"x": "2"}),
            ("b", "three", {"x": "1"}),
        ):
            metadata = {"name": name, "namespace": namespace, "labels": labels}
            cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})

        def names(namespace: str | None, labels: dict[str, str]) -> list[str]:
            found = cluster.list(kind, namespace=namespace, labels=labels)
            return [item["metadata"]["name"] for item in found]

        assert names(None, {}) == ["one", "two", "three"]
        assert names("a", {"x": "1"}) == ["one"]
        assert names(None, {"x": "1"}) == ["one", "three"]
        assert names("c", {}) == []
        assert list(cluster.list(Kind("v1", "Secret"), namespace=None, labels={})) == []

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (lambda m: m.pop("kind"), "no kind"),
            (lambda m: m.pop("metadata"), "metadata has to be a mapping"),
            (lambda m: m["metadata"].pop("name"), "metadata.name is missing"),
            (lambda m: m["metadata"].update(name="Alice"), "lower case"),
            (lambda m: m["metadata"].update(name="../../x"), "lower case"),
            (lambda m: m["metadata"].update(namespace="a/b"), "lower case"),
            (lambda m: m["metadata"].update(labels={"a": 1}), "has to be a string"),
            (lambda m: m["spec"].update(replicas=-1), "replicas"),
            (lambda m: m["spec"].update(replicas="1"), "replicas"),
            (lambda m: m["spec"]["selector"].update(matchLabels={"a": "b"}), "does not match"),
            (lambda m: m["spec"]["template"]["spec"].update(containers=[]), "is empty"),
            (lambda m: m["spec"].update(template=object()), "JSON"),
        ],
    )
    def test_nonsense_is_refused(
        self, cluster: LocalCluster, change: Callable[[Manifest], object], words: str
    ) -> None:
        manifest = deployment()
        change(manifest)
        with pytest.raises(Invalid, match=words):
            cluster.create(manifest)

    def test_a_selector_cannot_change(self, cluster: LocalCluster) -> None:
        cluster.create(deployment(replicas=0))
        changed = deployment(replicas=0)
        labels = {"app": "user-alice", "more": "x"}
        changed["spec"]["selector"]["matchLabels"] = labels
        changed["spec"]["template"]["metadata"]["labels"] = labels
        with pytest.raises(Invalid, match="immutable"):
            cluster.apply(changed)


class TestPorts:
    def test_no_two_services_share_a_port(self, cluster: LocalCluster) -> None:
        def make(number: int) -> None:
            cluster.create(deployment(f"user-{number}", replicas=0))
            cluster.create(service(f"user-{number}"))

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(make, range(30)))
        ports = {port_of(cluster, f"user-{number}") for number in range(30)}
        assert len(ports) == 30

    def test_service_first_and_its_deployment_later_share_one(self, cluster: LocalCluster) -> None:
        cluster.create(service())
        port = port_of(cluster)
        cluster.create(deployment())
        wait_ready(cluster)
        assert ask(cluster)["env"]["PORT"] == str(port)

    def test_address_before_there_is_one_takes_no_connection(self, cluster: LocalCluster) -> None:
        bare = {"apiVersion": "v1", "kind": "Service", "metadata": {}, "spec": {}}
        assert cluster.peer(bare) is None

        def address(peer: str | None) -> str:
            return cluster.address(namespace="default", name="user-alice", port=80, peer=peer)

        assert address(None) == "127.0.0.1:0"
        assert address("127.0.0.1:20001") == "127.0.0.1:20001"

    def test_a_released_port_is_used_last_and_the_end_is_said(self, state_dir: Path) -> None:
        first = 20000 + os.getpid() % 10000
        cluster = LocalCluster(state_dir=str(state_dir), ports=(first, first + 2))
        for name in ("a", "b"):
            cluster.create(service(name))
        gone = port_of(cluster, "a")
        found = cluster.get(ref("a", SERVICE))
        assert found is not None
        cluster.delete(ref("a", SERVICE), uid=found["metadata"]["uid"])
        cluster.create(service("c"))
        assert port_of(cluster, "c") != gone
        cluster.create(service("d"))
        assert port_of(cluster, "d") == gone
        with pytest.raises(QuotaExceeded, match="in use"):
            cluster.create(service("e"))
        cluster.close()

    def test_a_port_that_another_program_took_is_said_not_believed(
        self, cluster: LocalCluster
    ) -> None:
        cluster.create(service())
        blocker = subprocess.Popen(
            [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port_of(cluster))],
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        try:
            url = f"http://127.0.0.1:{port_of(cluster)}"

            def up() -> bool:
                try:
                    urllib.request.urlopen(url, timeout=1).close()
                except OSError:
                    return False
                return True

            wait_for(up)
            cluster.create(deployment())
            assert "in use by another program" in wait_reason(cluster, "PortInUse")["message"]
        finally:
            blocker.kill()
            blocker.wait()
        wait_ready(cluster)


class TestBadConfiguration:
    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"state_dir": ""}, "state_dir"),
            ({"state_dir": "x", "command": "python app.py"}, "list of strings"),
            ({"state_dir": "x", "ports": (9, 5)}, "two ports"),
        ],
    )
    def test_invalid_options_are_refused(self, options: dict[str, Any], words: str) -> None:
        with pytest.raises(ClusterConfigurationError, match=words):
            LocalCluster(**options)

    def test_a_state_dir_that_cannot_be_written_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        cluster = LocalCluster(state_dir=str(tmp_path / "file" / "state"))
        with pytest.raises(ClusterConfigurationError, match="cannot write to its state_dir"):
            cluster.get(ref())

    def test_a_damaged_database_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "objects.sqlite3").write_bytes(b"not a database" * 100)
        cluster = LocalCluster(state_dir=str(tmp_path))
        with pytest.raises(ClusterConfigurationError, match="damaged"):
            cluster.get(ref())

    def test_a_locked_database_is_a_timeout(self, cluster: LocalCluster, state_dir: Path) -> None:
        cluster.create(service())
        with closing(sqlite3.connect(state_dir / "objects.sqlite3", isolation_level=None)) as db:
            db.execute("BEGIN IMMEDIATE")
            with pytest.raises(ClusterTimeout, match="locked"):
                cluster.create(service("other"), timeout=0.2)

    def test_a_supervisor_that_cannot_start_is_an_error_and_can_later(
        self, cluster: LocalCluster, state_dir: Path
    ) -> None:
        cluster.create(service())
        (state_dir / "wake").mkdir()
        with pytest.raises(ClusterUnavailable, match="did not start"):
            cluster.create(deployment())
        (state_dir / "wake").rmdir()
        wait_ready(cluster)

    def test_threads_share_one_cluster(self, cluster: LocalCluster) -> None:
        failures: list[ClusterError] = []

        def work(number: int) -> None:
            try:
                for _ in range(5):
                    found = cluster.apply(service(f"user-{number}"))
                    cluster.delete(ref(f"user-{number}", SERVICE), uid=found["metadata"]["uid"])
            except ClusterError as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
