"""What is asked of a pod's state."""

from __future__ import annotations

import pytest

from django_userpods.core.states import UNSETTLED, State
from django_userpods.labels import STATE_LABELS
from django_userpods.models import UserPod


@pytest.mark.parametrize(
    ("state", "questions"),
    [
        (State.PENDING, {"is_coming"}),
        (State.STARTING, {"is_coming", "is_up", "may_explain"}),
        (State.RUNNING, {"is_settled", "is_up"}),
        (State.STOPPED, {"is_settled"}),
        (State.FAILED, {"is_settled", "may_explain"}),
        (State.DELETING, set()),
    ],
)
def test_each_state_answers_its_questions(state: State, questions: set[str]) -> None:
    asked = {"is_settled", "is_coming", "is_up", "may_explain"}
    assert {question for question in asked if getattr(state, question)} == questions
    assert (state in UNSETTLED) is ("is_settled" not in questions)


def test_a_row_has_the_same_states_and_a_word_for_each() -> None:
    assert UserPod.State is State
    assert [value for value, _ in STATE_LABELS] == [state.value for state in State]
