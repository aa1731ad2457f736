"""Fixtures of a site whose pods have hosts: one for each module, and browsers of alice and bob."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.router.hosts_site import Client, Site, hosts_site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def site(folder: Path, alice_pod: str, bob_pod: str) -> Iterator[Site]:
    with hosts_site(folder, {"alice": alice_pod, "bob": bob_pod}) as running:
        yield running


@pytest.fixture
def alice(site: Site) -> Client:
    """Alice's browser, signed in at the site."""
    client = Client(site)
    client.sign_in("alice")
    return client


@pytest.fixture(scope="module")
def known(site: Site) -> Client:
    """One of alice's that several tests share."""
    client = Client(site)
    client.sign_in("alice")
    return client


@pytest.fixture
def bob(site: Site) -> Client:
    client = Client(site)
    client.sign_in("bob")
    return client
