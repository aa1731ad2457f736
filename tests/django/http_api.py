"""Asking the JSON API, each answer held against its document."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl

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
    """Ask, and hold the answer against the document, and what was sent too where it was taken.

    Gives the answer's JSON.
    """
    response = client.generic(
        method.upper(),
        path if path.startswith("/") else API + path,
        json.dumps(body) if body is not None else "",
        content_type="application/json",
        **more,
    )
    assert response.status_code == status, response.content
    assert "no-store" in response["Cache-Control"]
    described = document.document(API.rstrip("/"))
    if status >= 400:
        found = response.json()
        openapi.check(described, {"$ref": "#/components/schemas/Error"}, found)
        return found
    call = described["paths"][_template(response)][method.lower()]
    _check_sent(described, call, response.request["QUERY_STRING"], body)
    answer = call["responses"][str(status)]
    if status == 204:
        assert "content" not in answer
        assert response.content == b""
        return None
    found = response.json()
    openapi.check(described, answer["content"]["application/json"]["schema"], found)
    return found


def _check_sent(document: dict[str, Any], call: dict[str, Any], query: str, body: Any) -> None:
    """Fail where the document does not know of what was sent."""
    schemas = {item["name"]: item["schema"] for item in call.get("parameters", [])}
    for name, text in parse_qsl(query, keep_blank_values=True):
        assert name in schemas, (call["operationId"], name)
        kind = schemas[name]["type"]
        value = text if kind == "string" else json.loads(text)
        openapi.check(document, schemas[name], value, name)
    if "requestBody" in call:
        schema = call["requestBody"]["content"]["application/json"]["schema"]
        openapi.check(document, schema, body, call["operationId"])
    else:
        assert body is None, (call["operationId"], body)


def _template(response: Any) -> str:
    """Return the document's path of a response's view."""
    return path_of(response.resolver_match.route)


def path_of(route: str) -> str:
    path = route.removeprefix("userpods/api")
    for converter in ("slug:", "int:"):
        path = path.replace(f"<{converter}", "{")
    return path.replace(">", "}")
