"""The quick check never says yes where a closer look says no, and says yes where it matters."""

from __future__ import annotations

import copy
import random
from typing import TYPE_CHECKING, Any

from django_userpods.core.quick import QuickCheck
from django_userpods.core.shape import Map, Value, compile_shape
from tests.core.test_shape import DECLARED, VALUES, mutate

if TYPE_CHECKING:
    from django_userpods.core.objects import Manifest


def shape(value: Any) -> Map:
    compiled = compile_shape(value, where="Test")
    assert isinstance(compiled, Map)
    return compiled


def learned(value: Any) -> tuple[QuickCheck, Manifest]:
    """A check that has learned from one good object, and that object."""
    compiled = shape(value)
    quick = QuickCheck(compiled)
    good = compiled.fill(VALUES)
    assert not quick.surely_matches(good, VALUES)
    assert compiled.matches(good, VALUES)
    quick.learn()
    quick.learn()
    return quick, good


def test_what_is_used_once_is_not_written_out() -> None:
    compiled = shape(DECLARED)
    quick = QuickCheck(compiled)
    good = compiled.fill(VALUES)
    assert compiled.matches(good, VALUES)

    quick.learn()
    assert not quick.surely_matches(good, VALUES)

    quick.learn()
    assert quick.surely_matches(good, VALUES)


def test_what_is_as_declared_is_told_at_once() -> None:
    quick, good = learned(DECLARED)

    assert quick.surely_matches(good, VALUES)
    assert quick.surely_matches(copy.deepcopy(good), VALUES)
    assert quick.surely_matches({**good, "status": {"replicas": 1}}, VALUES)


def test_another_users_object_is_not_taken_for_this_ones() -> None:
    quick, good = learned(DECLARED)
    bob = {**VALUES, "name": "user-bob"}

    assert not quick.surely_matches(good, bob)
    assert quick.surely_matches(shape(DECLARED).fill(bob), bob)


def test_it_is_never_surer_than_a_closer_look() -> None:
    chance = random.Random(11)
    quick, good = learned(DECLARED)
    verdicts = {True: 0, False: 0}
    for _ in range(3000):
        observed = copy.deepcopy(good)
        for _ in range(chance.randrange(3)):
            observed = mutate(observed, chance)
        sure = quick.surely_matches(observed, VALUES)
        if sure:
            assert not list(shape(DECLARED).differences(observed, VALUES)), observed
        verdicts[sure] += 1
    assert min(verdicts.values()) > 150


def test_nonsense_is_looked_at_closer() -> None:
    quick, good = learned({"a": {"b": "{name}", "c": [{"name": "{name}"}]}})

    assert quick.surely_matches(good, VALUES)
    objects: tuple[Any, ...] = (None, [], "", 7, {}, {"a": None}, {"a": "x"}, {"a": {"b": "c"}})
    for nonsense in objects:
        assert not quick.surely_matches(nonsense, VALUES)
    lists: tuple[Any, ...] = (None, 7, "x", {}, [], [None], [{}], [{"name": "user-alice"}] * 2)
    for items in lists:
        assert not quick.surely_matches({"a": {"b": "user-alice", "c": items}}, VALUES)


def test_a_value_that_is_not_set_may_be_anything() -> None:
    quick, _ = learned({"annotations": {"at": Value("restarted_at"), "kept": "{name}"}})
    unset, at = VALUES, {**VALUES, "restarted_at": "2026-01-01"}

    for found, values, sure in (
        ({"kept": "user-alice"}, unset, True),
        ({"kept": "user-alice", "at": "2025-01-01"}, unset, True),
        ({"kept": "user-alice"}, at, False),
        ({"kept": "user-alice", "at": "2026-01-01"}, at, True),
    ):
        assert quick.surely_matches({"annotations": found}, values) is sure


def test_keys_are_never_code() -> None:
    hostile = {"']: return True #": 1, "x\n return True\n#": {"'\"\\": "{name}"}}
    quick, good = learned(hostile)

    assert quick.surely_matches(good, VALUES)
    assert not quick.surely_matches({}, VALUES)


def test_it_learns_only_from_what_was_compared_part_by_part() -> None:
    compiled = shape({"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "{name}"}]})
    quick = QuickCheck(compiled)
    good = compiled.fill(VALUES)
    turned = {"env": good["env"][::-1]}

    for _ in range(3):
        assert compiled.matches(turned, VALUES)
        quick.learn()
    assert not quick.surely_matches(good, VALUES)

    assert compiled.matches(good, VALUES)
    quick.learn()
    assert quick.surely_matches(good, VALUES)
