"""Profiles, sharing and tokens in people's hands, with their pods on a real API server."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from django_userpods.conf import SELF_SERVICE
from tests.browser.chromium import keep_pictures, wait_for_text
from tests.browser.real_site import RealSite, boss, site_of_a_module
from tests.factories import UserFactory
from tests.real.controllers import until

pytestmark = [pytest.mark.browser, pytest.mark.cluster]

PROFILES = "/admin/userpods/profile/"
#: Seconds within which whoami knows what was done on a page.
SOON = 1.0


#: It remembers whoami's answers, as a site with many requests does.
site = site_of_a_module(
    USERPODS_CACHE="default",
    USERPODS_PROFILES="database",
    USERPODS_SELF_SERVICE=[*SELF_SERVICE],
    USERPODS_SHARING=True,
    USERPODS_URL="/pods/{pod}/",
)


def container(site: RealSite, name: str) -> dict[str, Any]:
    found: dict[str, Any] = site.deployment(name)["spec"]["template"]["spec"]["containers"][0]
    return found


def sees_state(site: RealSite, text: str) -> None:
    wait_for_text(site.browser, "#pod-main .state", text, seconds=60)


def test_staff_makes_a_profile_a_user_chooses_it_and_a_change_of_it_is_rolled_out(
    site: RealSite,
) -> None:
    browser = site.browser
    UserFactory(username="alice")
    bob = UserFactory(username="bob")
    until(lambda: container(site, "user-bob"), 60, "bob's pod")
    standard = container(site, "user-alice")

    site.sign_in(boss(), staff=True)
    site.open(f"{PROFILES}add/", staff=True)
    site.write("#id_slug", "large")
    site.write("#id_name", "Large")
    site.write("#id_description", "For big tables.")
    site.write("#id_image", "example.org/large:1")
    site.write("#id_resources", '{"limits": {"memory": "much"}}')
    site.write("#id_env", '{"SIZE": "large"}')
    site.find("[name=_save]").click()
    wait_for_text(browser, ".errorlist", "much")
    keep_pictures(browser, "real-profile-invalid")
    site.write("#id_resources", '{"limits": {"memory": "2Gi"}}')
    site.write("#userpods-preview-user", "bob")
    before = browser.current_window_handle
    site.press("Show the manifests")
    WebDriverWait(browser, 30).until(lambda _: len(browser.window_handles) == 2)
    [preview] = {*browser.window_handles} - {before}
    browser.switch_to.window(preview)
    wait_for_text(browser, "pre", "image: example.org/large:1")
    wait_for_text(browser, "pre", "name: user-bob")
    browser.close()
    browser.switch_to.window(before)
    site.find("[name=_save]").click()
    wait_for_text(browser, ".messagelist", "was added successfully")

    site.sign_in(bob)
    site.open("/userpods/")
    sees_state(site, "running")
    site.press("Stop", within="#pod-main")
    sees_state(site, "stopped")
    site.press("Choose a profile", within="#pod-main")
    wait_for_text(browser, "#pod-main fieldset", "For big tables.")
    site.find("#profile-0-large").click()
    keep_pictures(browser, "real-profile-choose")
    site.press("Choose", within="#pod-main")
    wait_for_text(browser, "#pod-main dl", "Large")
    site.press("Start", within="#pod-main")
    sees_state(site, "running")
    found = container(site, "user-bob")
    assert found["image"] == "example.org/large:1"
    assert found["resources"]["limits"]["memory"] == "2Gi"
    assert found["resources"]["requests"] == standard["resources"]["requests"]
    assert {"name": "SIZE", "value": "large"} in found["env"]
    assert container(site, "user-alice") == standard

    site.open(PROFILES, staff=True)
    browser.find_element(By.LINK_TEXT, "Large").click()
    site.write("#id_image", "example.org/large:2")
    site.find("[name=_continue]").click()
    wait_for_text(browser, ".messagelist", "1 pod uses this profile")
    keep_pictures(browser, "real-profile-changed")
    until(lambda: container(site, "user-bob")["image"] == "example.org/large:2", 60, "the change")
    site.press("Restore this version")
    site.press("Restore version 1")
    wait_for_text(browser, ".messagelist", "1 pod uses this profile")
    until(lambda: container(site, "user-bob")["image"] == "example.org/large:1", 60, "the way back")
    assert container(site, "user-alice") == standard


def test_who_a_pod_is_shared_with_is_let_in_and_kept_out_at_once(site: RealSite) -> None:
    browser = site.browser
    carol, dave = UserFactory(username="carol"), UserFactory(username="dave")
    carol.user_permissions.add(Permission.objects.get(codename="share_userpod"))
    site.sign_in(carol)
    cookie = site.sign_in(dave, staff=True).cookies["sessionid"].value
    asks = {"Cookie": f"sessionid={cookie}", "X_Userpods_Path": "/pods/carol/"}
    assert site.whoami(**asks)[0] == 403

    site.open("/userpods/")
    sees_state(site, "running")
    site.press("Share", kind="summary")
    site.write("#share-whom-0", "dave")
    site.find("#share-days-0 [value='1']").click()
    keep_pictures(browser, "real-share")
    site.press("Share", kind="button")
    wait_for_text(browser, "#pod-main summary", "Shared with 1")
    until(lambda: site.whoami(**asks)[0] == 200, SOON, "the way in")
    _, said = site.whoami(**asks)
    assert (said["X-Userpods-User"], said["X-Target-Service"]) == ("dave", "user-carol")
    assert (said["X-Userpods-Guest"], said["X-Userpods-Owner-Id"]) == ("1", str(carol.pk))
    assert 23 * 3600 < float(said["X-Userpods-Seconds"]) < 24 * 3600

    site.open("/userpods/", staff=True)
    wait_for_text(browser, "[aria-labelledby=userpods-shared]", "carol")
    keep_pictures(browser, "real-shared-with-me")

    site.open("/userpods/")
    site.press("Shared with 1")
    site.press("Stop sharing")
    until(lambda: site.whoami(**asks)[0] == 403, SOON, "the way out")
    wait_for_text(browser, "#pod-main summary", "Share")
    site.open("/userpods/", staff=True)
    assert not browser.find_elements(By.ID, "userpods-shared")


def test_a_token_is_shown_once_lets_a_program_in_and_out_again(site: RealSite) -> None:
    browser = site.browser
    site.sign_in(UserFactory(username="erin"))
    site.open("/userpods/")
    sees_state(site, "running")
    site.press("Make a token", kind="summary")
    site.write("#userpods-label", "laptop")
    site.press("Make a token", kind="button")
    wait_for_text(browser, "h1", "Copy the token now")
    text = str(site.find("#userpods-token").get_attribute("value"))
    program = {"Authorization": f"Bearer {text}"}
    status, said = site.whoami(**program)
    assert (status, said["X-Target-Service"]) == (200, "user-erin")

    site.press("I have copied it")
    wait_for_text(browser, "[aria-labelledby=userpods-tokens] .item", "laptop")
    wait_for_text(browser, "[aria-labelledby=userpods-tokens] .item", "Used")
    assert text not in browser.page_source
    browser.back()
    assert text not in browser.page_source

    site.open("/userpods/")
    site.press("Revoke")
    until(lambda: site.whoami(**program)[0] == 403, SOON, "its end")
    wait_for_text(browser, "[aria-labelledby=userpods-tokens] .item", "revoked")
    keep_pictures(browser, "real-token-revoked")
