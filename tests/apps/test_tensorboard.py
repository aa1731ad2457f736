"""TensorBoard in users' pods: it draws a run, at a prefix that it is told, too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser.chromium import keep_picture

if TYPE_CHECKING:
    from tests.apps.conftest import Visitor

pytestmark = [pytest.mark.apps, pytest.mark.browser, pytest.mark.router]
WAYS = ["host", "path"]


def test_a_run_is_drawn(alice: Visitor, bob: Visitor) -> None:
    for visitor in (alice, bob):
        visitor.open()
        visitor.wait_for("scalar-card", text="loss")
        visitor.wait_for("scalar-card line-chart canvas")
    keep_picture(alice.browser, "tensorboard")
