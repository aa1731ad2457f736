"""Names: valid for Kubernetes, one for each username, readable where they can be."""

from __future__ import annotations

import random
import re
import string

import pytest

from django_userpods.core import naming
from tests.core.templates import BLUE, SEVEN

DNS_1123 = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z")
PREFIX = "user-"

HOSTILE = [
    "",
    " ",
    "-",
    "--",
    "---",
    ".",
    "..",
    "0",
    "007",
    "-alice",
    "alice-",
    "--alice--",
    "1-alice",
    "Alice",
    "ALICE",
    "alice ",
    " alice",
    "alice\n",
    "alice\x00",
    "alice\r\nX-Target-Service: user-bob",
    "alice@example.org",
    "alice.smith",
    "alice_smith",
    "alice+tag@example.org",
    "al/ice",
    "../../etc/passwd",
    "josé",
    "jose\u0301",
    "Ǆ",
    "ß",
    "İstanbul",
    "ﬁne",
    "名前",
    "🐙",
    "🐙🐙",
    "👩‍👩‍👧",
    "\u202eecila",
    "a\u200bb",
    "\ud800",
    "a--b",
    "a---b",
    "a-b",
    "{name}",
    "{{name}}",
    "%s",
    "x" * 57,
    "x" * 58,
    "x" * 59,
    "x" * 63,
    "x" * 64,
    "x" * 65,
    "x" * 150,
    "X" * 150,
    "x" * 149 + "y",
    "ü" * 150,
    "-" * 150,
    "x" * 58 + "-",
]


def valid(name: str) -> bool:
    return bool(DNS_1123.match(name)) and len(name) <= 63


@pytest.mark.parametrize("username", HOSTILE)
def test_every_username_gets_a_valid_name_with_the_prefix(username: str) -> None:
    name = naming.name_for(username, prefix=PREFIX)
    assert valid(name)
    assert name.startswith(PREFIX)
    assert name == naming.name_for(username, prefix=PREFIX)


def test_no_two_hostile_usernames_share_a_name() -> None:
    names = {naming.name_for(username, prefix=PREFIX): username for username in HOSTILE}
    assert len(names) == len(set(HOSTILE))


@pytest.mark.parametrize("username", ["alice", "a", "0", "007", "a-b", "x" * 58, "bob-2"])
def test_plain_names_stay_as_they_are(username: str) -> None:
    assert naming.name_for(username, prefix=PREFIX) == f"user-{username}"


@pytest.mark.parametrize(
    ("username", "readable"),
    [
        ("Alice", "user-alice--"),
        ("alice@example.org", "user-alice-example-org--"),
        ("José García", "user-jose-garcia--"),
        ("🐙", "user-x--"),
        ("jo!", "user-j--"),
        ("日本", "user-x--"),
        ("-alice-", "user-alice--"),
        ("x" * 59, "user-" + "x" * 40 + "--"),
        ("x" * 39 + "-yz!", "user-" + "x" * 39 + "--"),
    ],
)
def test_an_escaped_name_is_a_slug_and_a_hash(username: str, readable: str) -> None:
    name = naming.name_for(username, prefix=PREFIX)
    assert re.fullmatch(re.escape(readable) + "[0-9a-f]{16}", name)


def test_a_username_that_is_anothers_escaped_form_gets_another_name() -> None:
    escaped = naming.name_for("Alice", prefix=PREFIX)
    thief = escaped.removeprefix(PREFIX)
    assert naming.name_for(thief, prefix=PREFIX) != escaped
    assert naming.name_for(escaped, prefix="") != escaped
    # And so on, as deep as one likes.
    seen = {"Alice": escaped}
    for _ in range(5):
        name = naming.name_for(thief, prefix=PREFIX)
        assert name not in seen.values()
        seen[thief] = name
        thief = name.removeprefix(PREFIX)


@pytest.mark.parametrize(
    ("one", "other"), [("alice", "Alice"), ("a.b", "a-b"), ("a.b", "a_b"), ("josé", "jose\u0301")]
)
def test_names_that_differ_only_by_case_or_escape_differ(one: str, other: str) -> None:
    assert naming.name_for(one, prefix=PREFIX) != naming.name_for(other, prefix=PREFIX)


@pytest.mark.parametrize("length", range(55, 70))
def test_a_name_is_plain_up_to_63_characters(length: int) -> None:
    name = naming.name_for("x" * length, prefix=PREFIX)
    assert valid(name)
    assert (name == PREFIX + "x" * length) == (length + len(PREFIX) <= 63)


def test_many_thousands_of_random_usernames_are_valid_and_apart() -> None:
    chance = random.Random(20261124)
    alphabets = (
        string.ascii_lowercase + string.digits + "-",
        "ab-",
        "aA-_.@",
        string.printable,
        "aä🐙名\u0301\u200d-",
    )
    lengths = (1, 2, 4, 9, 57, 58, 150)
    usernames = {
        "".join(chance.choices(chance.choice(alphabets), k=chance.choice(lengths)))
        for _ in range(10_000)
    }
    for username in list(usernames)[:2000]:
        # The escaped form of one is a username of another.
        usernames.add(naming.name_for(username, prefix=PREFIX).removeprefix(PREFIX))
    names = {naming.name_for(username, prefix=PREFIX) for username in usernames}
    assert len(usernames) > 8_000
    assert len(names) == len(usernames)
    assert all(valid(name) and name.startswith(PREFIX) for name in names)


def test_a_name_apart_is_no_other_users_name() -> None:
    plain = naming.name_for("alice", prefix=PREFIX)
    apart = {naming.name_apart("alice", pod=str(pk), prefix=PREFIX) for pk in range(1000)}
    assert len(apart) == 1000
    assert plain not in apart
    assert all(valid(name) and name.startswith("user-alice--") for name in apart)


@pytest.mark.parametrize("prefix", ["user-", "u", "team-a-", "x" * 24, "a0-"])
def test_a_valid_prefix_begins_every_name(prefix: str) -> None:
    assert naming.is_valid_prefix(prefix)
    for username in HOSTILE:
        name = naming.name_for(username, prefix=prefix)
        assert valid(name)
        assert name.startswith(prefix)


@pytest.mark.parametrize(
    "prefix", ["", "-", "-a", "1-", "A", "user_", "a--", "a--b", "x" * 25, "é-", "a.", "a\n"]
)
def test_prefixes_that_make_no_names_are_refused(prefix: str) -> None:
    assert not naming.is_valid_prefix(prefix)


@pytest.mark.parametrize("text", ["a", "0", "a-b", "x" * 63])
def test_labels_of_rfc_1123_are_valid(text: str) -> None:
    assert naming.is_valid_label(text)


@pytest.mark.parametrize("text", ["", "-a", "a-", "A", "a.b", "x" * 64, "a\n", "é"])
def test_other_labels_are_invalid(text: str) -> None:
    assert not naming.is_valid_label(text)


@pytest.mark.parametrize("text", ["1", "abc", "A.b_c-9", "x" * 63])
def test_a_legal_label_value_stays(text: str) -> None:
    assert naming.label_value(text) == text


@pytest.mark.parametrize("text", ["", "-1", "a b", "ü", "x" * 64, "a\n", "1/2"])
def test_any_other_label_value_is_a_hash(text: str) -> None:
    value = naming.label_value(text)
    assert naming.is_valid_label_value(value)
    assert value.startswith("sha256-")


def test_labels_say_installation_user_and_pod() -> None:
    assert naming.labels_for(SEVEN, installation=BLUE) == {
        "app.kubernetes.io/managed-by": "django-userpods",
        "django-userpods/installation": "b1ue",
        "django-userpods/instance": "blue",
        "django-userpods/user-id": "7",
        "django-userpods/pod": "p0d7",
    }
