"""The pages of a demo that people have used, and a look at each as whoever has to read it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.browser.audit import Audit
from tests.browser.screens import PODS, PROFILES, SHARES, TOKENS, asked, click
from tests.browser.screenshots import LANGUAGES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from selenium.webdriver.chrome.webdriver import WebDriver

    from tests.browser.people import Person

#: What an open page of a pod asks, by which it moves on.
ASKS = ["*/status/*", "*/stream/*", "*/wake/*"]


class Looks:
    """Looks at pages in each language; what is wrong is in ``findings``."""

    def __init__(self, person: Person) -> None:
        self._person = person
        person.browser.set_script_timeout(60)
        self._audit = Audit(person.browser)

    @property
    def findings(self) -> list[str]:
        return self._audit.findings

    def at(
        self,
        name: str,
        address: str,
        act: Callable[[WebDriver], None] | None = None,
        *,
        en: str = "",
        before: Callable[[], None] | None = None,
    ) -> None:
        """Open a page in each language, do something there, and look at what is shown then.

        ``before`` is done each time before it is opened.
        ``en`` is what its heading says in English, where it might be another page.
        """
        browser = self._person.browser
        url = address if "://" in address else self._person.demo.site + address
        agent = browser.execute_script("return navigator.userAgent")
        for language, accepted in LANGUAGES.items():
            override = {"userAgent": agent, "acceptLanguage": accepted}
            browser.execute_cdp_cmd("Network.setUserAgentOverride", override)
            if before is not None:
                before()
            browser.get(url)
            if act is not None:
                act(browser)
            self._person.sees(en if language == "en" else "", "h1")
            shown = browser.execute_script("return document.documentElement.lang")
            assert shown.startswith(language), f"{name} is in {shown}, not in {language}"
            self._audit.look(f"{name}.{language}")
        override = {"userAgent": agent, "acceptLanguage": LANGUAGES["en"]}
        browser.execute_cdp_cmd("Network.setUserAgentOverride", override)

    def admin_pages(self, *, pod: str, profile: str, run: str) -> None:
        """Look at the admin's pages: of all pods, of one, of a profile and of a bulk run."""
        self.at("admin", "/admin/")
        self.at("overview", f"{PODS}overview/")
        self.at("list", PODS)
        for tab in ("change", "events", "logs", "comparison", "history"):
            self.at(f"pod-{tab}", f"{PODS}{pod}/{tab}/")
        self.at("confirm", PODS, asked("userpods_stop", 99))
        self.at("bulk", f"{PODS}bulk/{run}/")
        self.at("bulk-runs", f"{PODS}bulk/")
        self.at("profiles", PROFILES)
        self.at("profile", f"{PROFILES}{profile}/change/")
        preview = click("[formaction*=preview]", preview_user="alice")
        self.at("profile-preview", f"{PROFILES}{profile}/change/", preview)
        self.at("tokens", TOKENS)
        self.at("shares", SHARES)


@contextmanager
def staying(browser: WebDriver) -> Iterator[None]:
    """Have open pages of pods learn nothing meanwhile, so that they stay as they are."""
    browser.execute_cdp_cmd("Network.enable", {})
    browser.execute_cdp_cmd("Network.setBlockedURLs", {"urls": ASKS})
    try:
        yield
    finally:
        browser.execute_cdp_cmd("Network.setBlockedURLs", {"urls": []})
