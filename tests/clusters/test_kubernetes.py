"""What the cluster behind an API server sends, and what the real one answers to it."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from django_userpods.clusters.kubernetes import KubernetesCluster
from django_userpods.core.objects import DEPLOYMENT, SERVICE, Kind, Ref
from django_userpods.exceptions import (
    BadAnswer,
    ClusterConfigurationError,
    ClusterError,
    ClusterUnavailable,
    Expired,
    Forbidden,
    Invalid,
    NotFound,
    QuotaExceeded,
    Unauthorized,
)
from tests import faults
from tests.clusters.manifests import LABELS, configmap, deployment, service
from tests.faultproxy import FaultProxy

if TYPE_CHECKING:
    from pathlib import Path

    from tests.testcluster.cluster import Cluster as RealCluster

pytest_plugins = ["tests.testcluster.fixtures"]
pytestmark = pytest.mark.cluster
CONFIGMAP = Kind("v1", "ConfigMap")


# --- what is sent


def test_urls_and_headers_are_what_the_api_wants(
    through: KubernetesCluster, proxy: FaultProxy, namespace: str
) -> None:
    stored = through.create(service(namespace))
    through.apply(service(namespace))
    list(through.list(SERVICE, namespace=namespace, labels={"app": "user-alice"}))
    list(through.list(DEPLOYMENT, namespace=None, labels={"django-userpods/instance": "x"}))
    through.delete(Ref.of(stored), uid=stored["metadata"]["uid"])

    services = f"/api/v1/namespaces/{namespace}/services"
    write = "fieldManager=django-userpods&fieldValidation=Strict"
    assert [(call.method, call.path, call.query) for call in proxy.calls] == [
        ("POST", services, write),
        ("GET", f"{services}/user-alice", ""),
        ("PATCH", f"{services}/user-alice", ""),
        ("PATCH", f"{services}/user-alice", f"{write}&force=true"),
        ("GET", services, "limit=2&labelSelector=app%3Duser-alice"),
        (
            "GET",
            "/apis/apps/v1/deployments",
            "limit=2&labelSelector=django-userpods/instance%3Dx",
        ),
        ("DELETE", f"{services}/user-alice", ""),
    ]
    types = [call.headers.get("Content-Type") for call in proxy.calls]
    assert types[2:4] == ["application/json-patch+json", "application/apply-patch+yaml"]
    assert all(call.headers["User-Agent"].startswith("django-userpods/") for call in proxy.calls)
    assert [call.headers["Accept-Encoding"] for call in proxy.calls[3:5]] == ["identity", "gzip"]
    assert b'"propagationPolicy": "Background"' in proxy.calls[-1].body


def test_names_that_would_change_the_url_are_refused(
    through: KubernetesCluster, proxy: FaultProxy
) -> None:
    for name in ("", ".", "..", "a/b"):
        with pytest.raises(Invalid):
            through.delete(Ref(SERVICE, "default", name), uid="1")
        with pytest.raises(Invalid):
            through.delete(Ref(SERVICE, name, "user-alice"), uid="1")
    with pytest.raises(Invalid, match="UID"):
        through.delete(Ref(SERVICE, "default", "user-alice"), uid="")
    with pytest.raises(Invalid, match="label"):
        list(through.list(SERVICE, namespace=None, labels={"a": "b,c!=d"}))
    assert proxy.calls == []


def test_a_kind_that_is_not_built_in_is_looked_up_once(
    through: KubernetesCluster, proxy: FaultProxy
) -> None:
    kind = Kind("flowcontrol.apiserver.k8s.io/v1", "FlowSchema")

    for _ in range(2):
        assert through.get(Ref(kind, "", "nothing.example.org")) is None

    paths = [call.path for call in proxy.calls]
    group = "/apis/flowcontrol.apiserver.k8s.io/v1"
    item = f"{group}/flowschemas/nothing.example.org"
    assert paths == [group, item, item]


@pytest.mark.parametrize(
    "kind", [Kind("example.org/v1", "Thing"), Kind("apps/v1", "Thing"), Kind("apps/v9", "X")]
)
def test_a_kind_that_nobody_knows_is_not_found(through: KubernetesCluster, kind: Kind) -> None:
    ref = Ref(kind, "default", "x")
    with pytest.raises(NotFound, match="does not know"):
        list(through.list(kind, namespace=None, labels={}))
    with pytest.raises(NotFound, match="does not know"):
        through.get(ref)
    with pytest.raises(NotFound, match="does not know"):
        through.delete(ref, uid="1")


# --- refusals of the real server


def test_rbac_names_the_verb_and_the_resource(cluster: RealCluster, namespace: str) -> None:
    account = {"apiVersion": "v1", "kind": "ServiceAccount"}
    cluster.create({**account, "metadata": {"name": "nobody", "namespace": namespace}})
    kubeconfig = cluster.kubeconfig_for(service_account="nobody", namespace=namespace)
    client = KubernetesCluster(kubeconfig=kubeconfig)

    with pytest.raises(Forbidden, match='cannot create resource "deployments"') as caught:
        client.create(deployment(namespace))
    client.close()

    assert "system:serviceaccount" in str(caught.value)
    assert caught.value.status == 403


def test_a_quota_is_named(through: KubernetesCluster, cluster: RealCluster, namespace: str) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "few", "namespace": namespace},
        "spec": {"hard": {"count/services": "0"}},
    }
    cluster.create(quota)
    for _ in range(50):
        if cluster.get("resourcequota", "few", "-n", namespace).get("status", {}).get("used"):
            break
        time.sleep(0.1)

    with pytest.raises(QuotaExceeded, match="the ResourceQuota few is used up"):
        through.create(service(namespace))


def test_refusals_say_what_the_server_said(through: KubernetesCluster, namespace: str) -> None:
    with pytest.raises(NotFound, match='namespaces "nowhere-at-all" not found'):
        through.create(service("nowhere-at-all"))
    misspelt = deployment(namespace)
    misspelt["spec"]["template"]["spec"]["containers"][0]["imagePullPolcy"] = "Always"
    with pytest.raises(Invalid, match="imagePullPolcy"):
        through.create(misspelt)
    with pytest.raises(Invalid, match="imagePullPolcy"):
        through.apply(misspelt)
    with pytest.raises(Invalid, match="no JSON"):
        through.create({**service(namespace), "x": float("nan")})
    with pytest.raises(Invalid) as caught:
        through.create(configmap(namespace, "x" * 3000))
    assert len(str(caught.value)) < 3400


# --- lists


@pytest.fixture
def five(through: KubernetesCluster, proxy: FaultProxy, namespace: str) -> list[str]:
    names = [f"item-{index}" for index in range(5)]
    for name in names:
        through.create(configmap(namespace, name))
    proxy.forget()
    return names


def test_a_list_is_read_in_pages(
    through: KubernetesCluster, proxy: FaultProxy, namespace: str, five: list[str]
) -> None:
    found = through.list(CONFIGMAP, namespace=namespace, labels=LABELS)

    assert [item["metadata"]["name"] for item in found] == five
    assert [call.query.partition("continue=")[2] != "" for call in proxy.calls] == [
        False,
        True,
        True,
    ]
    assert not any("resourceVersion" in call.query for call in proxy.calls)


def test_the_next_page_comes_while_this_one_is_worked_on(
    through: KubernetesCluster, proxy: FaultProxy, namespace: str, five: list[str]
) -> None:
    found = through.list(CONFIGMAP, namespace=namespace, labels=LABELS)
    next(found)
    for _ in range(100):
        if len(proxy.calls) == 2:
            break
        time.sleep(0.02)

    assert len(proxy.calls) == 2
    found.close()  # type: ignore[attr-defined] # it is a generator


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        (faults.status(410, reason="Expired"), Expired),
        (faults.status(500), ClusterUnavailable),
        (faults.html(200), BadAnswer),
        (faults.cut(), BadAnswer),
        (faults.short(), BadAnswer),
    ],
)
def test_a_list_that_fails_in_the_middle_raises(
    through: KubernetesCluster,
    proxy: FaultProxy,
    namespace: str,
    five: list[str],
    action: faults.Action,
    expected: type[ClusterError],
) -> None:
    proxy.on(action, query="continue=")
    found = through.list(CONFIGMAP, namespace=namespace, labels=LABELS)
    names: list[str] = []

    def read() -> None:
        names.extend(item["metadata"]["name"] for item in found)

    with pytest.raises(expected):
        read()

    assert names == five[:2]


def test_an_answer_that_is_no_list_is_not_an_empty_one(
    through: KubernetesCluster, proxy: FaultProxy
) -> None:
    for body in (b"{}", b"[]", b"null", b"", b'{"kind":"Status"}', b'{"kind":"ServiceList"}'):
        proxy.on(faults.status(200, body=body), times=1)
        with pytest.raises(BadAnswer):
            list(through.list(SERVICE, namespace=None, labels={}))


@pytest.mark.parametrize("compress", [True, False])
def test_lists_may_be_compressed(
    proxy: FaultProxy, cluster: RealCluster, namespace: str, compress: bool
) -> None:
    client = KubernetesCluster(kubeconfig=proxy.kubeconfig, compress=compress)
    # The API server compresses from 128 KiB.
    client.create(configmap(namespace, "big", text="x" * 400_000))
    sizes = []

    def measure(exchange: Any) -> None:
        answer = exchange.forward()
        sizes.append(len(answer.body))
        exchange.answer(answer)

    proxy.on(measure, method="GET")
    found = list(client.list(CONFIGMAP, namespace=namespace, labels=LABELS))
    client.close()

    assert [item["data"]["text"] for item in found] == ["x" * 400_000]
    assert (sizes[0] < 100_000) is compress


# --- credentials


def test_refused_credentials_are_read_again_once(
    through: KubernetesCluster, proxy: FaultProxy
) -> None:
    proxy.on(faults.status(401), times=1)

    assert through.get(Ref(SERVICE, "default", "x")) is None
    assert [call.status for call in proxy.calls] == [401, 404]

    proxy.on(faults.status(401))
    with pytest.raises(Unauthorized, match="refuses our credentials"):
        through.get(Ref(SERVICE, "default", "x"))


def test_an_untrusted_certificate_is_a_matter_of_configuration(
    cluster: RealCluster, proxy: FaultProxy
) -> None:
    with FaultProxy(cluster.kubeconfig, tls=True) as other:
        good = KubernetesCluster(kubeconfig=other.kubeconfig)
        assert good.get(Ref(SERVICE, "default", "x")) is None
        good.close()
        config = json.loads(other.kubeconfig.read_text())
        config["clusters"][0]["cluster"]["certificate-authority"] = str(cluster.ca_file)
        other.kubeconfig.write_text(json.dumps(config))
        client = KubernetesCluster(kubeconfig=other.kubeconfig)

        with pytest.raises(ClusterConfigurationError, match="is not trusted"):
            client.get(Ref(SERVICE, "default", "x"))
        client.close()


@pytest.mark.parametrize("name", ["kubernetes.default", "another.example.org"])
def test_a_certificate_has_to_be_for_the_tls_server_name(
    cluster: RealCluster, tmp_path: Path, name: str
) -> None:
    config = json.loads(cluster.kubeconfig.read_text())
    config["clusters"][0]["cluster"]["tls-server-name"] = name
    path = tmp_path / "config"
    path.write_text(json.dumps(config))
    client = KubernetesCluster(kubeconfig=path)
    if name == "kubernetes.default":
        assert client.get(Ref(SERVICE, "default", "x")) is None
    else:
        with pytest.raises(ClusterConfigurationError, match="is not trusted"):
            client.get(Ref(SERVICE, "default", "x"))
    client.close()
