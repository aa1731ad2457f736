"""The URLs included below another application's namespace, or under a name of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib import admin
from django.urls import include, path

from django_userpods.models import UserPod

if TYPE_CHECKING:
    from django.test import Client

pytestmark = pytest.mark.django_db

BROWSER = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate"}
PODS_HOST = {"X-Userpods-Host": "alice.pods.example.org"}

inner: tuple[list[Any], str] = ([path("pods/", include("django_userpods.urls"))], "inner")
outer: tuple[list[Any], str] = ([path("apps/", include(inner))], "outer")


class Nested:
    urlpatterns = [path("admin/", admin.site.urls), path("", include(outer))]


class Named:
    urlpatterns = [path("x/", include("django_userpods.urls", namespace="homes"))]


class Twice:
    urlpatterns = [
        path("a/", include("django_userpods.urls", namespace="a")),
        path("b/", include("django_userpods.urls", namespace="b")),
    ]


MOUNTED = [(Nested, "/apps/pods/"), (Named, "/x/"), (Twice, "/a/"), (Twice, "/b/")]


@pytest.fixture(params=MOUNTED, ids=lambda item: f"{item[0].__name__}{item[1]}")
def root(request: pytest.FixtureRequest, settings: Any) -> str:
    """Where the URLs are mounted."""
    urlconf, found = request.param
    settings.ROOT_URLCONF = urlconf
    return str(found)


def test_the_waiting_page_asks_where_it_is_mounted(signed_in: Client, root: str) -> None:
    UserPod.objects.update(state="starting")

    answer = signed_in.get(f"{root}userpods/waiting/", headers=BROWSER)

    assert answer.status_code == 503
    assert f'"{root}userpods/status/"' in answer.text
    assert signed_in.get(f"{root}userpods/status/").status_code == 200


def test_the_way_to_a_pods_host_leads_where_it_is_mounted(
    client: Client, root: str, settings: Any
) -> None:
    settings.USERPODS_URL = "https://{pod}.pods.example.org/"
    settings.USERPODS_SITE_URL = "https://www.example.org/"

    there = urlsplit(client.get(f"{root}.userpods/sign-in", headers=PODS_HOST)["Location"])

    assert (there.netloc, there.path) == ("www.example.org", f"{root}userpods/enter/")
    assert parse_qs(there.query)["to"] == ["https://alice.pods.example.org/"]
