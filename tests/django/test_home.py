"""My pods: what users see of what is theirs, what they may do with it, and nothing of others'."""

from __future__ import annotations

import datetime
import re
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_userpods import add_pod
from django_userpods.models import AccessToken, PodSession, UserPod
from tests.django.support import deployment, row
from tests.factories import UserFactory

if TYPE_CHECKING:
    from django_userpods.testing import MemoryCluster

pytestmark = pytest.mark.django_db(transaction=True)

HOME, PODS, TOKENS = "/userpods/", "/userpods/pods/", "/userpods/tokens/"
#: Every form of the page, with what it is sent.
FORMS = {
    f"{PODS}user-alice/": {"do": "stop"},
    PODS: {"slot": "lab"},
    f"{PODS}user-alice/delete/": {"typed": ""},
    TOKENS: {"label": "x", "days": "7", "scope": "reach"},
    f"{TOKENS}1/revoke/": {},
    "/userpods/sessions/1/end/": {},
    "/userpods/sign-out-everywhere/": {},
}


@pytest.fixture
def roomy(settings: Any) -> None:
    settings.USERPODS_MAX_PODS = 3


def session_of(user: Any, pod: UserPod, digest: str = "d") -> PodSession:
    return PodSession.objects.create(
        user=user,
        pod=pod.pk,
        digest=digest,
        site_session="s",
        sealed_key="00",
        expires_at=timezone.now() + datetime.timedelta(days=1),
    )


def test_a_stranger_is_sent_to_the_login_and_back(client: Client) -> None:
    assert client.get(HOME)["Location"] == "/accounts/login/?next=/userpods/"
    for url, sent in FORMS.items():
        assert client.post(url, sent)["Location"] == "/accounts/login/?next=/userpods/", url


def test_a_token_does_not_open_it(client: Client, alice: Any) -> None:
    _, text = AccessToken.objects.issue(alice)
    assert client.get(HOME, headers={"Authorization": f"Bearer {text}"}).status_code == 302


def test_every_form_needs_its_token_against_forgery(alice: Any) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(alice)
    for url, sent in FORMS.items():
        assert strict.post(url, sent).status_code == 403, url
    assert row(alice).wanted == "running"


def test_nothing_is_done_by_opening_an_address(signed_in: Client) -> None:
    for url in FORMS:
        assert signed_in.get(url).status_code == 405, url


def test_who_is_not_selected_is_told_so(signed_in: Client, settings: Any) -> None:
    settings.USERPODS_SELECT = lambda user: False
    answer = signed_in.get(HOME)
    assert answer.status_code == 403
    assert "There is no workspace for your account" in answer.text
    assert ">Sign in as somebody else</button>" in answer.text


def test_it_shows_how_ones_pod_is_and_the_way_to_it(
    signed_in: Client, alice: Any, settings: Any
) -> None:
    settings.USERPODS_SITE_URL = "https://www.example.org/"
    settings.USERPODS_URL = "https://{pod}.pods.example.org/"
    page = signed_in.get(HOME).text
    assert "<h1>My workspace</h1>" in page
    assert '<span class="state running">running</span>' in page
    assert 'href="https://alice.pods.example.org/">Open</a>' in page
    assert "user-alice" in page
    assert "<dt>Address</dt><dd>https://alice.pods.example.org/</dd>" in page
    assert "Administration" not in page


def test_it_says_since_when_a_pod_is_so_and_when_it_was_used(
    signed_in: Client, alice: Any, settings: Any
) -> None:
    settings.TIME_ZONE = "UTC"
    assert "<dt>Last used</dt><dd>–</dd>" in signed_in.get(HOME).text  # noqa: RUF001 - a dash
    used = datetime.datetime(2026, 1, 31, 12, 30, tzinfo=datetime.UTC)
    UserPod.objects.update(last_activity=used)
    row(alice).transitions.update(at=timezone.now() - datetime.timedelta(days=2, hours=5.5))
    page = signed_in.get(HOME).text
    assert '<span class="quiet">for 2\xa0days, 5\xa0hours</span>' in page
    shown = f'<time datetime="{used.isoformat()}">Jan. 31, 2026, 12:30 p.m.</time>'
    assert f"<dt>Last used</dt><dd>{shown}</dd>" in page


def test_users_see_nothing_of_the_inside(signed_in: Client, alice: Any) -> None:
    UserPod.objects.update(
        state="failed",
        message="CrashLoopBackOff: see /var/lib/a.log",
        looked_at=timezone.now(),
    )
    page = signed_in.get(HOME).text
    assert "It stops right after it is started." in page
    assert "/var/lib" not in page


def test_a_pod_is_stopped_started_and_restarted(
    signed_in: Client, alice: Any, memory: MemoryCluster
) -> None:
    url = f"{PODS}user-alice/"
    for verb, wanted, count in (("stop", "stopped", 0), ("start", "running", 1)):
        answer = signed_in.post(url, {"do": verb})
        assert (answer.status_code, answer["Location"]) == (303, HOME)
        assert row(alice).wanted == wanted
        assert deployment(memory, "user-alice")["spec"]["replicas"] == count
    signed_in.post(url, {"do": "restart"})
    assert row(alice).restarted_at is not None
    assert row(alice).transitions.filter(operation="restart", actor="alice").exists()


def test_only_what_applies_is_offered(signed_in: Client) -> None:
    def offered() -> set[str]:
        return set(re.findall(r'name="do" value="(\w+)"', signed_in.get(HOME).text))

    assert offered() == {"stop", "restart"}
    UserPod.objects.update(wanted="stopped", state="stopped")
    assert offered() == {"start"}
    assert ">Open</a>" not in signed_in.get(HOME).text


@pytest.mark.parametrize("asked", ["stop", "recreate", "sync", "", "nonsense"])
def test_what_is_not_allowed_is_refused(
    signed_in: Client, alice: Any, settings: Any, asked: str
) -> None:
    settings.USERPODS_SELF_SERVICE = ["start"]
    before = UserPod.objects.values().get()
    answer = signed_in.post(f"{PODS}user-alice/", {"do": asked})
    assert answer.status_code == 403
    assert "This is not allowed here." in answer.text
    assert UserPod.objects.values().get() == before


def test_nothing_allowed_is_a_page_to_look_at(
    signed_in: Client, settings: Any, roomy: None
) -> None:
    settings.USERPODS_SELF_SERVICE = []
    page = signed_in.get(HOME).text
    for word in ("Restart", "Add a workspace", "Access tokens"):
        assert word not in page
    assert signed_in.post(PODS, {"slot": "lab"}).status_code == 403
    made = signed_in.post(TOKENS, {"label": "x", "days": "7", "scope": "reach"})
    assert made.status_code == 403
    assert not AccessToken.objects.exists()


def test_a_further_pod_comes_by_a_name_and_goes_by_it(
    signed_in: Client, alice: Any, roomy: None, memory: MemoryCluster
) -> None:
    assert signed_in.post(PODS, {"slot": "Lab "}).status_code == 303
    lab = UserPod.objects.get(owner=alice, slot="lab")
    assert 'id="pod-lab"' in signed_in.get(HOME).text
    url = f"{PODS}{lab.name}/delete/"
    answer = signed_in.post(url, {"typed": "lap"})
    assert answer.status_code == 400
    assert "Nothing was deleted" in answer.text
    # The address of the form takes no GET: changes are followed where the page is.
    UserPod.objects.update(state="starting")
    assert f'data-changes="{HOME}"' in signed_in.post(url, {"typed": "no"}).text
    assert signed_in.post(url, {"typed": "lab"}).status_code == 303
    assert not UserPod.objects.filter(owner=alice, slot="lab").exists()
    assert 'id="pod-lab"' not in signed_in.get(HOME).text


def test_the_main_pod_is_not_deleted(signed_in: Client, alice: Any, roomy: None) -> None:
    assert signed_in.post(f"{PODS}user-alice/delete/", {"typed": ""}).status_code == 404
    assert row(alice).wanted == "running"


@pytest.mark.parametrize(
    ("slot", "said"),
    [
        ("", "A name has at most"),
        ("two words", "A name has at most"),
        ("a" * 40, "A name has at most"),
        ("<b>", "A name has at most"),
        ("lab", "already have a workspace with this name"),
    ],
)
def test_a_name_that_cannot_be_is_refused_in_words(
    signed_in: Client, alice: Any, roomy: None, slot: str, said: str
) -> None:
    add_pod(alice, "lab")
    answer = signed_in.post(PODS, {"slot": slot})
    assert answer.status_code == 400
    assert said in answer.text
    assert "<b>" not in answer.text


def test_nobody_has_more_pods_than_allowed(signed_in: Client, alice: Any, settings: Any) -> None:
    settings.USERPODS_MAX_PODS = 2
    assert signed_in.post(PODS, {"slot": "one"}).status_code == 303
    assert "Add a workspace" not in signed_in.get(HOME).text
    answer = signed_in.post(PODS, {"slot": "two"})
    assert answer.status_code == 400
    assert "reached the limit on workspaces" in answer.text
    assert UserPod.objects.filter(owner=alice).count() == 2


def test_nobody_touches_what_is_anothers(signed_in: Client, roomy: None) -> None:
    bob = UserFactory(username="bob")
    lab = add_pod(bob, "lab")
    token, _ = AccessToken.objects.issue(bob)
    session = session_of(bob, row(bob))
    before = list(UserPod.objects.values().order_by("pk"))
    for url, sent in (
        (f"{PODS}user-bob/", {"do": "stop"}),
        (f"{PODS}{lab.name}/delete/", {"typed": "lab"}),
        (f"{TOKENS}{token.pk}/revoke/", {}),
        (f"/userpods/sessions/{session.pk}/end/", {}),
    ):
        assert signed_in.post(url, sent).status_code == 404, url
    assert list(UserPod.objects.values().order_by("pk")) == before
    assert AccessToken.objects.get().revoked_at is None
    assert PodSession.objects.exists()
    # Django's tokens against forgery are random letters, which may be a name.
    assert "bob" not in re.sub(r'value="\w{64}"', "", signed_in.get(HOME).text)


def test_a_token_is_made_shown_once_and_revoked(signed_in: Client, alice: Any) -> None:
    sent = {"label": "laptop", "days": "30", "scope": "manage"}
    answer = signed_in.post(TOKENS, sent)
    [text] = re.findall(r">(upt_[^<]+)</textarea>", answer.text)
    assert "no-store" in answer["Cache-Control"]
    token = AccessToken.objects.find(text)
    assert token is not None
    assert (token.user, token.label, token.scope) == (alice, "laptop", "manage")
    assert token.expires_at is not None
    assert 29 <= (token.expires_at - timezone.now()).days <= 30
    page = signed_in.get(HOME).text
    assert "laptop" in page
    assert text not in page
    assert signed_in.post(f"{TOKENS}{token.pk}/revoke/").status_code == 303
    assert not AccessToken.objects.get().is_valid
    assert ">revoked</span>" in signed_in.get(HOME).text


def test_a_token_is_shown_with_what_it_may_its_use_and_its_end(
    signed_in: Client, alice: Any, settings: Any
) -> None:
    settings.TIME_ZONE = "UTC"
    AccessToken.objects.issue(alice, label="lasting")
    end = datetime.datetime(2099, 5, 31, 12, tzinfo=datetime.UTC)
    token, _ = AccessToken.objects.issue(alice, label="ending", expires_at=end, scope="manage")
    used = timezone.now() - datetime.timedelta(minutes=3.5)
    AccessToken.objects.filter(pk=token.pk).update(last_used_at=used)
    page, until = signed_in.get(HOME).text, "Valid until May 31, 2099."
    item = r"<strong>(\w+)</strong>.*?It may (.*?)\..*?(Never used|Used .*? ago)\.\s*(.*?)</span>"
    assert re.findall(item, page, re.DOTALL) == [
        ("ending", "reach and manage my pods", "Used 3\xa0minutes ago", until),
        ("lasting", "reach my pods", "Never used", ""),
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        {"label": " "},
        {"label": "x" * 101},
        {"label": "a\0b"},
        {"days": "8"},
        {"days": "-1"},
        {"scope": "all"},
    ],
)
def test_a_token_of_odd_wishes_is_not_made(signed_in: Client, wrong: dict[str, str]) -> None:
    sent = {"label": "laptop", "days": "30", "scope": "reach", **wrong}
    assert signed_in.post(TOKENS, sent).status_code == 400
    assert not AccessToken.objects.exists()


def test_nobody_makes_tokens_without_end(signed_in: Client, alice: Any) -> None:
    for _ in range(50):
        AccessToken.objects.issue(alice)
    answer = signed_in.post(TOKENS, {"label": "one more", "days": "0", "scope": "reach"})
    assert answer.status_code == 400
    assert "reached the limit on tokens" in answer.text
    AccessToken.objects.filter(pk=AccessToken.objects.all()[0].pk).revoke()
    answer = signed_in.post(TOKENS, {"label": "one more", "days": "0", "scope": "reach"})
    assert answer.status_code == 200
    assert AccessToken.objects.get(label="one more").expires_at is None


def test_of_tokens_that_are_over_few_are_read(signed_in: Client, alice: Any) -> None:
    past = timezone.now() - datetime.timedelta(days=1)
    for label, over in (("gone", {"revoked_at": past}), ("late", {"expires_at": past})):
        AccessToken.objects.bulk_create(
            AccessToken(user=alice, label=label, digest=f"{label}{number}", **over)
            for number in range(30)
        )
    AccessToken.objects.issue(alice, label="lasting")
    with CaptureQueriesContext(connection) as queries:
        page = signed_in.get(HOME).text
    assert len(re.findall(r"<strong>(?:gone|late)</strong>", page)) == 10
    assert "lasting" in page
    asked = [query["sql"] for query in queries if "userpods_accesstoken" in query["sql"]]
    assert asked
    assert all("LIMIT" in sql for sql in asked)


def test_a_session_on_a_pods_host_is_seen_and_ended(signed_in: Client, alice: Any) -> None:
    session = session_of(alice, row(alice))
    assert "Signed in to workspaces" in signed_in.get(HOME).text
    assert signed_in.post(f"/userpods/sessions/{session.pk}/end/").status_code == 303
    assert not PodSession.objects.exists()
    assert "Signed in to workspaces" not in signed_in.get(HOME).text


def test_signing_out_everywhere_ends_all_sessions_and_no_others(
    signed_in: Client, alice: Any
) -> None:
    bob, other, bobs = UserFactory(username="bob"), Client(), Client()
    other.force_login(alice)
    bobs.force_login(bob)
    session_of(alice, row(alice))
    kept = session_of(bob, row(bob), "e")
    token, _ = AccessToken.objects.issue(alice)

    assert signed_in.post("/userpods/sign-out-everywhere/").status_code == 302

    for gone in (signed_in, other):
        assert gone.get(HOME).status_code == 302
    assert bobs.get(HOME).status_code == 200
    assert Session.objects.count() == 1
    assert list(PodSession.objects.all()) == [kept]
    assert token.is_valid


def test_signing_out_everywhere_without_a_list_of_sessions_ends_this_one(
    alice: Any, client: Client, settings: Any
) -> None:
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    client.force_login(alice)
    session_of(alice, row(alice))
    client.post("/userpods/sign-out-everywhere/")
    assert client.get(HOME).status_code == 302
    assert not PodSession.objects.exists()


def test_the_page_asks_the_same_queries_however_much_there_is(
    signed_in: Client, alice: Any, settings: Any
) -> None:
    settings.USERPODS_MAX_PODS = 20
    counts = []
    for number in (0, 5):
        for item in range(number):
            add_pod(alice, f"p{item}")
            AccessToken.objects.issue(alice)
            session_of(alice, row(alice), str(item))
        UserPod.objects.update(state="starting", looked_at=timezone.now())
        with CaptureQueriesContext(connection) as queries:
            assert signed_in.get(HOME).status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_pods_on_their_way_are_looked_at(signed_in: Client, alice: Any) -> None:
    UserPod.objects.update(state="starting", looked_at=None)
    assert '<span class="state running">' in signed_in.get(HOME).text


def test_no_page_has_a_line_of_script_or_style_inside(signed_in: Client) -> None:
    page = signed_in.get(HOME).text
    assert not re.search(r"<style|\sstyle=|<script(?! src)|\son\w+=|javascript:", page)


def test_staff_find_the_way_to_the_admin(signed_in: Client, alice: Any) -> None:
    assert "Administration" not in signed_in.get(HOME).text
    alice.is_staff = True
    alice.save()
    assert 'href="/admin/">Administration</a>' in signed_in.get(HOME).text
