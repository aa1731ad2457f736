"""Whether pages can be read that show what a real API server says: ``audit`` looks at them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.utils import timezone

from django_userpods import add_pod, lifecycle, share
from django_userpods.conf import SELF_SERVICE
from django_userpods.models import AccessToken, BulkRun, Profile, UserPod
from tests import settings as test_settings
from tests.browser import audit
from tests.browser.chromium import wait_for_text
from tests.browser.kubelet import Kubelet, kubelet
from tests.browser.real_site import PODS, RealSite, boss, each_told, site_of_a_module, told
from tests.browser.screenshots import LANGUAGE_COOKIES
from tests.factories import UserFactory
from tests.real.controllers import until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.browser,
    pytest.mark.cluster,
    pytest.mark.skipif(audit.AXE is None, reason="NOT RUN: axe-selenium-python needs Python 3.12"),
]

#: Users whose pods the node does not simply run, and how it treats them.
STAGES = {"bob": "crash", "carol": "image-pull", "erin": "starting"}
FIRST, *REST = test_settings.MIDDLEWARE

site = site_of_a_module(
    LANGUAGES=[("en", "English"), ("zh-hans", "简体中文")],
    MIDDLEWARE=[FIRST, "django.middleware.locale.LocaleMiddleware", *REST],
    USERPODS_MAX_PODS=3,
    USERPODS_PROFILES="database",
    USERPODS_SELF_SERVICE=[*SELF_SERVICE],
    USERPODS_SHARING=True,
    USERPODS_URL="/pods/{pod}/",
)


@dataclass(frozen=True)
class Page:
    """What somebody opens, and something on it that the cluster or the database says."""

    who: str
    path: str
    css: str
    says: str


WAITING, EVENTS = "/userpods/waiting/", ".events"
#: What differs with what the cluster says; all others are looked at on the memory cluster.
PAGES = {
    "home": Page("alice", "/userpods/", "#pod-lab", "user-alice---lab"),
    "home-logs": Page("alice", "/userpods/pods/user-alice/logs/", "pre", "listening"),
    "waiting-starting": Page("erin", WAITING, "#userpods-steps", ""),
    "waiting-image": Page("carol", WAITING, EVENTS, "Scheduled"),
    "waiting-crash": Page("bob", WAITING, EVENTS, "Scheduled"),
    "waiting-no-room": Page("dave", WAITING, "#userpods-message", ""),
    "overview": Page("boss", f"{PODS}overview/", "#content", "CrashLoopBackOff"),
    "list": Page("boss", PODS, "#result_list", "Back-off pulling image"),
    "pod": Page("boss", f"{PODS}{{bob}}/change/", "#content", "CrashLoopBackOff"),
    "events": Page("boss", f"{PODS}{{bob}}/events/", "tbody", "Scheduled"),
    "logs": Page("boss", f"{PODS}{{alice}}/logs/", "pre", "listening"),
    "comparison": Page("boss", f"{PODS}{{boss}}/comparison/", "#content", "example.org/other:1"),
    "history": Page("boss", f"{PODS}{{bob}}/history/", "#content", "CrashLoopBackOff"),
    "bulk": Page("boss", f"{PODS}bulk/{{run}}/", ".userpods-failures", "user-carol"),
    "user-delete": Page("boss", "/admin/auth/user/{alice-user}/delete/", "#content", "user-alice"),
}


def fill(site: RealSite) -> dict[str, Any]:
    """Have everything in the cluster that the pages show; return what their paths name."""
    large = Profile(slug="large", name="Large", image="example.org/large:1")
    large.save(actor="boss")
    large.description = "For big tables."
    large.save(actor="judy")
    people = {name: UserFactory(username=name) for name in ("alice", "dave", *STAGES)}
    people["boss"] = boss()
    alice = people["alice"]
    alice.user_permissions.add(Permission.objects.get(codename="share_userpod"))
    lab = add_pod(alice, "lab", profile="large")
    lifecycle.stop(UserPod.objects.filter(pk=lab.pk), actor="alice")
    pods = {name: UserPod.objects.get(owner=user, slot="") for name, user in people.items()}
    share(pods["alice"], with_=people["bob"], until=timezone.now() + timedelta(days=7))
    share(pods["bob"], with_=people["carol"])
    AccessToken.objects.issue(alice, label="laptop")
    followed = UserPod.objects.filter(slot="").exclude(owner=people["dave"])
    run = lifecycle.restart(followed, actor="boss", followed=True).run
    assert isinstance(run, BulkRun)
    return {
        **{name: pod.pk for name, pod in pods.items()},
        "alice-user": alice.pk,
        "run": run.pk,
    }


def as_they_are_to_be(site: RealSite) -> bool:
    """Look once more, and tell whether each pod came to where the node leaves it."""
    site.inner.sync()
    states = dict(UserPod.objects.filter(slot="").values_list("owner__username", "state"))
    return states == {
        "alice": "running",
        "bob": "failed",
        "boss": "running",
        "carol": "failed",
        "dave": "starting",
        "erin": "starting",
    }


@pytest.fixture
def node(site: RealSite, tmp_path: Any) -> Iterator[Kubelet]:
    """What answers where logs are asked for."""
    with kubelet(site.cluster, tmp_path) as made:
        yield made


@pytest.mark.timeout(600)
def test_pages_of_a_real_cluster_can_be_read(site: RealSite, node: Kubelet, settings: Any) -> None:
    hows = {name: told({"pod": how}) for name, how in STAGES.items()}
    hows["dave"] = told(nodeSelector={f"{site.inner.namespace}/place": "here"})
    settings.USERPODS_CUSTOMIZE = each_told(hows)
    names = fill(site)
    until(lambda: as_they_are_to_be(site), 60, "all states", every=0.5)
    where = ("-n", site.inner.namespace)
    [pod] = site.cluster.get("pods", *where, "-l", "app=user-alice")["items"]
    node.texts[pod["metadata"]["name"], False] = "listening on port 8000\n"
    image = "deployment/user-boss", "app=example.org/other:1"
    site.cluster.kubectl("set", "image", *image, *where)

    auditor = audit.Audit(site.browser)
    site.browser.set_script_timeout(60)
    users: Any = get_user_model()
    for language, cookie in LANGUAGE_COOKIES.items():
        who = ""
        for name, page in PAGES.items():
            is_staff = page.who == "boss"
            if page.who != who:
                who = page.who
                site.sign_in(users.objects.get(username=who), staff=is_staff)
                site.browser.add_cookie({"name": "django_language", "value": cookie})
            site.open(page.path.format_map(names), staff=is_staff)
            site.browser.execute_script(audit.UNFOLD)
            wait_for_text(site.browser, page.css, page.says)
            auditor.look(f"{name}.{language}")
    assert auditor.findings == []
