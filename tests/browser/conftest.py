"""A demo for each module that asks for one, and people who are signed in at it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser.people import Person, person, telling_demo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.browser.demos import Demo


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with telling_demo(tmp_path_factory.mktemp("demo")) as running:
        yield running


@pytest.fixture(scope="module")
def admin(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    with person("admin", demo, tmp_path_factory.mktemp("browser")) as found:
        yield found


@pytest.fixture(scope="module")
def alice(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    with person("alice", demo, tmp_path_factory.mktemp("browser")) as found:
        yield found


@pytest.fixture(scope="module")
def bob(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    with person("bob", demo, tmp_path_factory.mktemp("browser")) as found:
        yield found
