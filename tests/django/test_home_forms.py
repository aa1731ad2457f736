"""A refused form of My pods says so at the field that is wrong, and keeps what was typed."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.models import Permission
from django.core.cache import cache

from django_userpods import add_pod
from django_userpods.models import AccessToken, UserPod
from tests.django.profiled import PROFILES

if TYPE_CHECKING:
    from django.test import Client

pytestmark = pytest.mark.django_db(transaction=True)

PODS, TOKENS = "/userpods/pods/", "/userpods/tokens/"
SHARES, CHOOSE, DELETE = (
    f"{PODS}user-alice/shares/",
    f"{PODS}user-alice---mine/profile/",
    f"{PODS}user-alice---lab/delete/",
)
TOKEN = {"label": "laptop", "days": "90", "scope": "manage"}
SHARE = {"kind": "group", "whom": "5b", "days": "30"}


class Page(HTMLParser):
    """The elements of a page by id, what each field holds, and which <details> are open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.by_id: dict[str, dict[str, str | None]] = {}
        self.holds: dict[str, str] = {}
        self.focused: list[str] = []
        self.open_around: dict[str, bool] = {}
        self.words: dict[str, str] = {}
        self._details: list[bool] = []
        self._select = self._text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        name = found.get("id") or ""
        self._text = name if tag == "p" else ""
        if tag == "details":
            self._details.append("open" in found)
        if tag == "select":
            self._select = name
        elif tag == "option" and "selected" in found:
            self.holds[self._select] = found["value"] or ""
        elif tag == "input" and found.get("type") == "radio" and "checked" in found:
            self.holds[name.rpartition("-")[0]] = found["value"] or ""
        elif tag == "input" and name:
            self.holds[name] = found.get("value") or ""
        if name:
            self.by_id[name] = found
            self.open_around[name] = all(self._details)
        if "autofocus" in found:
            self.focused.append(name or str(found.get("class")))

    def handle_endtag(self, tag: str) -> None:
        if tag == "details":
            self._details.pop()
        self._text = ""

    def handle_data(self, data: str) -> None:
        if self._text:
            self.words[self._text] = self.words.get(self._text, "") + data

    def wrong(self) -> list[dict[str, str | None]]:
        return [found for found in self.by_id.values() if found.get("aria-invalid") == "true"]


@pytest.fixture(autouse=True)
def roomy(alice: Any, settings: Any) -> None:
    cache.clear()
    settings.USERPODS_MAX_PODS = 4
    settings.USERPODS_SITE_URL = "https://www.example.org/"
    settings.USERPODS_URL = "https://{pod}.pods.example.org/"
    settings.USERPODS_SHARING = True
    alice.user_permissions.add(Permission.objects.get(codename="share_userpod"))
    for slot in ("lab", "mine"):
        add_pod(alice, slot)
    UserPod.objects.filter(slot="mine").update(wanted="stopped", state="stopped")


@pytest.mark.parametrize(
    ("url", "sent", "field", "error", "kept"),
    [
        (PODS, {"slot": "Two Words"}, "userpods-slot", "A name has", {}),
        (PODS, {"slot": "lab"}, "userpods-slot", "already have", {}),
        (TOKENS, TOKEN | {"label": " "}, "userpods-label", "Say in a few words", {}),
        (
            TOKENS,
            TOKEN | {"days": "8"},
            "userpods-days",
            "Choose how long",
            {"userpods-days": None},
        ),
        (TOKENS, TOKEN | {"scope": "all"}, "userpods-scope", "Choose", {"userpods-scope": None}),
        (SHARES, SHARE, "share-whom-0", "There is no user or group", {}),
        (SHARES, SHARE | {"kind": "user", "whom": "alice"}, "share-whom-0", "its owner", {}),
        (SHARES, SHARE | {"days": "8"}, "share-days-0", "Choose how long", {"share-days-0": None}),
        (DELETE, {"typed": "lap"}, "delete-1", "Nothing was deleted", {}),
    ],
)
def test_the_field_that_is_wrong_says_so_and_has_the_focus(
    signed_in: Client,
    url: str,
    sent: dict[str, str],
    field: str,
    error: str,
    kept: dict[str, str | None],
) -> None:
    answer = signed_in.post(url, sent)
    assert answer.status_code == 400
    page = Page(answer.text)
    assert [found["id"] for found in page.wrong()] == [field]
    assert page.focused == [field]
    assert page.open_around[field]
    described = (page.by_id[field]["aria-describedby"] or "").split()
    assert described[0] == f"{field}-error"
    assert page.words[described[0]].startswith(error) or error in page.words[described[0]]
    # What describes a field is there to be read, its help beside its error.
    assert all(name in page.by_id for name in described)
    prefix = field.split("-")[0]
    names = {
        "slot": "userpods-slot",
        "label": "userpods-label",
        "scope": "userpods-scope",
        "days": f"{prefix}-days" + ("-0" if prefix == "share" else ""),
        "kind": "share-kind-0",
        "whom": "share-whom-0",
        "typed": "delete-1",
    }
    for name, value in sent.items():
        expected = kept.get(names[name], value)
        if name == "kind" and value == "user":
            expected = None  # the first, which needs no mark
        assert page.holds.get(names[name]) == expected, name


def test_help_of_a_field_stays_beside_its_error(signed_in: Client) -> None:
    fresh = Page(signed_in.get("/userpods/").text)
    assert fresh.by_id["userpods-slot"]["aria-describedby"] == "userpods-slot-help"
    assert fresh.by_id["share-whom-0"]["aria-describedby"] == "share-help-0"
    assert (fresh.wrong(), fresh.focused) == ([], [])
    assert fresh.holds["userpods-days"] == "30"
    assert fresh.holds["share-days-0"] == "7"
    wrong = Page(signed_in.post(PODS, {"slot": "?"}).text)
    assert wrong.by_id["userpods-slot"]["aria-describedby"] == (
        "userpods-slot-error userpods-slot-help"
    )


def test_a_form_of_one_pod_is_refused_at_that_pod_alone(signed_in: Client) -> None:
    page = Page(signed_in.post(SHARES, SHARE).text)
    assert [page.holds[f"share-whom-{number}"] for number in range(3)] == ["5b", "", ""]
    assert [page.holds[f"share-days-{number}"] for number in range(3)] == ["30", "7", "7"]
    opened = [page.open_around[f"share-whom-{number}"] for number in range(3)]
    assert opened == [True, False, False]
    assert page.holds["userpods-slot"] == ""
    assert page.holds["userpods-days"] == "30"


def test_a_profile_that_may_not_be_is_said_at_the_profiles(
    signed_in: Client, settings: Any
) -> None:
    settings.USERPODS_PROFILES = PROFILES
    answer = signed_in.post(CHOOSE, {"profile": "gpu"})
    assert answer.status_code == 403
    page = Page(answer.text)
    [group] = page.wrong()
    assert (group["role"], group["aria-describedby"]) == ("radiogroup", "profile-2-error")
    assert page.words["profile-2-error"] == "You cannot choose this profile."
    assert page.focused == ["profile-2-group"]
    assert page.open_around["profile-2-error"]

    new = Page(signed_in.post(PODS, {"slot": "fresh", "profile": "gpu"}).text)
    assert [found["id"] for found in new.wrong()] == ["profile-new-group"]
    assert new.holds["userpods-slot"] == "fresh"
    # None but those that are offered can be kept.
    assert "profile-new" not in new.holds
    kept = Page(signed_in.post(PODS, {"slot": "?", "profile": "small"}).text)
    assert kept.holds["profile-new"] == "small"


def test_what_no_field_is_wrong_about_is_said_at_the_top_and_kept(
    signed_in: Client, alice: Any
) -> None:
    for _ in range(50):
        AccessToken.objects.issue(alice)
    answer = signed_in.post(TOKENS, TOKEN)
    page = Page(answer.text)
    assert '<p class="error" role="alert">You have reached the limit on tokens.' in answer.text
    assert (page.wrong(), page.focused) == ([], [])
    assert page.holds["userpods-label"] == "laptop"
    assert page.open_around["userpods-label"]
