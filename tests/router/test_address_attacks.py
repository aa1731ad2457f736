"""What could be tried against pods' own hosts, with the router and Django themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from tests.router.gateways import KINDS, gateway
from tests.router.hosts_fixtures import alice, bob, known, site
from tests.router.hosts_site import (
    ALICES,
    BOBS,
    NAVIGATES,
    SITE,
    Client,
    absolute,
    posted,
)
from tests.router.wire import Wire

if TYPE_CHECKING:
    from pathlib import Path

    from tests.router.harness import Response

pytestmark = pytest.mark.router
__all__ = ["alice", "bob", "known", "site"]


def refused(answer: Response) -> bool:
    """Tell whether a ticket was worth nothing, and what the page says of it to others."""
    assert answer.get("referrer-policy") == "no-referrer"
    assert "no-store" in (answer.get("cache-control") or "")
    assert not [line for line in answer.all("set-cookie") if line.startswith("__Host-userpods=")]
    return answer.status == 403


def test_each_comes_to_their_own_pod(alice: Client, bob: Client) -> None:
    """What all else here is measured against."""
    for client, host, name in ((alice, ALICES, "alice"), (bob, BOBS, "bob")):
        for _ in range(2):
            url, answer = client.navigate(f"https://{host}/lab?x=1")
            assert (url, answer.json()["name"]) == (f"https://{host}/lab?x=1", name)
            assert answer.sent("cookie") == []
    assert alice.navigate(f"https://{BOBS}/")[1].status == 403


# --- tickets


def test_a_ticket_is_good_once(alice: Client) -> None:
    url = alice.ticket(ALICES)
    assert alice.get(url, *NAVIGATES).status == 302
    assert refused(alice.get(url, *NAVIGATES))
    # Whoever saw it, with cookies of all kinds.
    other = Client(alice.site, {ALICES: dict(alice.jar(ALICES))})
    assert refused(other.get(url, *NAVIGATES))


def test_a_ticket_is_good_for_a_minute(alice: Client) -> None:
    url = alice.ticket(ALICES)
    alice.site.command("late", "61")
    assert refused(alice.get(url, *NAVIGATES))
    assert alice.get(f"https://{ALICES}/").status == 401


@pytest.mark.parametrize(
    "host", [BOBS, "carol.pods.example.org", f"{ALICES}.", f"{ALICES}:8443", "www.example.org"]
)
def test_a_ticket_is_for_its_host(alice: Client, host: str) -> None:
    """With the nonce, which a browser would not send there."""
    url = alice.ticket(ALICES)
    answer = alice.get(url, *NAVIGATES, host=host)
    assert answer.status in {403, 404}
    assert not [line for line in answer.all("set-cookie") if "userpods=" in line]


def test_a_ticket_is_for_its_user(alice: Client, bob: Client) -> None:
    """Bob, on his own host, with a ticket of alice's and his nonce; or with hers."""
    bob.asks(BOBS)
    for nonces in (bob.jar(BOBS), alice.jar(ALICES)):
        query = urlsplit(alice.ticket(ALICES)).query
        thief = Client(bob.site, {BOBS: dict(nonces)})
        assert refused(thief.get(f"https://{BOBS}/.userpods/enter?{query}", *NAVIGATES))


def test_a_ticket_is_for_the_browser_that_asked(alice: Client, bob: Client) -> None:
    """Without its nonce, with another's, or with the state for a nonce."""
    state = parse_qs(urlsplit(alice.asks(ALICES)).query)["state"][0]
    bob.asks(ALICES)
    for nonce in ("", bob.jar(ALICES)["__Host-userpods_nonce"], state):
        thief = Client(alice.site)
        if nonce:
            thief.jar(ALICES)["__Host-userpods_nonce"] = nonce
        assert refused(thief.get(alice.ticket(ALICES), *NAVIGATES))


def test_a_ticket_that_is_sent_to_a_victim_signs_nobody_in(alice: Client, bob: Client) -> None:
    """Login CSRF: bob would work in alice's pod, and she would read it."""
    bob.asks(ALICES)
    link = [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Dest", "document")]
    url = alice.ticket(ALICES)
    answer = bob.get(url, ("Accept", "text/html"), ("Sec-Fetch-Mode", "navigate"), *link)
    assert refused(answer)
    assert bob.navigate(f"https://{ALICES}/")[1].status == 403
    # Alice's own steps in bob's browser: her state, his session of the site.
    assert bob.get(alice.asks(ALICES), *NAVIGATES).status == 403


@pytest.mark.parametrize("start", ["image", "iframe", "empty"])
def test_no_page_elsewhere_uses_a_ticket_up(alice: Client, start: str) -> None:
    """Or has the site issue one to where it can read it."""
    url = alice.ticket(ALICES)
    mode = {"image": "no-cors", "iframe": "navigate", "empty": "cors"}[start]
    said = [("Sec-Fetch-Site", "same-site"), ("Sec-Fetch-Mode", mode), ("Sec-Fetch-Dest", start)]
    assert alice.get(url, *said).status == 401
    assert alice.get(url, *NAVIGATES).status == 302


def test_the_way_to_a_pod_is_in_no_referer(alice: Client) -> None:
    """Every answer that has the ticket in its address, or leads to it, says so to the browser."""
    asked = alice.get(f"https://{ALICES}/.userpods/sign-in?next=/", *NAVIGATES)
    entered = alice.get(asked.get("location") or "", *NAVIGATES)
    taken = alice.get(entered.get("location") or "", *NAVIGATES)
    again = alice.get(entered.get("location") or "", *NAVIGATES)
    for answer, status in ((asked, 302), (entered, 302), (taken, 302), (again, 403)):
        assert (answer.status, answer.get("referrer-policy")) == (status, "no-referrer")
        assert "no-store" in (answer.get("cache-control") or "")
    assert "ticket=" not in (taken.get("location") or "") + again.body.decode()
    assert "ticket=" not in alice.site.router.log()


# --- where they lead

TO = [
    "//evil.test", "///evil.test", "https://evil.test", "https:evil.test", "https:/evil.test",
    f"https://{ALICES}.evil.test/", f"https://evil.test/{ALICES}", f"https://{ALICES}@evil.test/",
    f"https://evil@{ALICES}/", f"https://{ALICES}:443@evil.test/", f"https://{ALICES}\t.evil.test/",
    f"https://{ALICES}\\@evil.test/", f"https://evil.test\\{ALICES}/", "\\\\evil.test",
    f"https://{ALICES}%2eevil.test/", f"https://{ALICES}%00/", f"https://{ALICES}%0d%0a/",
    f"https://{ALICES}\r\nSet-Cookie: x=y", f" https://{ALICES}/", f"http://{ALICES}/",
    f"https://{ALICES}./", f"https://{ALICES}:8443/", f"https://xn--alice-.{ALICES}/",
    f"https://x.{ALICES}/", "https://\u0430lice.pods.example.org/", "https://[::1]/",
    f"HTTPS://{ALICES}/", f"wss://{ALICES}/", f"javascript://{ALICES}/%0aalert(1)",
    f"data:text/html,//{ALICES}/", "https://pods.example.org/", f"{SITE}/admin/", "/admin/", "",
    "/", f"https://{ALICES}\u3002/", f"https://{ALICES}\u202e/", "https://al%69ce.pods.example.org/",
]  # fmt: skip


@pytest.mark.parametrize("to", TO)
def test_to_leads_to_no_other_place(known: Client, to: str) -> None:
    for client in (known, Client(known.site)):
        query = urlencode({"to": to, "state": "0" * 64})
        answer = client.get(f"{SITE}/userpods/enter/?{query}", *NAVIGATES)
        assert (answer.status, answer.get("location")) == (400, None)


@pytest.mark.parametrize("number", ["first", "last"])
def test_two_tos_are_read_as_one(alice: Client, number: str) -> None:
    state = parse_qs(urlsplit(alice.asks(ALICES)).query)["state"][0]
    both = [f"https://{ALICES}/", "https://evil.test/"]
    pairs = [("to", to) for to in (both if number == "last" else both[::-1])]
    answer = alice.get(f"{SITE}/userpods/enter/?{urlencode([*pairs, ('state', state)])}")
    assert "evil" not in (answer.get("location") or "")
    assert answer.status == (400 if number == "last" else 302)


@pytest.mark.parametrize(
    "path",
    [
        "//evil.test/", "/\\evil.test/", "/%5cevil.test", "/%2fevil.test", "/.//evil.test/",
        "/%09/evil.test", "/@evil.test", "/;//evil.test", "/x/..//evil.test/", "/?next=//evil.test",
    ],
)  # fmt: skip
def test_the_way_back_stays_on_the_host(known: Client, path: str) -> None:
    """As browsers read it: what begins with two slashes of any kind is a host's name."""
    known.jar(ALICES).pop("__Host-userpods", None)
    url, answer = f"https://{ALICES}{path}", None
    for start in (f"https://{ALICES}/.u", f"{SITE}/userpods/enter/?", f"https://{ALICES}/.u"):
        answer = known.get(url, *NAVIGATES)
        location = answer.get("location") or ""
        assert not location.startswith(("//", "/\\"))
        url = absolute(url, answer)
        assert url.startswith(start)
    found = known.get(url, *NAVIGATES).get("location") or ""
    assert found.startswith(f"https://{ALICES}/")


@pytest.mark.parametrize("part", ["a", "%20", "&="])
def test_a_long_address_leads_to_the_pod_all_the_same(known: Client, part: str) -> None:
    """If not to the page: gunicorn takes 4094 bytes of a request line."""
    for length in (500, 1500, 4000, 60_000):
        known.jar(ALICES).pop("__Host-userpods", None)
        path = f"/?{part * length}"[:length]
        url, answer = known.navigate(f"https://{ALICES}{path}")
        assert answer.status == 200
        assert url == f"https://{ALICES}{path}" or (length > 500 and url == f"https://{ALICES}/")


# --- whose host

HOSTS = [
    f"{ALICES}.", f"{ALICES}:8443", f"{ALICES}:0443", f"{ALICES}:", f"x@{ALICES}", f"{ALICES}@x",
    f"x:y@{ALICES}", "al%69ce.pods.example.org", "alice%2epods.example.org", f"{ALICES}%00",
    "xn--alice.pods.example.org", "xn--lice-43d.pods.example.org", "\xe0lice.pods.example.org",
    f"{ALICES}, {BOBS}", f"{ALICES};{BOBS}", f"{ALICES}\t{BOBS}", f"{ALICES}?{BOBS}",
    f"{ALICES}#{BOBS}", f"{ALICES},", f"'{ALICES}'", f"[{ALICES}]", "alice_.pods.example.org",
    "-alice.pods.example.org", ".pods.example.org", "pods.example.org", "*.pods.example.org",
    f"alice.{ALICES}", f"{ALICES}.pods.example.org", "127.0.0.1", "[::1]", "localhost", "site.test",
]  # fmt: skip


@pytest.mark.parametrize("host", HOSTS)
def test_a_host_that_is_not_alices_to_the_letter_is_nobodys(known: Client, host: str) -> None:
    known.navigate(f"https://{ALICES}/")
    before = known.site.received("alice")
    for path in ("/", "/.userpods/status/", "/.userpods/enter?ticket=x", "/.userpods/sign-in"):
        for said in ([], [("Accept", "text/html")]):
            answer = known.get(f"https://{ALICES}{path}", *said, host=host)
            assert answer.status in {400, 401, 403, 404}, (path, answer.body)
            assert answer.all("set-cookie") == []
    assert known.site.received("alice") == before


def test_upper_case_and_the_own_port_are_alices(alice: Client) -> None:
    alice.navigate(f"https://{ALICES}/")
    for host in (ALICES.upper(), f"{ALICES}:443", "Alice.pods.example.org:443"):
        assert alice.get(f"https://{ALICES}/", host=host).json()["name"] == "alice"


@pytest.mark.parametrize("kind", KINDS)
def test_a_connection_that_a_gateway_keeps_is_no_way_to_anothers_host(
    alice: Client, bob: Client, folder: Path, kind: str
) -> None:
    """One connection of a client's, and one of the gateway's, for both hosts and users in turn."""
    cookies = {}
    for client, host in ((alice, ALICES), (bob, BOBS)):
        client.navigate(f"https://{host}/")
        cookies[host] = client.jar(host)["__Host-userpods"]
    with gateway(kind, alice.site.router.port, folder / kind) as front:
        wire = Wire(front.plain)
        for host, of, status, name in (
            (ALICES, ALICES, 200, b'"alice"'),
            (BOBS, ALICES, 403, b"no access"),
            (BOBS, BOBS, 200, b'"bob"'),
            (ALICES, BOBS, 403, b"no access"),
        ) * 3:
            cookie = f"Cookie: __Host-userpods={cookies[of]}"
            wire.send(f"GET / HTTP/1.1\r\nHost: {host}\r\n{cookie}\r\n\r\n".encode())
            answer = wire.answer()
            assert (answer.status, name in answer.body) == (status, True)
        wire.close()


def test_bobs_cookie_is_worth_nothing_at_alices_host(alice: Client, bob: Client) -> None:
    alice.navigate(f"https://{ALICES}/")
    bob.navigate(f"https://{BOBS}/")
    secret = bob.jar(BOBS)["__Host-userpods"]
    thief = Client(bob.site, {ALICES: {"__Host-userpods": secret}})
    for _ in range(2):
        assert thief.get(f"https://{ALICES}/").status == 403
        assert bob.get(f"https://{BOBS}/").json()["name"] == "bob"
    # Nor the site's own cookie, which reaches no pod's host.
    key = bob.jar("www.example.org")["__Host-sessionid"]
    for name in ("__Host-sessionid", "sessionid"):
        assert Client(bob.site, {BOBS: {name: key}}).get(f"https://{BOBS}/").status == 401


def test_signing_out_of_one_host_needs_a_page_of_it(alice: Client) -> None:
    alice.navigate(f"https://{ALICES}/")
    url = f"https://{ALICES}/.userpods/sign-out"
    for origin in (f"https://{BOBS}", SITE, "null", f"http://{ALICES}", f"https://{ALICES}."):
        assert alice.get(url, ("Origin", origin), method="POST").status in {401, 403}
    assert alice.get(url, method="POST").status == 403
    assert alice.get(f"https://{ALICES}/").status == 200
    answer = alice.get(url, *posted(url), method="POST")
    assert (answer.status, answer.get("location")) == (303, f"{SITE}/")
    assert alice.get(f"https://{ALICES}/").status == 401


def test_a_planted_token_is_no_way_into_bobs_pod(alice: Client) -> None:
    """The token's cookie has no prefix: a page of a sibling host can set it for all of them."""
    alice.navigate(f"https://{ALICES}/")
    token = alice.site.command("token", "bob")
    alice.jar(ALICES)["userpods_token"] = token
    for _ in range(2):
        assert alice.get(f"https://{ALICES}/").json()["name"] == "alice"


def test_a_planted_token_that_is_bad_locks_nobody_out(alice: Client) -> None:
    """It is refused on a page that leads to sign-in, and a good session wins over it."""
    alice.jar(ALICES)["userpods_token"] = "upt_bad"
    _, answer = alice.navigate(f"https://{ALICES}/")
    assert (answer.status, b'href="/.userpods/sign-in?next=%2F"' in answer.body) == (403, True)
    _, answer = alice.navigate(f"https://{ALICES}/.userpods/sign-in?next=%2F")
    assert answer.json()["name"] == "alice"


def test_large_cookies_of_an_application_stand_in_nobodys_way(alice: Client) -> None:
    """Neither on the pod's host nor on the way through the site and back."""
    for kib in (8, 16, 32, 60):
        jar = alice.jar(ALICES)
        jar.clear()
        jar.update({f"a{number}": "x" * 1000 for number in range(kib)})
        _, answer = alice.navigate(f"https://{ALICES}/")
        assert answer.json()["name"] == "alice"
        assert len(answer.sent("cookie")[0]) > kib * 1000
