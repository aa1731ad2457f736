"""A site in this process, with a controller beside it, whose pods are processes of this machine.

Without a router, which `tests/browser/people.py` has in front of such pods.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.test.utils import override_settings
from pytest_django.live_server_helper import LiveServer

from django_userpods.clusters.local.__main__ import main
from tests.browser.chromium import chromium
from tests.browser.real_site import OpenSite
from tests.django.support import end_pause
from tests.real.controllers import site, until

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

BACKEND = "django_userpods.clusters.local.LocalCluster"


@contextmanager
def running(folder: Path, command: Sequence[str]) -> Iterator[OpenSite]:
    """A site with a database of its own and a browser; use it with database access."""
    pods = str(folder / "pods")
    cluster: dict[str, Any] = {
        "BACKEND": BACKEND,
        "OPTIONS": {"state_dir": pods, "command": [*command]},
    }
    with ExitStack() as stack:
        stack.callback(main, ["stop", pods])
        # Of no API server: another cluster takes its place.
        inner = stack.enter_context(site(folder, Path(), "default"))
        own = {"USERPODS_CLUSTER": {**cluster, "IN_TESTS": True}}
        stack.enter_context(override_settings(ROOT_URLCONF="tests.browser.real_urls", **own))
        end_pause()
        stack.callback(end_pause)
        server = LiveServer("localhost")
        stack.callback(server.stop)
        browser = stack.enter_context(chromium(folder))
        started = inner.start(Path(), settings=f"USERPODS_CLUSTER = {cluster!r}\n")
        until(lambda: started.is_synced, 60, "a leader")
        yield OpenSite(inner, browser, server.url.rpartition(":")[2])
