"""What a kubeconfig says beside server and token: whom to act as, and which proxy to take."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from django_userpods.clusters.kubernetes import KubernetesCluster
from django_userpods.core.objects import SERVICE, Ref
from django_userpods.exceptions import ClusterConfigurationError, ClusterUnavailable, Forbidden
from tests.clusters.kubeconfigs import write
from tests.clusters.test_configuration import NOTHING

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faultproxy import FaultProxy
    from tests.testcluster.cluster import Cluster as RealCluster


def acting(source: Path, target: Path, **user: Any) -> Path:
    """Copy a kubeconfig, with more about its user (``as_groups`` for ``as-groups``)."""
    config = json.loads(source.read_text())
    config["users"][0]["user"] |= {name.replace("_", "-"): value for name, value in user.items()}
    target.write_text(json.dumps(config))
    return target


@pytest.mark.parametrize(
    "user",
    [
        {"as-groups": ["admins"]},
        {"as-uid": "5"},
        {"as-user-extra": {"scope": ["x"]}},
        {"as": ["alice"]},
        {"as": "alice\r\nAuthorization: Bearer stolen"},
        {"as": "alice", "as-groups": "admins"},
        {"as": "alice", "as-user-extra": {"scope": "x"}},
    ],
)
def test_an_invalid_impersonation_is_refused(nowhere: Path, user: dict[str, Any]) -> None:
    path = write(nowhere / "config", {"token": "x", **user})
    with pytest.raises(ClusterConfigurationError, match="'as' has to be"):
        KubernetesCluster(kubeconfig=path).get(NOTHING)


@pytest.mark.cluster
def test_what_kubectl_is_refused_we_are_refused_too(
    nowhere: Path, cluster: RealCluster, namespace: str
) -> None:
    path = acting(cluster.kubeconfig, nowhere / "config", **{"as": "nobody-special"})
    assert cluster.kubectl("get", "svc", "-n", namespace, kubeconfig=path, check=False).returncode
    client = KubernetesCluster(kubeconfig=path)
    assert client.whereabouts().endswith(", acting as nobody-special)")
    with pytest.raises(Forbidden, match='"nobody-special" cannot'):
        client.get(Ref(SERVICE, namespace, "x"))
    client.close()


@pytest.mark.cluster
def test_groups_uid_and_extras_arrive_one_by_one(
    nowhere: Path, proxy: FaultProxy, cluster: RealCluster, namespace: str
) -> None:
    role = ("create", "rolebinding", "seers", "--clusterrole=view", "--group=seers of all")
    cluster.kubectl(*role, "-n", namespace)
    ref = Ref(SERVICE, namespace, "x")
    said: dict[str, Any] = {
        "as": "José",
        "as_uid": "7",
        "as_user_extra": {"example.org/Scope%": ["a", "b"]},
    }
    stranger = acting(proxy.kubeconfig, nowhere / "stranger", **said, as_groups=["others"])
    with pytest.raises(Forbidden, match="José"):
        KubernetesCluster(kubeconfig=stranger).get(ref)
    for groups in (["others", "seers of all"], ["seers of all", "others"]):
        path = acting(cluster.kubeconfig, nowhere / "seer", **said, as_groups=groups)
        seer = KubernetesCluster(kubeconfig=path)
        assert seer.get(ref) is None
        seer.close()
    headers = proxy.calls[-1].headers
    assert headers["Impersonate-Uid"] == "7"
    assert headers["Impersonate-Extra-example.org%2FScope%25"] in {"a", "b"}


@pytest.mark.parametrize("where", ["proxy-url", "HTTPS_PROXY"])
def test_a_dead_proxy_is_called_a_dead_proxy(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    path = write(nowhere / "config", {"token": "x"}, server="https://192.0.2.1:6443")
    if where == "proxy-url":
        config = json.loads(path.read_text())
        config["clusters"][0]["cluster"]["proxy-url"] = "http://me:s3cret@127.0.0.1:9"
        path.write_text(json.dumps(config))
        monkeypatch.setenv("NO_PROXY", "*")
    else:
        monkeypatch.setenv("HTTPS_PROXY", "http://me:s3cret@127.0.0.1:9")
    with pytest.raises(ClusterUnavailable) as caught:
        KubernetesCluster(kubeconfig=path).get(NOTHING)
    said = str(caught.value)
    assert "the proxy http://127.0.0.1:9 in front of https://192.0.2.1:6443 failed" in said
    assert "it refuses connections" in said
    assert "s3cret" not in said
    assert "API server up" not in said


@pytest.mark.parametrize(
    ("variables", "server"),
    [
        ({"HTTP_PROXY": "http://127.0.0.1:9"}, "https://127.0.0.1:10"),
        ({"HTTPS_PROXY": "http://127.0.0.1:9"}, "http://127.0.0.1:10"),
        ({"HTTPS_PROXY": "http://127.0.0.1:9", "NO_PROXY": "localhost"}, "https://localhost:10"),
        (
            {"HTTPS_PROXY": "http://127.0.0.1:9", "NO_PROXY": "10.0.0.0/8,127.0.0.0/8"},
            "https://127.0.0.1:10",
        ),
    ],
    ids=["of plain HTTP", "of TLS", "a host without", "a network without"],
)
def test_a_proxy_that_is_not_for_this_server_is_not_asked(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], server: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    path = write(nowhere / "config", {"token": "x"}, server=server)
    with pytest.raises(ClusterUnavailable) as caught:
        KubernetesCluster(kubeconfig=path).get(NOTHING)
    assert f"{server} refuses connections" in str(caught.value)


@pytest.mark.parametrize("url", ["nonsense", "ftp://127.0.0.1", "http://"])
def test_a_proxy_url_that_is_none_is_refused(nowhere: Path, url: str) -> None:
    path = write(nowhere / "config", {"token": "x"}, server="https://192.0.2.1:6443")
    config = json.loads(path.read_text())
    config["clusters"][0]["cluster"]["proxy-url"] = url
    path.write_text(json.dumps(config))
    with pytest.raises(ClusterConfigurationError, match="not the URL of a proxy"):
        KubernetesCluster(kubeconfig=path).get(NOTHING)
