"""Where the cluster and its credentials come from, and what is said when they do not."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from django_userpods.clusters.kubernetes import KubernetesCluster
from django_userpods.core.objects import SERVICE, Ref
from django_userpods.exceptions import ClusterConfigurationError, ClusterUnavailable, Unauthorized
from tests.clusters.kubeconfigs import credential, plugin, write

if TYPE_CHECKING:
    from pathlib import Path

    from tests.testcluster.cluster import Cluster as RealCluster

pytest_plugins = ["tests.testcluster.fixtures"]
NOTHING = Ref(SERVICE, "default", "nothing-of-that-name")


@pytest.mark.parametrize(
    "options",
    [
        {"context": ""},
        {"context": 5},
        {"kubeconfig": ""},
        {"kubeconfig": ["a"]},
        {"timeout": 0},
        {"timeout": -1},
        {"timeout": "10"},
        {"timeout": True},
        {"timeout": float("nan")},
        {"timeout": float("inf")},
        {"connect_timeout": 0},
        {"qps": -1},
        {"qps": None},
        {"burst": 0},
        {"burst": 1.5},
        {"concurrency": 0},
        {"page_size": 0},
        {"cluster_domain": ""},
        {"cluster_domain": 1},
        {"compress": "yes"},
        {"silence": 0},
    ],
)
def test_an_invalid_option_is_named(options: dict[str, Any]) -> None:
    with pytest.raises(ClusterConfigurationError, match=next(iter(options))):
        KubernetesCluster(**options)


def test_the_defaults_are_those_that_are_promised() -> None:
    cluster = KubernetesCluster()

    assert cluster.concurrency == 8
    assert cluster.cluster_domain == "cluster.local"
    assert pickle.loads(pickle.dumps(cluster))._options == {  # noqa: S301 - made one line before
        "context": None,
        "kubeconfig": None,
        "timeout": 10.0,
        "connect_timeout": 3.0,
        "qps": 200.0,
        "burst": 200,
        "concurrency": 8,
        "page_size": 500,
        "cluster_domain": "cluster.local",
        "compress": True,
        "silence": 70.0,
    }
    other = KubernetesCluster(cluster_domain="example.internal")
    address = other.address(namespace="n", name="user-a", port=80, peer=None)
    assert address == "user-a.n.svc.example.internal:80"


def test_the_official_client_is_imported_by_the_first_call_only(tmp_path: Path) -> None:
    kubeconfig = write(tmp_path / "config", {"token": "x"})
    code = f"""
        import sys
        from django_userpods.clusters.kubernetes import KubernetesCluster
        from django_userpods.core.objects import SERVICE, Ref
        from django_userpods.exceptions import ClusterUnavailable

        cluster = KubernetesCluster(kubeconfig={str(kubeconfig)!r}, timeout=0.2)
        heavy = {{"kubernetes", "yaml", "requests"}}
        assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()
        try:
            cluster.get(Ref(SERVICE, "default", "x"))
        except ClusterUnavailable:
            pass
        assert "kubernetes" in sys.modules
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, timeout=60)


def test_where_no_cluster_is_named_the_error_says_where_to(nowhere: Path) -> None:
    with pytest.raises(ClusterConfigurationError, match="no cluster to speak to") as caught:
        KubernetesCluster().get(NOTHING)

    assert "~/.kube/config" in str(caught.value)
    assert "USERPODS_CLUSTER" in str(caught.value)
    with pytest.raises(ClusterConfigurationError, match="no cluster to speak to"):
        KubernetesCluster().whereabouts()


def test_a_pod_without_a_token_is_told_what_to_mount(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")

    with pytest.raises(ClusterConfigurationError, match="no usable service account"):
        KubernetesCluster().get(NOTHING)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "it has no context"),
        ("[]", "it has no context"),
        ("a: [b\nsecret: token-value", "is not YAML"),
        ("just text", "malformed"),
        ("apiVersion: v1\nkind: Config", "cannot be used"),
        ("current-context: x\ncontexts: []\nclusters: []\nusers: []", "cannot be used"),
        ("contexts: [{name: x, context: {cluster: y}}]", "names the cluster 'y'"),
        ("contexts: [{name: x, context: [y]}]", "malformed"),
        ("contexts: x", "malformed"),
        ("\x00\x01", "is not YAML"),
    ],
)
def test_an_invalid_kubeconfig_is_refused(nowhere: Path, text: str, says: str) -> None:
    path = nowhere / "config"
    path.write_text(text)

    with pytest.raises(ClusterConfigurationError, match=says) as caught:
        KubernetesCluster(kubeconfig=path).get(NOTHING)

    assert str(path) in str(caught.value)
    assert "token-value" not in str(caught.value)


def test_a_kubeconfig_that_is_a_directory_is_said_to_be_one(nowhere: Path) -> None:
    with pytest.raises(ClusterConfigurationError, match="cannot be read: Is a directory"):
        KubernetesCluster(kubeconfig=nowhere).get(NOTHING)


def test_a_context_that_is_not_there_is_named(nowhere: Path) -> None:
    path = write(nowhere / "config", {"token": "x"})

    with pytest.raises(ClusterConfigurationError, match="there is no context 'other'"):
        KubernetesCluster(kubeconfig=path, context="other").get(NOTHING)


def test_a_host_that_has_no_address_is_named(nowhere: Path) -> None:
    path = write(nowhere / "config", {"token": "x"}, server="https://no-such-host.invalid:6443")

    with pytest.raises(ClusterUnavailable, match=r"https://no-such-host.invalid:6443 cannot be"):
        KubernetesCluster(kubeconfig=path).get(NOTHING)


@pytest.mark.parametrize("server", ["nonsense", "ftp://127.0.0.1", "https://", "127.0.0.1:6443"])
def test_a_server_that_is_no_url_is_refused(nowhere: Path, server: str) -> None:
    path = write(nowhere / "config", {"token": "x"}, server=server)

    with pytest.raises(ClusterConfigurationError, match="no URL"):
        KubernetesCluster(kubeconfig=path).get(NOTHING)


def test_a_proxy_that_is_no_url_is_refused(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "nonsense://127.0.0.1:1")
    path = write(nowhere / "config", {"token": "x"}, server="https://127.0.0.1:9")

    with pytest.raises(ClusterConfigurationError, match="the way to"):
        KubernetesCluster(kubeconfig=path).get(NOTHING)


def test_passwords_and_tokens_are_in_no_text(nowhere: Path) -> None:
    path = write(nowhere / "config", {"token": "s3cret"}, server="http://u:s3cret@127.0.0.1:9")

    with pytest.raises(ClusterUnavailable) as caught:
        KubernetesCluster(kubeconfig=path).get(NOTHING)

    assert "s3cret" not in str(caught.value)
    assert "http://127.0.0.1:9 refuses connections" in str(caught.value)


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("echo no such profile >&2; exit 3", "no such profile"),
        ("echo nonsense", "gives no credentials"),
        ("echo '{}'", "gives no credentials"),
    ],
)
def test_an_exec_plugin_that_fails_is_quoted(nowhere: Path, script: str, says: str) -> None:
    path = write(nowhere / "config", plugin(nowhere / "plugin", script))

    with pytest.raises(ClusterConfigurationError, match=says):
        KubernetesCluster(kubeconfig=path).get(NOTHING)


def test_an_exec_plugin_that_is_not_there_gives_no_credentials(nowhere: Path) -> None:
    user = plugin(nowhere / "plugin", "true")
    (nowhere / "plugin").unlink()
    path = write(nowhere / "config", user)

    with pytest.raises(ClusterConfigurationError, match="gives no credentials"):
        KubernetesCluster(kubeconfig=path).get(NOTHING)


def test_an_exec_plugin_that_hangs_is_given_up(nowhere: Path) -> None:
    path = write(nowhere / "config", plugin(nowhere / "plugin", "exec sleep 3"))
    client = KubernetesCluster(kubeconfig=path, timeout=0.5)
    with pytest.raises(ClusterConfigurationError, match=r"within 0\.5 s"):
        client.get(NOTHING)


def test_many_threads_do_not_queue_for_an_exec_plugin_that_hangs(nowhere: Path) -> None:
    path = write(nowhere / "config", plugin(nowhere / "plugin", "exec sleep 3"))
    client = KubernetesCluster(kubeconfig=path, timeout=0.5)

    def call(_: int) -> str:
        with pytest.raises(ClusterConfigurationError, match="exec plugin") as caught:
            client.get(NOTHING)
        return str(caught.value)

    begun = time.monotonic()
    with ThreadPoolExecutor(6) as pool:
        assert len(list(pool.map(call, range(6)))) == 6

    assert time.monotonic() - begun < 2


# --- with a real API server


@pytest.mark.cluster
def test_a_kubeconfig_is_found_in_the_environment_and_at_home(
    nowhere: Path, cluster: RealCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", f"{nowhere / 'missing'}{os.pathsep}{cluster.kubeconfig}")
    first = KubernetesCluster(context="test")
    assert first.get(NOTHING) is None
    first.close()
    monkeypatch.delenv("KUBECONFIG")
    (nowhere / ".kube").mkdir()
    (nowhere / ".kube" / "config").symlink_to(cluster.kubeconfig)
    second = KubernetesCluster(context="test")
    assert second.get(NOTHING) is None
    second.close()


@pytest.mark.cluster
def test_the_pods_own_service_account_is_used_and_read_again_after_a_401(
    nowhere: Path, cluster: RealCluster, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kubernetes.config import incluster_config

    host, _, port = cluster.server.rpartition("//")[2].partition(":")
    token = nowhere / "token"
    kubeconfig = json.loads(cluster.kubeconfig_for(token="x").read_text())
    account = {"apiVersion": "v1", "kind": "ServiceAccount"}
    cluster.create({**account, "metadata": {"name": "web", "namespace": namespace}})
    made = cluster.kubectl("create", "token", "web", "-n", namespace).stdout.strip()
    role = (
        "create",
        "rolebinding",
        "web",
        "--clusterrole=edit",
        f"--serviceaccount={namespace}:web",
    )
    cluster.kubectl(*role, "-n", namespace)
    token.write_text("expired\n")
    authority = kubeconfig["clusters"][0]["cluster"]["certificate-authority"]
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", authority)
    client = KubernetesCluster()
    ref = Ref(SERVICE, namespace, "x")
    with pytest.raises(Unauthorized):
        client.get(ref)

    # The kubelet has put a new token into the file: it is read at the next 401.
    token.write_text(made + "\n")

    assert client.get(ref) is None
    client.close()


@pytest.mark.cluster
def test_an_exec_plugins_new_token_is_fetched_after_a_401(
    nowhere: Path, cluster: RealCluster
) -> None:
    config = json.loads(cluster.kubeconfig.read_text())
    token = config["users"][0]["user"].get("token")
    if not token:
        pytest.skip("the cluster's administrator has no token")
    runs = nowhere / "runs"
    script = f"echo x >> {runs}; if [ $(wc -l < {runs}) = 1 ]; then {credential('old')}; "
    config["users"][0]["user"] = plugin(nowhere / "plugin", f"{script}else {credential(token)}; fi")
    path = nowhere / "config"
    path.write_text(json.dumps(config))
    client = KubernetesCluster(kubeconfig=path)

    assert client.get(NOTHING) is None
    assert runs.read_text().count("x") == 2
    client.close()


@pytest.mark.cluster
def test_a_forked_process_connects_anew(cluster: RealCluster) -> None:
    code = f"""
        import os
        from django_userpods.clusters.kubernetes import KubernetesCluster
        from django_userpods.core.objects import SERVICE, Ref

        client = KubernetesCluster(kubeconfig={str(cluster.kubeconfig)!r})
        ref = Ref(SERVICE, "default", "nothing")
        assert client.get(ref) is None
        client._transport._lock.acquire()  # as a thread of the parent might just have done
        first = client._transport
        child = os.fork()
        if child == 0:
            assert client.get(ref) is None
            assert client._transport is not first
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert client.get(ref) is None
        assert client._transport is first
    """
    arguments = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", textwrap.dedent(code)]
    subprocess.run(arguments, check=True, timeout=60)
