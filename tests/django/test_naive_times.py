"""A project without time zones (``USE_TZ = False``): what ends at a time ends then, here too."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.models import Permission
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from django_userpods import UserPod, share, times
from django_userpods.access import router_activity
from django_userpods.exceptions import ShareRefused
from django_userpods.models import AccessToken, Share
from tests.django.pods_hosts import bob, pods_hosts
from tests.django.sharing_pods import ask, pod, sharing

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.django_db

__all__ = ["bob", "pod", "pods_hosts", "sharing"]

HOME = "/userpods/"
LATER = "2130-01-31T12:00:00Z"


@pytest.fixture(autouse=True)
def without_time_zones(settings: Any) -> None:
    settings.USE_TZ = False
    cache.clear()


@pytest.fixture
def owner(alice: Any, pod: UserPod) -> Client:
    """The browser of alice, who may share what is hers."""
    alice.user_permissions.add(Permission.objects.get(codename="share_userpod"))
    client = Client()
    client.force_login(alice)
    return client


def test_an_owner_shares_for_a_week(owner: Client, bob: Any) -> None:
    form = {"kind": "user", "whom": "bob", "days": "7"}
    assert owner.post(f"{HOME}pods/user-alice/shares/", form).status_code == 303
    end = Share.objects.get().expires_at
    assert end is not None
    assert timezone.is_naive(end)
    answer = ask(bob)
    assert answer.status_code == 200
    assert 6 * 86400 < float(answer["X-Userpods-Seconds"]) <= 7 * 86400


@pytest.mark.parametrize(
    "now",
    [datetime.datetime.now, lambda: datetime.datetime.now(datetime.UTC)],
    ids=["naive", "UTC"],
)
def test_code_shares_until_a_time(
    pod: UserPod, bob: Any, now: Callable[[], datetime.datetime]
) -> None:
    share(pod, with_=bob, until=now() + datetime.timedelta(hours=1))
    assert 3500 < float(ask(bob)["X-Userpods-Seconds"]) <= 3600
    Share.objects.update(expires_at=timezone.now() - datetime.timedelta(seconds=1))
    assert ask(bob).status_code == 403


@pytest.mark.parametrize("zone", ["Asia/Shanghai", "America/Chicago"])
@pytest.mark.parametrize(
    ("until", "reason"),
    [((9999, 12, 31, 23, 59), "too far away"), ((1, 1, 1), "over already|already past")],
    ids=["last", "first"],
)
@pytest.mark.parametrize("of", [None, datetime.UTC], ids=["naive", "UTC"])
def test_the_first_and_last_time_of_all_are_refused_in_words(
    pod: UserPod,
    bob: Any,
    settings: Any,
    zone: str,
    until: tuple[int, int, int],
    reason: str,
    of: datetime.tzinfo | None,
) -> None:
    settings.TIME_ZONE = zone
    with pytest.raises(ShareRefused, match=reason):
        share(pod, with_=bob, until=datetime.datetime(*until, tzinfo=of))
    assert not Share.objects.exists()


def test_the_api_takes_times_with_their_zone(owner: Client, bob: Any) -> None:
    for path, body in (("pods/user-alice/shares/", {"user": "bob"}), ("tokens/", {"label": "x"})):
        body["expires_at"] = LATER
        answer = owner.post(f"{HOME}api/{path}", body, content_type="application/json")
        assert answer.status_code == 201
    ends = {Share.objects.get().expires_at, AccessToken.objects.get().expires_at}
    assert {times.aware(end) for end in ends if end is not None} == {
        datetime.datetime.fromisoformat(LATER)
    }


def test_an_answer_is_remembered_with_a_token_that_ends(
    alice: Any, pod: UserPod, settings: Any
) -> None:
    settings.USERPODS_CACHE = "default"
    _, text = AccessToken.objects.issue(
        alice, expires_at=datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
    )
    for _ in range(2):
        headers = {"Authorization": f"Bearer {text}", "X-Userpods-Host": "alice.pods.example.org"}
        assert Client().get("/whoami", headers=headers).status_code == 200


@pytest.mark.urls("tests.django.admin_urls")
def test_staff_make_a_token_that_ends(alice: Any, admin_client: Client) -> None:
    form = {"user": alice.pk, "label": "x", "scope": "reach"}
    form |= {"expires_at_0": "2130-01-31", "expires_at_1": "12:00"}
    admin_client.post("/admin/userpods/accesstoken/add/", form)
    assert AccessToken.objects.get().expires_at == datetime.datetime(2130, 1, 31, 12)  # noqa: DTZ001


def test_what_routers_say_of_use_can_be_written_down(
    pod: UserPod, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.USERPODS_ROUTERS = ["http://127.0.0.1:1"]
    words = {"since": 60, "pods": {pod.name: 5}}
    monkeypatch.setattr(router_activity, "_answer", lambda *_: words)
    heard = router_activity.ask(within=60)
    assert pod.name is not None
    UserPod.objects.update(last_activity=heard.used[pod.name])
    assert UserPod.objects.get(pk=pod.pk).last_activity is not None


def test_a_start_whose_steps_are_known_is_shown(owner: Client) -> None:
    now = timezone.now().replace(microsecond=0)
    UserPod.objects.update(
        state="starting", started_at=now, step_times=f"{now.isoformat()}Z {now.isoformat()}Z"
    )
    html = {"Accept": "text/html"}
    assert owner.get("/userpods/waiting/", headers=html).status_code == 503
    assert owner.get("/userpods/status/").json()["state"] == "starting"
