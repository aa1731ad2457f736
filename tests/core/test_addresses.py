"""From a setting to a pod's address, and from an address to at most one pod."""

from __future__ import annotations

import pytest

from django_userpods.core.addresses import MAIN, Way, is_label, label_of, parse, parse_site

HOSTS = parse("https://{pod}.pods.example.org/")
LOCAL = parse("http://{pod}.localhost:8080/")
ONE = parse("https://app.example.org/")
PATHS = parse("/pods/{pod}/", "https://www.example.org/")


def test_the_three_ways_are_told_apart() -> None:
    assert (HOSTS.way, ONE.way, PATHS.way) == (Way.HOSTS, Way.ONE_HOST, Way.PATHS)
    assert HOSTS.url("alice") == "https://alice.pods.example.org/"
    assert LOCAL.url("alice") == "http://alice.localhost:8080/"
    assert ONE.url("alice") == "https://app.example.org/"
    assert PATHS.url("alice") == "https://www.example.org/pods/alice/"
    assert parse("/pods/{pod}/").url("alice") == "/pods/alice/"
    assert [way.path("alice") for way in (HOSTS, ONE, PATHS)] == ["/", "/", "/pods/alice/"]
    assert [way.is_secure for way in (HOSTS, LOCAL, ONE)] == [True, False, True]


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("", "begins with neither"),
        ("pods.example.org/", "begins with neither"),
        ("//{pod}.example.org/", "begins with neither"),
        ("ftp://{pod}.example.org/", "begins with neither"),
        ("HTTPS://{pod}.example.org/", "begins with neither"),
        ("https:/{pod}.example.org/", "begins with neither"),
        ("https://{pod}.example.org", "does not end"),
        ("https://{pod}.example.org/x/", "path behind"),
        ("https://app.example.org/{pod}/", "path behind"),
        ("https://{pod}.example.org/?a=1", "query or fragment"),
        ("https://{pod}.example.org/#a", "query or fragment"),
        ("https://me@{pod}.example.org/", "user's name"),
        ("https://{pod}.Example.org/", "upper case"),
        ("https://{pod}.example.org:0/", "port"),
        ("https://{pod}.example.org:/", "port"),
        ("https://{pod}.example.org:65536/", "port"),
        ("https://{pod}.example.org:x/", "port"),
        ("https://{pod}.example.org:080/", "port"),
        ("https://{pod}.example.org./", "not a host name"),
        ("https://{pod}..org/", "not a host name"),
        ("https://-.example.org/", "not a host name"),
        ("https://{pod}/", "elsewhere"),
        ("https://x-{pod}.example.org/", "elsewhere"),
        ("https://{pod}-pods.example.org/", "elsewhere"),
        ("https://www.{pod}.example.org/", "elsewhere"),
        ("https://{pod}.{pod}.org/", "once"),
        ("https://{user}.example.org/", "once"),
        ("https://{pod}.127.0.0.1/", "IP address"),
        ("https://{pod}.0x7f/", "IP address"),
        ("https://[::1]/", "not a host name"),
        ("https://{pod}.[::1]/", "not a host name"),
        ("https://{pod}." + ".".join(["a" * 60] * 3) + ".example.org/", "longer than 253"),
        ("https://{pod}.bücher.example/", "ASCII"),
        ("https://{pod}.example.org /", "blanks"),
        ("https:\\\\{pod}.example.org/", "blanks"),
        ("/pods/", "without {pod}"),
        ("/pods/{pod}", "does not end"),
        ("/{pod}/", "no path of its own"),
        ("/pods/x{pod}/", "last part"),
        ("/{pod}/pods/", "last part"),
        ("/pods//{pod}/", "last part"),
        ("/../{pod}/", "last part"),
        ("/p%6fds/{pod}/", "last part"),
    ],
)
def test_an_invalid_url_is_refused_in_words(url: str, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        parse(url)


def test_a_default_port_is_left_out() -> None:
    assert parse("https://{pod}.example.org:443/").url("a") == "https://a.example.org/"
    assert parse_site("http://www.example.org:80/").url("") == "http://www.example.org/"
    with pytest.raises(ValueError, match="path behind"):
        parse_site("https://www.example.org/site/")


@pytest.mark.parametrize(
    ("host", "label"),
    [
        ("alice.pods.example.org", "alice"),
        ("ALICE.Pods.Example.ORG", "alice"),
        ("alice.pods.example.org:443", "alice"),
        ("jose--0123456789abcdef---gpu.pods.example.org", "jose--0123456789abcdef---gpu"),
        ("alice.pods.example.org:80", None),
        ("alice.pods.example.org:8443", None),
        ("alice.pods.example.org:", None),
        ("alice.pods.example.org:0443", None),
        ("alice.pods.example.org.", None),
        ("alice.pods.example.org.evil", None),
        ("evil.alice.pods.example.org", None),
        ("alicepods.example.org", None),
        (".pods.example.org", None),
        ("pods.example.org", None),
        ("example.org", None),
        ("xn--bcher-kva.pods.example.org", None),
        ("-alice.pods.example.org", None),
        ("a_b.pods.example.org", None),
        ("alice.pods.example.org, bob.pods.example.org", None),
        ("alice.pods.example.org@bob.pods.example.org", None),
        ("bob\u212a.pods.example.org", None),
        ("alice\x00.pods.example.org", None),
        (" alice.pods.example.org", None),
        ("[::1]", None),
        ("[::1]:443", None),
        ("127.0.0.1", None),
        ("", None),
    ],
)
def test_what_is_not_exactly_a_pods_host_is_no_pods(host: str, label: str | None) -> None:
    assert HOSTS.at(host) == label
    assert HOSTS.at(host, "/pods/bob/") == label


def test_a_port_in_the_url_has_to_be_asked_for() -> None:
    assert LOCAL.at("alice.localhost:8080") == "alice"
    assert LOCAL.at("alice.localhost") is None
    assert LOCAL.at("alice.localhost:80") is None
    assert LOCAL.at("localhost:8080") is None


def test_one_host_is_everybodys_main_pod() -> None:
    assert ONE.at("app.example.org") is MAIN
    assert ONE.at("APP.example.org:443") is MAIN
    for host in ("app.example.org.", "x.app.example.org", "example.org", "app.example.org:80"):
        assert ONE.at(host) is None


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("/pods/alice/", "alice"),
        ("/pods/alice/lab/tree?", "alice"),
        ("/pods/alice//evil", "alice"),
        ("/pods/alice", None),
        ("/pods/Alice/", None),
        ("/pods/%61lice/", None),
        ("/pods//alice/", None),
        ("//pods/alice/", None),
        ("/pods/../alice/", None),
        ("/pods/./", None),
        ("/Pods/alice/", None),
        ("/x/pods/alice/", None),
        ("pods/alice/", None),
        ("/pods/", None),
        ("/", None),
        ("", None),
    ],
)
def test_what_is_not_exactly_a_pods_path_is_no_pods(path: str, label: str | None) -> None:
    assert PATHS.at("whatever", path) == label


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("https://alice.pods.example.org/", ("alice", "/")),
        ("https://alice.pods.example.org", ("alice", "/")),
        ("https://alice.pods.example.org/a/b?c=%2F&d#e", ("alice", "/a/b?c=%2F&d")),
        ("https://alice.pods.example.org?x=1", ("alice", "/?x=1")),
        ("https://alice.pods.example.org//evil.example/", ("alice", "//evil.example/")),
        ("https://alice.pods.example.org/.userpods/enter?ticket=x", ("alice", "/")),
        ("https://alice.pods.example.org/.userpods?x", ("alice", "/")),
        ("//evil", None),
        ("//alice.pods.example.org/", None),
        ("https://evil", None),
        ("https://evil/", None),
        ("http://alice.pods.example.org/", None),
        ("HTTPS://alice.pods.example.org/", None),
        ("https:alice.pods.example.org/", None),
        ("https:///alice.pods.example.org/", None),
        ("https://alice.pods.example.org.evil/", None),
        ("https://alice.pods.example.org@evil/", None),
        ("https://evil@alice.pods.example.org/", None),
        ("https://evil:x@alice.pods.example.org/", None),
        ("https://evil\\@alice.pods.example.org/", None),
        ("https://alice.pods.example.org\\@evil/", None),
        ("https://alice.pods.example.org/\\evil", None),
        ("https://alice.pods.example.org\t.evil/", None),
        ("ht\ntps://alice.pods.example.org/", None),
        (" https://alice.pods.example.org/", None),
        ("https://alice.pods.example.org/a b", None),
        ("https://alice.pods.example.org/\r\nSet-Cookie:x", None),
        ("https://alice.pods.example.org/\x00", None),
        ("https://alice.pods.example.org:99999/", None),
        ("https://alice.pods.example.org/é", None),
        ("https://\uff41lice.pods.example.org/", None),
        ("javascript:alert(1)", None),
        ("data:text/html,x", None),
        ("/", None),
        ("", None),
    ],
)
def test_only_a_pods_own_url_is_one(url: str, found: tuple[str, str] | None) -> None:
    assert HOSTS.split(url) == found


def test_on_the_sites_own_host_only_a_pods_path_is_a_pods_url() -> None:
    assert PATHS.split("/pods/alice/x?y") == ("alice", "/pods/alice/x?y")
    assert PATHS.split("https://www.example.org/pods/alice/") == ("alice", "/pods/alice/")
    for url in (
        "//evil/pods/alice/",
        "https://evil/pods/alice/",
        "https://www.example.org.evil/pods/alice/",
        "https://me@www.example.org/pods/alice/",
        "/accounts/logout/",
        "/\\evil/pods/alice/",
    ):
        assert PATHS.split(url) is None
    assert parse("/pods/{pod}/").split("https://www.example.org/pods/alice/") is None


def test_pods_hosts_are_told_from_others() -> None:
    assert HOSTS.covers("Alice.pods.example.org")
    assert not HOSTS.covers("pods.example.org")
    assert not HOSTS.covers("alice")
    assert not HOSTS.covers("alice")
    assert ONE.covers("app.example.org")
    assert not ONE.covers("www.example.org")
    assert not PATHS.covers("www.example.org")


def test_a_name_under_another_prefix_has_no_label() -> None:
    assert label_of("user-alice", prefix="user-") == "alice"
    assert label_of("user-alice", prefix="u-") is None
    assert label_of("user-", prefix="user-") is None
    assert not is_label("xn--a")
    assert is_label("a" * 63)
    assert not is_label("a" * 64)
