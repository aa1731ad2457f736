"""The main job with nothing but the ServiceAccount of ``manifests/rbac``.

In a namespace as ``manifests/isolation`` makes it: Pod Security ``restricted``, quota and all.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from django.contrib.auth import get_user_model
from django.utils import timezone

from django_userpods import evidence
from django_userpods.cluster import get_cluster
from django_userpods.clusters.kubernetes import KubernetesCluster
from django_userpods.conf import conf
from django_userpods.core import naming
from django_userpods.core.objects import DEPLOYMENT, POD, SERVICE, Kind
from django_userpods.deploy import rights, shipped
from django_userpods.exceptions import UserpodsError
from django_userpods.models import UserPod
from django_userpods.reconcile import reconcile
from django_userpods.reconcile.wanted import base_manifests, this_installation
from tests.factories import UserFactory
from tests.testcluster.processes import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_django.fixtures import Settings

    from django_userpods.clusters.base import Event
    from tests.manifests.conftest import Site

pytestmark = [pytest.mark.cluster, pytest.mark.django_db]

PVC = Kind("v1", "PersistentVolumeClaim")
CONFIG = Kind("v1", "ConfigMap")


def shipped_rules(path: str) -> list[dict[str, Any]]:
    text = (shipped.source() / path).read_text()
    rules: list[dict[str, Any]] = yaml.safe_load(text)["rules"]
    return rules


RULES = shipped_rules("rbac/role.yaml")
VERBS = [(rule["resources"][0], verb) for rule in RULES for verb in rule["verbs"]]


@pytest.fixture
def only_rbac(site: Site, settings: Settings) -> Callable[..., None]:
    """Let Django be the ServiceAccount, and nothing more."""

    def be(**values: Any) -> None:
        site.cluster.kubectl("create", "namespace", site.django)
        warnings = site.apply("isolation", "rbac", **values)
        assert warnings == ""
        site.wait_for_quota()
        kubeconfig = site.cluster.kubeconfig_for(
            service_account="userpods-django", namespace=site.django
        )
        settings.USERPODS_NAMESPACE = site.users
        settings.USERPODS_CLUSTER = {
            "BACKEND": "django_userpods.clusters.kubernetes.KubernetesCluster",
            "OPTIONS": {"kubeconfig": str(kubeconfig)},
            "IN_TESTS": True,
        }

    return be


def synced(user_pks: list[str] | None = None) -> None:
    """Reconcile, and fail where anything did."""
    report = reconcile(user_pks)
    assert not report.failed, "; ".join(failure.message for failure in report.failed)


def until(site: Site, check: Callable[[], object], *user_pks: str) -> None:
    """Reconcile these users (none: all) until the check holds."""
    deadline = time.monotonic() + 150
    while not check():
        rows = UserPod.objects.values("name", "wanted", "state", "message", "recreate")
        if time.monotonic() > deadline:
            seen = site.cluster.kubectl("get", "rs,pods,events", "-n", site.users).stdout
            pytest.fail(f"not in time: {list(rows)}\n{seen}")
        time.sleep(0.3)
        synced(list(user_pks) or None)


def pod_of(user: Any) -> UserPod:
    return UserPod.objects.get(owner_pk=str(user.pk))


def scope() -> dict[str, Any]:
    """Return where the controller watches, and what."""
    namespace = None if callable(conf.USERPODS_NAMESPACE) else conf.USERPODS_NAMESPACE
    labels = {naming.INSTALLATION_LABEL: this_installation(write=True).id}
    return {"namespace": namespace, "labels": labels}


def versions() -> dict[Kind, str]:
    """Return from where the controller would watch."""
    return {kind: get_cluster().version(kind, **scope()) for kind in (DEPLOYMENT, SERVICE, POD)}


def first_event(kind: Kind, since: str) -> Event:
    """Return the first that a watch of the controller's tells."""
    with get_cluster().watch(kind, since=since, seconds=30, **scope()) as watch:
        return next(event for event in watch if event.type != "BOOKMARK")


def whole_job(site: Site) -> None:
    """Everything that Django ever asks of the cluster, for two users."""
    since = versions()
    alice, bob = UserFactory(username="alice"), UserFactory(username="bob")
    synced()
    for kind, version in since.items():
        assert first_event(kind, version).type == "ADDED"
    for user in alice, bob:
        until(site, lambda user=user: pod_of(user).state == UserPod.State.RUNNING, str(user.pk))  # type: ignore[misc]
    names = ("get", "deployments,services", "-n", site.users, "-o=name")
    assert sorted(site.cluster.kubectl(*names).stdout.split()) == [
        "deployment.apps/user-alice",
        "deployment.apps/user-bob",
        "service/user-alice",
        "service/user-bob",
    ]

    def deployment() -> dict[str, Any]:
        return site.cluster.get("deployment", "user-alice", "-n", site.users)

    rows, key = UserPod.objects.filter(owner_pk=str(alice.pk)), str(alice.pk)
    rows.update(wanted=UserPod.Wanted.STOPPED)
    synced([key])
    assert deployment()["spec"]["replicas"] == 0
    rows.update(wanted=UserPod.Wanted.RUNNING, restarted_at=timezone.now())
    synced([key])
    assert deployment()["spec"]["replicas"] == 1
    assert "restarted-at" in str(deployment()["spec"]["template"]["metadata"]["annotations"])
    edit = '{"spec": {"selector": {"app": "somebody-else"}}}'
    site.cluster.kubectl("patch", "service", "user-alice", "-n", site.users, f"--patch={edit}")
    synced()
    service = site.cluster.get("service", "user-alice", "-n", site.users)
    assert service["spec"]["selector"] == {
        "app": "user-alice",
        "django-userpods/pod": pod_of(alice).pk,
    }
    before = deployment()["metadata"]["uid"]
    rows.update(recreate=True)
    reconcile([key])
    until(site, lambda: not pod_of(alice).recreate and pod_of(alice).state == "running", key)
    assert deployment()["metadata"]["uid"] != before

    get_user_model().objects.filter(pk=bob.pk).delete()
    until(site, lambda: not UserPod.objects.filter(owner_pk=str(bob.pk)).exists())
    assert sorted(site.cluster.kubectl(*names).stdout.split()) == [
        "deployment.apps/user-alice",
        "service/user-alice",
    ]


def test_the_whole_job_is_done_with_these_rights_alone(
    site: Site, only_rbac: Callable[..., None]
) -> None:
    only_rbac()
    whole_job(site)


@pytest.mark.parametrize(("resource", "verb"), VERBS)
def test_none_of_the_verbs_can_be_left_out(
    site: Site, only_rbac: Callable[..., None], resource: str, verb: str
) -> None:
    rules = rights.rules_for([])
    for kind in rules:
        if rights.resource_of(kind)[1] == resource:
            rules[kind] = rules[kind] - {verb}
    # A rule has to have verbs; this one is never used.
    only_rbac(rules={kind: verbs or {"deletecollection"} for kind, verbs in rules.items()})
    with pytest.raises((AssertionError, UserpodsError)) as caught:
        whole_job(site)
    message = f"{caught.value} {list(UserPod.objects.values_list('message', flat=True))}"
    assert "orbidden" in message or "not allow" in message, message


@pytest.mark.parametrize("kind", [CONFIG, PVC], ids=lambda kind: kind.kind)
def test_rights_made_for_more_kinds_are_enough(
    site: Site, only_rbac: Callable[..., None], settings: Settings, kind: Kind
) -> None:
    specs: dict[Kind, dict[str, Any]] = {
        CONFIG: {"data": {"who": "{username}"}},
        PVC: {
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1Gi"}},
            }
        },
    }
    settings.USERPODS_TEMPLATE = [
        *base_manifests(),
        {
            "apiVersion": kind.api_version,
            "kind": kind.kind,
            "metadata": {"name": "{name}--more"},
            **specs[kind],
        },
    ]
    only_rbac(rules=rights.rules_for([DEPLOYMENT, SERVICE, kind], retain={"PersistentVolumeClaim"}))
    user = UserFactory(username="alice")
    synced()
    get_user_model().objects.filter(pk=user.pk).delete()
    until(site, lambda: not UserPod.objects.exists(), str(user.pk))
    left = site.cluster.kubectl("get", "configmaps,pvc", "-n", site.users, "-o=name").stdout
    assert ("user-alice--more" in left) == (kind == PVC)


def test_a_namespace_for_each_user_takes_the_cluster_wide_variant(
    site: Site, settings: Settings, cluster_wide: str
) -> None:
    site.apply("isolation")
    site.wait_for_quota()
    kubeconfig = site.cluster.kubeconfig_for(
        service_account="userpods-django", namespace=cluster_wide
    )
    settings.USERPODS_NAMESPACE = lambda user: site.users
    settings.USERPODS_INSTANCE = site.users
    settings.USERPODS_CLUSTER = {
        "BACKEND": "django_userpods.clusters.kubernetes.KubernetesCluster",
        "OPTIONS": {"kubeconfig": str(kubeconfig)},
        "IN_TESTS": True,
    }
    whole_job(site)


def test_all_variants_have_the_same_rules() -> None:
    for path in (
        "rbac/cluster/clusterrole",
        "controller/role/role",
        "controller/cluster/clusterrole",
    ):
        assert shipped_rules(f"{path}.yaml") == RULES, path
    accounts = [
        (shipped.source() / folder / "serviceaccount.yaml").read_text()
        for folder in ("rbac", "rbac/cluster")
    ]
    assert accounts[0] == accounts[1]
    everywhere = shipped_rules("rbac/cluster/logs/clusterrole.yaml")
    assert everywhere == shipped_rules("rbac/logs/role.yaml")


def test_the_option_for_logs_is_needed_and_enough(
    site: Site, only_rbac: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    # (Pods that kwok pretends to run have no logs to read.)
    monkeypatch.setattr(KubernetesCluster, "logs", lambda *_, **__: iter(()))
    only_rbac()
    alice = UserFactory(username="alice")
    synced()
    until(site, lambda: pod_of(alice).state == UserPod.State.RUNNING, str(alice.pk))
    refused = evidence.of(pod_of(alice))
    assert refused.problems == ["The cluster does not let this site see all of it."]
    site.cluster.kubectl("apply", "-k", site.folder / "rbac" / "logs")

    def reasons() -> set[str]:
        found = evidence.of(pod_of(alice))
        return {event.reason for event in found.events} if not found.problems else set()

    wait_for(lambda: reasons() >= {"Scheduled", "SuccessfulCreate"}, "events")


def test_the_shipped_rules_are_those_that_the_command_writes() -> None:
    made = shipped.fill(
        (shipped.source() / "rbac/role.yaml").relative_to(shipped.source()),
        (shipped.source() / "rbac/role.yaml").read_text(),
        shipped.ProjectValues(rules=rights.rules_for([])),
    )
    assert yaml.safe_load(made)["rules"] == RULES
