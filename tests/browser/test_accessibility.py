"""What axe-core finds in our pages: in real Chromium, light and dark, wide and narrow."""

from __future__ import annotations

import re
from copy import deepcopy
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from django_userpods import share
from django_userpods.clusters.base import PodEvent, PodLog
from django_userpods.conf import SELF_SERVICE
from django_userpods.core.objects import DEPLOYMENT, Ref
from django_userpods.core.states import State
from django_userpods.models import PodSession, UserPod
from django_userpods.reconcile import reconcile
from django_userpods.selectors import not_named
from django_userpods.shares import Share
from django_userpods.tokens import AccessToken
from tests.browser.chromium import chromium

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_django.live_server_helper import LiveServer
    from selenium.webdriver.chrome.webdriver import WebDriver

    from django_userpods.testing import MemoryCluster

AXE = find_spec("axe_selenium_python")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(AXE is None, reason="NOT RUN: axe-selenium-python needs Python 3.12"),
]

PAGES_OF_THE_ROUTER = (
    Path(__file__).parents[2] / "manifests" / "router" / "lua" / "userpods" / "pages.lua"
)
#: Each theme and each width once.
LOOKS = (("light", 1280), ("dark", 390))
#: A colour on its way to another is neither.
STILL = """
const sheet = new CSSStyleSheet();
sheet.replaceSync("* { transition: none !important; animation: none !important }");
document.adoptedStyleSheets = [sheet];
"""
RUN = """
const done = arguments[arguments.length - 1];
const run = () => axe.run(document, {resultTypes: ["violations"]}).then(
  found => done(found.violations.flatMap(one => one.nodes.map(node =>
    [one.impact, one.id, node.target.join(" "), node.failureSummary]))),
  error => done([["critical", "axe", String(error), ""]]),
);
// What the page's own scripts do once it is loaded comes before.
(window.django?.jQuery ?? (f => f()))(() => setTimeout(run));
"""


class Seen:
    """A browser that has each page looked at, and what was found there."""

    def __init__(self, browser: WebDriver, site: str) -> None:
        assert AXE is not None
        assert AXE.origin is not None
        (script,) = Path(AXE.origin).parent.rglob("axe.min.js")
        self._axe = script.read_text(encoding="utf-8")
        self.browser, self.site = browser, site
        self.findings: list[str] = []

    def look(self, name: str, path: str = "") -> None:
        """Open a page of the site's (or take what is shown) and note what is wrong with it."""
        if path:
            self.browser.get(self.site + path)
        assert self.browser.find_elements(By.TAG_NAME, "main"), name
        self.browser.execute_script(STILL)
        self.browser.execute_script(self._axe)
        for theme, width in LOOKS:
            feature = {"name": "prefers-color-scheme", "value": theme}
            self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
            size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
            self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
            for impact, rule, where, why in self.browser.execute_async_script(RUN):
                if impact in {"serious", "critical"}:
                    look = f"{name} ({theme}, {width})"
                    self.findings.append(f"{look}: {impact} {rule} at {where}\n{why}")
        self.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})

    def wait_for(self, css: str) -> None:
        """Wait for the page that has this."""
        WebDriverWait(self.browser, 60, 0.1).until(
            lambda browser: (
                browser.find_elements(By.CSS_SELECTOR, css)
                and browser.execute_script("return document.readyState") == "complete"
            ),
            f"no {css} at {self.browser.current_url}",
        )

    def sign_in(self, username: str) -> None:
        client = Client()
        client.force_login(get_user_model().objects.get(username=username))
        self.browser.get(f"{self.site}/userpods/assets/css")
        self.browser.delete_all_cookies()
        value = client.cookies["sessionid"].value
        self.browser.add_cookie({"name": "sessionid", "value": value})


@pytest.fixture
def seen(
    settings: Any, memory: MemoryCluster, live_server: LiveServer, tmp_path: Path
) -> Iterator[Seen]:
    # A pod stays in the state that a test gives it.
    settings.USERPODS_INLINE_TIMEOUT = 0
    settings.USERPODS_SELECT = not_named("stranger")
    settings.LOGIN_URL = "admin:login"
    with chromium(tmp_path) as browser:
        browser.set_script_timeout(60)
        yield Seen(browser, live_server.url)


def state(name: str, message: str = "") -> None:
    UserPod.objects.filter(name="user-alice").update(
        state=name, message=message, looked_at=timezone.now()
    )


@pytest.mark.timeout(900)  # a machine that does other things at the same time
def test_axe_finds_nothing_serious_in_any_of_our_pages(
    seen: Seen, settings: Any, memory: MemoryCluster
) -> None:
    users = get_user_model().objects
    alice = users.create_user("alice")
    users.create_user("stranger")
    users.create_superuser("boss", password="boss")
    reconcile()
    event = PodEvent(timezone.now(), "Warning", "BackOff", "Back-off restarting it", 7)
    log = PodLog("user-alice-1", "app", "a line\n" * 99)
    before = log._replace(is_previous=True, is_cut=True)
    deployment = Ref(DEPLOYMENT, "default", "user-alice")
    memory.put_evidence(deployment, event, before, log)
    memory.objects[deployment] = changed = deepcopy(memory.objects[deployment])
    changed["spec"]["replicas"] = 7
    look_at_pages(seen, settings)
    look_at_the_admin(seen, alice)
    look_at_the_routers_pages(seen)
    assert seen.findings == [], "\n".join(seen.findings)


def look_at_pages(seen: Seen, settings: Any) -> None:
    seen.look("nobody", "/userpods/waiting/")
    seen.sign_in("stranger")
    seen.look("no workspace", "/userpods/waiting/")
    seen.sign_in("alice")
    for one in {*State} - {State.RUNNING}:  # of which the page moves on at once
        state(one, "CrashLoopBackOff: back-off 5m0s restarting failed container=app")
        seen.look(f"waiting, {one}", "/userpods/waiting/")
    state(State.FAILED, "CrashLoopBackOff: back-off 5m0s restarting failed container=app")
    settings.USERPODS_SELF_SERVICE = [*SELF_SERVICE]
    seen.look("own pods and tokens", "/userpods/")
    seen.look("own events and logs", "/userpods/pods/user-alice/logs/")
    seen.browser.back()
    # What is folded away is looked at as well: its form is on the way to the token's page.
    seen.browser.find_element(By.CSS_SELECTOR, "details:has(#userpods-label) summary").click()
    seen.look("own pods and tokens, about to make one")
    seen.browser.find_element(By.ID, "userpods-label").send_keys("laptop", Keys.ENTER)
    seen.wait_for("#userpods-token")
    seen.look("own new token")
    settings.USERPODS_URL = "/pods/{pod}/"
    seen.look("another's workspace", "/userpods/enter/?to=/pods/boss/")
    assert "not your workspace" in seen.browser.find_element(By.TAG_NAME, "h1").text
    settings.USERPODS_SHARING = True
    look_at_own_shares(seen)
    users = get_user_model().objects
    users.filter(username="alice").update(is_staff=True)
    seen.browser.get(f"{seen.site}/userpods/waiting/")
    seen.browser.find_element(By.TAG_NAME, "summary").click()
    seen.look("waiting, failed, for staff")


def look_at_own_shares(seen: Seen) -> None:
    users = get_user_model().objects
    alice, boss = users.get(username="alice"), users.get(username="boss")
    alice.user_permissions.add(Permission.objects.get(codename="share_userpod"))
    share(UserPod.objects.get(owner=alice), with_=boss, until=timezone.now() + timedelta(days=7))
    share(UserPod.objects.get(owner=boss), with_=alice)
    seen.browser.get(f"{seen.site}/userpods/")
    seen.browser.find_element(By.CSS_SELECTOR, "details[id^=shares-] summary").click()
    seen.look("own pods, shared with another, and another's")


def look_at_the_admin(seen: Seen, alice: Any) -> None:
    token, _ = AccessToken.objects.issue(alice, label="laptop")
    PodSession.objects.create(
        digest="0" * 64,
        user=alice,
        pod=UserPod.objects.get(name="user-alice").pk,
        site_session="",
        expires_at=timezone.now(),
    )
    seen.sign_in("boss")
    pods, tokens = "/admin/userpods/userpod/", "/admin/userpods/accesstoken/"
    seen.look("list", pods)
    seen.look("nothing found", f"{pods}?q=nowhere")
    pod = UserPod.objects.get(name="user-alice")
    seen.look("pod", f"{pods}{pod.pk}/change/")
    for page in ("events", "logs", "comparison", "history"):
        seen.look(f"pod, {page}", f"{pods}{pod.pk}/{page}/")
    seen.look("overview", f"{pods}overview/")
    for operation in ("stop", "restart", "recreate"):
        seen.browser.get(seen.site + pods)
        seen.browser.find_element(By.NAME, "_selected_action").click()
        seen.browser.find_element(
            By.CSS_SELECTOR, f"select[name=action] option[value=userpods_{operation}]"
        ).click()
        seen.browser.find_element(By.CSS_SELECTOR, "button[name=index]").click()
        seen.wait_for(".userpods-danger")
        seen.look(f"confirmation, {operation}")
    seen.look("tokens", tokens)
    seen.look("token", f"{tokens}{token.pk}/change/")
    seen.look("sessions", "/admin/userpods/podsession/")
    shares = "/admin/userpods/share/"
    seen.look("shares", shares)
    seen.look("share", f"{shares}{Share.objects.first().pk}/change/")  # type: ignore[union-attr]
    seen.look("new share", f"{shares}add/?pod={pod.pk}")
    seen.look("new token", f"{tokens}add/")
    user = seen.browser.find_element(By.NAME, "user")
    seen.browser.execute_script(
        "arguments[0].append(new Option('alice', arguments[1], true, true))", user, alice.pk
    )
    seen.browser.find_element(By.NAME, "label").send_keys("phone")
    seen.browser.find_element(By.NAME, "_save").click()
    seen.wait_for("#userpods-token")
    seen.look("issued")


def look_at_the_routers_pages(seen: Seen) -> None:
    text = PAGES_OF_THE_ROUTER.read_text(encoding="utf-8")
    (page,) = re.findall(r"local template = \[\[(.*?)\]\]", text, re.DOTALL)
    link = '<p><a href="/login">Sign in</a></p>'
    words = iter(["en", "", "No access", "No access", "This account has no access here.", link])
    page = re.sub("%s", lambda _: next(words), page)
    seen.browser.get("about:blank")
    frame = seen.browser.execute_cdp_cmd("Page.getFrameTree", {})["frameTree"]["frame"]["id"]
    seen.browser.execute_cdp_cmd("Page.setDocumentContent", {"frameId": frame, "html": page})
    seen.look("the router's")
