"""The authenticator that docs/authenticators.md shows does what it says."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.core import signing
from django.core.cache import cache as django_cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.django.support import users

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("untouched_session")]

DOCUMENT = (Path(__file__).parents[2] / "docs" / "authenticators.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
EXAMPLE = next(block for block in BLOCKS if "class SignedAuthenticator" in block)
NAME = "authenticators_of_the_docs"


@pytest.fixture(autouse=True)
def _example(settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    (tmp_path / f"{NAME}.py").write_text(EXAMPLE)
    monkeypatch.syspath_prepend(tmp_path)
    settings.USERPODS_AUTHENTICATORS = [
        "django_userpods.access.SessionAuthenticator",
        f"{NAME}.SignedAuthenticator",
        "django_userpods.access.TokenAuthenticator",
    ]
    django_cache.clear()
    yield
    django_cache.clear()
    sys.modules.pop(NAME, None)


def ask(text: str) -> Any:
    return Client().get("/whoami", headers={"Authorization": text})


@pytest.mark.parametrize("name", [None, "default"], ids=["no cache", "USERPODS_CACHE"])
def test_it_lets_in_who_brings_its_own_signature_alone(
    alice: Any, settings: Any, django_capture_on_commit_callbacks: Any, name: str | None
) -> None:
    settings.USERPODS_CACHE = name
    good = f"Signed {signing.dumps(str(alice.pk), salt='pods')}"
    for _ in range(2):
        assert ask(good).json()["user"] == "alice"
        assert ask("Signed nonsense").status_code == 403
        assert ask(f"Signed {signing.dumps(str(alice.pk), salt='other')}").status_code == 403
        assert ask("").status_code == 401
        assert ask("Bearer upt_unknown").status_code == 403
    with CaptureQueriesContext(connection) as queries:
        ask(good)
    assert len(queries) == (1 if name is None else 0)
    with django_capture_on_commit_callbacks(execute=True):
        alice.is_active = False
        alice.save()
    assert ask(good).status_code == 403
    users().all().delete()
    assert ask(good).status_code == 403
