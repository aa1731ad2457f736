"""From wanted and observed to actions."""

from __future__ import annotations

import pytest

from django_userpods.core import naming
from django_userpods.core.objects import DEPLOYMENT, SERVICE, Kind, Ref
from django_userpods.core.plan import Action, Holder, Observed, Verb, holder, is_mass_deletion, plan
from tests.core.templates import BLUE, EIGHT, GREEN, SEVEN

DEPLOY = Ref(DEPLOYMENT, "ns", "user-a")
SVC = Ref(SERVICE, "ns", "user-a")
PVC = Ref(Kind("v1", "PersistentVolumeClaim"), "ns", "user-a-data")


def test_what_is_not_there_is_created() -> None:
    assert plan([DEPLOY, SVC], [], retain=()) == [
        Action(Verb.CREATE, DEPLOY),
        Action(Verb.CREATE, SVC),
    ]


def test_all_as_it_should_be() -> None:
    assert plan([DEPLOY, SVC], [Observed(SVC, "2"), Observed(DEPLOY, "1")], retain=()) == []


def test_a_difference_is_an_update_that_says_why() -> None:
    paths = (".a", ".b", ".c", ".d", ".e", ".f")
    (action,) = plan([DEPLOY], [Observed(DEPLOY, "1", paths)], retain=())
    assert action == Action(Verb.UPDATE, DEPLOY, "1", ".a, .b, .c, .d, .e ...")
    assert str(action) == "update Deployment ns/user-a (.a, .b, .c, .d, .e ...)"


def test_what_is_not_wanted_goes_with_its_uid() -> None:
    assert plan([], [Observed(DEPLOY, "1"), Observed(SVC, "2")], retain=()) == [
        Action(Verb.DELETE, DEPLOY, "1"),
        Action(Verb.DELETE, SVC, "2"),
    ]


def test_retained_kinds_stay() -> None:
    observed = [Observed(DEPLOY, "1"), Observed(PVC, "2")]
    assert plan([], observed, retain=["PersistentVolumeClaim"]) == [
        Action(Verb.DELETE, DEPLOY, "1")
    ]


def test_another_namespace_is_another_object() -> None:
    elsewhere = Ref(DEPLOYMENT, "old", "user-a")
    assert plan([DEPLOY], [Observed(elsewhere, "1")], retain=()) == [
        Action(Verb.CREATE, DEPLOY),
        Action(Verb.DELETE, elsewhere, "1"),
    ]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (naming.labels_for(SEVEN, installation=BLUE), Holder.OURS),
        ({**naming.labels_for(SEVEN, installation=BLUE), "more": "x"}, Holder.OURS),
        (naming.labels_for(EIGHT, installation=BLUE), Holder.OTHER_POD),
        (naming.labels_for(SEVEN, installation=GREEN), Holder.FOREIGN),
        ({naming.INSTALLATION_LABEL: "b1ue"}, Holder.FOREIGN),
        (
            {**naming.labels_for(SEVEN, installation=BLUE), naming.INSTANCE_LABEL: "red"},
            Holder.OURS,
        ),
        ({naming.INSTANCE_LABEL: "blue", naming.POD_LABEL: "p0d7"}, Holder.FOREIGN),
        ({naming.POD_LABEL: "p0d7"}, Holder.FOREIGN),
        ({"app": "user-a"}, Holder.FOREIGN),
        ({}, Holder.FOREIGN),
        (None, Holder.FOREIGN),
    ],
)
def test_an_object_is_whose_its_labels_say(labels: dict[str, str] | None, expected: Holder) -> None:
    assert holder({"metadata": {"labels": labels}}, installation=BLUE, pod="p0d7") == expected


@pytest.mark.parametrize(
    ("deletions", "total", "refused"),
    [
        (0, 0, False),
        (0, 1, False),
        (1, 1, True),
        (1, 2, False),
        (2, 3, True),
        (11, 21, True),
        (11, 22, False),
        (5000, 10_000, False),
        (5001, 10_000, True),
    ],
)
def test_a_mass_deletion_is_more_than_half_of_all(
    deletions: int, total: int, refused: bool
) -> None:
    assert is_mass_deletion(deletions=deletions, total=total) is refused


def test_kinds_are_read_back_from_their_text() -> None:
    assert Kind.parse(str(DEPLOYMENT)) == DEPLOYMENT
    assert Kind.parse(str(SERVICE)) == SERVICE
    assert str(PVC) == "PersistentVolumeClaim ns/user-a-data"


def test_an_object_that_is_wanted_is_not_deleted_under_another_version_of_its_api() -> None:
    old = Ref(Kind("autoscaling/v1", "HorizontalPodAutoscaler"), "default", "user-alice--scale")
    new = Ref(Kind("autoscaling/v2", "HorizontalPodAutoscaler"), "default", "user-alice--scale")
    gone = Ref(Kind("autoscaling/v1", "HorizontalPodAutoscaler"), "default", "user-alice--old")
    observed = [Observed(old, "1"), Observed(new, "1"), Observed(gone, "2")]
    assert plan([new], observed, retain=()) == [Action(Verb.DELETE, gone, "2")]
