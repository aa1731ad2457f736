"""``userpods_doctor`` and ``userpods_status`` against a real API server."""

from __future__ import annotations

import json
from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest
from django.core.management import call_command

from django_userpods.cluster import get_cluster
from django_userpods.core.objects import DEPLOYMENT, POD, SERVICE, Kind
from django_userpods.doctor import inside, permissions
from django_userpods.exceptions import UnknownKind
from tests.django.support import examine_here
from tests.real.project import use_cluster

if TYPE_CHECKING:
    from pytest_django.fixtures import Settings

    from tests.testcluster.cluster import Cluster

pytestmark = [pytest.mark.cluster, pytest.mark.django_db]


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    examine_here(monkeypatch)


def run(command: str, *arguments: str) -> tuple[int, Any]:
    out, code = StringIO(), 0
    try:
        call_command(command, "--format", "json", *arguments, stdout=out, stderr=StringIO())
    except SystemExit as error:
        code = int(str(error.code))
    return code, json.loads(out.getvalue())


def found(about: str, *arguments: str) -> list[dict[str, str]]:
    _, said = run("userpods_doctor", *arguments)
    return [item for item in said["findings"] if item["about"] == about]


def test_who_may_all_is_told_so(real: str) -> None:
    call_command("sync_userpods", stdout=StringIO(), stderr=StringIO())
    for about in ("database", "cluster", "rights", "clock"):
        assert [item["level"] for item in found(about)] == ["ok"], found(about)
    code, said = run("userpods_status")
    assert code == 0
    assert said["cluster"]["reachable"] is True
    assert [item["level"] for item in found("rights", "--controller")] == ["ok"]


def test_who_lacks_rights_is_told_which(
    settings: Settings, cluster: Cluster, namespace: str
) -> None:
    cluster.kubectl("create", "serviceaccount", "little", "-n", namespace)
    kubeconfig = cluster.kubeconfig_for(service_account="little", namespace=namespace)
    use_cluster(settings, kubeconfig, namespace)
    (finding,) = found("rights")
    assert finding["level"] == "wrong"
    verbs = "create, delete, get, list, patch"
    assert finding["text"].endswith(
        f"In {namespace} these rights are missing: Deployment: {verbs}; Pod: list; "
        f"Service: {verbs}."
    )
    role = ("create", "role", "most", "-n", namespace)
    cluster.kubectl(
        *role, "--verb=create,delete,get,list,patch", "--resource=deployments.apps,services"
    )
    bind = ("create", "rolebinding", "most", "-n", namespace, "--role=most")
    cluster.kubectl(*bind, f"--serviceaccount={namespace}:little")
    (finding,) = found("rights")
    assert finding["text"] == f"In {namespace} these rights are missing: Pod: list."
    assert run("userpods_doctor")[0] == 1


def test_a_namespace_that_is_not_there_is_told(real: str, settings: Settings) -> None:
    settings.USERPODS_NAMESPACE = f"{real}-not-there"
    (finding,) = found("rights")
    assert finding["level"] == "wrong"
    assert f"{real}-not-there" in finding["text"]


def test_rights_are_asked_by_kind_verb_and_namespace(real: str) -> None:
    cluster = get_cluster()
    assert cluster.is_allowed("list", POD, namespace=real)
    assert cluster.is_allowed("patch", DEPLOYMENT, namespace=None)
    with pytest.raises(UnknownKind):
        cluster.is_allowed("list", Kind("nobody.example/v1", "Thing"), namespace=real)
    with pytest.raises(UnknownKind):
        cluster.is_allowed("list", Kind("apps/v1", "Thing"), namespace=real)
    assert not permissions._lacks_namespace(cluster, real)
    facts = inside.Facts(rules={SERVICE: {"list"}}, namespaces=[real])
    assert [item.level for item in permissions.rights(facts, 10.0, controller=False)] == ["ok"]


def test_a_cluster_that_cannot_be_reached_is_told_in_time(
    real: str, settings: Settings, tmp_path: Any
) -> None:
    dead = tmp_path / "config"
    dead.write_text(
        "apiVersion: v1\nkind: Config\ncontexts: [{name: a, context: {cluster: a, user: a}}]\n"
        "clusters: [{name: a, cluster: {server: 'http://127.0.0.1:1'}}]\n"
        "users: [{name: a, user: {token: hunter2}}]\n"
    )
    use_cluster(settings, dead, real)
    code, said = run("userpods_doctor", "--timeout", "3")
    assert code == 1
    assert "hunter2" not in json.dumps(said)
    assert [item["level"] for item in said["findings"] if item["about"] == "cluster"] == ["wrong"]
    assert run("userpods_status")[0] == 1
