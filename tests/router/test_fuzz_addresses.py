"""The fuzzer where pods have addresses: it finds nothing, and its oracles see what is wrong."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from tests.router.fuzz import addressed_oracles as oracles
from tests.router.fuzz.addressed import AddressedExample, first_head
from tests.router.fuzz.addressed_requests import HOSTS, PATHS
from tests.router.fuzz.findings import Report, dump, load
from tests.router.fuzz.oracles import target_of
from tests.router.fuzz.pods import Received
from tests.router.fuzz.run import Fuzzer
from tests.router.fuzz.world import World
from tests.router.wire import Answer
from tests.router.workload import Request

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.router

SECONDS = 4
HOST = "alice.pods.test"


@pytest.mark.parametrize("pods_url", [HOSTS, PATHS])
def test_a_short_run_finds_nothing(tmp_path: Path, pods_url: str) -> None:
    with World(tmp_path, pods_url=pods_url) as world:
        report = Report(tmp_path / "findings", world.count)
        begun = time.monotonic()
        Fuzzer(world, report, begun + SECONDS).run(first_seed=1)
        summary = world.unfilled(report.summary(time.monotonic() - begun, 1))
    assert not report.times, summary
    assert world.count["compared with whoami's own word"] >= 4, summary
    assert world.count["requests that reached the site"] >= 2, summary


def kinds(
    target: str, *more: tuple[str, str], has_hosts: bool = True, asked: str = ""
) -> set[tuple[str, str]]:
    """What is found where this reached alice's pod."""
    host = HOST if has_hosts else "site.test"
    told = [("Host", host), ("X-Userpods-User", "alice")]
    told += [] if has_hosts else [("X-Forwarded-Prefix", "/pods/alice")]
    received = Received(Request("GET", target, (*told, *more)), b"")
    data = f"GET {asked or target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode("latin-1")
    found = oracles.pod_findings(data, "alice", received, has_hosts, [b"s3cret"])
    return {finding[:2] for finding in found}


@pytest.mark.parametrize(
    "target",
    ["/.userpods/", "/%2euserpods/x", "//.userpods/", "/x/../.userpods", "/x/%2e%2e/.userpods"],
)
def test_a_path_of_ours_at_a_pod_is_found_out(target: str) -> None:
    assert kinds(target) == {("path", "ours")}


@pytest.mark.parametrize("target", ["/pods/bob/", "/pods/alice/../bob/", "/pods/alice/..%2fbob/"])
def test_another_pods_path_at_a_pod_is_found_out(target: str) -> None:
    assert kinds(target, has_hosts=False) == {("path", "another pod's")}
    assert kinds("/pods/alice/x", has_hosts=False) == set()


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        (("Cookie", "theme=dark"), None),
        (("Cookie", "theme=dark; userpods_token=x"), ("secret", "a cookie of ours")),
        (("Cookie", "\xa0__Host-userpods =x"), ("secret", "a cookie of ours")),
        (("X", "s3cret"), ("secret", "a credential")),
        (("Cookie", "a=1; _Host-userpods=s3cret"), None),
        (("Cookie", 'a=1; "__Host-userpods=s3cret'), ("secret", "a credential")),
        (("X-Userpods-Host", "bob.pods.test"), ("forged", "x-userpods-host")),
        (("Origin", "https://alice.pods.test"), None),
        (("Origin", "https://bob.pods.test"), ("origin", "to a pod")),
        (("Sec-Fetch-Site", "same-site"), ("origin", "to a pod")),
        (("Sec-Fetch-Site", "none"), None),
        (("Sec-Fetch-Site", "Same-Origin"), ("origin", "to a pod")),
    ],
)
def test_a_header_that_no_pod_may_get_is_found_out(
    header: tuple[str, str], kind: tuple[str, str] | None
) -> None:
    assert kinds("/", header) == ({kind} if kind else set())


@pytest.mark.parametrize("cookie", ["s", "3", "s3cret", "a=s3cret; x"])
def test_no_cookie_of_a_client_hides_a_secret_that_is_elsewhere(cookie: str) -> None:
    assert kinds("/", ("Cookie", cookie), ("X", "s3cret")) == {("secret", "a credential")}


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (("Authorzation", "Bearer s3cret"), False),
        (("Cokie", "a=s3cret"), False),
        (("authorization", "Bearer s3cret"), True),
        (("Authoriza\xa0tion", "Bearer s3cret"), True),
        (("Proxy-Authorization", "Bearer s3cret"), True),
        (("Proxy_Authorization", "Bearer s3cret"), True),
    ],
)
def test_a_secret_in_a_header_of_which_nobody_takes_one_is_the_clients_to_tell(
    header: tuple[str, str], *, found: bool
) -> None:
    """As long as it is the client who sent it there."""
    name, value = header
    told = (("Host", HOST), ("X-Userpods-User", "alice"), header)
    received = Received(Request("GET", "/", told), b"")
    head = f"GET / HTTP/1.1\r\nHost: {HOST}\r\n"
    for sent, is_bad in ((f"{name}: {value}\r\n", found), ("Authorization: s3cret\r\n", True)):
        data = f"{head}{sent}\r\n".encode("latin-1")
        findings = oracles.pod_findings(data, "alice", received, True, [b"s3cret"])
        assert bool(findings) == is_bad


SECRET = "S3CRETS3CRETS3CRET"
#: What some server or other strips around names and values.
STRIPPED = ["\xa0", "\x85", '"', "\xc2\xa0", "\x1f"]


def of_cookies(sent: str, got: str, has_hosts: bool) -> set[tuple[str, str]]:
    """What is found where alice's pod got the second Cookie header, of the first."""
    host, path = (HOST, "/") if has_hosts else ("site.test", "/pods/alice/")
    told = [("Host", host), ("X-Userpods-User", "alice"), ("Cookie", got)]
    told += [] if has_hosts else [("X-Forwarded-Prefix", "/pods/alice")]
    data = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nCookie: {sent}\r\n\r\n".encode("latin-1")
    received = Received(Request("GET", path, tuple(told)), b"")
    found = oracles.pod_findings(data, "alice", received, has_hosts, [SECRET.encode()])
    return {finding[:2] for finding in found}


AT_BOTH, AT_PATHS = (True, False), (False,)


@pytest.mark.parametrize(
    ("before", "ways"),
    [
        ("a=1,__Host-userpods=", AT_BOTH),
        ("a=1,sessionid=", AT_PATHS),
        ("a=1,userpods_token=", AT_BOTH),
        *((f"theme=near, {odd}__Host-userpods=", AT_BOTH) for odd in STRIPPED),
        *((f"theme=near, __Host-userpods={odd}", AT_BOTH) for odd in STRIPPED),
        ("Userpods_Token=", AT_BOTH),
        ("__Secure-userpods_token=", AT_BOTH),
        ("SessionID=", AT_PATHS),
        ("__Host-sessionid=", AT_PATHS),
    ],
)
def test_a_secret_under_a_name_that_is_taken_for_ours_is_found_out(
    before: str, ways: tuple[bool, ...]
) -> None:
    for has_hosts in ways:
        cookie = before + SECRET
        assert ("secret", "a credential") in of_cookies(cookie, cookie, has_hosts)


@pytest.mark.parametrize(
    ("sent", "is_found"),
    [
        (f"__Host-userpods={SECRET}; x={SECRET}", True),
        (f"Userpods_Token={SECRET}; x={SECRET}", True),
        (f'__Host-userpods=\xc2\xa0"{SECRET}"; x={SECRET}', True),
        (f"x={SECRET}", False),
        (f"_Host-userpods={SECRET}", False),
        (f"__Host-userpods=another; x={SECRET}", False),
        (f"__Host-userpods={SECRET[:15]}; x={SECRET}", False),
        (f"__Host-userpods_nonce={SECRET}; x={SECRET}", False),
    ],
)
def test_a_secret_is_found_out_by_its_value_where_the_client_said_that_it_is_one(
    sent: str, is_found: bool
) -> None:
    found = {("secret", "a credential")} if is_found else set()
    assert of_cookies(sent, sent.rpartition("; ")[2], has_hosts=True) == found


@pytest.mark.parametrize("before", [b"", b"\r\n", b"\r\n\r\n", b"\n\n\r"])
def test_a_request_is_cut_off_behind_its_head(before: bytes) -> None:
    asked = b"GET / HTTP/1.1\r\nHost: x\r\n"
    assert first_head(before + asked + b"\r\n" + asked) == before + asked + b"\r\n"
    assert first_head(before + asked) == before + asked + b"\r\n"
    assert first_head(before) == b""


def test_a_path_that_changed_on_its_way_is_found_out() -> None:
    assert kinds("/x", asked="/%78") == {("path", "changed")}


def test_what_a_client_says_of_the_address_is_found_out() -> None:
    data = b"GET /pods/alice/ HTTP/1.1\r\nHost: Alice.pods.test\r\nX-Userpods-Host: b\r\n\r\n"
    assert oracles.told_findings(data, [(HOST, "")], has_hosts=True) == []
    assert oracles.told_findings(data, [("", "/pods/alice/")], has_hosts=False) == []
    for told in (("b", ""), (HOST, "/pods/alice/"), ("", "/pods/bob/"), ("", "")):
        for has_hosts in (True, False):
            assert oracles.told_findings(data, [told], has_hosts=has_hosts)


def test_a_hosts_name_is_told_in_lower_case_as_bytes_are() -> None:
    """Only letters of ASCII have one: to Python, \xc0 has one, too."""
    data = b"GET / HTTP/1.1\r\nHost: ALICE\xc0.pods.test\r\n\r\n"
    assert oracles.told_findings(data, [("alice\xc0.pods.test", "")], has_hosts=True) == []
    assert oracles.told_findings(data, [("alice\xe0.pods.test", "")], has_hosts=True)


@pytest.mark.parametrize(
    "raw", ["/.userpods//status/", "/%2euserpods/", "/.userpods", "/admin/", "/.userpods/;x"]
)
def test_another_spelling_of_ours_at_the_site_is_found_out(raw: str) -> None:
    data = f"GET {raw} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
    through = {"raw": raw, "told": [HOST, ""], "forged": ["HTTP_X_USERPODS_HOST"], "method": "GET"}
    found = oracles.site_findings(data, through | {"host": "site.test", "cookies": {}}, True)
    assert [finding[:2] for finding in found] == [("path", "not ours")]


@pytest.mark.parametrize("value", [b"__HOST-userpods=x", b"USERPODS=x", b"theme=x;\tDomain=x"])
def test_a_cookie_that_no_pod_may_set_is_found_out(value: bytes) -> None:
    answer = Answer(200, ((b"set-cookie", value),), b"", cut=False, keeps=True)
    assert len(oracles.set_cookie_findings(answer, has_hosts=True)) == 1


def test_a_reproducer_is_the_example_again(tmp_path: Path) -> None:
    example = AddressedExample(HOSTS, (b"GET / HTTP/1.1\r\n\r\n", b"\xff"), b"Set-Cookie: a=b\r\n")
    path = tmp_path / "it.json"
    path.write_text(json.dumps({"example": dump(example)}))
    assert load(path) == example


@pytest.mark.parametrize("before", [b"", b"\r\n", b"\r", b"\n\r\r"])
def test_line_ends_before_and_blanks_behind_are_no_part_of_the_path(before: bytes) -> None:
    data = b"GET /.userpods/enter HTTP/1.1  \r\nHost: alice.pods.test\r\n\r\n"
    assert target_of(before + data) == "/.userpods/enter"
