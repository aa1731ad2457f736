"""Screenshots of each page in both languages and themes, wide and narrow: ``make screenshots``.

Of example data on the memory cluster, and of the real router with no Django behind it. What to look
for: words that are cut off or overlap, colours that cannot be read in the dark, English in Chinese.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.browser import example_site
from tests.browser.chromium import chromium
from tests.browser.screens import IN_DOCS, SCREENS, Screen
from tests.router.fake_django import FakeDjango
from tests.router.harness import Router
from tests.testcluster.processes import free_port

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from selenium.webdriver.chrome.webdriver import WebDriver

LANGUAGES = {"en": "en-GB,en", "zh": "zh-CN,zh"}
LANGUAGE_COOKIES = {"en": "en", "zh": "zh-hans"}
THEMES = ("light", "dark")
WIDTHS = (1280, 390)
#: Pixels of a long page that are shown.
TALLEST = 2400
#: What our pages answer with: some say no, or that a pod is not up, or that a name is taken.
_ANSWERS = {200, 400, 401, 403, 409, 503}
STILL = """
const sheet = new CSSStyleSheet();
sheet.replaceSync("* { transition: none !important; animation: none !important }");
document.adoptedStyleSheets = [sheet];
"""


def file_name(name: str, language: str, theme: str, width: int) -> str:
    """The name of a picture's file."""
    return f"{name}.{language}.{theme}.{width}.webp"


class Camera:
    """Takes pictures of what a browser shows, into a folder."""

    def __init__(self, browser: WebDriver, folder: Path, looks: Iterable[tuple[str, int]]) -> None:
        self.browser, self.folder, self.looks = browser, folder, list(looks)

    def take(self, name: str, language: str) -> None:
        """Save the page that is shown, in each theme and width."""
        self.browser.execute_script(STILL)
        for theme, width in self.looks:
            feature = {"name": "prefers-color-scheme", "value": theme}
            self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
            size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
            self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
            # Of a page that is wider than the window all is shown: it should not be.
            wide, tall = self.browser.execute_script(
                "const root = document.documentElement;"
                "return [root.scrollWidth, Math.max(root.scrollHeight, 400)]"
            )
            clip = {"x": 0, "y": 0, "width": wide, "height": min(tall, TALLEST), "scale": 1}
            found = self.browser.execute_cdp_cmd(
                "Page.captureScreenshot",
                {"format": "webp", "quality": 80, "captureBeyondViewport": True, "clip": clip},
            )
            path = self.folder / file_name(name, language, theme, width)
            path.write_bytes(base64.b64decode(found["data"]))
            if wide > width:
                print(f"{path.name}: {wide} pixels wide")
        self.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def ids() -> dict[str, object]:
    """What the paths of screens may name."""
    from django_userpods.models import AccessToken, BulkRun, PodSession, Profile, Share, UserPod

    pods = UserPod.objects.filter(slot="").select_related("owner")
    found: dict[str, object] = {}
    for pod in pods:
        if pod.owner is not None:
            found[pod.owner.get_username()] = pod.pk
            found[f"{pod.owner.get_username()}-user"] = pod.owner.pk
    found["token"] = AccessToken.objects.earliest("pk").pk
    found["profile"] = Profile.objects.earliest("pk").pk
    found["session"] = PodSession.objects.earliest("pk").pk
    found["bulk"] = BulkRun.objects.latest("pk").pk
    found["share"] = Share.objects.earliest("pk").pk
    return found


@contextlib.contextmanager
def open_screen(browser: WebDriver, site: str, screen: Screen, language: str) -> Iterator[None]:
    """Have a browser show a page to somebody, in a language, while what it needs is so."""
    example_site.take_back()
    example_site.put("alice", screen.state, screen.message, minutes=1)
    cookies = {"django_language": LANGUAGE_COOKIES[language]}
    if screen.who:
        cookies["sessionid"] = example_site.session(screen.who)
    browser.execute_cdp_cmd("Network.clearBrowserCookies", {})
    for name, value in cookies.items():
        browser.execute_cdp_cmd("Network.setCookie", {"url": site, "name": name, "value": value})
    asks = ["*/userpods/status/*", "*/userpods/stream/*"] if screen.stays else []
    browser.execute_cdp_cmd("Network.enable", {})
    browser.execute_cdp_cmd("Network.setBlockedURLs", {"urls": asks})
    browser.execute_cdp_cmd("Network.setExtraHTTPHeaders", {"headers": dict(screen.headers)})
    with screen.given():
        browser.get(site + screen.path.format_map(ids()))
        if screen.act is not None:
            screen.act(browser)
        _is_there(browser, screen)
        yield


def _is_there(browser: WebDriver, screen: Screen) -> None:
    """Refuse a page that there is not, or that failed."""
    status = browser.execute_script(
        "return performance.getEntriesByType('navigation')[0].responseStatus"
    )
    if status not in _ANSWERS:
        message = f"{screen.name}: {browser.current_url} answers with {status}"
        raise RuntimeError(message)


@contextlib.contextmanager
def routers(folder: Path) -> Iterator[dict[str, int]]:
    """Real routers that show pages of their own, and their ports: where Django does not answer, and
    where it says that this account may not come in."""
    with FakeDjango() as django:
        django.odd = _nobody_may
        away = Router(folder / "away", free_port())
        refuses = Router(folder / "refuses", django.port)
        with away, refuses:
            yield {"router": away.port, "router-refuses": refuses.port}


def _nobody_may(handler: Any) -> None:
    handler.send_response(403)
    handler.send_header("Content-Length", "0")
    handler.end_headers()


def open_router(browser: WebDriver, port: int, language: str) -> None:
    """Have a browser show what the router says where Django does not answer."""
    browser.execute_cdp_cmd(
        "Network.setUserAgentOverride",
        {
            "userAgent": browser.execute_script("return navigator.userAgent"),
            "acceptLanguage": LANGUAGES[language],
        },
    )
    browser.get("about:blank")
    # A session's, as whoever is refused has one.
    cookie = {"url": f"http://127.0.0.1:{port}", "name": "sessionid", "value": "one"}
    browser.execute_cdp_cmd("Network.setCookie", cookie)
    browser.get(f"http://127.0.0.1:{port}/")
    # It would load itself again.
    browser.execute_script("window.stop()")


def main(arguments: Sequence[str] | None = None) -> None:
    """Make them, and say which pages are wider than their window."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("screenshots"), metavar="DIR")
    parser.add_argument("--only", nargs="*", metavar="NAME", help="pages whose names begin so")
    parser.add_argument("--docs", type=Path, metavar="DIR", help="copy what the docs show there")
    parser.add_argument("--language", choices=LANGUAGES, action="append")
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    names = tuple(options.only or ("",))
    screens = [screen for screen in SCREENS if screen.name.startswith(names)]
    looks = [(theme, width) for theme in THEMES for width in WIDTHS]
    with tempfile.TemporaryDirectory(prefix="userpods-") as made:
        folder = Path(made)
        example_site.configure(folder)
        example_site.fill()
        with example_site.serving() as site, chromium(folder) as browser:
            browser.set_script_timeout(30)
            camera = Camera(browser, options.output, looks)
            for language in options.language or LANGUAGES:
                for screen in screens:
                    with open_screen(browser, site, screen, language):
                        camera.take(screen.name, language)
            if "router".startswith(names):
                with routers(folder) as ports:
                    for language in options.language or LANGUAGES:
                        for name, port in ports.items():
                            open_router(browser, port, language)
                            camera.take(name, language)
    if options.docs is not None:
        options.docs.mkdir(parents=True, exist_ok=True)
        for name in (file_name(*one) for one in IN_DOCS):
            if (options.output / name).exists():
                shutil.copyfile(options.output / name, options.docs / name)
    print(f"{len(list(options.output.glob('*.webp')))} pictures in {options.output}")


if __name__ == "__main__":
    main()
