"""What is wrong with our pages for whoever has to read them: ``python -m tests.browser.audit``.

Each page is loaded once for each language, then looked at in each theme and width, with all of it
unfolded: by axe-core, and for words that are cut off, lie upon one another, or are beyond the edge.
Prints what it finds, a line for each; fails where that is anything, or where a page was not seen.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.browser import example_site
from tests.browser.chromium import chromium
from tests.browser.screens import SCREENS
from tests.browser.screenshots import (
    LANGUAGES,
    STILL,
    THEMES,
    WIDTHS,
    open_router,
    open_screen,
    routers,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from selenium.webdriver.chrome.webdriver import WebDriver

AXE = find_spec("axe_selenium_python")
TEMPLATES = Path(__file__).parents[2] / "src" / "django_userpods" / "templates"
MEASURE = Path(__file__).with_name("measure.js")
#: What our pages are answered with: they are right, refuse something, or wait.
SHOWN = frozenset({200, 400, 401, 403, 503})
#: The rules that a second theme may break though the first does not.
OF_COLOURS = ("color-contrast", "link-in-text-block")
UNFOLD = """
for (const one of document.querySelectorAll("details")) one.open = true;
"""
RUN = """
const [rules, done] = arguments;
// Django's own boxes to choose from two lists, on the page of a user.
const ours = {exclude: [[".selector"]]};
const run = () => axe.run(ours, {
  resultTypes: ["violations"], preload: false,
  ...(rules.length ? {runOnly: {type: "rule", values: rules}} : {}),
}).then(
  found => done(found.violations
    .filter(one => ["serious", "critical"].includes(one.impact))
    .flatMap(one => one.nodes.map(node =>
      [`${one.impact} ${one.id}`, node.target.join(" "), node.failureSummary]))),
  error => done([["critical", "axe", String(error)]]),
);
// What the page's own scripts do once it is loaded comes before.
(window.django?.jQuery ?? (f => f()))(() => setTimeout(run));
"""


class Audit:
    """Looks at what a browser shows."""

    def __init__(self, browser: WebDriver, pictures: Path | None = None) -> None:
        assert AXE is not None
        assert AXE.origin is not None
        (script,) = Path(AXE.origin).parent.rglob("axe.min.js")
        self._axe = script.read_text(encoding="utf-8")
        self._measure = MEASURE.read_text(encoding="utf-8")
        self.browser, self.pictures = browser, pictures
        self.findings: list[str] = []

    def look(self, name: str) -> None:
        """Look at the page that is shown, in each theme and width, and note what is wrong."""
        status = self.browser.execute_script(
            "return performance.getEntriesByType('navigation')[0].responseStatus"
        )
        if status not in SHOWN:
            self.findings.append(f"{name}: answered with {status}")
        self.browser.execute_script(STILL)
        self.browser.execute_script(UNFOLD)
        self.browser.execute_script(self._axe)
        for width in WIDTHS:
            size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
            self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
            for theme in THEMES:
                feature = {"name": "prefers-color-scheme", "value": theme}
                self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
                look = f"{name} ({width}, {theme})"
                rules = [] if theme == THEMES[0] else OF_COLOURS
                self._note(look, self.browser.execute_script(self._measure))
                self._note(look, self.browser.execute_async_script(RUN, rules))
                self._keep(f"{name}.{theme}.{width}.png")
        self.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})

    def _note(self, look: str, found: list[list[str]]) -> None:
        for what, where, why in found:
            self.findings.append(f"{look}: {what} at {where}: {' '.join(why.split())}")

    def _keep(self, name: str) -> None:
        if self.pictures is None:
            return
        tall = self.browser.execute_script("return document.documentElement.scrollHeight")
        width = self.browser.execute_script("return document.documentElement.scrollWidth")
        clip = {"x": 0, "y": 0, "width": width, "height": min(tall, 2400), "scale": 1}
        found = self.browser.execute_cdp_cmd(
            "Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip}
        )
        (self.pictures / name).write_bytes(base64.b64decode(found["data"]))


@contextlib.contextmanager
def rendered() -> Iterator[set[str]]:
    """The names of the templates that are rendered meanwhile, parts of others included."""
    from django.test.signals import template_rendered
    from django.test.utils import setup_test_environment, teardown_test_environment

    names: set[str] = set()

    def note(template: Any, **_: object) -> None:
        names.add(str(template.name))

    setup_test_environment(debug=True)
    template_rendered.connect(note)
    try:
        yield names
    finally:
        template_rendered.disconnect(note)
        teardown_test_environment()


def of_ours() -> set[str]:
    """The names of our templates."""
    return {str(path.relative_to(TEMPLATES)) for path in TEMPLATES.rglob("*.html")}


def main(arguments: Sequence[str] | None = None) -> int:
    """Look at all pages, or at some; print what is wrong, and return 1 where something is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", metavar="NAME", help="pages whose names begin so")
    parser.add_argument("--language", choices=LANGUAGES, action="append")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="save what is looked at there")
    options = parser.parse_args(arguments)
    names = tuple(options.only or ("",))
    if options.pictures is not None:
        options.pictures.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="userpods-") as made:
        folder = Path(made)
        example_site.configure(folder)
        example_site.fill()
        with chromium(folder) as browser:
            browser.set_script_timeout(60)
            audit = Audit(browser, options.pictures)
            with rendered() as seen, example_site.serving() as site:
                for language in options.language or LANGUAGES:
                    for screen in SCREENS:
                        if screen.name.startswith(names):
                            with open_screen(browser, site, screen, language):
                                audit.look(f"{screen.name}.{language}")
            if "router".startswith(names):
                with routers(folder) as ports:
                    for language in options.language or LANGUAGES:
                        for name, port in ports.items():
                            open_router(browser, port, language)
                            audit.look(f"{name}.{language}")
    findings = audit.findings
    if not options.only:
        findings += [f"no page showed {name}" for name in sorted(of_ours() - seen)]
    print(*findings, sep="\n")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
