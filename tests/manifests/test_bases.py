"""Every shipped base builds, is accepted by a real API server, and fits the others."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from django_userpods.deploy import kustomize, shipped
from tests.manifests.conftest import built
from tests.testcluster.controlplane import ControlPlane
from tests.testcluster.processes import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.manifests.conftest import Site
    from tests.testcluster.cluster import Cluster

pytestmark = pytest.mark.cluster

TOP = shipped.source()
KUSTOMIZATIONS = sorted(path.parent for path in TOP.rglob("kustomization.yaml"))
BASES = [
    folder
    for folder in KUSTOMIZATIONS
    if yaml.safe_load((folder / "kustomization.yaml").read_text())["kind"] == "Kustomization"
]
#: Kinds whose pods this project ships.
WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob")
GATEWAY_API = "sigs.k8s.io/gateway-api@v1.4.0"


def name_of(folder: Path) -> str:
    return folder.relative_to(TOP).as_posix()


@pytest.fixture(scope="module")
def everything(cluster: Cluster) -> list[dict[str, Any]]:
    """All objects of all bases, built by kubectl."""
    return [item for folder in BASES for item in built(cluster, folder)]


def pods_of(objects: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    for item in objects:
        if item["kind"] in WORKLOADS:
            spec = item["spec"]
            if item["kind"] == "CronJob":
                spec = spec["jobTemplate"]["spec"]
            yield f"{item['kind']} {item['metadata']['name']}", spec["template"]


@pytest.mark.parametrize("folder", BASES, ids=name_of)
def test_our_stream_is_what_kubectl_builds(cluster: Cluster, folder: Path) -> None:
    ours = [item for item in yaml.safe_load_all(kustomize.build([folder])) if item]
    theirs = built(cluster, folder)
    names = {item["metadata"]["name"] for item in ours if item["kind"] in ("ConfigMap", "Secret")}
    text = json.dumps(theirs)
    for name in names:
        # kustomize adds a hash to what it generates, and to what refers to that.
        text = re.sub(rf'"{name}-[a-z0-9]{{10}}"', f'"{name}"', text)

    def key(item: dict[str, Any]) -> tuple[str, ...]:
        metadata = item["metadata"]
        return item["kind"], metadata.get("namespace", ""), metadata["name"]

    assert sorted(ours, key=key) == sorted(json.loads(text), key=key)


@pytest.mark.parametrize("group", [name_of(f) for f in BASES if f.parent == TOP])
def test_every_folder_is_a_group_of_the_command(group: str) -> None:
    assert group in shipped.GROUPS


def test_the_site_comes_up_with_one_command_and_no_warning(site: Site) -> None:
    secrets = {"SECRET_KEY": "s" * 50, "POSTGRES_PASSWORD": "p" * 20}
    folder = site.write("isolation", "rbac", "example", secrets=secrets)
    kubectl = site.cluster.kubectl
    assert kubectl("apply", "-k", folder / "example").stderr == ""
    # A second time there is nothing to do.
    assert kubectl("diff", "-k", folder / "example").stdout == ""
    kubectl("create", "job", "once", "--from=cronjob/userpods-sync", "-n", site.django)
    if not isinstance(site.cluster, ControlPlane):
        pytest.skip("SKIPPED ON YOUR CLUSTER: it has no images of the example project")
    kubectl("rollout", "status", "deployment/django", "-n", site.django, "--timeout=120s")

    def pods() -> set[str]:
        found = site.cluster.get("pods", "-n", site.django)["items"]
        return {pod["metadata"]["labels"]["app.kubernetes.io/name"] for pod in found}

    # Pod Security admits each; the database's waits for a volume that nobody makes here.
    wait_for(lambda: pods() >= {"django", "postgres", "userpods-sync"}, "a pod of each kind", 60)


def test_without_secrets_nothing_starts_on_a_known_password() -> None:
    text = (TOP / "example" / "kustomization.yaml").read_text()
    for generator in yaml.safe_load(text)["secretGenerator"]:
        assert all(literal.endswith("=") for literal in generator["literals"])


@pytest.mark.parametrize(
    "group", [g for g in shipped.available() if g not in ("example", "gateway")]
)
def test_the_api_server_accepts_it_without_a_warning(site: Site, group: str) -> None:
    if group in ("isolation", "rbac"):
        site.cluster.kubectl("create", "namespace", site.django)
        assert site.apply("isolation", "rbac") == ""
        return
    values = {}
    if group == "controller":
        # Its rights are in the namespace of users.
        site.cluster.kubectl("create", "namespace", site.users)
    if group == "monitoring":
        values = {"text": {"monitoring-namespace": site.django}}
    labels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
    site.cluster.create(
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": site.django, "labels": labels},
        }
    )
    if group == "ingress-nginx":
        # Its ConfigMap is the controller's own: not to be touched where one may be running.
        if not isinstance(site.cluster, ControlPlane):
            pytest.skip("SKIPPED ON YOUR CLUSTER: it would change your ingress-nginx")
        site.cluster.kubectl("create", "namespace", "ingress-nginx")
        site.cluster.kubectl("create", "namespace", site.users)
    assert site.apply(group, **values) == ""


def test_the_controller_takes_the_place_of_the_sync_and_of_djangos_rights(
    cluster: Cluster, tmp_path: Path
) -> None:
    shutil.copytree(TOP, tmp_path / "manifests")
    (tmp_path / "overlay").mkdir()
    (tmp_path / "overlay" / "kustomization.yaml").write_text(
        "resources:\n- ../manifests/example\ncomponents:\n- ../manifests/example/controller\n"
    )
    objects = built(cluster, tmp_path / "overlay")
    pods = dict(pods_of(objects))
    assert "CronJob userpods-sync" not in pods
    controller = pods["Deployment userpods-controller"]["spec"]
    django = pods["Deployment django"]["spec"]
    assert django["automountServiceAccountToken"] is False
    settings = [pod["containers"][0]["envFrom"] for pod in (controller, django)]
    assert settings[0] == settings[1]
    config = settings[0][0]["configMapRef"]["name"]
    found = next(item for item in objects if item["metadata"]["name"] == config)
    assert found["data"]["USERPODS_CONTROLLER"] == "on"
    subjects = {
        subject["name"]
        for item in objects
        if item["kind"].endswith("RoleBinding")
        for subject in item["subjects"]
    }
    assert subjects == {"userpods-controller"}


def test_beside_the_controller_django_is_given_what_the_documentation_says_for_logs(
    cluster: Cluster, tmp_path: Path
) -> None:
    text = (TOP.parent / "docs" / "operations.md").read_text().partition("## Events and logs")[2]
    more = text.partition("```yaml\n")[2].partition("```")[0]
    overlay = yaml.safe_load(more.replace("../django-userpods/", "../"))
    overlay["resources"].insert(0, "../manifests/example")
    overlay["components"] = ["../manifests/example/controller"]
    shutil.copytree(TOP, tmp_path / "manifests")
    (tmp_path / "overlay").mkdir()
    (tmp_path / "overlay" / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    objects = built(cluster, tmp_path / "overlay")
    django = dict(pods_of(objects))["Deployment django"]["spec"]
    assert django["automountServiceAccountToken"] is True
    bindings = {
        item["metadata"]["name"]
        for item in objects
        if item["kind"] == "RoleBinding" and item["subjects"][0]["name"] == "userpods-django"
    }
    assert bindings == {"userpods-django-logs"}


def _established(cluster: Cluster, crd: str) -> bool:
    path = 'jsonpath={.status.conditions[?(@.type=="Established")].status}'
    # Without conditions, which a new one has not yet, kubectl cannot follow the path.
    return cluster.kubectl("get", crd, "-o", path, check=False).stdout == "True"


@pytest.fixture(scope="module")
def gateway_api(cluster: Cluster) -> Iterator[None]:
    """The Gateway API's CRDs in the cluster: from their Go module, or there already."""
    if cluster.kubectl("get", "crd", "httproutes.gateway.networking.k8s.io", check=False).stdout:
        yield
        return
    if not isinstance(cluster, ControlPlane):
        pytest.skip("SKIPPED ON YOUR CLUSTER: it does not have the Gateway API")
    if not (go := shutil.which("go") or shutil.which("/usr/local/go/bin/go")):
        pytest.skip("NOT RUN: the Gateway API's CRDs come as a Go module, and there is no go")
    done = subprocess.run(
        [go, "mod", "download", "-json", GATEWAY_API],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"GOFLAGS": "-mod=mod", "GO111MODULE": "on"},
    )
    if done.returncode:
        pytest.skip(f"NOT RUN: the Gateway API's CRDs are not to be had: {done.stdout[-300:]}")
    crds = Path(json.loads(done.stdout)["Dir"]) / "config" / "crd" / "standard"
    # Some are too large for the annotation that plain `apply` keeps.
    for kind in ("gateways", "httproutes", "gatewayclasses"):
        file = crds / f"gateway.networking.k8s.io_{kind}.yaml"
        cluster.kubectl("apply", "--server-side", "-f", file)
        crd = f"crd/{kind}.gateway.networking.k8s.io"
        # (`kubectl wait` fails where there are no conditions yet.)
        wait_for(partial(_established, cluster, crd), f"{crd} to be established", 60)
    yield


@pytest.mark.usefixtures("gateway_api")
def test_the_gateway_api_accepts_it_without_a_warning(site: Site) -> None:
    site.cluster.kubectl("create", "namespace", site.django)
    assert site.apply("gateway") == ""
    route = site.cluster.get("httproute", "userpods", "-n", site.django)
    assert route["spec"]["rules"][0]["timeouts"] == {"request": "0s", "backendRequest": "0s"}


def test_every_pod_is_hardened(everything: list[dict[str, Any]]) -> None:
    pods = list(pods_of(everything))
    assert {name for name, _ in pods} >= {"Deployment django", "StatefulSet postgres"}
    for name, pod in pods:
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        with_token = spec.get("serviceAccountName") in ("userpods-django", "userpods-controller")
        assert spec.get("automountServiceAccountToken", True) is with_token, name
        for container in [*spec["containers"], *spec.get("initContainers", [])]:
            where = f"{name}, container {container['name']}"
            security = container["securityContext"]
            assert security["readOnlyRootFilesystem"] is True, where
            assert security["allowPrivilegeEscalation"] is False, where
            assert security["capabilities"] == {"drop": ["ALL"]}, where
            assert {"cpu", "memory"} <= set(container["resources"]["requests"]), where
            assert "memory" in container["resources"]["limits"], where
            assert ":" in container["image"], where
            assert not container["image"].endswith(":latest"), where


def test_what_is_referred_to_is_there(everything: list[dict[str, Any]]) -> None:
    def named(kind: str) -> dict[str, dict[str, Any]]:
        return {item["metadata"]["name"]: item for item in everything if item["kind"] == kind}

    services, accounts = named("Service"), named("ServiceAccount")
    for name, pod in pods_of(everything):
        account = pod["spec"].get("serviceAccountName", "default")
        assert account in {"default", *accounts}, name
    for service in services.values():
        selector = service["spec"]["selector"].items()
        assert any(selector <= pod["metadata"]["labels"].items() for _, pod in pods_of(everything))
    for ingress in named("Ingress").values():
        for rule in ingress["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                wanted = path["backend"]["service"]
                ports = services[wanted["name"]]["spec"]["ports"]
                assert any(
                    wanted["port"] in ({"name": port.get("name")}, {"number": port["port"]})
                    for port in ports
                )
    for route in named("HTTPRoute").values():
        for rule in route["spec"]["rules"]:
            for backend in rule.get("backendRefs", []):
                ports = services[backend["name"]]["spec"]["ports"]
                assert backend["port"] in {port["port"] for port in ports}


def test_policies_name_pods_that_are_there(everything: list[dict[str, Any]]) -> None:
    labels = [pod["metadata"]["labels"] for _, pod in pods_of(everything)]
    policies = [item for item in everything if item["kind"] == "NetworkPolicy"]
    assert policies
    for policy in policies:
        peers = [
            peer for rule in policy["spec"].get("ingress", []) for peer in rule.get("from", [])
        ]
        for peer in peers:
            wanted = peer.get("podSelector", {}).get("matchLabels", {})
            if wanted and "namespaceSelector" not in peer:
                assert any(wanted.items() <= found.items() for found in labels), policy
        names = [
            peer["podSelector"]["matchLabels"]["app.kubernetes.io/name"]
            for peer in peers
            if "app.kubernetes.io/name" in peer.get("podSelector", {}).get("matchLabels", {})
        ]
        # The controller of ingress-nginx is not among what is shipped.
        known = {"ingress-nginx", *(found.get("app.kubernetes.io/name") for found in labels)}
        assert set(names) <= known, policy["metadata"]["name"]


def test_the_overlay_of_the_comment_works(cluster: Cluster, tmp_path: Path) -> None:
    text = (TOP / "example" / "kustomization.yaml").read_text()
    comment = text.partition("\napiVersion:")[0]
    lines = re.findall(r"^#   (.*)$", comment, flags=re.MULTILINE)
    overlay = "\n".join(lines).replace("../django-userpods/manifests", "../manifests")
    overlay += "\ncomponents:\n- ../manifests/example/ephemeral\n"
    shutil.copytree(TOP, tmp_path / "manifests")
    (tmp_path / "overlay").mkdir()
    (tmp_path / "overlay" / "kustomization.yaml").write_text(overlay)
    objects = built(cluster, tmp_path / "overlay")
    pods = dict(pods_of(objects))
    django = pods["Deployment django"]["spec"]
    assert django["containers"][0]["image"] == "registry.example.org/site:7"
    config = django["containers"][0]["envFrom"][0]["configMapRef"]["name"]
    found = next(o for o in objects if o["metadata"]["name"] == config)
    assert found["data"]["USER_APP_IMAGE"] == "registry.example.org/workload:7"
    assert found["data"]["K8S_NAMESPACE"] == "userpods-users"
    database = next(o for o in objects if o["kind"] == "StatefulSet")
    assert "volumeClaimTemplates" not in database["spec"]
    assert "emptyDir" in next(
        v for v in database["spec"]["template"]["spec"]["volumes"] if v["name"] == "data"
    )
