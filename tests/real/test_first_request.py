"""Nobody's request waits until the Kubernetes client is imported."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.real.project import objects, pair
from tests.real.test_other_projects import Project

if TYPE_CHECKING:
    from pathlib import Path

    from tests.testcluster.cluster import Cluster

pytestmark = pytest.mark.cluster

#: A site whose visitors are made users, as a sign-up does, asked as a WSGI server asks it.
SITE = """
import sys, threading, types
import django
from django.conf import settings

settings.ROOT_URLCONF = "urls"
settings.ALLOWED_HOSTS = ["*"]
django.setup()
from django.contrib.auth.models import User
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.test import RequestFactory
from django.urls import path
from django_userpods.cluster import get_cluster


def sign_up(request, name):
    user = User.objects.create_user(name)
    return HttpResponse(user.userpods.get().message)


sys.modules["urls"] = types.ModuleType("urls")
sys.modules["urls"].urlpatterns = [path("<name>", sign_up)]
site = get_wsgi_application()


def ask(name):
    said = []
    environ = RequestFactory().get(f"/{name}").environ
    body = b"".join(site(environ, lambda status, headers, *_: said.append(status)))
    assert said == ["200 OK"], (said, body)
    return body.decode()


for name in ("alice", "bob"):
    ask(name)
    assert not get_cluster().is_prepared
    assert User.objects.get(username=name).userpods.get().state == "pending"
for thread in threading.enumerate():
    if thread.name == "userpods-client":
        thread.join(120)
assert get_cluster().is_prepared
states = [user.userpods.get().state for user in User.objects.all()]
assert "pending" not in states, states
ask("carol")
assert User.objects.get(username="carol").userpods.get().state != "pending"
"""


def test_the_first_users_pods_are_made_beside_the_requests(
    cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    project = Project(tmp_path / "site", cluster.kubeconfig, namespace)
    project.run("-c", SITE)
    assert objects(cluster, namespace) == pair("user-alice", "user-bob", "user-carol")


def test_a_command_does_its_work_before_it_ends(
    cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    project = Project(tmp_path / "site", cluster.kubeconfig, namespace)
    code = (
        "import django; django.setup(); from django.contrib.auth.models import User;"
        # However slow this machine is.
        "from django.conf import settings; settings.USERPODS_INLINE_TIMEOUT = 60;"
    )
    project.run("-c", code + "User.objects.create_user('alice')")
    assert objects(cluster, namespace) == pair("user-alice")
