"""A controller in a process of its own, a real API server, and a database on bad days."""

from __future__ import annotations

import gc
import secrets
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from django import db
from django.contrib.auth.models import User
from django.db import connections

from django_userpods.models import UserPod
from tests.databases.servers import promote, start_standby
from tests.real.controllers import Site, site, until
from tests.real.faulty_site import LONG, agreed, make
from tests.real.foreign import Foreign
from tests.real.matrix import MATRIX
from tests.testcluster.fixtures import restricted_namespace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.databases.servers import Server
    from tests.testcluster.cluster import Cluster
    from tests.testcluster.processes import Run

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.databases,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

#: As the tests themselves do.
_SETTINGS = """
import pymysql
pymysql.install_as_MySQLdb()
"""
#: Statements that lock a table, and that let nobody wait long for it, by the kinds of servers.
_LOCK = {
    "postgresql": "LOCK TABLE {} IN ACCESS EXCLUSIVE MODE",
    "mariadb": "LOCK TABLES {} WRITE",
}
_HURRY = {
    "postgresql": "SET lock_timeout = '100ms'",
    "mariadb": "SET SESSION lock_wait_timeout = 1",
}


@contextmanager
def controlled(folder: Path, cluster: Cluster, database: dict[str, Any]) -> Iterator[Site]:
    """A site on that database with a controller that leads, and alice's pod.

    At the end a sync writes nothing, and what is foreign is as it was.
    """
    namespace = f"test-{secrets.token_hex(5)}"
    cluster.create(restricted_namespace(namespace))
    with site(folder, cluster.kubeconfig, namespace, database) as here:
        foreign = Foreign(cluster, namespace)
        controller = here.start(cluster.kubeconfig, settings=_SETTINGS)
        until(lambda: controller.is_synced, LONG, "a leader")
        make("alice")
        until(agreed(here, "alice"), LONG)
        yield here
        here.assert_at_rest()
        foreign.assert_untouched()
        assert controller.get("/healthz") == (200, "ok\n")
        assert controller.end() == 0, controller.text
        assert "the thread" not in controller.text, "one of its threads ended"
    cluster.kubectl("delete", "namespace", namespace, "--wait=false")
    # PyMySQL leaves sockets of servers that went away to the collector, which complains.
    gc.collect()


@pytest.fixture
def here(tmp_path: Path, cluster: Cluster, server: Server, database: None) -> Iterator[Site]:
    """A site on the server; ``database`` empties it at last."""
    with controlled(tmp_path, cluster, server.settings) as made:
        yield made


def delete_deployment(cluster: Cluster, here: Site) -> None:
    """Nobody can put it back without asking the database."""
    cluster.kubectl("delete", "deployment", "user-alice", "-n", here.namespace, "--wait=false")


def cannot_save(name: str) -> None:
    with pytest.raises(db.Error):
        make(name)


def has_noticed(here: Site) -> bool:
    return "the database does not answer" in here.controllers[0].text


def test_a_database_that_dies_and_comes_back_loses_no_save(
    here: Site, cluster: Cluster, server: Server, run: Run
) -> None:
    make("bob")  # the last that was saved, whatever the controller knows of it
    server.kill(run)
    try:
        cannot_save("carol")
        delete_deployment(cluster, here)
        until(lambda: has_noticed(here), LONG, "a word about it")
    finally:
        connections.close_all()
        server.start(run)
    began = time.monotonic()
    assert not User.objects.filter(username="carol").exists()
    make("carol")  # the save that failed, once more
    until(agreed(here, "alice", "bob", "carol"), LONG)
    MATRIX.note("database", time.monotonic() - began)


def test_a_database_that_is_slow_is_waited_for(
    here: Site, cluster: Cluster, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    other = connections.create_connection("default")
    try:
        other.set_autocommit(False)
        with other.cursor() as cursor:
            cursor.execute(_LOCK[server.kind].format(UserPod._meta.db_table))
        locked = time.monotonic()
        with connections["default"].cursor() as cursor:
            cursor.execute(_HURRY[server.kind])
        make("bob")
        # The user is there, but the pod could not be asked for.
        assert "timeout" in caplog.text
        delete_deployment(cluster, here)
        until(lambda: time.monotonic() - locked >= 4, LONG)
        assert here.names() == []
    finally:
        other.close()
    began = time.monotonic()
    connections.close_all()
    until(agreed(here, "alice", "bob"), LONG)
    MATRIX.note("slow", time.monotonic() - began)


@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_a_database_that_fails_over_is_followed(
    tmp_path: Path, cluster: Cluster, server: Server, database: None, run: Run
) -> None:
    standby = start_standby(run, server)
    hosts = f"{server.settings['HOST']},{standby.settings['HOST']}"
    try:
        with controlled(tmp_path, cluster, {**server.settings, "HOST": hosts}) as here:
            make("bob")
            server.end(run)
            cannot_save("carol")
            delete_deployment(cluster, here)
            until(lambda: has_noticed(here), LONG, "a word about it")
            promote(standby)
            began = time.monotonic()
            connections.close_all()
            make("carol")
            until(agreed(here, "alice", "bob", "carol"), LONG)
            MATRIX.note("failed-over", time.monotonic() - began)
    finally:
        connections.close_all()
        standby.end(run)
        server.start(run)
