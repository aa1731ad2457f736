"""The election, by clocks of the test's own that may differ from each other."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from django_userpods.controller.leader import Leader, Terms, seconds
from django_userpods.core.objects import LEASE, Ref
from django_userpods.exceptions import ClusterUnavailable, Forbidden, NotLeading

if TYPE_CHECKING:
    from django_userpods.testing import MemoryCluster

REF = Ref(LEASE, "userpods", "userpods-0123")
TERMS = Terms()


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def candidate(memory: MemoryCluster, identity: str, clock: Clock) -> Leader:
    return Leader(
        memory,
        namespace=REF.namespace,
        name=REF.name,
        identity=identity,
        labels={"app.kubernetes.io/managed-by": "django-userpods"},
        clock=clock,
        chance=lambda: 0.0,
    )


def play(clocks: list[Clock], leaders: list[Leader], span: float, step: float = 0.25) -> None:
    """Let time pass for all; each tries as often as it says."""
    due = dict.fromkeys(range(len(leaders)), 0.0)
    passed = 0.0
    while passed < span:
        for number, leader in enumerate(leaders):
            if passed >= due[number]:
                due[number] = passed + leader.step()
        assert sum(leader.is_leading for leader in leaders) <= 1
        passed += step
        for clock in clocks:
            clock.now += step


def leading(*leaders: Leader) -> list[str]:
    """Return who leads; a property that changes is more than mypy believes in."""
    return [leader.identity for leader in leaders if leader.is_leading]


def spec(memory: MemoryCluster) -> dict[str, Any]:
    found: dict[str, Any] = memory.objects[REF]["spec"]
    return found


def test_the_first_to_come_leads_and_the_second_does_not(memory: MemoryCluster) -> None:
    clock = Clock()
    first, second = candidate(memory, "a", clock), candidate(memory, "b", clock)
    first.step()
    second.step()
    assert (first.is_leading, second.is_leading) == (True, False)
    assert second.holder == "a"
    assert spec(memory)["holderIdentity"] == "a"
    assert spec(memory)["leaseDurationSeconds"] == 15
    assert memory.objects[REF]["metadata"]["labels"] == {
        "app.kubernetes.io/managed-by": "django-userpods"
    }


def test_a_leader_who_renews_stays_it(memory: MemoryCluster) -> None:
    clock = Clock()
    first, second = candidate(memory, "a", clock), candidate(memory, "b", clock)
    first.step()
    acquired = spec(memory)["acquireTime"]
    play([clock], [first, second], 120)
    assert first.is_leading
    assert spec(memory)["leaseTransitions"] == 0
    assert spec(memory)["acquireTime"] == acquired
    assert spec(memory)["renewTime"] > acquired


def test_a_renewal_is_one_call(memory: MemoryCluster) -> None:
    first = candidate(memory, "a", Clock())
    first.step()
    memory.calls.clear()
    first.step()
    assert [call.verb for call in memory.calls] == ["replace"]


@pytest.mark.parametrize("killed_after", [0.0, 0.5, 1.0, 1.75, 30.25])
def test_another_takes_over_within_15_seconds_of_a_kill(
    memory: MemoryCluster, killed_after: float
) -> None:
    clock = Clock()
    first, second = candidate(memory, "a", clock), candidate(memory, "b", clock)
    first.step()
    play([clock], [first, second], killed_after)
    killed = clock.now
    while not second.is_leading:
        clock.now += second.step()
        assert clock.now - killed <= 15
    assert spec(memory)["leaseTransitions"] == 1
    assert spec(memory)["holderIdentity"] == "b"


def test_a_leader_who_cannot_renew_stops_before_another_begins(memory: MemoryCluster) -> None:
    """The first's calls fail; the second's come through."""
    clock = Clock()
    first, second = candidate(memory, "a", clock), candidate(memory, "b", clock)
    first.step()
    second.step()
    clock.now += 9.9
    assert first.is_leading
    first.check()
    clock.now += 0.1
    with pytest.raises(NotLeading):
        first.check()
    second.step()
    assert leading(first, second) == []
    clock.now += 2.5
    second.step()
    assert leading(first, second) == ["b"]


def test_a_leader_counts_from_before_its_call(memory: MemoryCluster) -> None:
    """A renewal that took 4 seconds to be answered may have been seen at once by the others."""
    clock = Clock()
    leader = candidate(memory, "a", clock)
    leader.step()
    replace = memory.replace

    def slow(manifest: Any, *, timeout: float | None = None) -> Any:
        stored = replace(manifest, timeout=timeout)
        clock.now += 4
        return stored

    memory.replace = slow  # type: ignore[method-assign]
    leader.step()
    clock.now += 5.9
    assert leading(leader) == ["a"]
    clock.now += 0.2
    assert leading(leader) == []


def test_a_paused_leader_finds_that_it_leads_no_more(memory: MemoryCluster) -> None:
    mine, theirs = Clock(), Clock()
    first, second = candidate(memory, "a", mine), candidate(memory, "b", theirs)
    first.step()
    second.step()
    # Nothing of the first's happens (SIGSTOP), but its clock goes on.
    for clock in (mine, theirs):
        clock.now += 60
    second.step()
    assert second.is_leading
    with pytest.raises(NotLeading):
        first.check()
    first.step()
    assert (first.is_leading, second.is_leading) == (False, True)


@pytest.mark.parametrize("apart", [-3600.0, -60.0, 60.0, 3600.0])
def test_clocks_that_differ_do_not_matter(memory: MemoryCluster, apart: float) -> None:
    mine, theirs = Clock(10_000), Clock(10_000 + apart)
    first, second = candidate(memory, "a", mine), candidate(memory, "b", theirs)
    first.step()
    play([mine, theirs], [first, second], 60)
    assert first.is_leading


def test_times_in_the_lease_do_not_matter(memory: MemoryCluster) -> None:
    """Written by a machine whose clock is years behind: it is renewed, so it holds."""
    clock = Clock()
    first, second = candidate(memory, "a", clock), candidate(memory, "b", clock)
    first.step()
    for _ in range(20):
        clock.now += 2
        first.step()
        spec(memory)["renewTime"] = "2001-01-01T00:00:00.000000Z"
        spec(memory)["acquireTime"] = "2001-01-01T00:00:00.000000Z"
        second.step()
        assert not second.is_leading


def test_a_lease_that_is_given_back_is_taken_at_once(memory: MemoryCluster) -> None:
    clock = Clock()
    first, second = candidate(memory, "a", clock), candidate(memory, "b", clock)
    first.step()
    second.step()
    first.release()
    assert not first.is_leading
    assert spec(memory)["holderIdentity"] == ""
    second.step()
    assert second.is_leading


def test_who_does_not_lead_gives_nothing_back(memory: MemoryCluster) -> None:
    clock = Clock()
    first, second = candidate(memory, "a", clock), candidate(memory, "b", clock)
    first.step()
    second.step()
    second.release()
    assert spec(memory)["holderIdentity"] == "a"


def test_a_lease_that_somebody_takes_by_hand_is_theirs(memory: MemoryCluster) -> None:
    first = candidate(memory, "a", Clock())
    first.step()
    taken = memory.get(REF)
    assert taken is not None
    taken["spec"]["holderIdentity"] = "somebody"
    memory.replace(taken)
    first.step()
    assert not first.is_leading
    assert first.holder == "somebody"


def test_a_lease_that_is_deleted_is_made_again(memory: MemoryCluster) -> None:
    first = candidate(memory, "a", Clock())
    first.step()
    del memory.objects[REF]
    first.step()
    assert first.is_leading
    assert spec(memory)["holderIdentity"] == "a"


def test_of_two_who_find_none_one_leads(memory: MemoryCluster) -> None:
    clock = Clock()
    leaders = [candidate(memory, name, clock) for name in "abcdef"]
    start = threading.Barrier(len(leaders))

    def run(leader: Leader) -> None:
        start.wait(10)
        leader.step()

    threads = [threading.Thread(target=run, args=[leader]) for leader in leaders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sum(leader.is_leading for leader in leaders) == 1


@pytest.mark.parametrize(
    "error", [ClusterUnavailable("down"), Forbidden("no rights on leases", status=403)]
)
def test_a_cluster_that_refuses_makes_no_leader_and_is_asked_every_2_seconds(
    memory: MemoryCluster, error: Any, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    leader = candidate(memory, "a", clock)
    memory.fail_with(error)
    for _ in range(5):
        pause = leader.step()
        assert pause == TERMS.retry
        clock.now += pause
    assert leading(leader) == []
    assert len(caplog.records) == 1  # once, not every time
    memory.heal()
    leader.step()
    assert leading(leader) == ["a"]


def test_a_renewal_that_failed_is_tried_again_soon(memory: MemoryCluster) -> None:
    clock = Clock()
    leader = candidate(memory, "a", clock)
    assert leader.step() == TERMS.retry
    memory.fail_with(ClusterUnavailable("busy"), times=1)
    pause = leader.step()
    assert pause == 0.5
    clock.now += pause
    assert leader.step() == TERMS.retry
    assert leading(leader) == ["a"]


def test_after_an_outage_the_leader_goes_on_where_nobody_took_over(memory: MemoryCluster) -> None:
    clock = Clock()
    leader = candidate(memory, "a", clock)
    leader.step()
    memory.fail_with(ClusterUnavailable("down"))
    for _ in range(30):
        clock.now += leader.step()
    assert leading(leader) == []
    memory.heal()
    leader.step()
    assert leading(leader) == ["a"]
    assert spec(memory)["leaseTransitions"] == 0


def test_many_candidates_hand_over_many_times_and_never_two_lead(memory: MemoryCluster) -> None:
    clock = Clock()
    leaders = [candidate(memory, f"candidate {number}", clock) for number in range(3)]
    for round_ in range(6):
        # One of them is away for a while, the leader as well as a bystander.
        away = leaders[round_ % 3]
        play([clock], [leader for leader in leaders if leader is not away], 20)
        play([clock], leaders, 5)
    assert sum(leader.is_leading for leader in leaders) == 1


def test_the_clock_goes_on() -> None:
    before = seconds()
    assert seconds() >= before
