"""Which cluster is spoken to: the one that the settings name, and no other."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from functools import partial
from pathlib import Path

import pytest

from django_userpods.clusters.kubernetes import KubernetesCluster, kubeconfig
from django_userpods.exceptions import ClusterConfigurationError, ClusterUnavailable
from tests.clusters.kubeconfigs import plugin, several, write
from tests.clusters.test_configuration import NOTHING


@pytest.mark.parametrize("names", [["prod"], ["prod", "dev"]])
@pytest.mark.parametrize("where", ["KUBECONFIG", "home"])
def test_a_current_context_that_nobody_named_is_not_used(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch, names: list[str], where: str
) -> None:
    path = several(nowhere / ".kube" / "config", *names)
    if where == "KUBECONFIG":
        path = path.rename(nowhere / "elsewhere")
        monkeypatch.setenv("KUBECONFIG", str(path))

    cluster = KubernetesCluster()
    for call in (partial(cluster.get, NOTHING), cluster.whereabouts):
        with pytest.raises(ClusterConfigurationError, match="no cluster is named") as caught:
            call()

        said = str(caught.value)
        assert '"OPTIONS": {"context": "..."} in USERPODS_CLUSTER' in said
        assert ", ".join(sorted(names)) in said
        assert "secret" not in said


def test_a_context_is_looked_for_where_kubectl_looks(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    several(nowhere / ".kube" / "config", "prod", "dev")
    cluster = KubernetesCluster(context="dev")
    assert cluster.whereabouts() == "http://127.0.0.1:9/dev (context dev)"
    with pytest.raises(ClusterUnavailable, match=r"http://127\.0\.0\.1:9/dev refuses connections"):
        cluster.get(NOTHING)

    one = several(nowhere / "one", "stage")
    two = several(nowhere / "two", "stage", "test", server="http://127.0.0.1:8")
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join([str(nowhere / "none"), str(one), str(two)]))
    # As with kubectl, the first file that has a name is the one that says what it means.
    assert KubernetesCluster(context="stage").whereabouts().startswith("http://127.0.0.1:9/stage ")
    assert KubernetesCluster(context="test").whereabouts().startswith("http://127.0.0.1:8/test ")
    with pytest.raises(ClusterConfigurationError, match="has the contexts stage, test"):
        KubernetesCluster(context="dev").whereabouts()


def test_a_kubeconfig_with_one_context_needs_no_more(nowhere: Path) -> None:
    path = several(nowhere / "config", "prod")
    assert KubernetesCluster(kubeconfig=path).whereabouts().endswith("/prod (context prod)")


def test_a_kubeconfig_with_several_contexts_does_not_say_which(nowhere: Path) -> None:
    path = several(nowhere / "config", "prod", "dev")
    with pytest.raises(ClusterConfigurationError, match="several contexts") as caught:
        KubernetesCluster(kubeconfig=path).get(NOTHING)
    assert "dev, prod" in str(caught.value)
    assert KubernetesCluster(kubeconfig=path, context="dev").whereabouts().endswith("(context dev)")


def test_a_name_that_a_kubeconfig_gives_twice_names_nothing(nowhere: Path) -> None:
    path = nowhere / "config"
    path.write_text(
        """
        contexts: [{name: prod, context: {cluster: c}}]
        clusters:
        - {name: c, cluster: {server: "http://127.0.0.1:9/one"}}
        - {name: c, cluster: {server: "http://127.0.0.1:9/two"}}
        """
    )
    with pytest.raises(ClusterConfigurationError, match="several clusters called 'c'"):
        KubernetesCluster(kubeconfig=path, context="prod").whereabouts()


def test_the_single_context_of_what_is_left_of_several_files_is_not_taken(nowhere: Path) -> None:
    path = several(nowhere / "prod", "prod")
    both = os.pathsep.join([str(nowhere / "dev"), str(path)])
    with pytest.raises(ClusterConfigurationError, match="dev is not there"):
        KubernetesCluster(kubeconfig=both).whereabouts()
    assert KubernetesCluster(kubeconfig=both, context="prod").whereabouts()


def test_a_long_list_of_contexts_is_cut(nowhere: Path) -> None:
    path = several(nowhere / "config", *(f"ctx-{number:03}" for number in range(50)))
    with pytest.raises(ClusterConfigurationError, match="ctx-019 and 30 more"):
        KubernetesCluster(kubeconfig=path).whereabouts()


def test_a_pod_that_has_no_token_does_not_take_a_kubeconfig_instead(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    several(nowhere / ".kube" / "config", "prod")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")

    cluster = KubernetesCluster()
    assert cluster.whereabouts() == "https://[fd00::1]:443 (this pod's service account)"
    with pytest.raises(ClusterConfigurationError, match="no usable service account"):
        cluster.get(NOTHING)
    # What is named is used in a pod as well.
    assert KubernetesCluster(context="prod").whereabouts().endswith("(context prod)")


def test_relative_paths_begin_at_their_own_file(nowhere: Path) -> None:
    folder = nowhere / "etc"
    folder.mkdir()
    (folder / "token").write_text("from-a-file")
    path = write(folder / "config", {"tokenFile": "token"})
    with pytest.raises(ClusterUnavailable, match="refuses connections"):
        KubernetesCluster(kubeconfig=path).get(NOTHING)
    user = plugin(folder / "plugin", "echo only here >&2; exit 1")
    user["exec"]["command"] = "./plugin"
    write(path, user)
    with pytest.raises(ClusterConfigurationError, match="only here"):
        KubernetesCluster(kubeconfig=path).get(NOTHING)


def test_a_plugin_that_hangs_is_ended_with_what_it_started(nowhere: Path) -> None:
    pid = nowhere / "pid"
    user = plugin(nowhere / "plugin", f"sleep 60 & echo $! > {pid}; wait")
    client = KubernetesCluster(kubeconfig=write(nowhere / "config", user), timeout=0.5)
    code = f"""
        import os, time
        from pathlib import Path
        from django_userpods.clusters.kubernetes import KubernetesCluster
        from django_userpods.exceptions import ClusterConfigurationError
        from tests.clusters.test_configuration import NOTHING
        client = KubernetesCluster(kubeconfig={client._options["kubeconfig"]!r}, timeout=0.5)
        try:
            client.get(NOTHING)
        except ClusterConfigurationError as error:
            assert "0.5 s" in str(error), error
        time.sleep(1)
    """
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, timeout=60, cwd=root)
    state = Path(f"/proc/{pid.read_text().strip()}/stat")
    # A zombie that nobody has waited for yet counts as ended.
    assert not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z"


@pytest.mark.parametrize(
    ("user", "says"),
    [
        ({"exec": {"command": "x", "interactiveMode": "Always"}}, "wants a person at a terminal"),
        ({"exec": {"command": "no-such", "installHint": "get it"}}, "No such file.*; get it"),
        ({"exec": {"command": "true"}}, "printed no ExecCredential"),
        ({"auth-provider": {"name": "azure", "config": {}}}, "auth-provider handed out none"),
    ],
)
def test_credentials_that_do_not_come_are_explained(
    nowhere: Path, user: dict[str, dict[str, str]], says: str
) -> None:
    if "exec" in user:
        user["exec"]["apiVersion"] = "client.authentication.k8s.io/v1"
    path = write(nowhere / "config", user)
    with pytest.raises(ClusterConfigurationError, match=f"gives no credentials.*{says}"):
        KubernetesCluster(kubeconfig=path).get(NOTHING)


def test_reading_credentials_leaves_the_root_logger_alone(
    nowhere: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(nowhere / "config", plugin(nowhere / "plugin", "exit 1"))
    with pytest.raises(ClusterConfigurationError):
        KubernetesCluster(kubeconfig=path).get(NOTHING)
    assert caplog.records == []


@pytest.mark.parametrize("end", ["name: {}", "- name: {}", "  name: '{}'", '- name: "{}"  '])
def test_a_context_as_kubectl_writes_it_is_found_at_a_glance(nowhere: Path, end: str) -> None:
    path = nowhere / "config"
    path.write_text(
        f"contexts:\n- context:\n    cluster: x\n{end.format('kind-dev')}\nkind: Config\n"
    )
    assert kubeconfig.mentions("kind-dev", kubeconfig=str(path))
    for other in ("kind", "dev", "kind-de", "kind.dev", "x"):
        assert not kubeconfig.mentions(other, kubeconfig=str(path))
    # What may be wrong in it, a call says.
    assert KubernetesCluster(context="kind-dev", kubeconfig=str(path)).misconfiguration() == ""


def test_what_no_line_has_is_read_to_know(nowhere: Path) -> None:
    path = str(several(nowhere / "config", "prod"))  # JSON
    assert not kubeconfig.mentions("prod", kubeconfig=path)
    assert KubernetesCluster(context="prod", kubeconfig=path).misconfiguration() == ""
    said = KubernetesCluster(context="pro", kubeconfig=path).misconfiguration()
    assert "there is no context 'pro'" in said


def test_a_file_that_is_no_text_is_read_to_say_so(nowhere: Path) -> None:
    path = nowhere / "config"
    path.write_bytes(b"\xff\xfename: prod\n")
    said = KubernetesCluster(context="prod", kubeconfig=str(path)).misconfiguration()
    assert "malformed" in said
