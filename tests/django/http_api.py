"""Asking the JSON API, each answer held against its document."""

from __future__ import annotations

import json
from typing import Any

from django.contrib.auth.models import Permission
from django.test import Client

from django_userpods.models import AccessToken
from django_userpods.pages.api import document
from tests.django import openapi
from tests.factories import UserFactory

API = "/userpods/api/"


def signed_in(user: Any, *, csrf: bool = False) -> Client:
    client = Client(enforce_csrf_checks=csrf)
    client.force_login(user)
    return client


def boss(*permissions: str) -> Client:
    user = UserFactory(username=f"boss{len(permissions)}", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return signed_in(user)


def bearer(user: Any, scope: str = "manage", **options: Any) -> dict[str, str]:
    _, text = AccessToken.objects.issue(user, scope=scope, **options)
    return {"Authorization": f"Bearer {text}"}


def ask(
    client: Client, method: str, path: str, body: Any = None, *, status: int = 200, **more: Any
) -> Any:
    """Ask, and hold the answer against the document; gives its JSON."""
    response = client.generic(
        method.upper(),
        path if path.startswith("/") else API + path,
        json.dumps(body) if body is not None else "",
        content_type="application/json",
        **more,
    )
    assert response.status_code == status, response.content
    assert "no-store" in response["Cache-Control"]
    if status == 204:
        assert response.content == b""
        return None
    found = response.json()
    described = document.document(API.rstrip("/"))
    if status >= 400:
        openapi.check(described, {"$ref": "#/components/schemas/Error"}, found)
    else:
        answers = described["paths"][_template(response)][method.lower()]["responses"]
        schema = answers[str(status)]["content"]["application/json"]["schema"]
        openapi.check(described, schema, found)
    return found


def _template(response: Any) -> str:
    """Return the document's path of a response's view."""
    return path_of(response.resolver_match.route)


def path_of(route: str) -> str:
    path = route.removeprefix("userpods/api")
    for converter in ("slug:", "int:"):
        path = path.replace(f"<{converter}", "{")
    return path.replace(">", "}")
