"""With the keyboard alone on a real API server: one's own pods, and what staff does to many.

What came of it is read from the cluster, and from ``whoami``.
"""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from django_userpods.conf import SELF_SERVICE
from django_userpods.models import UserPod
from tests.browser.chromium import keep_picture
from tests.browser.keyboard import Keyboard
from tests.browser.kubelet import kubelet
from tests.browser.real_site import (
    PODS,
    RealSite,
    site_of_a_module,
)
from tests.factories import UserFactory
from tests.real.controllers import until

pytestmark = [pytest.mark.browser, pytest.mark.cluster, pytest.mark.timeout(400)]

#: With boss, one more than are done without typing how many.
MANY = 51
#: Seconds within which whoami knows what was done on a page.
SOON = 1.0

site = site_of_a_module(
    USERPODS_CACHE="default",
    USERPODS_MAX_PODS=2,
    USERPODS_PROFILES={
        "small": {"NAME": "Small", "IMAGE": "example.org/small:1"},
        "large": {"NAME": "Large", "IMAGE": "example.org/large:1"},
    },
    USERPODS_SELF_SERVICE=[*SELF_SERVICE],
    USERPODS_SHARING=True,
    USERPODS_URL="/pods/{pod}/",
)


def template(site: RealSite, name: str) -> Any:
    return site.deployment(name)["spec"]["template"]


def picks(keyboard: Keyboard, css: str, value: str) -> None:
    """Choose from what is to be chosen from by the arrow that leads down."""
    keyboard.tabs_to(css)
    script = "return document.activeElement.value"
    passed: list[str] = []
    while (now := keyboard.browser.execute_script(script)) != value:
        assert now not in passed, f"the arrow does not lead to {value!r} but to {passed}"
        passed.append(now)
        keyboard.press(Keys.ARROW_DOWN)


def unfolds(keyboard: Keyboard, css: str, text: str) -> None:
    keyboard.tabs_to(f"{css} summary", text)
    keyboard.press(Keys.SPACE)


def submits(keyboard: Keyboard, css: str, text: str, key: str = Keys.ENTER) -> None:
    keyboard.tabs_to(f"{css} button", text)
    keyboard.press(key)


def with_control(keyboard: Keyboard, *keys: str) -> None:
    held = ActionChains(keyboard.browser).key_down(Keys.CONTROL).send_keys(*keys)
    held.key_up(Keys.CONTROL).perform()


@pytest.fixture
def alice(site: RealSite) -> Keyboard:
    """Somebody who may share, with a pod that runs and nothing else."""
    model: Any = get_user_model()
    user = model.objects.filter(username="alice").first() or UserFactory(username="alice")
    user.user_permissions.add(Permission.objects.get(codename="share_userpod"))
    site.sign_in(user)
    keyboard = Keyboard(site.browser, site.url(""))
    keyboard.goes("/userpods/")
    keyboard.sees("running", "#pod-main .state")
    return keyboard


def test_a_pod_is_stopped_given_a_profile_started_and_restarted(
    site: RealSite, alice: Keyboard
) -> None:
    submits(alice, "#pod-main", "Stop", Keys.SPACE)
    alice.sees("stopped", "#pod-main .state")
    assert site.deployment("user-alice")["spec"]["replicas"] == 0
    unfolds(alice, "#pod-main", "Choose a profile")
    picks(alice, "#pod-main [name=profile]", "large")
    keep_picture(alice.browser, "real-keyboard-profile")
    submits(alice, "#pod-main", "Choose")
    alice.sees("Large", "#pod-main dl")
    submits(alice, "#pod-main", "Start")
    alice.sees("running", "#pod-main .state")
    before = template(site, "user-alice")
    assert site.deployment("user-alice")["spec"]["replicas"] == 1
    assert before["spec"]["containers"][0]["image"] == "example.org/large:1"

    submits(alice, "#pod-main", "Restart")
    until(lambda: template(site, "user-alice") != before, 30, "another pod")
    assert template(site, "user-alice")["spec"] == before["spec"]
    alice.sees("running", "#pod-main .state")


def test_a_further_pod_is_added_and_deleted_by_its_name(site: RealSite, alice: Keyboard) -> None:
    name = "user-alice---lab"
    alice.tabs_to("#userpods-slot")
    alice.press("lab")
    picks(alice, "[aria-labelledby=userpods-add] [name=profile]", "small")
    submits(alice, "[aria-labelledby=userpods-add]", "Add")
    alice.sees("running", "#pod-lab .state")
    assert template(site, name)["spec"]["containers"][0]["image"] == "example.org/small:1"

    unfolds(alice, "#pod-lab", "Delete")
    alice.tabs_to("#pod-lab input[name=typed]")
    alice.press("main")
    submits(alice, "#pod-lab", "Delete lab")
    alice.sees("Nothing was deleted", "#pod-lab .error")
    assert name in deployments(site)
    # The field that is wrong has the focus, with what was typed.
    with_control(alice, "a")
    alice.press("lab", Keys.ENTER)
    alice.sees("You have 1 of 2")
    assert name not in deployments(site)
    assert not alice.browser.find_elements(By.ID, "pod-lab")


def deployments(site: RealSite) -> list[str]:
    """The names of those that are there and do not go."""
    found = site.cluster.get("deployment", "-n", site.inner.namespace)["items"]
    metadata = [item["metadata"] for item in found]
    return [one["name"] for one in metadata if "deletionTimestamp" not in one]


def test_a_pod_is_shared_and_kept_for_oneself_again(site: RealSite, alice: Keyboard) -> None:
    bob = site.client(UserFactory(username="bob"))
    asks = {
        "Cookie": f"sessionid={bob.cookies['sessionid'].value}",
        "X_Userpods_Path": "/pods/alice/",
    }
    assert site.whoami(**asks)[0] == 403
    unfolds(alice, "#pod-main", "Share")
    alice.tabs_to("#pod-main [name=whom]")
    alice.press("bob")
    picks(alice, "#pod-main [name=days]", "365")
    submits(alice, "#pod-main", "Share")
    alice.sees("Shared with 1", "#pod-main summary")
    until(lambda: site.whoami(**asks)[0] == 200, SOON, "the way in")
    _, said = site.whoami(**asks)
    assert (said["X-Target-Service"], said["X-Userpods-Guest"]) == ("user-alice", "1")
    assert 364 < float(said["X-Userpods-Seconds"]) / 86400 < 365
    unfolds(alice, "#pod-main", "Shared with 1")
    submits(alice, "#pod-main", "Stop sharing", Keys.SPACE)
    until(lambda: site.whoami(**asks)[0] == 403, SOON, "the way out")
    alice.sees("Share", "#pod-main summary")


def test_a_token_is_made_copied_and_revoked(site: RealSite, alice: Keyboard) -> None:
    tokens = "[aria-labelledby=userpods-tokens]"
    unfolds(alice, tokens, "Make a token")
    alice.tabs_to("#userpods-label")
    alice.press("laptop")
    picks(alice, "#userpods-scope", "manage")
    submits(alice, tokens, "Make a token")
    alice.sees("Copy the token now", "h1")
    alice.tabs_to("#userpods-token")
    with_control(alice, "a", "c")
    alice.tabs_to("a", "I have copied it")
    alice.press(Keys.ENTER)
    alice.sees("laptop", f"{tokens} .item")

    # It is pasted where it can be read, and is what lets a program in.
    unfolds(alice, tokens, "Make a token")
    alice.tabs_to("#userpods-label")
    with_control(alice, "v")
    text = str(site.find("#userpods-label").get_attribute("value"))
    program = {"Authorization": f"Bearer {text}"}
    status, said = site.whoami(**program)
    assert (status, said["X-Target-Service"]) == (200, "user-alice")

    alice.goes("/userpods/")
    submits(alice, tokens, "Revoke", Keys.SPACE)
    alice.sees("revoked", f"{tokens} .item")
    until(lambda: site.whoami(**program)[0] == 403, SOON, "its end")


def is_settled(site: RealSite) -> bool:
    site.inner.sync()
    return site.inner.is_settled()


def test_staff_restarts_many_at_once(site: RealSite) -> None:
    model: Any = get_user_model()
    model.objects.bulk_create([model(username=f"many{number:02}") for number in range(MANY)])
    until(lambda: is_settled(site), 60, "pods that run", every=0.5)
    count = UserPod.objects.count()

    staff = Keyboard(site.browser, site.url("", staff=True))
    staff.goes(PODS)
    staff.tabs_to("#action-toggle")
    staff.press(Keys.SPACE)
    staff.chooses("userpods_restart")
    staff.sees(f"Restart {count} pods?", "h1")
    staff.tabs_to("#userpods-typed")
    staff.press("7", Keys.ENTER)
    staff.sees("That is not the right number.", "[role=alert]")
    staff.tabs_to("#userpods-typed")
    staff.press(str(count))
    submits(staff, ".userpods-buttons", f"Restart {count} pods")
    staff.sees(f"Finished: {count} of {count} pods.", "#userpods-run-summary", seconds=120)
    assert not site.browser.find_elements(By.CSS_SELECTOR, ".userpods-failures")
    keep_picture(site.browser, "real-keyboard-bulk")
    restarted = UserPod.objects.exclude(restarted_at=None)
    assert restarted.count() == count
    staff.tabs_to(".userpods-buttons a", "All user pods")
    staff.press(Keys.ENTER)
    staff.sees("user-many07", "#result_list")


def test_staff_reads_all_pages_of_a_pod_and_stops_it(site: RealSite, tmp_path: Any) -> None:
    where = ("-n", site.inner.namespace, "-l", "app=user-boss")
    staff = Keyboard(site.browser, site.url("", staff=True))
    until(lambda: is_settled(site), 60, "a pod that runs", every=0.5)
    with kubelet(site.cluster, tmp_path) as node:
        for pod in site.cluster.get("pods", *where)["items"]:
            node.texts[pod["metadata"]["name"], False] = "listening on port 8000\n"
        staff.goes(f"{PODS}?q=user-boss")
        staff.tabs_to("#result_list a", "user-boss")
        staff.press(Keys.ENTER)
        for tab, said in (
            ("Events", "Successfully assigned"),
            ("Logs", "listening on port 8000"),
            ("Should be / is", "Deployment"),
            ("History", "Seen"),
        ):
            staff.tabs_to(".userpods-tabs a", tab)
            staff.press(Keys.ENTER)
            staff.sees(f"user-boss: {tab}", "h1")
            staff.sees(said, "#content")
    staff.tabs_to(".userpods-tabs a", "Overview")
    staff.press(Keys.ENTER)
    submits(staff, ".userpods-buttons", "Stop", Keys.SPACE)
    staff.sees("Stop 1 pod?", "h1")
    submits(staff, ".userpods-buttons", "Stop 1 pod")
    staff.sees("stopped", ".userpods-state")
    assert site.deployment("user-boss")["spec"]["replicas"] == 0
