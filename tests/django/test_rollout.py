"""``USERPODS_ROLLOUT``: a changed template reaches pods in waves, and is stopped by failures."""

from __future__ import annotations

import json
from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest
from django.core.management import call_command
from django.urls import reverse

from django_userpods.checks import check_settings
from django_userpods.exceptions import ClusterUnavailable, Invalid
from django_userpods.models import Installation, UserPod
from django_userpods.reconcile import reconcile, rollout
from tests.django.rollouts import OLD, failing, five_pods, ready, turns, unready, with_image
from tests.django.support import SLEEP, deployment, names, sync, template_with, writes

if TYPE_CHECKING:
    from django.test import Client

    from django_userpods.core.objects import Manifest
    from django_userpods.testing import MemoryCluster

pytestmark = pytest.mark.django_db


@pytest.fixture
def site(memory: MemoryCluster, settings: Any) -> MemoryCluster:
    """Five pods that run, and then another image."""
    five_pods(memory, settings)
    return memory


def test_without_the_setting_all_are_updated_at_once(site: MemoryCluster, settings: Any) -> None:
    del settings.USERPODS_ROLLOUT
    report = reconcile()
    assert (report.counts()["updated"], report.waiting) == (5, [])
    assert len(with_image(site)) == 5
    assert turns() == {}


def test_no_more_than_that_many_are_unready_at_once(site: MemoryCluster) -> None:
    seen: list[str] = []
    for wave in ([2, 3], [4, 1], [5, 0]):
        report = reconcile()
        updated = sorted(set(with_image(site)) - set(seen))
        unready(site, *updated)
        assert [len(with_image(site)), len(report.waiting)] == wave
        assert report.ok
        # As long as these are not ready nobody else is given a turn.
        assert reconcile().counts()["updated"] == 0
        ready(site, *updated)
        seen += updated
    assert reconcile().waiting == []
    assert turns() == {}
    site.calls.clear()
    assert reconcile().ok
    assert writes(site) == []


def test_a_pod_whose_predecessor_still_answers_is_one_of_the_unready(site: MemoryCluster) -> None:
    """A rolling update keeps it ready: by its state alone the next would have its turn."""
    reconcile()
    for name in with_image(site):
        deployment(site, name)["status"] |= {"replicas": 2, "updatedReplicas": 1}
    assert reconcile().counts()["updated"] == 0
    assert turns() == {"waiting": 3, "updating": 2}
    assert {row.state for row in UserPod.objects.all()} == {"running"}


def test_what_waits_is_said_and_is_no_failure(site: MemoryCluster) -> None:
    status, out, err = sync()
    assert (status, err) == (0, "")
    assert "Waiting for their turn (USERPODS_ROLLOUT): 3" in out
    status, out, _ = sync("--format", "json")
    assert status == 0
    assert len(json.loads(out)["waiting"]) == 1


def test_a_sync_that_finds_nobody_to_update_does_not_say_that_all_is_well(
    site: MemoryCluster,
) -> None:
    reconcile()
    unready(site, *with_image(site))
    status, out, _ = sync()
    assert status == 0
    assert "Nothing to do" not in out


def test_a_dry_run_says_whose_turn_it_would_be_and_gives_none(site: MemoryCluster) -> None:
    report = reconcile(dry_run=True)
    assert (report.counts()["updated"], len(report.waiting)) == (2, 3)
    assert turns() == {}
    assert writes(site) == []


def test_waiting_goes_on_until_all_are_updated(
    site: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SLEEP, lambda _: None)
    status, out, err = sync("--wait", "60")
    assert (status, err) == (0, "")
    assert len(with_image(site)) == 5
    assert turns() == {}
    assert "Waiting" not in out


def test_waiting_ends_with_a_failure_where_the_rollout_is_stopped(
    site: MemoryCluster, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.USERPODS_ROLLOUT = {"MAX_UNREADY": 2, "MAX_FAILURES": 2}
    monkeypatch.setattr(SLEEP, lambda _: failing(site, *with_image(site)))
    status, _, err = sync("--wait", "60")
    assert status == 1
    assert "The rollout of the changed template was stopped: 2 updated pods failed" in err
    assert len(with_image(site)) == 2


def test_waiting_for_too_short_a_time_is_a_failure(
    site: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SLEEP, lambda _: None)
    reconcile()
    unready(site, *with_image(site))
    assert sync("--wait", "0.05")[0] == 1


# --- failures


def stop(site: MemoryCluster) -> list[str]:
    """Let as many fail as stop it; return who failed."""
    for _ in range(3):
        reconcile()
        failing(site, *with_image(site))
    return with_image(site)


def test_a_bad_image_stops_it_at_the_limit_and_the_rest_are_untouched(
    site: MemoryCluster, settings: Any
) -> None:
    settings.USERPODS_ROLLOUT = {"MAX_UNREADY": 3, "MAX_FAILURES": 2}
    reconcile()
    failed = with_image(site)
    failing(site, *failed[:2])
    unready(site, failed[2])
    for _ in range(3):
        report = reconcile()
        assert report.counts()["updated"] == 0
    assert len(failed) == 3
    assert with_image(site) == failed
    assert sorted(report.waiting) == sorted(set(names(site)) - set(failed))
    assert report.stopped is not None
    assert report.stopped[0] == 2
    assert "ProgressDeadlineExceeded" in report.stopped[1]
    assert Installation.objects.get().rollout_stopped_at is not None


def test_those_that_failed_leave_no_room_however_many_may_fail(
    site: MemoryCluster, settings: Any
) -> None:
    settings.USERPODS_ROLLOUT = {"MAX_UNREADY": 2, "MAX_FAILURES": None}
    failed = stop(site)
    assert len(failed) == 2
    assert reconcile().stopped is not None


def test_a_success_in_between_begins_the_count_anew(site: MemoryCluster, settings: Any) -> None:
    settings.USERPODS_ROLLOUT = {"MAX_UNREADY": 2, "MAX_FAILURES": 2}
    reconcile()
    first, second = with_image(site)
    failing(site, first)
    unready(site, second)
    reconcile()
    ready(site, second)
    reconcile()
    found = Installation.objects.get()
    assert (found.rollout_failures, found.rollout_stopped_at) == (0, None)
    assert turns() == {"waiting": 2, "updating": 1, "failed": 1}


def test_a_pod_that_crashes_again_and_again_is_one_failure(site: MemoryCluster) -> None:
    reconcile()
    first, second = with_image(site)
    unready(site, second)
    for _ in range(3):
        failing(site, first)
        reconcile()
        deployment(site, first)["status"]["conditions"] = []
        reconcile()
    assert Installation.objects.get().rollout_failures == 1
    assert turns() == {"waiting": 3, "updating": 1, "failed": 1}


def test_another_template_goes_on_and_reaches_those_first_that_failed(
    site: MemoryCluster, settings: Any
) -> None:
    settings.USERPODS_ROLLOUT = {"MAX_UNREADY": 2, "MAX_FAILURES": 2}
    failed = stop(site)
    settings.USERPODS_IMAGE = "example.org/app:3"
    report = reconcile()
    assert report.stopped is None
    assert with_image(site, "example.org/app:3") == failed
    assert turns() == {"waiting": 3, "updating": 2}
    while reconcile().waiting:
        pass
    reconcile()
    assert len(with_image(site, "example.org/app:3")) == 5
    assert turns() == {}


def test_the_template_that_was_there_before_ends_it(site: MemoryCluster, settings: Any) -> None:
    settings.USERPODS_ROLLOUT = {"MAX_UNREADY": 2, "MAX_FAILURES": 2}
    stop(site)
    settings.USERPODS_IMAGE = OLD
    assert reconcile().waiting == []
    reconcile()
    assert len(with_image(site, OLD)) == 5
    assert turns() == {}


def test_a_stop_in_which_nobody_is_left_holds_up_no_other_rollout(
    site: MemoryCluster, settings: Any
) -> None:
    settings.USERPODS_ROLLOUT = {"MAX_UNREADY": 2, "MAX_FAILURES": 2}
    assert len(stop(site)) == 2
    assert rollout.stopped() is not None
    UserPod.objects.update(turn="")
    assert rollout.stopped() is None
    assert reconcile().stopped is None
    assert len(with_image(site)) == 4


def test_somebody_can_go_on_and_it_is_stopped_again_by_as_many(
    site: MemoryCluster, settings: Any
) -> None:
    settings.USERPODS_ROLLOUT = {"MAX_UNREADY": 2, "MAX_FAILURES": 2}
    failed = stop(site)
    assert sync("--resume-rollout")[0] == 0
    assert len(with_image(site)) == 4
    failing(site, *(set(with_image(site)) - set(failed)))
    report = reconcile()
    assert report.stopped is not None
    assert len(with_image(site)) == 4


def test_a_template_of_each_user_that_is_corrected_goes_on(
    site: MemoryCluster, settings: Any
) -> None:
    settings.USERPODS_ROLLOUT = {"MAX_UNREADY": 2, "MAX_FAILURES": 2}
    versions = ["a:2"]

    def template(user: Any) -> list[Manifest]:
        found = template_with()
        found[0]["spec"]["template"]["spec"]["containers"][0]["image"] = versions[-1]
        return found

    settings.USERPODS_TEMPLATE = template
    for _ in range(3):
        reconcile()
        failing(site, *with_image(site, "a:2"))
    assert reconcile().stopped is not None
    assert len(with_image(site, "a:2")) == 2
    versions.append("a:3")
    assert reconcile().stopped is None
    assert len(with_image(site, "a:3")) == 2


def test_an_update_that_the_cluster_refuses_counts_and_leaves_the_pod_as_it_is(
    site: MemoryCluster,
) -> None:
    site.fail_with(Invalid("no", status=422), verb="apply")
    tried = 0
    for _ in range(5):
        tried += len(reconcile().failed)
    assert tried == 4
    found = Installation.objects.get()
    assert found.rollout_stopped_at is not None
    assert turns() == {"waiting": 1, "refused": 4}
    assert not UserPod.objects.exclude(state="running").exists()
    assert with_image(site) == []


def test_a_cluster_that_does_not_answer_is_nobodys_failure(site: MemoryCluster) -> None:
    site.fail_with(ClusterUnavailable("down"), verb="apply")
    reconcile()
    assert Installation.objects.get().rollout_failures == 0
    assert turns() == {"waiting": 3, "updating": 2}
    site.heal()
    reconcile()
    assert len(with_image(site)) == 2


# --- where it is said


def test_the_status_tells_how_far_it_is_and_that_it_was_stopped(
    site: MemoryCluster, settings: Any
) -> None:
    settings.USERPODS_ROLLOUT = {"MAX_UNREADY": 2, "MAX_FAILURES": 1}
    out = StringIO()
    reconcile()
    call_command("userpods_status", stdout=out)
    assert "Rollout: 3 waiting for their turn, 2 being updated, 0 failed, 0 could" in out.getvalue()
    assert "stopped:" not in out.getvalue()
    first, second = with_image(site)
    failing(site, first)
    unready(site, second)
    reconcile()
    call_command("userpods_status", stdout=out)
    assert "was stopped: 1 updated pod failed: user-bulk00" in out.getvalue()
    assert "sync_userpods --resume-rollout" in out.getvalue()
    told = StringIO()
    call_command("userpods_status", "--format", "json", stdout=told)
    found = json.loads(told.getvalue())["rollout"]
    assert (found["waiting"], found["updating"], found["failed"]) == (3, 1, 1)
    assert "ProgressDeadlineExceeded" in found["stopped"]


@pytest.mark.urls("tests.django.admin_urls")
def test_the_list_in_the_admin_says_that_it_was_stopped_and_is_filtered(
    site: MemoryCluster, settings: Any, admin_client: Client
) -> None:
    url = reverse("admin:userpods_userpod_changelist")
    settings.USERPODS_ROLLOUT = {"MAX_UNREADY": 2, "MAX_FAILURES": 1}
    reconcile()
    assert "The rollout of the changed template" not in admin_client.get(url).content.decode()
    failing(site, UserPod.objects.filter(turn="updating")[0].name or "")
    reconcile()
    page = admin_client.get(url, {"turn__exact": "failed"}).content.decode()
    assert "The rollout of the changed template was stopped: 1 updated pod failed" in page
    assert "1 user pod" in page
    del settings.USERPODS_ROLLOUT
    page = admin_client.get(url).content.decode()
    assert "The rollout" not in page
    assert "turn__exact" not in page


@pytest.mark.parametrize(
    "value", [10, {"MAX_FAILURES": 3}, {"MAX_UNREADY": 0}, {"WHEN": "never"}, {"UNREADY": 3}]
)
def test_an_invalid_rule_is_an_error_of_its_own(settings: Any, value: Any) -> None:
    settings.USERPODS_ROLLOUT = value
    (message,) = check_settings()
    assert message.id == "userpods.E027"
    assert "USERPODS_ROLLOUT" in message.msg
    assert "{'MAX_UNREADY': 10, 'MAX_FAILURES': 3}" in (message.hint or "")
