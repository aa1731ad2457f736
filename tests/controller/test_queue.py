"""The keyed queue by a clock of the test's own."""

from __future__ import annotations

import random
import threading

import pytest

from django_userpods.controller.queue import LONGEST_PAUSE, SOON_PAUSE, SOON_RATE, KeyedQueue


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(clock: Clock) -> KeyedQueue:
    return KeyedQueue(clock=clock, chance=lambda: 0.0)


def test_a_key_that_is_added_twice_is_taken_once(queue: KeyedQueue) -> None:
    queue.add("a", "b")
    queue.add("a")
    assert queue.take(10) == ["a", "b"]
    assert queue.take(10) == []


def test_no_more_are_taken_than_asked_for_and_the_oldest_first(
    queue: KeyedQueue, clock: Clock
) -> None:
    for key in "cab":
        queue.add(key)
        clock.now += 1
    assert queue.take(2) == ["c", "a"]
    assert queue.take(2) == ["b"]


def test_a_key_is_in_one_pair_of_hands_at_a_time(queue: KeyedQueue) -> None:
    queue.add("a")
    assert queue.take(1) == ["a"]
    queue.add("a", "b")
    assert queue.take(5) == ["b"]
    queue.done("a")
    assert queue.take(5) == ["a"]
    queue.done("a")
    assert queue.take(5) == []


def test_a_key_for_later_is_taken_once_its_time_has_come(queue: KeyedQueue, clock: Clock) -> None:
    queue.add("a", after=2)
    assert queue.take(1) == []
    clock.now += 1.9
    assert queue.take(1) == []
    clock.now += 0.1
    assert queue.take(1) == ["a"]


def test_a_key_for_later_that_is_added_for_now_is_taken_now_and_not_again(
    queue: KeyedQueue, clock: Clock
) -> None:
    queue.add("a", after=2)
    queue.add("a")
    queue.add("a", after=1)
    assert queue.take(1) == ["a"]
    queue.done("a")
    clock.now += 5
    assert queue.take(1) == []


def test_pauses_after_failures_double_up_to_the_longest(queue: KeyedQueue, clock: Clock) -> None:
    pauses = []
    queue.add("a")
    for _ in range(15):
        assert queue.take(1) == ["a"]
        pauses.append(queue.failed("a"))
        assert queue.take(1) == []
        clock.now += pauses[-1]
    assert pauses[:4] == [0.1, 0.2, 0.4, 0.8]
    assert pauses[-3:] == [LONGEST_PAUSE] * 3


def test_pauses_differ_by_chance_and_never_by_more_than_half(clock: Clock) -> None:
    queue = KeyedQueue(clock=clock, chance=random.Random(7).random)
    pauses = [queue.failed(f"key {number}") for number in range(100)]
    assert len(set(pauses)) > 90
    assert all(0.05 < pause <= 0.1 for pause in pauses)


def test_a_thousand_failures_in_a_row_are_no_trouble(queue: KeyedQueue) -> None:
    for _ in range(2000):
        pause = queue.failed("a")
    assert pause == LONGEST_PAUSE


def test_success_forgets_failures(queue: KeyedQueue, clock: Clock) -> None:
    for _ in range(5):
        queue.failed("a")
    assert queue.failures("a") == 5
    clock.now += LONGEST_PAUSE
    assert queue.take(1) == ["a"]
    queue.done("a")
    assert queue.failures("a") == 0
    assert queue.failed("a") == 0.1


def test_a_failing_key_holds_up_no_other(queue: KeyedQueue) -> None:
    queue.add("bad")
    queue.take(1)
    queue.failed("bad")
    queue.add("good")
    assert queue.take(5) == ["good"]


def fail(queue: KeyedQueue, key: str, times: int, *, may_be_over: bool = False) -> float:
    """Have work on a key fail so often; return the last pause."""
    for _ in range(times):
        queue.add(key)
        assert queue.take(1) == [key]
        pause = queue.failed(key, may_be_over=may_be_over)
    return pause


def test_what_may_be_over_at_any_moment_is_tried_again_within_seconds(
    queue: KeyedQueue, clock: Clock
) -> None:
    fail(queue, "a", 15)
    assert fail(queue, "a", 1, may_be_over=True) == SOON_PAUSE
    clock.now += SOON_PAUSE - 0.1
    assert queue.take(1) == []
    clock.now += 0.1
    assert queue.take(1) == ["a"]
    # The same key may fail for another reason after that.
    assert queue.failed("a") == LONGEST_PAUSE


def test_so_many_that_fail_are_tried_again_no_faster_than_is_kind(queue: KeyedQueue) -> None:
    keys = [f"key {number}" for number in range(100 * SOON_RATE)]
    for _ in range(20):
        for key in keys:
            pause = queue.failed(key, may_be_over=True)
    assert pause == 100
    queue.done(*keys[1:])
    assert queue.failed(keys[0], may_be_over=True) == SOON_PAUSE


def test_pauses_of_what_may_be_over_differ_by_chance(clock: Clock) -> None:
    queue = KeyedQueue(clock=clock, chance=random.Random(7).random, first_pause=100.0)
    pauses = [queue.failed(f"key {number}", may_be_over=True) for number in range(100)]
    assert len(set(pauses)) > 90
    assert all(SOON_PAUSE / 2 < pause <= SOON_PAUSE for pause in pauses)


def test_what_is_noticed_of_a_key_that_failed_a_while_ago_is_heeded_at_once(
    queue: KeyedQueue, clock: Clock
) -> None:
    assert fail(queue, "a", 15) == LONGEST_PAUSE
    clock.now += LONGEST_PAUSE / 10
    assert queue.take(1) == []
    queue.notice("a", after=0.05)
    clock.now += 0.05
    assert queue.take(1) == ["a"]


@pytest.mark.parametrize(
    ("may_be_over", "first"), [(False, LONGEST_PAUSE / 10), (True, 1.0)], ids=["not so", "so"]
)
@pytest.mark.parametrize("when", ["before", "after"])
def test_what_a_try_that_fails_has_changed_itself_does_not_have_it_tried_all_the_time(
    queue: KeyedQueue, clock: Clock, may_be_over: bool, first: float, when: str
) -> None:
    fail(queue, "a", 15, may_be_over=may_be_over)
    queue.add("a")
    queue.take(1)
    if when == "before":
        queue.notice("a")
    queue.failed("a", may_be_over=may_be_over)
    if when == "after":
        queue.notice("a")
    clock.now += first - 0.1
    assert queue.take(1) == []
    clock.now += 0.1
    assert queue.take(1) == ["a"]


def test_what_is_noticed_of_a_failing_key_does_not_shorten_its_pause(
    queue: KeyedQueue, clock: Clock
) -> None:
    queue.add("a")
    queue.take(1)
    queue.notice("a")
    queue.failed("a")
    queue.notice("a")
    assert queue.take(1) == []
    clock.now += 0.1
    assert queue.take(1) == ["a"]


def test_who_asks_for_a_failing_key_does_not_wait(queue: KeyedQueue) -> None:
    queue.add("a")
    queue.take(1)
    queue.failed("a")
    queue.add("a")
    assert queue.take(1) == ["a"]
    # Asked for while it was worked on, and talked about as well.
    queue.notice("a")
    queue.add("a")
    queue.failed("a")
    assert queue.take(1) == ["a"]


def test_what_is_noticed_while_a_key_is_worked_on_is_looked_at_again(queue: KeyedQueue) -> None:
    queue.add("a")
    queue.take(1)
    queue.notice("a")
    assert queue.take(1) == []
    queue.done("a")
    assert queue.take(1) == ["a"]


def test_keys_that_are_put_back_are_no_failures(queue: KeyedQueue, clock: Clock) -> None:
    queue.add("a", "b")
    queue.put_back(queue.take(2), 3)
    assert queue.take(2) == []
    clock.now += 3
    assert queue.take(2) == ["a", "b"]
    assert queue.failures("a") == 0


def test_a_forgotten_key_is_not_taken(queue: KeyedQueue) -> None:
    queue.add("a", "b")
    queue.forget("a")
    assert queue.take(5) == ["b"]


def test_backlog_says_what_waits_and_for_how_long(queue: KeyedQueue, clock: Clock) -> None:
    queue.add("a")
    queue.take(1)
    queue.add("b")
    clock.now += 2
    queue.add("c")
    queue.add("d", after=60)
    backlog = queue.backlog()
    assert (backlog.due, backlog.later, backlog.running, backlog.lag) == (2, 1, 1, 2.0)
    clock.now += 1
    assert queue.backlog().lag == 3.0


def test_whoever_waits_is_woken_by_a_new_key() -> None:
    queue = KeyedQueue()
    found: list[str] = []

    def work() -> None:
        while not found:
            queue.wait(60)
            found.extend(queue.take(1))

    thread = threading.Thread(target=work)
    thread.start()
    queue.add("a", after=0.01)
    thread.join(10)
    assert found == ["a"]


def test_whoever_waits_for_a_running_key_is_woken_when_it_is_done() -> None:
    queue = KeyedQueue()
    queue.add("a")
    queue.take(1)
    queue.add("a")
    found: list[str] = []

    def work() -> None:
        while not found:
            queue.wait(60)
            found.extend(queue.take(1))

    thread = threading.Thread(target=work)
    thread.start()
    queue.done("a")
    thread.join(10)
    assert found == ["a"]


def test_any_order_of_calls_loses_no_key_and_doubles_none(clock: Clock) -> None:
    """At random: each key that was added is taken after that, and never by two at once."""
    chance = random.Random(3)
    queue = KeyedQueue(clock=clock, chance=chance.random)
    owed: set[str] = set()
    running: set[str] = set()
    for _ in range(20_000):
        key = f"key {chance.randrange(8)}"
        action = chance.randrange(7)
        clock.now += chance.random() / 50
        if action == 0:
            queue.add(key, after=chance.choice([0.0, 0.0, 0.3]))
            owed.add(key)
        elif action == 1:
            queue.notice(key)
            owed.add(key)
        elif action <= 4:
            taken = queue.take(chance.randrange(1, 4))
            assert not running & set(taken)
            assert set(taken) <= owed
            owed -= set(taken)
            running |= set(taken)
        elif running:
            key = chance.choice(sorted(running))
            running.discard(key)
            if action == 5:
                queue.done(key)
            else:
                queue.failed(key)
                owed.add(key)
    queue.done(*running)
    clock.now += LONGEST_PAUSE
    assert set(queue.take(100)) == owed
