"""501 pods on a real API server at once, from the admin: stopped, and started again."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from selenium.webdriver.common.by import By

from django_userpods.models import Transition, UserPod
from tests.browser.bulk_runs import LONG, choose, counts, follow
from tests.browser.chromium import keep_pictures, wait_for_text
from tests.browser.real_site import PODS, RealSite, site_of_a_module
from tests.real.controllers import until

pytestmark = [pytest.mark.browser, pytest.mark.cluster]

#: With that of whoever does it.
MANY = 501


empty = site_of_a_module(controller=True)


@pytest.fixture(scope="module")
def site(empty: RealSite) -> RealSite:
    """With a pod that runs for each of 501 users."""
    users: Any = get_user_model()._default_manager
    users.bulk_create([users.model(username=f"many{n:03}") for n in range(MANY - 1)])
    until(lambda: UserPod.objects.count() == MANY, LONG, "a row for each", every=0.5)
    until(empty.inner.is_settled, LONG, "pods that run", every=0.5)
    return empty


@pytest.mark.timeout(900)
def test_501_pods_are_stopped_and_started_again_on_pages_that_tell_how_far_it_is(
    site: RealSite,
) -> None:
    browser = site.browser
    assert site.replicas() == [1] * MANY

    choose(site, "stop", many=MANY)
    wait_for_text(browser, "h1", f"Stop {MANY} pods?")
    assert "Your own pod is among them: user-boss." in browser.page_source
    assert counts(site) == f"running {MANY}"
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
    follow(site, many=MANY)
    assert counts(site) == f"done {MANY}"
    assert not browser.find_elements(By.CSS_SELECTOR, ".userpods-failures")
    keep_pictures(browser, "real-bulk-finished")
    assert site.replicas() == [0] * MANY
    stopped = Transition.objects.filter(operation="stop", actor="boss", outcome="done")
    assert stopped.values("pod").distinct().count() == MANY

    choose(site, "start", many=MANY)
    follow(site, many=MANY)
    assert counts(site) == f"done {MANY}"
    assert not browser.find_elements(By.CSS_SELECTOR, ".userpods-failures")
    assert site.replicas() == [1] * MANY
    site.open(f"{PODS}?state__exact=running", staff=True)
    wait_for_text(browser, ".paginator", f"{MANY} user pods")
    keep_pictures(browser, "real-bulk-list")
