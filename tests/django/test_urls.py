"""Our URLs: each leads to a view, and none takes a forged form."""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any

import pytest
from django.test import Client

from django_userpods.urls import urlpatterns
from tests.factories import UserFactory

#: What programs and the router send: they take no action of a browser's user, or have another
#: protection (docs/security.md).
NO_FORMS = {
    *("whoami", "waiting", "status", "wake"),
    *("pod-waiting", "pod-status", "pod-wake", "pod-sign-out"),
}


def url_of(pattern: Any) -> str:
    return "/" + re.sub(r"<(slug|int):\w+>", lambda kind: "1", str(pattern.pattern))


def test_every_url_leads_to_a_view() -> None:
    for pattern in urlpatterns:
        there = pattern.callback
        assert callable(getattr(import_module(there.__module__), there.__name__)), pattern


@pytest.mark.parametrize("pattern", urlpatterns, ids=lambda pattern: pattern.name)
@pytest.mark.django_db
def test_a_form_of_another_site_is_refused(pattern: Any) -> None:
    if pattern.name in NO_FORMS:
        assert pattern.callback.csrf_exempt
        return
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(UserFactory())
    for method in (strict.post, strict.put, strict.delete, strict.patch):
        answer = method(url_of(pattern), {}, content_type="application/json")
        assert answer.status_code in (403, 405), (pattern, method.__name__)
