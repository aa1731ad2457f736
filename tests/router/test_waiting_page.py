"""The waiting page of Django itself through the router: what it asks for comes, on either host."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.router.test_django import HTML, running_site
from tests.testcluster.processes import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.router.test_django import Site

pytestmark = pytest.mark.router

NAVIGATION = (HTML, ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Site", "same-origin"))


@pytest.fixture(
    params=[
        ("", "", "site.test"),
        ("http://{pod}.pods.test/", "http://site.test/", "alice.pods.test"),
    ],
    ids=["the site's host", "a host of its own"],
)
def waiting(
    request: pytest.FixtureRequest, tmp_path: Path, bob_pod: str
) -> Iterator[tuple[Site, str]]:
    """A site with a pod of alice's that nothing answers for, and the host it is at."""
    pods_url, site_url, host = request.param
    nowhere = f"127.0.0.1:{free_port()}"
    with running_site(tmp_path, nowhere, bob_pod, pods_url=pods_url, site_url=site_url) as site:
        yield site, host


def test_the_page_its_files_its_question_and_its_buttons_come_through(
    waiting: tuple[Site, str],
) -> None:
    site, host = waiting
    token = ("Authorization", f"Bearer {site.command('token', 'alice')}")

    page = site.router.get("/deep/link", token, *NAVIGATION, host=host)

    assert page.status == 503
    assert page.get("referrer-policy") == "same-origin"
    text = page.body.decode()
    assert "<h1>" in text
    files = re.findall(r'(?:href|src)="([^"]*/assets/[^"]*)"', text)
    assert len(files) == 2
    for file in files:
        answer = site.router.get(file, host=host)
        assert answer.status == 200, file
        assert answer.get("cache-control") == "public, max-age=31536000"
    found = re.search(r'data-status="([^"]*)"', text)
    assert found is not None
    assert site.router.get(found[1], token, host=host).json()["service"] == "user-alice"
    wake = found[1].replace("status", "wake")
    answer = site.router.get(
        wake,
        token,
        *NAVIGATION,
        ("Origin", f"http://{host}"),
        ("Referer", f"http://{host}/deep/link"),
        ("Content-Length", "0"),
        method="POST",
        host=host,
    )
    assert (answer.status, answer.get("location")) == (303, "/deep/link")
