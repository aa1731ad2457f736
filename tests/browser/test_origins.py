"""Hosts of two pods are one site to browsers: what a page of one can do to the other, in Chromium.

Over TLS, for browsers say where a request comes from there alone. The pods count what reaches them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote
from uuid import uuid4

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from tests.browser.pods_site import CERTIFIED, STRANGER, browser, said, shared_browser, site
from tests.router.gateways import TRAEFIK, gateway
from tests.router.harness import eventually
from tests.router.hosts_site import ALICES, BOBS, SITE
from tests.router.test_coalescing import client_ports

if TYPE_CHECKING:
    from pathlib import Path

    from selenium.webdriver.chrome.webdriver import WebDriver

    from tests.router.hosts_site import Site

pytestmark = [pytest.mark.browser, pytest.mark.router]

__all__ = ["browser", "site"]

#: What a page can start, each as a promise of what its script got to see.
STARTS = {
    "a WebSocket": """new Promise((done) => {
      const socket = new WebSocket(url.replace('https:', 'wss:'));
      socket.onmessage = (event) => done(event.data);
      socket.onerror = () => done('error');
    })""",
    "fetch with CORS": "fetch(url, {credentials: 'include'}).then((x) => x.text())",
    "fetch without CORS": """
      fetch(url, {credentials: 'include', mode: 'no-cors'}).then((x) => x.text())""",
    "fetch that posts": """
      fetch(url, {credentials: 'include', mode: 'no-cors', method: 'POST', body: 'x'})
        .then((x) => x.text())""",
    "fetch that deletes": """
      fetch(url, {credentials: 'include', method: 'DELETE'}).then((x) => x.text())""",
    "a beacon": """
      new Promise((done) => setTimeout(done, 500, String(navigator.sendBeacon(url, 'x'))))""",
    "an EventSource": """new Promise((done) => {
      const source = new EventSource(url, {withCredentials: true});
      source.onmessage = (event) => done(event.data);
      source.onerror = () => { source.close(); done('error'); };
    })""",
    "an <img>": "put('img', {src: url})",
    "a <script>": "put('script', {src: url})",
    "a style sheet": "put('link', {rel: 'stylesheet', href: url})",
    "a prefetch": "put('link', {rel: 'prefetch', href: url})",
    "an <object>": "put('object', {data: url})",
    "an iframe": "put('iframe', {src: url})",
    "an iframe in a sandbox": "put('iframe', {src: url, sandbox: 'allow-scripts'})",
    "a form in an iframe": """(() => {
      const shown = put('iframe', {name: 'frame'}, 1);
      const form = document.createElement('form');
      Object.assign(form, {method: 'POST', action: url, target: 'frame'});
      document.body.append(form);
      form.submit();
      return shown;
    })()""",
}
_RUN = """
const [what, url, done] = [arguments[0], arguments[1], arguments[arguments.length - 1]];
const put = (tag, words, loads = 1) => new Promise((done) => {
  const element = document.createElement(tag);
  Object.assign(element, words);
  element.onload = () => setTimeout(done, 300, 'load');
  element.onerror = () => done('error');
  document.body.append(element);
  setTimeout(done, 3000, 'nothing');
});
Promise.resolve(eval(what)).catch(String).then(done);
"""


def start(browser: WebDriver, what: str, url: str) -> str:
    return str(browser.execute_async_script(_RUN, what, url))


@pytest.mark.parametrize("what", STARTS.values(), ids=STARTS)
def test_nothing_but_a_link_leads_to_anothers_pod(
    browser: WebDriver, site: Site, what: str
) -> None:
    """From the page of a pod nearby, of a stranger and of the site; from alice's own it does."""
    for page in (f"https://{BOBS}/", f"https://{STRANGER}/", f"{SITE}/admin/login/"):
        browser.get(page)
        path = f"/{uuid4()}"
        seen = start(browser, what, f"https://{ALICES}{path}")
        assert path not in str(site.received("alice")), f"arrived from {page}"
        assert "alice" not in seen
    browser.get(f"https://{ALICES}/")
    path = f"/{uuid4()}"
    start(browser, what, f"https://{ALICES}{path}")
    # Else nothing was tried.
    eventually(lambda: path in str(site.received("alice")))


FORM = """
  const form = document.createElement('form');
  Object.assign(form, {method: arguments[1], action: arguments[0]});
  document.body.append(form);
  form.submit();
"""
#: What leads a person to alice's page, with its address in the address bar.
LINKS = {
    "a link": "document.body.innerHTML = '<a id=x>x</a>'; x.href = arguments[0]; x.click()",
    "a script": "location = arguments[0]",
    "a form that gets": FORM.replace("arguments[1]", "'GET'"),
    "a refresh": """document.head.innerHTML += `<meta http-equiv=refresh
      content="0;url=${arguments[0]}">`""",
}


@pytest.mark.parametrize("page", [f"https://{BOBS}/", f"https://{STRANGER}/"])
@pytest.mark.parametrize("what", LINKS.values(), ids=LINKS)
def test_a_link_leads_a_person_to_their_pod(browser: WebDriver, page: str, what: str) -> None:
    browser.get(page)
    url = f"https://{ALICES}/linked"
    browser.execute_script(what, url)
    WebDriverWait(browser, 10, 0.1).until(lambda _: browser.current_url.startswith(url))
    assert said(browser)["name"] == "alice"
    # What is told of the page before is no more than its host.
    referers = [value for key, value in said(browser)["headers"] if key.lower() == "referer"]
    assert referers in ([], [page])


@pytest.mark.parametrize("page", [f"https://{BOBS}/", f"https://{STRANGER}/", f"{SITE}/admin/"])
def test_no_form_elsewhere_posts_to_alices_pod(browser: WebDriver, site: Site, page: str) -> None:
    browser.get(page)
    path = f"/{uuid4()}"
    browser.execute_script(FORM, f"https://{ALICES}{path}", "POST")
    WebDriverWait(browser, 10, 0.1).until(lambda _: browser.current_url.endswith(path))
    assert "another origin" in browser.find_element(By.TAG_NAME, "body").text
    assert path not in str(site.received("alice"))
    # Nor does one sign her out there.
    browser.get(page)
    browser.execute_script(FORM, f"https://{ALICES}/.userpods/sign-out", "POST")
    WebDriverWait(browser, 10, 0.1).until(lambda _: browser.current_url.endswith("/sign-out"))
    browser.get(f"https://{ALICES}/")
    assert said(browser)["name"] == "alice"


@pytest.mark.parametrize("what", ["an <img>", "fetch without CORS", "an iframe", "a WebSocket"])
def test_a_redirect_of_bobs_pod_is_no_way_around(browser: WebDriver, site: Site, what: str) -> None:
    path = f"/{uuid4()}"
    answer = f"HTTP/1.1 307 x\r\nLocation: https://{ALICES}{path}\r\nContent-Length: 0\r\n\r\n"
    browser.get(f"https://{BOBS}/")
    start(browser, STARTS[what], f"https://{BOBS}/raw?bytes={quote(answer)}")
    assert "/raw" in str(site.received("bob"))
    assert path not in str(site.received("alice"))


def test_no_frame_shows_what_is_ours(browser: WebDriver) -> None:
    """Clickjacking: nobody signs in or out within another's page."""
    for page in (f"https://{BOBS}/", f"https://{ALICES}/"):
        for path in ("sign-in", "enter?ticket=x"):
            browser.get(page)
            start(browser, STARTS["an iframe"], f"https://{ALICES}/.userpods/{path}")
            text = browser.execute_script(
                "try { return frames[0].document.body.innerText } catch (e) { return '' }"
            )
            assert "workspace" not in text
            assert "link has already been used" not in text


RULES = """put('script', {type: 'speculationrules', textContent: JSON.stringify(
  {prefetch: [{urls: [url], eagerness: 'immediate'}]})})"""


@pytest.mark.parametrize("page", [f"https://{BOBS}/", f"{SITE}/admin/login/"])
def test_no_page_has_alices_fetched_before_she_follows_a_link(
    browser: WebDriver, site: Site, page: str
) -> None:
    """Browsers say of it that nobody's page started it, and send her cookies along."""
    browser.get(f"https://{ALICES}/")
    assert said(browser)["name"] == "alice"
    browser.get(page)
    path = f"/{uuid4()}"
    start(browser, RULES, f"https://{ALICES}{path}")
    # Else nothing was tried.
    eventually(lambda: path in site.router.log())
    assert path not in str(site.received("alice"))


@pytest.mark.parametrize(
    "kind", ["go", "haproxy-safe", pytest.param(TRAEFIK, marks=pytest.mark.node)]
)
def test_two_pods_on_one_connection_reach_their_own(site: Site, tmp_path: Path, kind: str) -> None:
    """One certificate and address for two hosts: browsers send both over one HTTP/2 connection."""
    with (
        gateway(kind, site.router.port, tmp_path / kind, CERTIFIED) as front,
        shared_browser(front, tmp_path) as driver,
    ):
        answers = []
        for number in range(10):
            for name, host in (("alice", ALICES), ("bob", BOBS)):
                driver.get(f"https://{host}/{name}/{number}")
                answers.append(said(driver))
                assert (answers[-1]["name"], answers[-1]["target"]) == (name, f"/{name}/{number}")
        assert len(client_ports(front, answers)) == 1
