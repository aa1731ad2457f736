"""A site whose admin wears a theme, as a process of its own.

Themes replace the admin's templates for the whole process, so no test's own can wear one. Prints
the port that it serves and the key of a session of somebody who may do everything, then serves.
"""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from django.conf import settings

from tests import settings as test_settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

THEMES = {"plain": [], "unfold": ["unfold"], "jazzmin": ["jazzmin"], "grappelli": ["grappelli"]}

FAILED = "CrashLoopBackOff: back-off 5m0s restarting failed container (last exit code 1, Error)"

#: What is offered to everybody there, and to nobody.
PROFILES = {
    "gpu": {"NAME": "GPU", "DESCRIPTION": "With a GPU.", "IMAGE": "example.org/gpu:1"},
    "secret": {"NAME": "Secret", "IMAGE": "example.org/secret:1", "GROUPS": ["nobody"]},
}


@contextmanager
def running(
    theme: str, folder: Path, *, more: int = 0, edited: bool = False
) -> Iterator[tuple[str, str]]:
    """A site whose admin wears a theme, with its database in a folder: its URL and a session.

    With so many more users, each with a pod; with profiles that are edited in the admin, and one
    of everything that the admin has a page for.
    """
    about = theme, str(folder / "db"), str(more), "edited" if edited else "set"
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.browser.themed_site", *about],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    try:
        assert server.stdout is not None
        port, key = server.stdout.readline().split()
        yield f"http://127.0.0.1:{port}", key
    finally:
        server.terminate()
        server.communicate()


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def configure(theme: str, database: str, *, edited: bool) -> None:
    """Set up Django with a theme."""
    found = {name: value for name, value in vars(test_settings).items() if name.isupper()}
    found["INSTALLED_APPS"] = [*THEMES[theme], *found["INSTALLED_APPS"]]
    found["DATABASES"] = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": database}}
    # Its own static files, by Django's own handler.
    found["DEBUG"] = True
    found["USERPODS_MAX_PODS"] = 3
    found["USERPODS_PROFILES"] = "database" if edited else PROFILES
    found["USERPODS_ROLLOUT"] = {"MAX_UNREADY": 2, "MAX_FAILURES": 3} if edited else None
    found["USERPODS_SHARING"] = edited
    found["USERPODS_URL"] = "/pods/{pod}/" if edited else None
    settings.configure(**found)
    import django

    django.setup()
    from django.contrib import admin
    from django.urls import include, path

    class Urls:
        """The admin, and what grappelli needs beside it."""

        urlpatterns = [path("admin/", admin.site.urls), path("", include("django_userpods.urls"))]
        if theme == "grappelli":
            urlpatterns = [path("grappelli/", include("grappelli.urls")), *urlpatterns]

    settings.ROOT_URLCONF = Urls


#: Of those whom a site has more, the one whose pod cannot be stopped.
BAD = "many123"


def refuse_to_stop(name: str) -> None:
    """Have the cluster refuse to stop a pod."""
    from django_userpods.exceptions import Invalid
    from django_userpods.testing import MemoryCluster

    real = MemoryCluster.apply

    def apply(self: MemoryCluster, manifest: Any, **more: Any) -> Any:
        if manifest["metadata"]["name"] == name and manifest["spec"].get("replicas") == 0:
            message = "there is nothing to stop here"
            raise Invalid(message)
        return real(self, manifest, **more)

    MemoryCluster.apply = apply  # type: ignore[method-assign]


def fill(more: int) -> str:
    """Make the tables, a few users with pods, and return a session's key."""
    from django.contrib.auth import get_user_model
    from django.core.management import call_command
    from django.test import Client

    from django_userpods.models import UserPod
    from django_userpods.reconcile import reconcile

    call_command("migrate", verbosity=0)
    users = get_user_model().objects
    for name in ("alice", "bob", "carol"):
        users.create_user(name)
    users.bulk_create([users.model(username=f"many{number:03}") for number in range(more)])
    boss = users.create_superuser("boss", password="boss")
    reconcile()
    UserPod.objects.filter(name="user-bob").update(state="failed", message=FAILED)
    client = Client()
    client.force_login(boss)
    return client.cookies["sessionid"].value


def fill_pages() -> None:
    """Make one of everything that the admin has a page for."""
    from django.contrib.auth import get_user_model
    from django.utils import timezone

    from django_userpods import share
    from django_userpods.models import BulkRun, Installation, Profile, Transition, UserPod

    now = timezone.now()
    pods = {pod.name: pod for pod in UserPod.objects.all()}
    share(pods["user-alice"], with_=get_user_model().objects.get(username="bob"))
    profile = Profile(slug="gpu", name="GPU", image="example.org/gpu:1")
    profile.save(actor="boss")
    profile.description = "With a GPU."
    profile.save(actor="boss")
    run = BulkRun.objects.create(operation="restart", actor="boss", at=now, number=2)
    for name, after, outcome in (
        ("user-alice", "running", "done"),
        ("user-bob", "failed", "failed"),
    ):
        Transition.objects.create(
            run=run,
            pod=pods[name],
            at=now,
            operation="restart",
            actor="boss",
            before="running",
            after=after,
            message=pods[name].message,
            outcome=outcome,
            settled_at=now,
        )
    UserPod.objects.filter(name="user-carol").update(turn="waiting")
    # No look at the cluster changes that.
    UserPod.objects.update(looked_at=now + timedelta(days=365))
    Installation.objects.update(
        rollout_stopped_at=now, rollout_failures=3, rollout_reason=f"user-bob: {FAILED}"
    )


def main(arguments: Sequence[str]) -> None:
    """Serve until somebody ends it."""
    theme, database, more, profiles = arguments
    configure(theme, database, edited=profiles == "edited")
    from django.contrib.staticfiles.handlers import StaticFilesHandler
    from django.core.wsgi import get_wsgi_application

    key = fill(int(more))
    if profiles == "edited":
        fill_pages()
    refuse_to_stop(f"user-{BAD}")
    application = StaticFilesHandler(get_wsgi_application())
    with make_server("127.0.0.1", 0, application, handler_class=_Quiet) as server:
        print(server.server_port, key, flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1:])
