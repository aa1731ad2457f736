"""What a site has to have beside our settings, and what is said where it has not."""

from __future__ import annotations

import sys
import types
from typing import TYPE_CHECKING, Any

import pytest
from django.core import checks
from django.urls import (
    clear_script_prefix,
    clear_url_caches,
    include,
    path,
    re_path,
    set_script_prefix,
)

from tests.django import queue_project

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def found(*, deploy: bool = False) -> dict[str, checks.CheckMessage]:
    """What is said by the checks of this module, by its id."""
    messages = checks.run_checks(tags=["userpods"], include_deployment_checks=deploy)
    ours = {f"userpods.W{number:03}" for number in (6, 7, 8, 15, 16, 17, 19, 20)}
    return {str(message.id): message for message in messages if message.id in ours}


@pytest.fixture
def urls(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Have the project these URLs."""

    def use(*patterns: Any) -> None:
        module = types.ModuleType("urls_of_a_test")
        module.urlpatterns = list(patterns)  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "urls_of_a_test", module)
        settings.ROOT_URLCONF = "urls_of_a_test"
        clear_url_caches()

    yield use
    clear_url_caches()


def a_page(request: Any) -> Any:
    raise NotImplementedError


LOGIN = path("sign-in/", a_page, name="sign-in")


def test_urls_that_are_not_included_are_warned_of(urls: Callable[..., None], settings: Any) -> None:
    settings.LOGIN_URL = "sign-in"
    urls(LOGIN)
    message = found()["userpods.W006"]
    assert "urls_of_a_test does not include" in message.msg
    assert 'include("django_userpods.urls")' in str(message.hint)


@pytest.mark.parametrize(
    "included",
    [
        path("", include("django_userpods.urls")),
        path("pods/", include("django_userpods.urls", namespace="other")),
        re_path(r"^deep/", include([path("er/", include("django_userpods.urls"))])),
    ],
)
def test_urls_are_found_wherever_they_are_included(
    urls: Callable[..., None], settings: Any, included: Any
) -> None:
    settings.LOGIN_URL = "sign-in"
    urls(LOGIN, included)
    assert found() == {}


@pytest.mark.parametrize("prefix", ["/", "/site/"])
def test_a_pattern_for_every_path_takes_our_pages_where_it_comes_first(
    urls: Callable[..., None], settings: Any, prefix: str
) -> None:
    settings.LOGIN_URL = "https://login.example.org/"
    ours = path("", include("django_userpods.urls"))
    every = re_path(r"^(?:(.+)/)?$", a_page)
    set_script_prefix(prefix)
    try:
        urls(every, ours)
        message = found()["userpods.W017"]
        urls(ours, every)
        assert found() == {}
    finally:
        clear_script_prefix()
    assert "urls_of_a_test" in message.msg
    assert f"{every.pattern}" in message.msg
    assert f"{prefix}userpods/status/" in message.msg
    assert "whoami" not in message.msg
    assert "first" in str(message.hint)


def test_urls_that_are_the_whole_site_are_not_shadowed_by_themselves(settings: Any) -> None:
    settings.ROOT_URLCONF = "django_userpods.urls"
    clear_url_caches()
    assert not {"userpods.W006", "userpods.W017"} & found().keys()


def test_a_project_without_urls_needs_none(settings: Any) -> None:
    settings.ROOT_URLCONF = None
    assert found() == {}


@pytest.mark.parametrize(
    ("value", "leads"),
    [
        ("/accounts/login/", False),
        ("no-such-name", False),
        ("sign-in", True),
        ("/sign-in/", True),
        ("/sign-in/?from=pods", True),
        ("https://login.example.org/", True),
    ],
)
def test_a_login_page_that_is_not_there_is_warned_of(
    urls: Callable[..., None], settings: Any, value: str, leads: bool
) -> None:
    urls(LOGIN, path("", include("django_userpods.urls")))
    settings.LOGIN_URL = value
    said = found()
    assert ("userpods.W007" not in said) is leads
    if not leads:
        assert said["userpods.W007"].msg.startswith(f"LOGIN_URL is {value!r}")
        settings.USERPODS_LOGIN_URL = "also-not-there"
        assert found()["userpods.W007"].msg.startswith("USERPODS_LOGIN_URL is")


@pytest.mark.parametrize(
    ("url", "warned"),
    [(None, True), ("/pods/{pod}/", False), ("https://{pod}.example.org/", False)],
)
def test_a_way_back_that_leads_nowhere_is_warned_of(
    settings: Any, url: str | None, warned: bool
) -> None:
    settings.USERPODS_SITE_URL = "https://www.example.net/"
    settings.USERPODS_URL = url
    assert "userpods.W019" not in found()
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "django_userpods.middleware.BackToPodMiddleware"]
    assert ("userpods.W019" in found()) is warned


def test_the_sites_own_host_has_to_be_allowed(settings: Any) -> None:
    settings.USERPODS_SITE_URL = "https://www.example.org/"
    settings.CSRF_TRUSTED_ORIGINS = ["https://www.example.org"]
    settings.ALLOWED_HOSTS = ["example.com"]
    assert "'www.example.org'" in str(found(deploy=True)["userpods.W015"].hint)
    assert found() == {}
    for allowed in (["www.example.org"], [".example.org"], ["*"]):
        settings.ALLOWED_HOSTS = allowed
        assert found(deploy=True) == {}


def test_what_is_posted_to_the_site_has_to_be_trusted(settings: Any) -> None:
    settings.USERPODS_SITE_URL = "https://www.example.org/"
    settings.CSRF_TRUSTED_ORIGINS = ["https://elsewhere.example.org", "https://*.example.com"]
    assert "'https://www.example.org'" in str(found(deploy=True)["userpods.W016"].hint)
    for origins in (["https://www.example.org"], ["https://*.example.org"]):
        settings.CSRF_TRUSTED_ORIGINS = origins
        assert found(deploy=True) == {}
    settings.CSRF_TRUSTED_ORIGINS = []
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    assert found(deploy=True) == {}
    settings.SECURE_PROXY_SSL_HEADER = None
    settings.USERPODS_SITE_URL = "http://www.example.org/"
    assert found(deploy=True) == {}


@pytest.mark.parametrize(
    ("select", "warned"),
    [("None", True), ("'django_userpods.selectors.verified_email'", False), ("NOT", False)],
)
def test_guardians_anonymous_user_is_warned_of(tmp_path: Path, select: str, warned: bool) -> None:
    value = "__import__('django_userpods.selectors').selectors.not_named('AnonymousUser')"
    queue_project.run(
        tmp_path,
        f"""
        from django.core import checks
        said = [m for m in checks.run_checks() if m.id == "userpods.W008"]
        assert bool(said) is {warned}, said
        assert not said or "not_named('AnonymousUser')" in said[0].hint
        """,
        apps=("guardian",),
        more=f"USERPODS_SELECT={value if select == 'NOT' else select}," if select != "None" else "",
    )


@pytest.mark.parametrize(
    ("url", "warned"), [("/pods/{pod}/", True), ("https://{pod}.pods.example.org/", False)]
)
def test_guests_at_the_sites_own_origin_are_warned_of(
    settings: Any, url: str, warned: bool
) -> None:
    settings.USERPODS_URL, settings.USERPODS_SITE_URL = url, "https://www.example.org/"
    assert "userpods.W020" not in found()
    settings.USERPODS_SHARING = True
    assert ("userpods.W020" in found()) is warned
