"""501 pods on a real API server at once, from the admin: stopped, and started again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth import get_user_model
from selenium.webdriver.common.by import By

from django_userpods.models import Transition, UserPod
from tests.browser.chromium import keep_pictures, wait_for_text
from tests.browser.real_site import PODS, RealSite, boss, running
from tests.real.controllers import until
from tests.real.matrix import busy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.testcluster.cluster import Cluster

pytestmark = [pytest.mark.browser, pytest.mark.cluster]

#: With that of whoever does it.
MANY = 501
#: Seconds that all of them may take to start or stop on a machine with nothing else to do.
LONG = 120.0


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory,
    cluster: Cluster,
    django_db_setup: None,
    django_db_blocker: Any,
) -> Iterator[RealSite]:
    """A site with a controller, and a pod that runs for each of 501 users."""
    folder = tmp_path_factory.mktemp("bulk")
    with django_db_blocker.unblock(), running(folder, cluster, controller=True) as made:
        users: Any = get_user_model()._default_manager
        users.bulk_create([users.model(username=f"many{n:03}") for n in range(MANY - 1)])
        made.sign_in(boss(), staff=True)
        until(lambda: UserPod.objects.count() == MANY, LONG, "a row for each", every=0.5)
        until(made.inner.is_settled, LONG, "pods that run", every=0.5)
        yield made


def choose(site: RealSite, operation: str) -> None:
    """Select all that there are, over all pages of the list, and an action on them."""
    browser = site.browser
    site.open(PODS, staff=True)
    site.find("#action-toggle").click()
    site.press(f"Select all {MANY} user pods", within=".actions")
    site.find(f"select[name=action] [value=userpods_{operation}]").click()
    browser.find_element(By.CSS_SELECTOR, ".actions [type=submit]").click()


def follow(site: RealSite, *, outcome: str) -> None:
    """Watch the page of the run until all is done, without loading it anew."""
    browser = site.browser
    wait_for_text(browser, "#userpods-run-summary", f"of {MANY} pods.")
    browser.execute_script("window.isTheSamePage = true")
    end = f"Finished: {MANY} of {MANY} pods."
    wait_for_text(browser, "#userpods-run-summary", end, seconds=LONG * busy())
    assert browser.execute_script("return window.isTheSamePage")
    counts = site.find(".userpods-counts").text
    assert counts.split() == [*outcome.split(), str(MANY)]
    assert not browser.find_elements(By.CSS_SELECTOR, ".userpods-failures")


@pytest.mark.timeout(900)
def test_501_pods_are_stopped_and_started_again_on_pages_that_tell_how_far_it_is(
    site: RealSite,
) -> None:
    browser = site.browser
    assert site.replicas() == [1] * MANY

    choose(site, "stop")
    wait_for_text(browser, "h1", f"Stop {MANY} pods?")
    assert "Your own pod is among them: user-boss." in browser.page_source
    counts = site.find(".userpods-counts").text
    assert counts.split() == ["running", str(MANY)]
    site.write("[name=typed]", "500")
    site.press(f"Stop {MANY} pods")
    wait_for_text(browser, "[role=alert]", "That is not the right number.")
    assert site.replicas() == [1] * MANY
    site.write("[name=typed]", str(MANY))
    site.press(f"Stop {MANY} pods")
    wait_for_text(
        browser, "body", "The controller does the rest, whether this page is open or not."
    )
    assert f"{MANY} pods were handed to the controller." in site.find(".messagelist").text
    keep_pictures(browser, "real-bulk-started")
    follow(site, outcome="done")
    keep_pictures(browser, "real-bulk-finished")
    assert site.replicas() == [0] * MANY
    stopped = Transition.objects.filter(operation="stop", actor="boss", outcome="done")
    assert stopped.values("pod").distinct().count() == MANY

    choose(site, "start")
    follow(site, outcome="done")
    assert site.replicas() == [1] * MANY
    site.open(f"{PODS}?state__exact=running", staff=True)
    wait_for_text(browser, ".paginator", f"{MANY} user pods")
    keep_pictures(browser, "real-bulk-list")
