"""A new image for everybody: a setting changes, and a sync rolls all users' pods to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.images import EXAMPLE_WORKLOAD
from tests.e2e.site import DJANGO, USERS

if TYPE_CHECKING:
    from tests.e2e.site import Site

pytestmark = [pytest.mark.node, pytest.mark.timeout(600, func_only=True)]


def set_image(site: Site, words: str) -> None:
    """Change the setting where Django and the CronJob read it, and sync."""
    parts = ("deployment/django", "cronjob/userpods-sync")
    site.kubectl("set", "env", "-n", DJANGO, *parts, words)
    site.rollout("deployment/django")
    site.manage("sync_userpods", "--wait", "120")


def test_everybody_gets_the_new_image(site: Site) -> None:
    clients = {name: site.signed_in(name) for name in ("alice", "bob")}
    # The example project's own workload, as its Dockerfile makes it.
    set_image(site, f"USER_APP_IMAGE={EXAMPLE_WORKLOAD}")
    try:
        for name, client in clients.items():
            site.rollout(f"deployment/user-{name}", namespace=USERS)
            page = client.get("/", Accept="text/html")
            assert page.status == 200, page.text
            assert f"This is <b>{name}</b>'s own pod" in page.text
            said = client.get("/headers").json()
            assert (said["owner"], said["user"]) == (name, name)
    finally:
        set_image(site, "USER_APP_IMAGE-")
    assert site.wait_for_pod(clients["alice"])["user"] == "alice"
