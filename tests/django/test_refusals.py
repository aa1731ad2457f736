"""Whoever is signed in, at a pod that they may not reach: what is so, and ways on."""

from __future__ import annotations

import datetime
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from django.test import Client
from django.utils import timezone
from django.utils.translation import override

from django_userpods import share, unshare
from django_userpods.models import Share, UserPod
from django_userpods.reconcile import reconcile
from tests.django.pods_hosts import ALICES, SITE, STATE, Browser, bob, browser, pods_hosts
from tests.django.sharing_pods import pod, sharing
from tests.factories import UserFactory

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.django_db

__all__ = ["bob", "browser", "pod", "pods_hosts", "sharing"]

TITLE = "<h1>This is not your workspace</h1>"
ENDED = "If it was, that has ended: ask its owner to share it again."
NAVIGATION = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate"}


def entering(client: Client, to: str) -> str:
    """Return what the site says to somebody on their way to a pod."""
    query = urlencode({"to": to, "state": STATE})
    answer = client.get(f"/userpods/enter/?{query}")
    assert answer.status_code == 403
    return plain(answer)


def plain(answer: Any) -> str:
    """Return a page without what is random in it."""
    return re.sub(r'value="\w{64}"', "", answer.content.decode())


def signed_in_as(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


def check(text: str, user: str = "bob") -> None:
    assert TITLE in text
    assert ENDED in text
    assert re.search(r'<a class="button first" href="[^"]*/userpods/">My workspaces</a>', text)
    assert ">Sign in<" not in text, "they are"
    assert f"Signed in as <bdi>{user}</bdi>" in text
    assert ">Sign in as somebody else</button>" in text
    assert "alice" not in text


def revoked(pod: UserPod, bob: Any) -> None:
    unshare(pod, with_=bob)


def expired(pod: UserPod, bob: Any) -> None:
    over = timezone.now() - datetime.timedelta(seconds=1)
    Share.objects.filter(pod=pod, user=bob).update(expires_at=over)


@pytest.mark.parametrize("stopped", [revoked, expired])
def test_a_guest_of_once_reads_what_is_so_on_each_way(
    pod: UserPod, bob: Any, settings: Any, stopped: Callable[[UserPod, Any], None]
) -> None:
    share(pod, with_=bob)
    guest = Browser()
    guest.sign_in(bob)
    assert guest.enter(ALICES).status_code == 302
    stopped(pod, bob)
    # In the router's place, with the session of the pod's host, and on the way there.
    answer = guest.get(f"https://{ALICES}/userpods/waiting/", **NAVIGATION)
    assert answer.status_code == 403
    page = plain(answer)
    assert TITLE in page
    assert ENDED in page
    assert f'href="{SITE}/userpods/">My workspaces</a>' in page
    assert ">Sign in<" not in page
    assert 'action="/.userpods/sign-out"' in page
    check(entering(guest.at("www.example.org"), f"https://{ALICES}/"))
    # A path of the site's own host.
    settings.USERPODS_URL = "/pods/{pod}/"
    at = {"X-Userpods-Path": "/pods/alice/", **NAVIGATION}
    answer = guest.at("www.example.org").get("/userpods/waiting/", headers=at)
    assert answer.status_code == 403
    check(plain(answer))
    check(entering(guest.at("www.example.org"), "/pods/alice/"))


def test_what_was_shared_is_anothers_and_is_not_there_are_the_same(pod: UserPod, bob: Any) -> None:
    UserFactory(username="carol")
    reconcile()
    client = signed_in_as(bob)
    share(pod, with_=bob)
    unshare(pod, with_=bob)
    said = {
        entering(client, f"https://{name}.pods.example.org/") for name in ("alice", "carol", "none")
    }
    assert len(said) == 1


def test_where_nothing_is_shared_nothing_is_said_of_it(
    pod: UserPod, bob: Any, settings: Any
) -> None:
    settings.USERPODS_SHARING = False
    text = entering(signed_in_as(bob), f"https://{ALICES}/")
    assert TITLE in text
    assert "share" not in text


def test_it_is_said_in_chinese(pod: UserPod, bob: Any) -> None:
    with override("zh-hans"):
        text = entering(signed_in_as(bob), f"https://{ALICES}/")
    for words in ("请联系所有者重新共享", "以其他身份登录", "我的工作区"):
        assert words in text, text


def test_where_all_share_one_host_everybody_comes_to_their_own(
    alice: Any, pod: UserPod, bob: Any, settings: Any
) -> None:
    """There is no address of another's; who may have none reads that, and as whom they came."""
    settings.USERPODS_URL = "https://pods.example.org/"
    client = signed_in_as(bob)
    query = urlencode({"to": "https://pods.example.org/", "state": STATE})
    assert client.get(f"/userpods/enter/?{query}").status_code == 302
    settings.USERPODS_SELECT = lambda user: user == alice
    answer = client.get(f"/userpods/enter/?{query}")
    text = plain(answer)
    assert answer.status_code == 403
    assert "<h1>There is no workspace for your account</h1>" in text
    assert "Signed in as <bdi>bob</bdi>" in text
    assert ">Sign in as somebody else</button>" in text
    assert ">Sign in<" not in text
