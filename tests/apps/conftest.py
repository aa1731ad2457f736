"""What the tests of applications are given: the demo with one in everybody's pod, and browsers.

``test_jupyterlab.py`` is about ``examples/apps/jupyterlab`` (an underscore in a module's name
stands for a dash). ``WAYS = ["host", "one", "path"]`` in it names the ways (``DEMO_WAY``) that it
is tried on; without it that is ``host`` alone. For each way there is one demo for all its tests:

- ``demo``: ``demo.pods["alice"]`` is the address of her pod, ``demo.site`` the site's,
  ``demo.passwords`` what the names say, ``demo.way`` the way. All pods are ready.
- ``alice`` and ``bob``: a Chromium each, signed in and at their pod's address, for all tests of the
  module: ``alice.browser`` is Selenium's driver, ``alice.open("lab")`` goes to a path of her pod,
  ``alice.wait_for("css", text="...")`` waits for an element, ``alice.script("return 1")`` runs a
  script, ``alice.downloads`` is the folder that files come to.

Applications are installed into the tests' cache folder, by ``tests/prepare.py`` or the first test.
``pytest -m apps tests/apps/test_jupyterlab.py`` runs one module, ``USERPODS_PICTURES=folder`` keeps
what ``keep_picture`` sees, and what was shown when something was missed.
"""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import demo_apps
import pytest
from selenium.common.exceptions import TimeoutException, WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from tests.browser.chromium import chromium, keep_picture, sign_in
from tests.browser.demos import Demo, end, started
from tests.testcluster import build

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from selenium.webdriver.chrome.webdriver import WebDriver
    from selenium.webdriver.remote.webelement import WebElement

#: Seconds until all pods of a demo take connections: real applications on a busy machine.
START = 180.0
#: Seconds until something is seen in a page.
SEEN = 60.0


@dataclass(frozen=True)
class Visitor:
    """Somebody with a browser of their own, who is signed in."""

    name: str
    #: The address of their pod, which ends with a slash.
    url: str
    browser: WebDriver
    downloads: Path

    def open(self, path: str = "") -> None:
        """Go to a path of their pod, without the slash that it begins with."""
        self.browser.get(self.url + path)

    def script(self, text: str, *words: Any) -> Any:
        """Run a script in the page; what it returns."""
        return self.browser.execute_script(text, *words)

    def wait_for(self, css: str, *, text: str = "", seconds: float = SEEN) -> WebElement:
        """Wait for a visible element (that says something); return it."""

        def seen(_: WebDriver) -> WebElement | None:
            try:
                found = self.browser.find_elements(By.CSS_SELECTOR, css)
                return next((e for e in found if e.is_displayed() and text in e.text), None)
            except WebDriverException:  # the page was just replaced
                return None

        try:
            return WebDriverWait(self.browser, seconds, 0.2).until(seen)  # type: ignore[return-value]
        except TimeoutException:
            keep_picture(self.browser, f"missed-{time.time():.0f}")
            where = f"{self.browser.current_url}: no {text!r} in {css}"
            raise TimeoutException(where) from None


def application(module: Any) -> str:
    """The name of the application that a module is about."""
    return str(module.__name__.rpartition("test_")[2].replace("_", "-"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give the tests of a module each of its ways, one after the other."""
    if "demo" in metafunc.fixturenames:
        ways = getattr(metafunc.module, "WAYS", ["host"])
        metafunc.parametrize("demo", ways, indirect=True, scope="module")


@pytest.fixture(scope="module")
def demo(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Demo]:
    """A demo with the module's application in everybody's pod.

    Skips where the machine's Python or Node.js is too old for the application (Debian 12 has
    Node.js 18, gritty begins with 20).
    """
    try:
        demo_apps.installed(demo_apps.load(application(request.module)), build.cache_dir() / "apps")
    except demo_apps.OtherVersionNeededError as error:
        pytest.skip(str(error))
    demo = started(
        tmp_path_factory.mktemp("demo"),
        APP=application(request.module),
        DEMO_WAY=request.param,
        DEMO_APPS=str(build.cache_dir() / "apps"),
    )
    try:
        wait_for_pods(demo)
        yield demo
    finally:
        end(demo)


def wait_for_pods(demo: Demo) -> None:
    """Wait until all pods take connections, however long the browser would look at a page."""
    status = [sys.executable, "-m", "django_userpods.clusters.local", "status"]
    deadline = time.monotonic() + START
    while True:
        told = subprocess.run(
            [*status, str(demo.folder / "site" / "pods")],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        waiting = [line for line in told.splitlines()[1:] if not line.endswith(": ready")]
        if not waiting:
            return
        assert time.monotonic() < deadline, told
        time.sleep(0.5)


def visit(demo: Demo, name: str, folder: Path) -> Iterator[Visitor]:
    with chromium(folder) as browser:
        visitor = Visitor(name, demo.pods[name], browser, folder)
        visitor.open()
        sign_in(browser, name, demo.passwords[name])
        WebDriverWait(browser, SEEN).until(lambda _: browser.current_url.startswith(visitor.url))
        yield visitor


@pytest.fixture(scope="module")
def alice(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    yield from visit(demo, "alice", tmp_path_factory.mktemp("alice"))


@pytest.fixture(scope="module")
def bob(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    yield from visit(demo, "bob", tmp_path_factory.mktemp("bob"))
