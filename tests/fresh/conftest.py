"""One bare machine for these tests, with the commit that is checked out here in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.fresh.machine import Machine, why_not

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    if reason := why_not():
        pytest.skip(f"NOT RUN, NO BARE MACHINE: {reason}")
    machine = Machine.make(tmp_path_factory.mktemp("fresh") / "root")
    machine.clone()
    yield machine
    assert machine.processes() == []
    assert machine.mounts() == []
    machine.remove()
