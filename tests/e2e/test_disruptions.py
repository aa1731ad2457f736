"""What a steady load meets while parts of the cluster are replaced, evicted and restarted."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from tests.e2e.load import under_load
from tests.e2e.site import DJANGO, USERS
from tests.testcluster.processes import wait_for

if TYPE_CHECKING:
    from tests.e2e.report import Report
    from tests.e2e.site import Site

pytestmark = [pytest.mark.node, pytest.mark.timeout(900, func_only=True)]


def test_nothing_fails_without_a_disruption(site: Site, report: Report) -> None:
    with under_load(site, report, "none") as load:
        time.sleep(8)
    assert load.summary() == "none"


def test_the_router_is_rolled(site: Site, report: Report) -> None:
    with under_load(site, report, "the router rolled") as load:
        site.replace("userpods-router")
    assert load.summary() == "none"


def test_django_is_rolled(site: Site, report: Report) -> None:
    with under_load(site, report, "Django rolled") as load:
        site.replace("django")
    assert load.summary() == "none"


def test_the_api_server_restarts(site: Site, report: Report) -> None:
    with under_load(site, report, "the API server restarted") as load:
        site.cluster.restart_apiserver()
        time.sleep(5)
    assert load.summary() == "none"


def test_a_user_saved_while_the_api_server_is_down_gets_the_pod_later(site: Site) -> None:
    admin = site.admin()
    site.cluster.stop_apiserver()
    try:
        started = time.monotonic()
        site.add_user("dora", admin=admin)
        assert time.monotonic() - started < 15, "the save waited for a cluster that is down"
    finally:
        site.cluster.start_apiserver()

    def synced() -> bool:
        # The API server's own Service comes back some seconds after the API server.
        try:
            site.manage("sync_userpods", "--user", "dora")
        except AssertionError:
            return False
        return True

    wait_for(synced, "Django to reach the API server", 60)
    assert site.wait_for_pod(site.signed_in("dora"))["user"] == "dora"


def test_the_kubelet_restarts(site: Site, report: Report) -> None:
    with under_load(site, report, "kubelet restarted") as load:
        site.cluster.restart_kubelet()
        time.sleep(8)
    assert load.failures() <= load.total * 0.1, load.summary()


def test_a_users_pod_is_evicted(site: Site, report: Report) -> None:
    browser = site.signed_in("alice")
    (pod,) = site.pods("app=user-alice", namespace=USERS)
    name = pod["metadata"]["name"]
    pages: list[tuple[int, str, str]] = []
    with under_load(site, report, "a user's pod evicted") as load:
        _evict(site, name)

        def back() -> bool:
            answer = browser.get("/", Accept="text/html")
            if answer.status != 200:
                pages.append((answer.status, answer.header("Retry-After"), answer.text))
                return False
            return bool(answer.json()["hostname"] != name)

        wait_for(back, "alice's new pod", 90)
    # Meanwhile she sees a page that waits with her; bob notices nothing.
    assert pages
    waiting = [page for page in pages if page[0] == 503]
    assert waiting, [page[:2] for page in pages]
    assert all(retry and "<html" in text for _, retry, text in waiting), waiting[0]
    assert load.failures("bob") == 0, load.summary()


def test_the_database_restarts(site: Site, report: Report) -> None:
    with under_load(site, report, "PostgreSQL restarted") as load:
        site.kubectl("delete", "pod", "postgres-0", "-n", DJANGO)
        site.rollout("statefulset/postgres")
        client = site.client()

        def signs_in() -> bool:
            return client.api_login("alice", site.passwords["alice"]).status == 200

        wait_for(signs_in, "Django to serve again", 60)
    # People who are signed in keep reaching their pods for as long as the router remembers them.
    assert load.failures() < load.total, load.summary()
    assert site.wait_for_pod(site.signed_in("alice"))["user"] == "alice"


def _evict(site: Site, name: str) -> None:
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": name, "namespace": USERS},
    }
    path = f"/api/v1/namespaces/{USERS}/pods/{name}/eviction"
    site.cluster.kubectl("create", "--raw", path, "-f", "-", input=json.dumps(eviction))
