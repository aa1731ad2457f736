"""How long pods may be idle, and how old: values that are refused, and those that are not."""

from __future__ import annotations

from typing import Any

import pytest
from django.core import checks

from django_userpods.checks import SETTING_IDS


def found() -> list[checks.CheckMessage]:
    return checks.run_checks(tags=["userpods"])


@pytest.mark.parametrize("name", ["USERPODS_IDLE_TIMEOUT", "USERPODS_MAX_AGE"])
@pytest.mark.parametrize(
    "value", [0, 0.5, -1, True, float("inf"), float("nan"), [3600], {}, "1h", "os.environ"]
)
def test_what_is_no_number_of_seconds_is_refused(settings: Any, name: str, value: Any) -> None:
    setattr(settings, name, value)
    (message,) = found()
    assert message.id == SETTING_IDS[name]
    assert name in message.msg
    assert message.hint


@pytest.mark.parametrize("name", ["USERPODS_IDLE_TIMEOUT", "USERPODS_MAX_AGE"])
@pytest.mark.parametrize("value", [None, 1, 3600.5, lambda _pod: None, "builtins.id"])
def test_numbers_functions_and_nothing_are_taken(settings: Any, name: str, value: Any) -> None:
    setattr(settings, name, value)
    assert found() == []
