"""Asking ``whoami``, and what of its answers holds for all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django_userpods.models import AccessToken

if TYPE_CHECKING:
    from django.test import Client


def token_for(user: Any, **fields: Any) -> str:
    return AccessToken.objects.issue(user, **fields)[1]


def ask(client: Client, token: str = "", **extra: Any) -> Any:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return client.get("/whoami", headers=headers, **extra)


def answer(response: Any) -> tuple[int, Any]:
    assert response["Content-Type"] == "application/json"
    assert "no-store" in response["Cache-Control"]
    assert "private" in response["Cache-Control"]
    identified = any(name.startswith(("X-Target", "X-Userpods")) for name in response.headers)
    # An identity if and only if it is a 200: nginx lets nothing else pass.
    assert identified is (response.status_code == 200)
    return response.status_code, response.json()


NO_TOKEN = (401, {"error": "no token"})
INVALID = (403, {"error": "invalid token"})
ALICE = (200, {"user": "alice", "service": "user-alice"})
