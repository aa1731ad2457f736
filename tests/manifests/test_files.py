"""The shipped files themselves, and the two modules that read them."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from django_userpods import evidence
from django_userpods.core.objects import Kind
from django_userpods.deploy import kustomize, project, rights, shipped
from django_userpods.exceptions import ManifestError
from django_userpods.pages import stream
from tests.router.harness import ROOT, nginx_binary
from tests.testcluster.processes import wait_for

if TYPE_CHECKING:
    from pytest_django.fixtures import Settings

pytestmark = pytest.mark.django_db


def yaml_files() -> list[Path]:
    return sorted(shipped.source().rglob("*.yaml"))


def test_shipped_values_stand_only_in_lines_that_are_marked() -> None:
    own = re.compile(
        r"userpods-users|userpods\.example\.org|(?:namespace|metadata\.name): userpods\b"
    )
    for path in yaml_files():
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            if own.search(line) and not line.lstrip().startswith("#"):
                assert "# userpods:" in line, f"{path}:{number}: {line}"


def test_with_the_shipped_values_the_files_stay_as_they_are() -> None:
    for path, text in shipped.files(shipped.available()):
        if path.suffix != ".yaml":
            continue
        filled = shipped.fill(path, text, shipped.ProjectValues())
        assert list(yaml.safe_load_all(filled)) == list(yaml.safe_load_all(text)), path


def test_a_mark_that_does_not_fit_is_an_error() -> None:
    for line in ("a: b  # userpods:hosts", "a: b  # userpods:host"):
        with pytest.raises(ManifestError, match=r"x\.yaml: "):
            shipped.fill(Path("x.yaml"), line, shipped.ProjectValues())


@pytest.mark.parametrize(
    ("kind", "resource"),
    [
        (Kind("v1", "Service"), ("", "services", True)),
        (
            Kind("networking.k8s.io/v1", "NetworkPolicy"),
            ("networking.k8s.io", "networkpolicies", True),
        ),
        # A version that the table does not have.
        (
            Kind("autoscaling/v1", "HorizontalPodAutoscaler"),
            ("autoscaling", "horizontalpodautoscalers", True),
        ),
        (Kind("x.org/v1", "Policy"), ("x.org", "policies", False)),
        (Kind("x.org/v1", "Glass"), ("x.org", "glasses", False)),
        (Kind("x.org/v1", "Widget"), ("x.org", "widgets", False)),
    ],
)
def test_a_kinds_resource_is_known(kind: Kind, resource: tuple[str, str, bool]) -> None:
    assert rights.resource_of(kind) == resource


def test_kustomizations_that_need_more_are_refused(tmp_path: Path) -> None:
    for text in ("patches: []", "configMapGenerator: [{name: x, envs: [y]}]"):
        (tmp_path / "kustomization.yaml").write_text(text)
        with pytest.raises(ManifestError, match="kubectl kustomize"):
            kustomize.build([tmp_path])
    with pytest.raises(ManifestError, match="No such file"):
        kustomize.build([tmp_path / "nowhere"])


WAYS = {
    "a host for each": "https://{pod}.pods.acme.test/",
    "one host for all": "https://app.acme.test/",
    "a path below the site": "/pods/{pod}/",
    "the site's own host": None,
}


@pytest.mark.router
@pytest.mark.parametrize("way", WAYS)
def test_the_router_starts_with_its_files_with_a_projects_values(
    tmp_path: Path, settings: Settings, way: str
) -> None:
    settings.LOGIN_URL = "/sign-in"
    settings.SESSION_COOKIE_NAME = "acme_session"
    settings.USERPODS_NAME_PREFIX = "u-"
    settings.USERPODS_URL = WAYS[way]
    settings.USERPODS_SITE_URL = "https://www.acme.test/" if WAYS[way] else None
    options = project.Options(django_namespace="acme", host="www.acme.test")
    values = project.values(["router"], options, secrets={}, warn=lambda _: None)
    for path, text in shipped.tree(["router"], values).items():
        target = tmp_path / path.relative_to("router")
        target.parent.mkdir(parents=True, exist_ok=True)
        # The name is looked up at the start; ports may be in use.
        text = text.replace("django.acme.svc.cluster.local", "127.0.0.1")
        listen = rf"listen unix:{tmp_path}/\1;"
        text = re.sub(r"^listen (\d+)(?: reuseport)?;", listen, text, flags=re.MULTILINE)
        target.write_text(text)
    (tmp_path / "run").mkdir()
    public = (tmp_path / "settings" / "public.conf").read_text()
    # The site's paths are the router's to know where nobody in front tells hosts or paths apart.
    assert ("location = /sign-in " in public) is (WAYS[way] is None)
    command = [nginx_binary(), "-p", f"{tmp_path}/", "-c", str(tmp_path / "nginx.conf")]
    if os.geteuid() == 0:
        command += ["-g", "user root;"]
    router = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: (tmp_path / "8081").exists() or router.poll() is not None, "the router")
        assert router.poll() is None
    finally:
        router.terminate()
        router.wait(10)
    # The Lua has read its settings: an invalid one is refused.
    lua = tmp_path / "settings" / "settings.lua"
    lua.write_text(lua.read_text().replace("internal =", 'pods_url = "/{pod}", internal ='))
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode != 0
    assert "pods_url is a path that does not end with {pod}/" in done.stderr


def test_the_example_projects_pods_migrate_and_start(tmp_path: Path) -> None:
    documents = yaml.safe_load_all((shipped.source() / "example" / "django.yaml").read_text())
    pod = next(d for d in documents if d["kind"] == "Deployment")["spec"]["template"]["spec"]
    kustomization = (shipped.source() / "example" / "kustomization.yaml").read_text()
    generators = yaml.safe_load(kustomization)["configMapGenerator"]
    settings = dict(text.split("=", 1) for text in generators[0]["literals"])
    assert settings["USERPODS_URL"] == "https://{pod}.pods.example.org/"
    env = {
        **{key: value for key, value in os.environ.items() if key in ("PATH", "LANG", "HOME")},
        **settings,
        "DATABASE_URL": f"sqlite:///{tmp_path}/db.sqlite3",
        "SECRET_KEY": secrets.token_hex(32),
        # As the kubelet tells every container.
        "KUBERNETES_SERVICE_HOST": "10.96.0.1",
    }
    python = ROOT / "example_project" / "manage.py"

    def manage(*args: str, **more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(python), *args]
        return subprocess.run(command, env=env | more, capture_output=True, text=True, check=False)

    for _ in range(2):
        done = manage(*pod["initContainers"][0]["args"])
        assert done.returncode == 0, done.stderr
    assert "No migrations to apply" in done.stdout
    done = manage("check", "--deploy", "--fail-level=WARNING")
    assert done.returncode == 0, done.stderr
    # As shipped, without a key, it does not start.
    done = manage("check", SECRET_KEY="")
    assert "SECRET_KEY" in done.stderr
    assert done.returncode != 0


def test_the_routers_files_are_filled_in() -> None:
    values = shipped.ProjectValues(
        text={
            "django-namespace": "acme",
            "host": "pods.acme.test",
            "cluster-domain": "acme.internal",
        },
        lua={"login_url": '/in"\\\n/', "cookies": ["acme_session", "acme_csrf"]},
        where=None,
        site_paths=["/admin/", "= /in"],
    )
    tree = {path.as_posix(): text for path, text in shipped.tree(["router"], values).items()}
    assert "server django.acme.svc.acme.internal:8000;" in tree["router/settings/http.conf"]
    assert "default pods.acme.test;" in tree["router/settings/http.conf"]
    lua = tree["router/settings/settings.lua"]
    assert 'login_url = "/in\\034\\092\\010/",' in lua
    assert 'cookies = { "acme_session", "acme_csrf" },' in lua
    public = tree["router/settings/public.conf"]
    assert re.findall(r"^location (.*?) +\{", public, flags=re.MULTILINE) == ["/admin/", "= /in"]


def test_django_may_be_silent_for_as_long_as_its_slowest_pages_and_no_longer() -> None:
    """The bounds of a Django that hangs, as shipped: tests with a router have shorter ones."""

    def seconds(file: str) -> float:
        text = (ROOT / "manifests" / "router" / file).read_text()
        [found] = re.findall(r"^proxy_read_timeout (\d+)s;", text, re.MULTILINE)
        return float(found)

    assert seconds("asking.conf") == 5
    assert seconds("settings/site.conf") == 20
    # A page that waits for the cluster says so itself, and a stream that it lives, before 10 s.
    assert max(evidence.SECONDS, stream.BEATS) + 2 <= 10
