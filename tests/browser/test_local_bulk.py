"""501 users at once whose pods are real processes: stopped, started, and the one that failed again.

Each process says whose it is, so that it is seen of which pods there is one.
"""

from __future__ import annotations

import json
import shlex
import sys
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth import get_user_model
from selenium.webdriver.common.by import By

from django_userpods.cluster import get_cluster
from django_userpods.core.objects import SERVICE
from django_userpods.models import Transition, UserPod
from tests.browser.bulk_runs import LONG, choose, counts, follow
from tests.browser.chromium import keep_pictures, wait_for_text
from tests.browser.local_site import running
from tests.browser.real_site import PODS, OpenSite, boss
from tests.clusters.local import all_marked
from tests.real.controllers import until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.browser, pytest.mark.processes]

#: With that of whoever does it.
MANY = 501
#: Whose process ends at its start until there is a file of this name.
BROKEN, REPAIRED = "many007", "repaired"
FAILURES = ".userpods-failures > li"
WORKLOAD = Path(__file__).with_name("light_workload.py")


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, django_db_setup: None, django_db_blocker: Any
) -> Iterator[OpenSite]:
    """A site with a controller, and a process for each of 501 users but one."""
    folder = tmp_path_factory.mktemp("bulk")
    workload = shlex.join([sys.executable, "-I", "-S", str(WORKLOAD)])
    crash = f'test "$USERPODS_USER" != {BROKEN} || test -e {folder / REPAIRED} || exit 3'
    command = ["/bin/sh", "-c", f"{crash}; exec {workload}"]
    with django_db_blocker.unblock(), running(folder, command) as made:
        users: Any = get_user_model()._default_manager
        users.bulk_create([users.model(username=f"many{n:03}") for n in range(MANY - 1)])
        made.sign_in(boss(), staff=True)
        until(lambda: UserPod.objects.count() == MANY, LONG, "a row for each", every=0.5)
        running_ones = UserPod.objects.filter(state="running")
        until(lambda: running_ones.count() == MANY - 1, LONG, "pods that run", every=0.5)
        yield made


def answering() -> set[str]:
    """Whose processes answer, as each says itself."""
    cluster, found = get_cluster(), set()
    for service in cluster.list(SERVICE, namespace=None, labels={}):
        with (
            suppress(urllib.error.URLError),  # nobody listens there
            urllib.request.urlopen(f"http://{cluster.peer(service)}/", timeout=30) as answer,
        ):
            found.add(str(json.load(answer)["name"]))
    return found


@pytest.mark.timeout(900)
def test_501_processes_are_stopped_and_started_and_the_one_that_failed_again(
    site: OpenSite,
) -> None:
    browser = site.browser
    everybody = {"boss", *(f"many{n:03}" for n in range(MANY - 1))}
    assert answering() == everybody - {BROKEN}

    choose(site, "stop", many=MANY)
    wait_for_text(browser, "h1", f"Stop {MANY} pods?")
    assert counts(site) == f"running {MANY - 1} failed 1"
    site.write("[name=typed]", "500")
    site.press(f"Stop {MANY} pods")
    wait_for_text(browser, "[role=alert]", "That is not the right number.")
    assert answering() == everybody - {BROKEN}
    site.write("[name=typed]", str(MANY))
    site.press(f"Stop {MANY} pods")
    follow(site, many=MANY)
    assert counts(site) == f"done {MANY}"
    # "Stopped" is said once nothing is to run; each process has its time to end.
    until(lambda: not all_marked(site.inner.folder / "pods"), 60, "their end", every=0.5)
    assert answering() == set()
    assert Transition.objects.filter(operation="stop", actor="boss", outcome="done").count() == MANY

    choose(site, "start", many=MANY)
    follow(site, many=MANY)
    failures = [one.text for one in browser.find_elements(By.CSS_SELECTOR, FAILURES)]
    assert counts(site) == f"failed 1 done {MANY - 1}", failures
    assert answering() == everybody - {BROKEN}
    assert [f"user-{BROKEN}" in failure for failure in failures] == [True]
    site.press("What the cluster says")
    wait_for_text(browser, ".userpods-failures", "exited with status 3")
    keep_pictures(browser, "local-bulk-failed")

    (site.inner.folder / REPAIRED).touch()
    site.press("Retry 1 that failed")
    until(UserPod.objects.filter(state="running", owner__username=BROKEN).exists, 60, "its start")
    assert answering() == everybody
    site.open(f"{PODS}?state__exact=running", staff=True)
    wait_for_text(browser, ".paginator", f"{MANY} user pods")
