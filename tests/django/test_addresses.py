"""Pods at addresses of their own: what is told of them, and what ``whoami`` answers for them."""

from __future__ import annotations

import json
from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest
from django.core import checks
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from django_userpods.lifecycle import add_pod
from django_userpods.models import AccessToken, UserPod
from django_userpods.reconcile import reconcile
from tests.django.support import bulk, deployment, row
from tests.factories import UserFactory

if TYPE_CHECKING:
    from django_userpods.testing import MemoryCluster

pytestmark = pytest.mark.django_db

HOSTS, ONE, PATHS = "https://{pod}.pods.example.org/", "https://app.example.org/", "/pods/{pod}/"
ALICES = "alice.pods.example.org"
NOT_YOURS = (403, {"error": "not your pod"})


@pytest.fixture(autouse=True)
def _hosts(settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["www.example.org", "testserver"]
    settings.USERPODS_URL = HOSTS
    settings.USERPODS_SITE_URL = "https://www.example.org/"


@pytest.fixture
def bob(memory: MemoryCluster) -> Any:
    user = UserFactory(username="bob")
    reconcile()
    return user


@pytest.fixture
def cached(settings: Any) -> None:
    settings.USERPODS_CACHE = "default"


def whoami(client: Client, host: str | None = None, **headers: str) -> tuple[int, Any]:
    if host is not None:
        headers["X-Userpods-Host"] = host
    response = client.get("/whoami", headers=headers)
    return response.status_code, response.json()


def bearer(user: Any) -> str:
    return f"Bearer {AccessToken.objects.issue(user)[1]}"


def environment(memory: MemoryCluster, name: str = "user-alice") -> dict[str, str]:
    containers = deployment(memory, name)["spec"]["template"]["spec"]["containers"]
    return {item["name"]: item["value"] for item in containers[0]["env"]}


# --- what is told


@pytest.mark.parametrize(
    ("setting", "url", "path"),
    [
        (HOSTS, "https://alice.pods.example.org/", "/"),
        (ONE, "https://app.example.org/", "/"),
        (PATHS, "https://www.example.org/pods/alice/", "/pods/alice/"),
    ],
)
def test_an_app_is_told_where_it_is_found(
    memory: MemoryCluster, settings: Any, setting: str, url: str, path: str
) -> None:
    settings.USERPODS_URL = setting
    user = UserFactory(username="alice")
    reconcile()
    assert (row(user).url, row(user).path) == (url, path)
    said = environment(memory)
    assert (said["USERPODS_URL"], said["USERPODS_PATH"]) == (url, path)


def test_without_the_setting_nothing_is_told(memory: MemoryCluster, settings: Any) -> None:
    settings.USERPODS_URL = None
    user = UserFactory(username="alice")
    reconcile()
    assert (row(user).url, row(user).path) == ("", "/")
    assert set(environment(memory)) == {"PORT", "USERPODS_USER"}


def test_url_and_path_are_placeholders(memory: MemoryCluster, settings: Any) -> None:
    settings.USERPODS_ENV = {"BASE": "{url}lab", "ROOT": "{path}"}
    UserFactory(username="alice")
    reconcile()
    said = environment(memory)
    assert (said["BASE"], said["ROOT"]) == ("https://alice.pods.example.org/lab", "/")


def test_a_further_pod_has_a_host_of_its_own_and_none_where_all_share_one(
    alice: Any, settings: Any
) -> None:
    settings.USERPODS_MAX_PODS = 2
    add_pod(alice, "gpu")
    gpu = UserPod.objects.get(slot="gpu")
    assert gpu.url == "https://alice---gpu.pods.example.org/"
    settings.USERPODS_URL = ONE
    assert gpu.url == ""


def test_a_name_of_another_prefix_has_no_address(alice: Any, settings: Any) -> None:
    settings.USERPODS_NAME_PREFIX = "u-"
    assert row(alice).url == ""


def test_the_admin_links_to_a_pod(alice: Any, admin_client: Client) -> None:
    page = admin_client.get(reverse("admin:userpods_userpod_change", args=[row(alice).pk]))
    assert '<a href="https://alice.pods.example.org/" rel="noreferrer">' in page.content.decode()


def test_sync_tells_urls_as_json(alice: Any, bob: Any, settings: Any) -> None:
    def said(*arguments: str) -> Any:
        out = StringIO()
        call_command("sync_userpods", "--format", "json", *arguments, stdout=out)
        return json.loads(out.getvalue())

    urls = {f"user-{name}": f"https://{name}.pods.example.org/" for name in ("alice", "bob")}
    assert said()["urls"] == urls
    assert said("--user", "bob")["urls"] == {"user-bob": urls["user-bob"]}
    settings.USERPODS_URL = None
    assert "urls" not in said()


# --- whoami


def test_whoami_answers_for_the_pod_that_the_host_names(
    signed_in: Client, bob: Any, settings: Any
) -> None:
    settings.USERPODS_MAX_PODS = 2
    add_pod(row(bob).owner, "gpu")
    reconcile()
    assert whoami(signed_in, ALICES) == (200, {"user": "alice", "service": "user-alice"})
    assert whoami(signed_in) == (200, {"user": "alice", "service": "user-alice"})
    for host, service in (("bob", "user-bob"), ("bob---gpu", "user-bob---gpu")):
        host = f"{host}.pods.example.org"
        assert whoami(signed_in, host) == NOT_YOURS
        expected = (200, {"user": "bob", "service": service})
        assert whoami(Client(), host, Authorization=bearer(bob)) == expected


@pytest.mark.parametrize(
    "host",
    [
        "carol.pods.example.org",
        "alice.pods.example.org.",
        "alice.pods.example.org.evil",
        "alice.pods.example.org:8443",
        "xn--alice.pods.example.org",
        "pods.example.org",
        "www.example.org",
        "[::1]",
        "",
        "user-alice",
        "alice",
    ],
)
def test_a_host_that_is_no_pods_is_nobodys(signed_in: Client, host: str) -> None:
    assert whoami(signed_in, host) == NOT_YOURS
    assert whoami(Client(), host) == (401, {"error": "no token"})


def test_on_one_host_who_asks_decides(signed_in: Client, bob: Any, settings: Any) -> None:
    settings.USERPODS_URL = ONE
    assert whoami(signed_in, "app.example.org")[1]["service"] == "user-alice"
    said = whoami(Client(), "app.example.org", Authorization=bearer(bob))
    assert said[1]["service"] == "user-bob"
    assert whoami(signed_in, "other.example.org") == NOT_YOURS


def test_on_paths_the_path_decides(signed_in: Client, bob: Any, settings: Any) -> None:
    settings.USERPODS_URL = PATHS

    def at(path: str) -> tuple[int, Any]:
        return whoami(signed_in, "bob.pods.example.org", **{"X-Userpods-Path": path})

    assert at("/pods/alice/lab")[1]["service"] == "user-alice"
    for path in ("/pods/bob/", "/pods/carol/", "/pods/", "/pods/%61lice/", "/"):
        assert at(path) == NOT_YOURS


def test_without_the_setting_no_header_counts(signed_in: Client, settings: Any) -> None:
    settings.USERPODS_URL = None
    assert whoami(signed_in, "bob.pods.example.org")[1]["service"] == "user-alice"


def test_a_pod_that_is_to_go_is_out_of_reach(signed_in: Client, alice: Any, settings: Any) -> None:
    settings.USERPODS_MAX_PODS = 2
    add_pod(alice, "gpu")
    reconcile()
    host = "alice---gpu.pods.example.org"
    assert whoami(signed_in, host)[0] == 200
    UserPod.objects.filter(slot="gpu").update(wanted=UserPod.Wanted.ABSENT)
    assert whoami(signed_in, host) == NOT_YOURS


def test_a_user_whom_no_signal_told_of_reaches_their_host(memory: MemoryCluster) -> None:
    (user,) = bulk(1)
    client = Client()
    client.force_login(user)
    assert whoami(client, ALICES) == NOT_YOURS
    assert whoami(client, "bulk000.pods.example.org")[1]["service"] == "user-bulk000"


def test_the_pages_of_another_users_pod_are_refused(signed_in: Client, bob: Any) -> None:
    headers = {"X-Userpods-Host": "bob.pods.example.org"}
    for path in ("/userpods/waiting/", "/userpods/status/"):
        assert signed_in.get(path, headers=headers).status_code == 403
    assert signed_in.post("/userpods/wake/", headers=headers).status_code == 403


@pytest.mark.parametrize("host", [ALICES, "bob.pods.example.org", "carol.pods.example.org"])
def test_whoami_takes_one_query_whatever_the_host(alice: Any, bob: Any, host: str) -> None:
    headers = {"X-Userpods-Host": host, "Authorization": bearer(alice)}
    client = Client()
    client.get("/whoami", headers=headers)
    with CaptureQueriesContext(connection) as queries:
        client.get("/whoami", headers=headers)
    assert len(queries) == 1


@pytest.mark.usefixtures("cached")
def test_what_is_remembered_is_remembered_for_one_pod(
    signed_in: Client, alice: Any, bob: Any
) -> None:
    authorization = bearer(alice)
    for _ in range(2):
        answers = [
            whoami(Client(), host, Authorization=authorization)[0]
            for host in (ALICES, "bob.pods.example.org", None, "evil")
        ]
        assert answers == [200, 403, 200, 403]
    with CaptureQueriesContext(connection) as queries:
        assert whoami(Client(), ALICES, Authorization=authorization)[0] == 200
    assert not queries


# --- what the settings leave open


def found() -> list[str]:
    return [str(message.id) for message in checks.run_checks(tags=["userpods"])]


def test_settings_that_keep_site_and_pods_apart_are_clean(settings: Any) -> None:
    assert found() == []
    settings.USERPODS_URL = ONE
    assert found() == []
    settings.USERPODS_URL, settings.USERPODS_SITE_URL = PATHS, None
    assert found() == []


@pytest.mark.parametrize(
    ("name", "value", "id_"),
    [
        ("USERPODS_SITE_URL", None, "userpods.E031"),
        ("USERPODS_SITE_URL", "https://www.pods.example.org/", "userpods.E032"),
        ("SESSION_COOKIE_DOMAIN", ".example.org", "userpods.W011"),
        ("SESSION_COOKIE_DOMAIN", "example.org", "userpods.W011"),
        ("SESSION_COOKIE_DOMAIN", "pods.example.org", "userpods.W011"),
        ("SESSION_COOKIE_DOMAIN", "alice.pods.example.org", "userpods.W011"),
        ("CSRF_COOKIE_DOMAIN", "example.org", "userpods.W011"),
        ("ALLOWED_HOSTS", ["*"], "userpods.W012"),
        ("ALLOWED_HOSTS", ["www.example.org", ".example.org"], "userpods.W012"),
        ("ALLOWED_HOSTS", ["alice.pods.example.org"], "userpods.W012"),
        ("CSRF_TRUSTED_ORIGINS", ["https://*.example.org"], "userpods.W013"),
        ("CSRF_TRUSTED_ORIGINS", ["https://bob.pods.example.org"], "userpods.W013"),
        ("SESSION_COOKIE_SAMESITE", "None", "userpods.W014"),
        ("SESSION_COOKIE_SAMESITE", False, "userpods.W014"),
    ],
)
def test_a_pod_that_could_speak_for_the_site_is_warned_of(
    settings: Any, name: str, value: object, id_: str
) -> None:
    setattr(settings, name, value)
    assert found() == [id_]


@pytest.mark.parametrize("value", ["example.com", "www.example.org", "www.pods.example.com"])
def test_a_cookie_that_does_not_reach_pods_is_no_matter(settings: Any, value: str) -> None:
    settings.SESSION_COOKIE_DOMAIN = value
    settings.ALLOWED_HOSTS = ["www.example.org", f".{value}"]
    settings.CSRF_TRUSTED_ORIGINS = [f"https://{value}", "https://*.example.com"]
    assert found() == []


def test_one_host_for_all_may_not_be_the_sites(settings: Any) -> None:
    settings.USERPODS_URL = "https://www.example.org:8443/"
    settings.ALLOWED_HOSTS = ["login.example.org"]
    assert found() == ["userpods.E032"]
