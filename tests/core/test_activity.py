"""Rules on what counts as use of a pod, and what an application says of that itself."""

from __future__ import annotations

import datetime

import pytest

from django_userpods.core import activity
from django_userpods.core.lifetime import Lifetime
from django_userpods.exceptions import TemplateError

NOW = datetime.datetime(2026, 11, 29, 12, tzinfo=datetime.UTC)


def before(**delta: float) -> datetime.datetime:
    return NOW - datetime.timedelta(**delta)


GOOD = """
# What an open tab does.
ignore GET,HEAD {path}api/*
  quiet   /socket/*/channels
open POST /run
ask {path}api/status
"""


def test_good_rules_come_in_one_line() -> None:
    activity.check(GOOD, where="here")
    assert activity.one_line(GOOD.replace("{path}", "/pods/alice/")) == (
        "ignore GET,HEAD /pods/alice/api/*; quiet /socket/*/channels; open POST /run; "
        "ask /pods/alice/api/status"
    )


@pytest.mark.parametrize(
    "text",
    [
        "ignore",
        "ignore api",
        "forbid /x",
        "ignore get /x",
        "ask GET /x",
        "ignore /a b",
        "ignore /a;open /b",
        "ignore /\u00e9",
        "open {name}/x",
        "ignore /" + "x" * activity.LONGEST,
        7,
        None,
    ],
)
def test_rules_that_nobody_could_follow_are_refused_at_their_place(text: object) -> None:
    with pytest.raises(TemplateError, match=r"^there: "):
        activity.check(text, where="there")


def test_what_is_no_rule_reaches_no_header() -> None:
    assert activity.one_line("ignore /a\nX-Evil: 1\r\nopen /b") == "ignore /a; open /b"
    assert activity.one_line("") == ""


def test_addresses_to_ask_are_found_among_the_rules() -> None:
    assert activity.addresses("ignore /a; ask /b; open /ask; ask /c") == ["/b", "/c"]
    assert activity.addresses("") == []


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        # Jupyter's /api/status, /api/kernels and /api/terminals, as its documentation has them.
        ({"last_activity": "2026-11-29T11:59:00.0Z", "kernels": 1}, before(minutes=1)),
        (
            [
                {"execution_state": "idle", "last_activity": "2026-11-29T11:00:00.000000Z"},
                {"execution_state": "idle", "last_activity": "2026-11-29T11:30:00.000000Z"},
            ],
            before(minutes=30),
        ),
        ([{"execution_state": "busy", "last_activity": "2026-11-29T01:00:00Z"}], NOW),
        ({"queue": {"active": True}}, NOW),
        ({"active": "true"}, None),
        ([], None),
        ("2026-11-29T11:59:00Z", None),
        ({"last_activity": "yesterday"}, None),
        ({"last_activity": 7}, None),
        ({"last_activity": "2030-01-01T00:00:00Z"}, NOW),
        ({"last_activity": "2026-11-29T11:59:00"}, before(minutes=1)),
    ],
)
def test_an_application_says_itself_when_it_was_used(
    document: object, expected: datetime.datetime | None
) -> None:
    assert activity.last_use(document, now=NOW) == expected


def lifetime(**changes: object) -> Lifetime:
    values: dict[str, object] = {
        "started_at": before(hours=10),
        "last_activity": before(hours=2),
        "idle_timeout": 3600.0,
        "max_age": None,
        "known_since": before(hours=20),
    }
    return Lifetime(**values | changes)  # type: ignore[arg-type]


def test_idleness_counts_from_the_last_use() -> None:
    assert lifetime().stops_at == before(hours=1)
    assert lifetime(last_activity=None).stops_at == before(hours=9)


def test_what_is_not_known_counts_as_use() -> None:
    assert lifetime(known_since=None).stops_at is None
    assert lifetime(known_since=before(minutes=30)).stops_at == before(minutes=-30)


def test_a_start_counts_as_use() -> None:
    assert lifetime(started_at=before(minutes=5)).stops_at == before(minutes=-55)


def test_age_counts_from_the_start_whoever_uses_it() -> None:
    limited = lifetime(max_age=3600.0, idle_timeout=None, known_since=None, last_activity=NOW)
    assert limited.stops_at == before(hours=9)
    assert lifetime(idle_timeout=None).stops_at is None
