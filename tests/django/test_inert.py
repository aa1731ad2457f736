"""In a test run nothing is sent to a cluster that the settings do not allow to tests by name."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.core.management import CommandError, call_command
from django.test import utils as test_utils

from django_userpods import lifecycle, tasks
from django_userpods.access import router_client
from django_userpods.cluster import get_cluster, in_test_run, is_inert
from django_userpods.clusters.inert import InertCluster
from django_userpods.clusters.kubernetes import KubernetesCluster
from django_userpods.models import UserPod
from django_userpods.testing import MemoryCluster, memory_cluster
from tests.clusters.kubeconfigs import several
from tests.django.support import bulk, row, users
from tests.factories import UserFactory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.test import Client

ROOT = Path(__file__).parents[2]
KUBERNETES = "django_userpods.clusters.kubernetes.KubernetesCluster"
WHY = "nothing was sent to the cluster: this is a test run"


#: Whatever is sent to a cluster, or gets ready for that.
WORK = (
    *("list", "get", "create", "apply", "replace", "delete", "version", "watch", "prepare"),
    *("events", "logs"),
)


@pytest.fixture
def real(
    settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, Any]]:
    """Settings as in production; whoever takes one step towards the cluster fails the test."""
    kubeconfig = several(tmp_path / "config", "prod")
    setting = {"BACKEND": KUBERNETES, "OPTIONS": {"kubeconfig": str(kubeconfig)}}
    settings.USERPODS_CLUSTER = setting
    before = threading.active_count()

    def used(*_: Any, **__: Any) -> None:
        pytest.fail("the cluster of the settings is used")

    for name in WORK:
        monkeypatch.setattr(KubernetesCluster, name, used)
    yield setting
    assert threading.active_count() == before


@pytest.mark.django_db(transaction=True)
def test_a_saved_user_has_a_row_that_says_why_nothing_was_sent(
    real: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    alice = UserFactory(username="alice")
    assert (row(alice).state, row(alice).name) == ("pending", "user-alice")
    assert WHY in row(alice).message
    alice.is_active = False
    alice.save()
    assert row(alice).wanted == "absent"
    alice.delete()
    assert UserPod.objects.get().owner is None
    # It is so at each save of a user: an existing suite's output stays readable.
    assert caplog.records == []


@pytest.mark.django_db(transaction=True)
def test_what_the_admin_asks_for_is_left_and_says_why(real: dict[str, Any]) -> None:
    UserFactory(username="alice")
    for ask in (lifecycle.stop, lifecycle.start, lifecycle.recreate, lifecycle.sync):
        steered = ask(UserPod.objects.all())
        assert (steered.later, steered.failures) == (1, [])
        assert WHY in steered.reason


@pytest.mark.django_db
def test_a_sync_says_that_it_sent_nothing_and_is_no_success(real: dict[str, Any]) -> None:
    bulk(2)
    for options in ((), ("--dry-run",)):
        out = StringIO()
        with pytest.raises(CommandError, match=WHY) as caught:
            call_command("sync_userpods", *options, stdout=out)
        assert caught.value.returncode == 1
        assert out.getvalue() == "Cluster: none, since this is a test run, namespace default\n"
    assert {WHY in message for message in UserPod.objects.values_list("message", flat=True)} == {
        True
    }


@pytest.mark.django_db(transaction=True)
def test_no_task_is_enqueued_and_no_router_told(
    real: dict[str, Any], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.USERPODS_ROUTERS = ["http://127.0.0.1:9"]
    monkeypatch.setattr(tasks, "has_task_backend", lambda: pytest.fail("tasks are looked at"))
    monkeypatch.setattr(router_client, "_put", lambda *_: pytest.fail("a router is told"))
    UserFactory(username="alice").delete()


@pytest.mark.django_db
def test_whoami_answers_as_ever(real: dict[str, Any], client: Client) -> None:
    alice = UserFactory(username="alice")
    call = tasks.ask([str(alice.pk)])
    assert call.later == 1
    client.force_login(alice)
    response = client.get("/whoami")
    assert response.status_code == 200
    assert response["X-Target-Address"] == "user-alice.default.svc.cluster.local:8000"


def test_a_cluster_that_tests_do_not_need_is_not_warned_of(settings: Any) -> None:
    from django.core import checks

    settings.USERPODS_CLUSTER = {"BACKEND": KUBERNETES, "OPTIONS": {"context": "no such"}}
    assert checks.run_checks(tags=["userpods"]) == []


@pytest.mark.parametrize(
    ("setting", "inert"),
    [
        ({"BACKEND": KUBERNETES}, True),
        ({"BACKEND": KUBERNETES, "IN_TESTS": False}, True),
        ({"BACKEND": KUBERNETES, "IN_TESTS": True}, False),
        ({"BACKEND": "django_userpods.testing.MemoryCluster"}, False),
        ({"BACKEND": "django_userpods.testing.MemoryCluster", "IN_TESTS": False}, True),
        (
            {
                "BACKEND": "django_userpods.clusters.local.LocalCluster",
                "OPTIONS": {"state_dir": "somewhere"},
            },
            True,
        ),
    ],
)
def test_tests_use_a_cluster_only_where_the_settings_let_them(
    settings: Any, setting: dict[str, Any], inert: bool
) -> None:
    settings.USERPODS_CLUSTER = setting
    assert is_inert() is inert
    assert isinstance(get_cluster(), InertCluster) is inert


def test_broken_settings_are_the_checks_business(settings: Any) -> None:
    settings.USERPODS_CLUSTER = {"BACKEND": "no.such.Cluster"}
    assert not is_inert()


def test_a_django_that_keeps_its_state_elsewhere_is_a_test_run_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert in_test_run()
    monkeypatch.delattr(test_utils, "_TestState")
    assert in_test_run()


def test_outside_of_a_test_run_the_cluster_is_used() -> None:
    code = """
        import sys
        import django
        from django_userpods.cluster import get_cluster, in_test_run, is_inert
        from django_userpods.clusters.inert import InertCluster
        from django_userpods.clusters.kubernetes import KubernetesCluster
        from django.conf import settings
        settings.configure(INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes",
            "django_userpods"], USERPODS_CLUSTER={"BACKEND":
            "django_userpods.clusters.kubernetes.KubernetesCluster"})
        django.setup()
        assert "django.test.utils" not in sys.modules
        assert (in_test_run(), is_inert()) == (False, False)
        assert isinstance(get_cluster(), KubernetesCluster)
        # Importing it, as some libraries do, is no test run.
        from django.test.utils import setup_test_environment, teardown_test_environment
        assert (in_test_run(), is_inert()) == (False, False)
        setup_test_environment()
        assert (in_test_run(), is_inert()) == (True, True)
        assert isinstance(get_cluster(), InertCluster)
        teardown_test_environment()
        assert (in_test_run(), is_inert()) == (False, False)
        assert isinstance(get_cluster(), KubernetesCluster)
        assert "kubernetes" not in sys.modules
    """
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    env.pop("DJANGO_SETTINGS_MODULE", None)
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.django_db(transaction=True)
def test_a_cluster_in_memory_is_there_for_one_test_only(real: dict[str, Any]) -> None:
    for name in ("alice", "bob"):
        with memory_cluster() as cluster:
            assert cluster.objects == {}
            UserFactory(username=name)
            assert {ref.name for ref in cluster.objects} == {f"user-{name}"}
        assert isinstance(get_cluster(), InertCluster)
        # As a test's database is.
        users().all().delete()
        UserPod.objects.all().delete()
    assert not [name for name in MemoryCluster._stores if name.startswith("test-")]
