"""A site with example data on the memory cluster, in this process: what the screenshots show."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from datetime import timedelta
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from django.conf import settings

from tests import settings as test_settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CRASHES = "CrashLoopBackOff: back-off 5m0s restarting failed container (last exit code 1, Error)"
PULLS = 'ImagePullBackOff: Back-off pulling image "registry.example/notebook:2.5"'
NO_ROOM = "Unschedulable: 0/3 nodes are available: 3 Insufficient memory."
#: The label of tokens that are made for a picture, and are not in the next.
MADE = "phone"
#: Username, state, what the cluster says. "boss" is staff and has a pod as well.
PEOPLE = [
    ("alice", "running", ""),
    ("bob", "failed", CRASHES),
    ("carol", "stopped", ""),
    ("dave", "starting", ""),
    ("erin", "failed", PULLS),
    ("frank", "running", ""),
    ("grace", "pending", NO_ROOM),
    ("heidi", "running", ""),
    ("王小明", "running", ""),
    ("boss", "running", ""),
    ("ivan", "deleting", ""),
    ("judy", "failed", CRASHES),
]

PROFILES: tuple[dict[str, Any], ...] = (
    {
        "slug": "large",
        "name": "Large",
        "description": "For big tables.",
        "resources": {"requests": {"memory": "2Gi"}, "limits": {"memory": "8Gi"}},
    },
    {
        "slug": "gpu",
        "name": "GPU",
        "image": "registry.example/notebook-gpu:3",
        "resources": {"limits": {"nvidia.com/gpu": 1}},
        "at_once": 4,
    },
)


def configure(folder: Path) -> None:
    """Set up Django, once in a process."""
    found = {name: value for name, value in vars(test_settings).items() if name.isupper()}
    position = found["MIDDLEWARE"].index("django.middleware.common.CommonMiddleware")
    found["MIDDLEWARE"] = [*found["MIDDLEWARE"]]
    found["MIDDLEWARE"].insert(position, "django.middleware.locale.LocaleMiddleware")
    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(folder / "db")}
    found |= {
        "DATABASES": {"default": database},
        "DEBUG": True,  # static files by Django's own handler
        "LANGUAGES": [("en", "English"), ("zh-hans", "简体中文")],
        "LOGIN_URL": "admin:login",
        "TIME_ZONE": "UTC",
        "ROOT_URLCONF": "tests.browser.example_urls",
        "USERPODS_IMAGE": "registry.example/notebook:2.5",
        "USERPODS_INLINE_TIMEOUT": 0,  # a pod stays in the state that it is put in
        "USERPODS_MAX_PODS": 3,
        "USERPODS_NAMESPACE": "homes",
        "USERPODS_PROFILES": "database",
        "USERPODS_SHARING": True,
        "USERPODS_URL": "/pods/{pod}/",
    }
    settings.configure(**found)
    import django

    django.setup()
    from django_userpods.conf import SELF_SERVICE
    from django_userpods.selectors import not_named

    settings.USERPODS_SELECT = not_named("stranger")
    settings.USERPODS_SELF_SERVICE = [*SELF_SERVICE]


def fill() -> None:
    """Make the tables, and users whose pods are in every state."""
    from django.contrib.auth import get_user_model
    from django.contrib.auth.models import Group, Permission
    from django.core.management import call_command
    from django.utils import timezone

    from django_userpods import add_pod, share
    from django_userpods.models import AccessToken, PodSession, Profile, UserPod
    from django_userpods.reconcile import reconcile

    call_command("migrate", verbosity=0)
    users: Any = get_user_model().objects
    for name, _state, _message in PEOPLE:
        users.create_user(name, is_staff=name in {"boss", "judy"}, is_superuser=name == "boss")
    users.create_user("stranger")
    alice, boss = users.get(username="alice"), users.get(username="boss")
    alice.user_permissions.add(Permission.objects.get(codename="share_userpod"))
    add_pod(alice, "lab")
    reconcile()
    now = timezone.now()
    for number, (name, state, message) in enumerate(PEOPLE):
        UserPod.objects.filter(owner__username=name, slot="").update(
            state=state,
            message=message,
            looked_at=now + timedelta(days=365),
            last_activity=now - timedelta(minutes=7 * number**2 + 2),
            **({"wanted": "stopped"} if state == "stopped" else {}),
            restarts=7 + number if message == CRASHES else 0,
        )
    course = Group.objects.create(name="statistics-101")
    pods = {pod.owner.username: pod for pod in UserPod.objects.filter(slot="") if pod.owner}
    share(pods["alice"], with_=users.get(username="bob"), until=now + timedelta(days=7))
    share(pods["alice"], with_=course)
    share(pods["frank"], with_=alice)
    for label, days, scope in (("laptop", 30, "reach"), ("nightly export", None, "manage")):
        expires = None if days is None else now + timedelta(days=days)
        token, _text = AccessToken.objects.issue(alice, label=label, expires_at=expires)
        AccessToken.objects.filter(pk=token.pk).update(scope=scope)
    old, _text = AccessToken.objects.issue(boss, label="old script")
    AccessToken.objects.filter(pk=old.pk).update(revoked_at=now - timedelta(days=3))
    for name in ("alice", "frank"):
        PodSession.objects.create(
            digest=f"{name:0<64}",
            user=users.get(username=name),
            pod=pods[name].pk,
            site_session="",
            expires_at=now + timedelta(hours=10),
        )
    for name in ("alice", "bob"):
        _history(pods[name])
    _bulk_run(pods)
    for columns in PROFILES:
        profile = Profile(**{**columns, "image": "registry.example/notebook:2.4"})
        profile.save(actor="boss")
        profile.image = columns.get("image", "")
        profile.description += " At most a week."
        profile.save(actor="judy")
    _evidence(pods)


def _history(pod: Any) -> None:
    """What was asked of a pod, and what came of it."""
    from django.utils import timezone

    from django_userpods.models import Transition

    now = timezone.now()
    Transition.objects.filter(pod=pod).delete()
    lines = (
        (190, "start", pod.owner.get_username(), "stopped", "running", "", "done", 12),
        (95, "", "", "running", "failed", CRASHES, "", 0),
        (90, "restart", "boss", "failed", "failed", CRASHES, "failed", 63),
        (4, "recreate", "boss", "failed", "starting", "", "", 0),
    )
    for minutes, operation, actor, before, after, message, outcome, seconds in lines:
        at = now - timedelta(minutes=minutes)
        Transition.objects.create(
            pod=pod,
            at=at,
            operation=operation,
            actor=actor,
            before=before,
            after=after,
            message=message,
            outcome=outcome,
            settled_at=at + timedelta(seconds=seconds) if outcome else None,
        )


def _bulk_run(pods: dict[str, Any]) -> None:
    """A restart of all pods that is not over: what came of it for some of them."""
    from django.utils import timezone

    from django_userpods.models import BulkRun, Transition

    # Of one of long ago nothing is known any more but that it was.
    long_ago = timezone.now() - timedelta(days=9)
    BulkRun.objects.create(operation="stop", actor="judy", at=long_ago, number=501)
    at = timezone.now() - timedelta(minutes=2)
    run = BulkRun.objects.create(operation="restart", actor="boss", at=at, number=len(PEOPLE))
    outcomes = {"running": "done", "failed": "failed"}
    for name, state, message in PEOPLE:
        outcome = outcomes.get(state, "")
        Transition.objects.create(
            run=run,
            pod=pods[name],
            at=at,
            operation="restart",
            actor="boss",
            before="running",
            after=state,
            message=message,
            outcome=outcome,
            settled_at=at + timedelta(seconds=40) if outcome else None,
        )


def _evidence(pods: dict[str, Any]) -> None:
    """Events and logs, as the cluster would show them."""
    from django.utils import timezone

    from django_userpods.cluster import get_cluster
    from django_userpods.clusters.base import PodEvent, PodLog
    from django_userpods.core.objects import DEPLOYMENT, Ref

    now = timezone.now()
    cluster: Any = get_cluster()
    lines = "".join(
        f"[I 2026-11-29 12:{minute:02}:08.214 App] 200 GET /api/contents?type=directory\n"
        for minute in range(12)
    )
    broken = 'Traceback (most recent call last):\n  File "/app/start.py", line 7, in <module>\n'
    broken += "ModuleNotFoundError: No module named 'numpy'\n"
    for name in ("alice", "bob"):
        cluster.put_evidence(
            Ref(DEPLOYMENT, "homes", pods[name].name),
            PodEvent(now - timedelta(minutes=9), "Normal", "Pulled", "Container image present", 1),
            PodEvent(now - timedelta(minutes=2), "Warning", "BackOff", "Back-off restarting it", 7),
            PodLog(f"{pods[name].name}-6b7f9d-x2x8k", "app", lines),
            PodLog(f"{pods[name].name}-6b7f9d-x2x8k", "app", broken, is_previous=True, is_cut=True),
        )


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class _Threads(ThreadingMixIn, WSGIServer):
    daemon_threads = True


@contextmanager
def serving() -> Iterator[str]:
    """Serve the site from a thread; its URL."""
    from django.contrib.staticfiles.handlers import StaticFilesHandler
    from django.core.wsgi import get_wsgi_application

    application: Any = StaticFilesHandler(get_wsgi_application())
    with make_server(
        "127.0.0.1", 0, application, server_class=_Threads, handler_class=_Quiet
    ) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def put(name: str, state: str, message: str = "", *, minutes: int = 0) -> None:
    """Have a user's pod in a state since some minutes; no look at the cluster changes that."""
    from django.utils import timezone

    from django_userpods.models import UserPod

    now = timezone.now()
    took = [now - timedelta(seconds=seconds) for seconds in (64, 61, 9, 9)]
    known = {"pending": 1, "starting": 2}.get(state, 4)
    UserPod.objects.filter(owner__username=name, slot="").update(
        state=state,
        message=message,
        started_at=took[0],
        step_times=" ".join(f"{at:%Y-%m-%dT%H:%M:%SZ}" for at in took[:known]),
        wanted="stopped" if state == "stopped" else "running",
        looked_at=now + timedelta(days=365),
        updated_at=now - timedelta(minutes=minutes),
    )


def take_back() -> None:
    """Have nothing that was made for an earlier picture."""
    from django_userpods.models import AccessToken

    AccessToken.objects.filter(label=MADE).delete()


@contextmanager
def stopped_rollout() -> Iterator[None]:
    """A rollout that was stopped by its second failure, meanwhile."""
    from django.test import override_settings
    from django.utils import timezone

    from django_userpods.models import Installation, UserPod

    turns = {"bob": "failed", "erin": "failed", "dave": "updating", "heidi": "waiting"}
    installation = Installation.objects.filter(pk=Installation.objects.current().pk)
    for name, turn in turns.items():
        UserPod.objects.filter(owner__username=name).update(turn=turn)
    installation.update(
        rollout_stopped_at=timezone.now(),
        rollout_failures=2,
        rollout_reason=f"user-erin: {PULLS}",
    )
    with override_settings(USERPODS_ROLLOUT={"MAX_UNREADY": 1, "MAX_FAILURES": 2}):
        yield
    UserPod.objects.update(turn="")
    installation.update(rollout_stopped_at=None, rollout_failures=0, rollout_reason="")


@contextmanager
def nameless() -> Iterator[None]:
    """Grace's pod has no name yet, meanwhile."""
    from django_userpods.models import UserPod

    pods = UserPod.objects.filter(owner__username="grace")
    name = pods.get().name
    pods.update(name=None)
    yield
    pods.update(name=name)


@contextmanager
def edited() -> Iterator[None]:
    """Somebody has edited bob's Deployment by hand, meanwhile."""
    from django_userpods.cluster import get_cluster
    from django_userpods.core.objects import DEPLOYMENT, Ref

    cluster: Any = get_cluster()
    deployment = cluster.objects[Ref(DEPLOYMENT, "homes", "user-bob")]
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    declared, container["image"] = container["image"], "registry.example/notebook:latest"
    yield
    container["image"] = declared


@contextmanager
def in_use() -> Iterator[None]:
    """Pods that run by the first profile, meanwhile."""
    from django_userpods.models import Profile, UserPod

    pods = UserPod.objects.filter(state="running")
    pods.update(profile=Profile.objects.earliest("pk").slug)
    yield
    UserPod.objects.update(profile="")


def user(username: str) -> Any:
    """One of the users."""
    from django.contrib.auth import get_user_model

    return get_user_model().objects.get(username=username)


def session(username: str) -> str:
    """The key of a session of somebody's."""
    from django.test import Client

    client = Client()
    client.force_login(user(username))
    return client.cookies["sessionid"].value
