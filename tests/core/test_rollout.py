"""What a rollout's rule says, and what waits of the plan of a pod that waits for its turn."""

from __future__ import annotations

from typing import Any

import pytest

from django_userpods.core import behind
from django_userpods.core.objects import DEPLOYMENT, SERVICE, Kind, Ref
from django_userpods.core.plan import Action, Observed, Verb, plan
from django_userpods.core.rollout import Rule, Turn, parse

DEPLOY = Ref(DEPLOYMENT, "ns", "user-a")
SVC = Ref(SERVICE, "ns", "user-a")
CONFIG = Ref(Kind("v1", "ConfigMap"), "ns", "user-a--config")
DIGEST = ".metadata.annotations.django-userpods/template-hash"
IMAGE = ".spec.template.spec.containers[app].image"
RESTARTED = ".spec.template.metadata.annotations.django-userpods/restarted-at"


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        (None, None),
        ({"MAX_UNREADY": 10}, Rule(10, 3)),
        ({"MAX_UNREADY": 10, "MAX_FAILURES": 1}, Rule(10, 1)),
        ({"MAX_UNREADY": 10, "MAX_FAILURES": None}, Rule(10, None)),
        ({"WHEN": "next start"}, Rule(None)),
    ],
)
def test_a_setting_is_read_as_its_rule(value: Any, rule: Rule | None) -> None:
    assert parse(value) == rule


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (10, "is 10"),
        ({}, "neither MAX_UNREADY nor WHEN"),
        ({"MAX_FAILURES": 3}, "neither MAX_UNREADY nor WHEN"),
        ({"MAX_UNREDY": 3}, "unknown keys MAX_UNREDY"),
        ({"MAX_UNREADY": 0}, "MAX_UNREADY is 0"),
        ({"MAX_UNREADY": True}, "MAX_UNREADY is True"),
        ({"MAX_UNREADY": None}, "MAX_UNREADY is None"),
        ({"MAX_UNREADY": "5%"}, "MAX_UNREADY is '5%'"),
        ({"MAX_UNREADY": 3, "MAX_FAILURES": 0}, "MAX_FAILURES is 0"),
        ({"WHEN": "never"}, "WHEN is 'never'"),
        ({"WHEN": "next start", "MAX_UNREADY": 3}, "has a number of pods, and WHEN"),
    ],
)
def test_an_invalid_setting_is_refused(value: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse(value)


def test_there_is_room_for_as_many_as_may_be_unready() -> None:
    rule = Rule(10, 3)
    assert [rule.room(number) for number in (0, 9, 10, 12)] == [10, 1, 0, 0]
    assert Rule(None).room(0) == 0


def test_it_stops_after_enough_failures_in_a_row_or_without_room() -> None:
    rule = Rule(10, 3)
    assert not rule.is_to_stop(in_a_row=2, failed=9)
    assert rule.is_to_stop(in_a_row=3, failed=3)
    assert rule.is_to_stop(in_a_row=0, failed=10)
    assert not Rule(10, None).is_to_stop(in_a_row=9, failed=9)
    assert Rule(10, None).is_to_stop(in_a_row=10, failed=10)
    assert not Rule(None).is_to_stop(in_a_row=99, failed=99)


def test_who_is_updated_or_failed_is_under_way() -> None:
    assert [turn for turn in Turn if turn.is_under_way] == [Turn.UPDATING, Turn.FAILED]


def planned(*observed: Observed) -> tuple[list[Action], dict[Ref, Observed]]:
    actions = plan([CONFIG, DEPLOY, SVC], observed, retain=())
    return actions, {item.ref: item for item in observed}


def test_a_workload_whose_template_changed_is_behind() -> None:
    assert behind.is_behind(*planned(Observed(DEPLOY, "1", (DIGEST, IMAGE))))
    # A field that was taken out of the template is in no other difference.
    assert behind.is_behind(*planned(Observed(DEPLOY, "1", (DIGEST,))))


def test_what_was_edited_or_is_no_workload_is_not_behind() -> None:
    assert not behind.is_behind(*planned(Observed(DEPLOY, "1", (IMAGE,))))
    assert not behind.is_behind(*planned(Observed(SVC, "1", (DIGEST, ".spec.ports"))))
    assert not behind.is_behind(*planned())


def test_a_restart_that_was_asked_for_is_told_from_a_rollout() -> None:
    assert behind.is_restart([Observed(DEPLOY, "1", (DIGEST, RESTARTED))])
    assert not behind.is_restart([Observed(DEPLOY, "1", (DIGEST, IMAGE))])


def test_what_its_template_changed_waits_and_what_is_missing_does_not() -> None:
    old = Ref(Kind("v1", "ConfigMap"), "ns", "user-a--old")
    actions, observed = planned(
        Observed(DEPLOY, "1", (DIGEST, IMAGE)),
        Observed(SVC, "2", (DIGEST, ".spec.ports[80/TCP].targetPort")),
        Observed(old, "3"),
    )
    assert len(actions) == 4
    assert behind.at_once(actions, observed) == [Action(Verb.CREATE, CONFIG)]


def test_what_somebody_edited_does_not_wait() -> None:
    actions, observed = planned(
        Observed(CONFIG, "0"),
        Observed(DEPLOY, "1", (DIGEST, ".spec.replicas", IMAGE)),
        Observed(SVC, "2", (".spec.selector.app",)),
    )
    assert behind.at_once(actions, observed) == [
        Action(Verb.UPDATE, DEPLOY, "1", ".spec.replicas", keeps_pods=True),
        Action(Verb.UPDATE, SVC, "2", ".spec.selector.app"),
    ]
