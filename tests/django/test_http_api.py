"""The JSON API: what it does is what its document says, and who may do it."""

from __future__ import annotations

import datetime
import json
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest
from django.core.cache import cache
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_userpods.models import AccessToken, UserPod
from django_userpods.pages.api import calling, document
from django_userpods.urls import urlpatterns
from tests.django.http_api import API, ask, bearer, boss, path_of, signed_in
from tests.django.support import bulk, row, sync
from tests.factories import UserFactory

if TYPE_CHECKING:
    from django_userpods.testing import MemoryCluster

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _fresh(memory: MemoryCluster) -> None:
    cache.clear()


# --- the document


def methods_of(view: Any) -> set[str]:
    return set(getattr(import_module(view.__module__), view.__name__).methods)


def test_document_and_views_are_the_same() -> None:
    described = document.document(API)
    paths = {
        path: {method.upper() for method in found if method != "parameters"}
        for path, found in described["paths"].items()
    }
    views = {
        path_of(str(pattern.pattern)): methods_of(pattern.callback)
        for pattern in urlpatterns
        if str(pattern.pattern).startswith("userpods/api/")
    }
    del views["/openapi.json"]
    assert paths == views
    names = [call["operationId"] for item in described["paths"].values() for call in _calls(item)]
    assert len(names) == len(set(names))
    for path, item in described["paths"].items():
        declared = {parameter["name"] for parameter in item.get("parameters", [])}
        assert declared == set(_names_in(path))


def _names_in(path: str) -> list[str]:
    return [part.partition("}")[0] for part in path.split("{")[1:]]


def _calls(item: dict[str, Any]) -> list[dict[str, Any]]:
    return [call for method, call in item.items() if method != "parameters"]


def test_every_schema_that_is_named_is_there_and_every_one_there_is_named() -> None:
    described = document.document(API)
    text = json.dumps(described)
    schemas = described["components"]["schemas"]
    assert all(f'"#/components/schemas/{name}"' in text for name in schemas)
    assert text.count('"$ref"') == sum(
        text.count(f'"#/components/schemas/{name}"') for name in schemas
    )


def test_anybody_may_read_the_document() -> None:
    response = Client().get(f"{API}openapi.json")
    assert response.status_code == 200
    assert response.json()["openapi"].startswith("3.1")
    assert response.json()["servers"] == [{"url": "/userpods/api"}]
    assert Client().post(f"{API}openapi.json").status_code == 405


def test_other_methods_are_refused(alice: Any) -> None:
    response = signed_in(alice).put(f"{API}pods/")
    assert (response.status_code, response["Allow"]) == (405, "GET, HEAD, POST")
    assert signed_in(alice).head(f"{API}pods/").status_code == 200


# --- who asks


@pytest.mark.parametrize("path", ["me/", "pods/", "pods/user-alice/", "tokens/"])
def test_nobody_is_told_nothing(alice: Any, path: str) -> None:
    response = Client().get(API + path)
    assert (response.status_code, response.json()) == (401, {"error": "not signed in"})
    assert response["WWW-Authenticate"].startswith("Bearer")
    for text in ("upt_nonsense", "somebody-elses"):
        headers = {"Authorization": f"Bearer {text}"}
        assert ask(signed_in(alice), "get", path, status=401, headers=headers)


def test_a_token_needs_the_scope_and_has_to_be_valid(alice: Any) -> None:
    past = timezone.now() - datetime.timedelta(seconds=1)
    assert ask(Client(), "get", "me/", headers=bearer(alice))["by"] == "token"
    assert AccessToken.objects.get().last_used_at is not None
    found = ask(Client(), "get", "me/", headers=bearer(alice, "reach"), status=403)
    assert found["error"] == "this token may not manage pods"
    ask(Client(), "get", "me/", headers=bearer(alice, expires_at=past), status=401)
    headers = bearer(alice)
    AccessToken.objects.update(revoked_at=timezone.now())
    ask(Client(), "get", "me/", headers=headers, status=401)
    alice.is_active = False
    alice.save()
    ask(Client(), "get", "me/", headers=bearer(alice), status=401)


def test_where_tokens_are_turned_off_they_are_here_too(alice: Any, settings: Any) -> None:
    headers = bearer(alice)
    ask(Client(), "get", "me/", headers=headers)
    settings.USERPODS_AUTHENTICATORS = ["django_userpods.access.SessionAuthenticator"]
    ask(Client(), "get", "me/", headers=headers, status=401)
    assert ask(signed_in(alice), "get", "me/")["by"] == "session"


def test_a_session_needs_the_csrf_token_for_all_but_reading(alice: Any) -> None:
    client = signed_in(alice, csrf=True)
    assert ask(client, "get", "me/")["by"] == "session"
    found = ask(client, "post", "pods/user-alice/stop/", status=403)
    assert found["error"].startswith("CSRF")
    assert row(alice).wanted == "running"
    stranger = Client()
    stranger.get("/admin/login/")
    token = client.cookies["csrftoken"] = stranger.cookies["csrftoken"].value
    ask(client, "post", "pods/user-alice/stop/", status=202, headers={"X-CSRFToken": token})
    assert row(alice).wanted == "stopped"


def test_a_bearer_token_needs_no_csrf_token(alice: Any) -> None:
    client = Client(enforce_csrf_checks=True)
    ask(client, "post", "pods/user-alice/stop/", status=202, headers=bearer(alice))
    assert row(alice).wanted == "stopped"


def test_a_users_token_is_in_no_cookie(alice: Any) -> None:
    client = Client()
    client.cookies["userpods_token"] = AccessToken.objects.issue(alice, scope="manage")[1]
    ask(client, "get", "me/", status=401)


def test_too_many_requests_are_put_off(alice: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calling, "RATE", 3)
    monkeypatch.setattr("time.time", lambda: 1_000_000.0)
    client = signed_in(alice)
    for _ in range(3):
        ask(client, "get", "me/")
    response = client.get(f"{API}me/")
    assert response.status_code == 429
    assert response["Retry-After"] == "20"
    ask(Client(), "get", "me/", status=429, headers=bearer(alice))
    ask(signed_in(UserFactory(username="bob")), "get", "me/")
    monkeypatch.setattr("time.time", lambda: 1_000_020.0)
    ask(client, "get", "me/")


# --- pods


def test_a_user_sees_their_own_pods_and_nothing_of_what_is_inside(alice: Any) -> None:
    UserFactory(username="bob")
    sync()
    UserPod.objects.update(state="failed", message="OOMKilled on node-7 at 10.0.0.7")
    found = ask(signed_in(alice), "get", "pods/")
    (pod,) = found["items"]
    assert (pod["name"], pod["state"], found["next"]) == ("user-alice", "failed", None)
    assert pod["message"] == "It needs more memory than it is allowed."
    for path in ("pods/", "pods/user-alice/"):
        text = json.dumps(ask(signed_in(alice), "get", path))
        assert "10.0.0.7" not in text
        assert "staff" not in text
    for path in ("pods/user-bob/", "pods/user-nobody/"):
        assert ask(signed_in(alice), "get", path, status=404) == {"error": "there is no such pod"}
    ask(signed_in(alice), "post", "pods/user-bob/stop/", status=404)
    ask(signed_in(alice), "get", "pods/?all=true", status=403)
    assert ask(signed_in(alice), "get", "pods/?state=running")["items"] == []
    ask(signed_in(alice), "get", "pods/?state=nonsense", status=400)


def test_a_pod_is_started_stopped_and_restarted(alice: Any) -> None:
    client = signed_in(alice)
    found = ask(client, "post", "pods/user-alice/stop/", status=202)
    assert (found["changed"], found["pod"]["wanted"]) == (True, "stopped")
    assert ask(client, "post", "pods/user-alice/start/", status=202)["pod"]["wanted"] == "running"
    before = row(alice).restarted_at
    ask(client, "post", "pods/user-alice/restart/", status=202)
    assert row(alice).restarted_at != before
    ask(client, "post", "pods/user-alice/recreate/", status=403)
    ask(client, "post", "pods/user-alice/explode/", status=404)
    ask(client, "post", "pods/user-alice/stop/", {"now": True}, status=400)


def test_further_pods_come_and_go(alice: Any, settings: Any) -> None:
    settings.USERPODS_MAX_PODS = 2
    client = signed_in(alice)
    made = ask(client, "post", "pods/", {"slot": "blue"}, status=201)
    assert made["slot"] == "blue"
    assert ask(client, "get", "me/") == {
        "user": "alice",
        "by": "session",
        "pods": 2,
        "max_pods": 2,
    }
    ask(client, "post", "pods/", {"slot": "red"}, status=409)
    for body in ({"slot": "Not This"}, {"slot": 7}, {"slot": ""}, {"slots": "x"}, ["slot"], {}):
        ask(client, "post", "pods/", body, status=400)
    ask(client, "delete", f"pods/{made['name']}/", status=204)
    ask(client, "delete", "pods/user-alice/", status=409)
    assert [pod["slot"] for pod in ask(client, "get", "pods/")["items"]] == [""]


def test_users_do_what_the_settings_let_them(alice: Any, settings: Any) -> None:
    settings.USERPODS_SELF_SERVICE = ["start"]
    settings.USERPODS_MAX_PODS = 3
    client = signed_in(alice)
    ask(client, "post", "pods/user-alice/start/", status=202)
    for method, path, body in (
        ("post", "pods/user-alice/stop/", None),
        ("post", "pods/user-alice/restart/", None),
        ("post", "pods/", {"slot": "blue"}),
        ("delete", "pods/user-alice/", None),
        ("post", "tokens/", {"label": "x"}),
    ):
        assert ask(client, method, path, body, status=403) == {"error": "not allowed here"}
    assert row(alice).wanted == "running"


def test_staff_see_and_do_what_their_permissions_say(alice: Any) -> None:
    UserPod.objects.update(message="on node-7")
    looking = boss("view_userpod")
    (pod,) = ask(looking, "get", "pods/?all=true")["items"]
    assert pod["staff"] == {
        "owner": "alice",
        "owner_pk": str(alice.pk),
        "namespace": "default",
        "image": "example.org/app:1",
        "details": "on node-7",
    }
    assert ask(looking, "get", "pods/user-alice/")["staff"]["owner"] == "alice"
    assert "stop_userpod" in ask(looking, "post", "pods/user-alice/stop/", status=403)["error"]
    assert row(alice).wanted == "running"
    acting = boss("view_userpod", "stop_userpod")
    ask(acting, "post", "pods/user-alice/stop/", status=202)
    assert row(alice).wanted == "stopped"
    ask(boss(), "get", "pods/user-alice/", status=404)


def test_a_token_of_staff_has_none_of_their_permissions(alice: Any) -> None:
    client = boss("view_userpod", "stop_userpod", "view_accesstoken")
    user = UserFactory(username="root", is_staff=True, is_superuser=True)
    ask(client, "get", "tokens/?all=true")
    headers = bearer(user)
    ask(Client(), "get", "pods/?all=true", status=403, headers=headers)
    ask(Client(), "get", "tokens/?all=true", status=403, headers=headers)
    ask(Client(), "post", "pods/user-alice/stop/", status=404, headers=headers)


def test_lists_come_in_pages_with_as_many_queries_for_many_as_for_few(alice: Any) -> None:
    client = boss("view_userpod")
    counts = []
    for size in (5, 40):
        bulk(size, prefix=f"n{size}")
        sync()
        ask(client, "get", "pods/?all=true")
        with CaptureQueriesContext(connection) as captured:
            ask(client, "get", "pods/?all=true&limit=200")
        counts.append(len(captured))
    assert counts[0] == counts[1]
    seen: list[str] = []
    path = "pods/?all=true&limit=7"
    while path:
        found = ask(client, "get", path)
        assert len(found["items"]) <= 7
        seen += [pod["name"] for pod in found["items"]]
        path = found["next"]
    assert set(seen) == set(UserPod.objects.exclude(name=None).values_list("name", flat=True))
    assert len(seen) == len(set(seen))
    for wrong in ("limit=0", "limit=201", "limit=many", "all=perhaps"):
        ask(client, "get", f"pods/?{wrong}", status=400)


def test_a_database_that_is_down_is_503_and_says_no_more(
    alice: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        message = "connection to 10.0.0.9 refused"
        raise OperationalError(message)

    client = signed_in(alice)
    monkeypatch.setattr("django_userpods.pages.api.pods._own", broken)
    response = client.get(f"{API}pods/")
    assert (response.status_code, response.json()) == (503, {"error": "unavailable"})
    assert response["Retry-After"] == "3"
