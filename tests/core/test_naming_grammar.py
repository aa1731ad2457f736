"""The grammar of names: nothing of one pod is ever called what something of another is."""

from __future__ import annotations

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from django_userpods.core import naming
from django_userpods.exceptions import TemplateError

#: Names are short and quickly made, so many are tried.
EXAMPLES = settings(max_examples=400, deadline=None)
PREFIXES = st.sampled_from(["user-", "u", "team-a-", "x" * 24])
#: What people call themselves, and what somebody would who wants another's name.
USERNAMES = st.one_of(
    st.from_regex(r"[ab](-?[ab]){0,6}", fullmatch=True),
    st.from_regex(r"[ab-]{1,8}(---?([ab-]{1,8}|[0-9a-f]{16})){0,2}", fullmatch=True),
    st.from_regex(r"[0-9a-f]{15,17}", fullmatch=True),
    st.text(max_size=80),
)
SLOTS = st.one_of(st.just(""), st.from_regex(r"[ab0](-?[ab0]){0,5}", fullmatch=True))
SUFFIXES = st.one_of(
    st.just(""),
    st.from_regex(r"[ab](-?[ab]){0,5}", fullmatch=True),
    st.from_regex(r"[0-9a-f]{15}", fullmatch=True),
)
PODS = st.tuples(USERNAMES, SLOTS)


def object_name(pod: str, suffix: str) -> str:
    return f"{pod}--{suffix}" if suffix else pod


@EXAMPLES
@given(prefix=PREFIXES, one=PODS, other=PODS, suffix=SUFFIXES, more=SUFFIXES)
@example(prefix="user-", one=("alice", ""), other=("alice-db", ""), suffix="db", more="")
@example(prefix="user-", one=("alice", "db"), other=("alice", ""), suffix="", more="db")
@example(prefix="user-", one=("alice", ""), other=("alice--db", ""), suffix="db", more="")
@example(prefix="user-", one=("a", ""), other=("a", "b"), suffix="b", more="")
def test_objects_of_two_pods_never_meet(
    prefix: str, one: tuple[str, str], other: tuple[str, str], suffix: str, more: str
) -> None:
    assume((one, suffix) != (other, more))
    names = [
        object_name(naming.name_for(username, prefix=prefix, slot=slot), end)
        for (username, slot), end in ((one, suffix), (other, more))
    ]
    assert names[0] != names[1]


@EXAMPLES
@given(prefix=PREFIXES, pod=PODS, suffix=SUFFIXES)
def test_a_suffix_can_be_read_back(prefix: str, pod: tuple[str, str], suffix: str) -> None:
    name = naming.name_for(pod[0], prefix=prefix, slot=pod[1])
    assert naming.suffix_of(object_name(name, suffix), pod=name) == suffix
    for another in (name + "x", "x" + name, f"{name}---x", f"{name}-x", f"{name}--"):
        assert naming.suffix_of(another, pod=name) is None


@EXAMPLES
@given(prefix=PREFIXES, pod=PODS, suffix=SUFFIXES)
@example(prefix="user-", pod=("José", "gpu"), suffix="db")
def test_a_name_tells_pod_slot_and_suffix(prefix: str, pod: tuple[str, str], suffix: str) -> None:
    name = naming.name_for(pod[0], prefix=prefix, slot=pod[1])
    assert naming.parts_of(object_name(name, suffix)) == (name, pod[1], suffix)


@pytest.mark.parametrize("name", ["", "-", "a-", "a----b", "A", "a--b--c", "a---b---c", "a.b"])
def test_what_is_no_name_of_ours_has_no_parts(name: str) -> None:
    assert naming.parts_of(name) is None


@EXAMPLES
@given(prefix=PREFIXES, pod=PODS, room=st.integers(0, 20))
@example(prefix="user-", pod=("jo", "gpu"), room=0)
@example(prefix="user-", pod=("j", "gpu"), room=0)
@example(prefix="user-", pod=("jo!", ""), room=0)
@example(prefix="user-", pod=("", ""), room=0)
def test_a_pods_name_is_a_hosts_label_with_room_left(
    prefix: str, pod: tuple[str, str], room: int
) -> None:
    try:
        name = naming.name_for(pod[0], prefix=prefix, slot=pod[1], room=room)
    except TemplateError:
        # Not even a name of one letter and a hash fits, with the longest slot.
        longest = naming.name_for("!", prefix=prefix, slot="x" * naming.MAX_SLOT)
        assert len(longest) + room > naming.MAX_LABEL
        return
    label = name.removeprefix(prefix)
    assert naming.is_valid_label(name)
    assert naming.is_valid_label(label)
    assert len(name) + room <= naming.MAX_LABEL
    assert label[2:4] != "--"


@pytest.mark.parametrize("suffix", ["0123456789abcdef", "", "-a", "a-", "a--b", "A", "a.b", "a\n"])
def test_suffixes_outside_the_grammar_are_refused(suffix: str) -> None:
    assert not naming.is_valid_suffix(suffix)


@pytest.mark.parametrize("slot", ["", "-a", "a-", "a--b", "A", "a.b", "x" * 13, "a\n", "ü"])
def test_slots_outside_the_grammar_are_refused(slot: str) -> None:
    assert not naming.is_valid_slot(slot)


def test_a_key_that_looks_like_anothers_label_has_a_label_of_its_own() -> None:
    victim = naming.label_value("ü")
    assert naming.label_value(victim) != victim
    assert naming.label_value(naming.label_value(victim)) != naming.label_value(victim)


def test_a_template_that_leaves_no_room_for_names_is_said_so() -> None:
    with pytest.raises(TemplateError, match="use shorter suffixes or a shorter prefix"):
        naming.name_for("Alice", prefix="user-", room=50)
