"""The applications of ``examples/apps``: what ``make demo APP=name`` installs and runs.

The layout of their folders is in ``docs/applications.md``. ``python demo_apps.py FOLDER`` installs
what all of them need.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from demo_machine import HOST, DemoError, missing_packages, say

if TYPE_CHECKING:
    from collections.abc import Mapping

EXAMPLES = Path(__file__).resolve().parents[1] / "examples" / "apps"
#: Seconds between two words on an installation that goes on.
PATIENCE = 10.0
#: Runs a program at home: a pod's home directory, which is its volume, is where it starts.
AT_HOME = ["/bin/sh", "-c", 'HOME=$PWD; export HOME; exec "$@"', "sh"]


class OtherVersionNeededError(DemoError):
    """An application does not run with this machine's Python or Node.js."""


@dataclass(frozen=True)
class Needs:
    """What an application needs of Python or Node.js: pinned packages, and versions of it.

    ``compiled`` where installing the packages takes a compiler.
    """

    packages: list[str] = field(default_factory=list)
    minimum: str = ""
    below: str = ""
    compiled: bool = False

    def refusal(self, version: str) -> str:
        """Say what is wrong with a version (``3.11.2``); empty where nothing is."""
        if self.minimum and _number(version) < _number(self.minimum):
            return f"{self.minimum} or later"
        if self.below and _number(version) >= _number(self.below):
            return f"an earlier one than {self.below}"
        return ""


@dataclass(frozen=True)
class Application:
    """A folder of ``examples/apps``, read."""

    name: str
    folder: Path
    python: Needs
    node: Needs
    environment: Mapping[str, str]

    def manifests(self, path: str) -> list[dict[str, Any]]:
        """Return the folder's template as the demo runs it, with ``path`` as ``$PATH``."""
        documents = list(yaml.safe_load_all((self.folder / "template.yaml").read_text()))
        deployment = next(each for each in documents if each["kind"] == "Deployment")
        container = deployment["spec"]["template"]["spec"]["containers"][0]
        if not shutil.which(container["command"][0], path=path):
            msg = f"{self.name}: what was installed has no program {container['command'][0]!r}"
            raise DemoError(msg)
        container["command"] = [*AT_HOME, *container["command"]]
        here = {"LISTEN": HOST, "APP_DIR": as_is(str(self.folder)), "PATH": as_is(path)}
        here |= self.environment
        kept = [entry for entry in container.get("env", []) if entry["name"] not in here]
        # In front: what follows may refer to them.
        container["env"] = [{"name": key, "value": value} for key, value in here.items()] + kept
        return documents


def names() -> list[str]:
    """Return the names of all applications."""
    return sorted(path.parent.name for path in EXAMPLES.glob("*/demo.toml"))


def load(name: str) -> Application:
    """Read an application's folder; DemoError where there is none."""
    if name not in names():
        msg = f"there is no application {name!r}. APP can be: {', '.join(names())}"
        raise DemoError(msg)
    folder = EXAMPLES / name
    data = tomllib.loads((folder / "demo.toml").read_text())
    python, node = (Needs(**data.get(part, {})) for part in ("python", "node"))
    return Application(name, folder, python, node, data.get("environment", {}))


def installed(app: Application, where: Path) -> str:
    """Install what an application needs below ``where``, once; return the ``$PATH`` to run it with.

    DemoError says what is missing of this machine, or how an installation ended.
    """
    path = os.environ.get("PATH", os.defpath)
    if app.python.packages:
        path = os.pathsep.join([str(_install_from_pypi(app, where) / "bin"), path])
    if app.node.packages:
        # Node.js itself may be among the packages from PyPI.
        folder = _install_from_npm(app, where, path)
        path = os.pathsep.join([str(folder / "node_modules" / ".bin"), path])
    return path


def as_is(text: str) -> str:
    """Return a template's text that is neither filled in nor expanded: it means ``text``."""
    return text.replace("{", "{{").replace("}", "}}").replace("$", "$$")


def _install_from_pypi(app: Application, where: Path) -> Path:
    version = platform.python_version()
    if wanted := app.python.refusal(version):
        msg = (
            f"{app.name} needs Python {wanted}, and this is {version}. "
            f"Name another one: make clean, then make demo APP={app.name} PYTHON=python3.X"
        )
        raise OtherVersionNeededError(msg)
    folder = where / f"{app.name}-{_digest(app.python.packages, version, sys.base_prefix)}"
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--no-compile"]
    pip += ["--disable-pip-version-check", "--progress-bar", "off"]
    steps = [[sys.executable, "-m", "venv", "--clear", str(folder)], [*pip, *app.python.packages]]
    return _once(folder, app, app.python.packages, "PyPI", steps, counted="Collecting ")


def _install_from_npm(app: Application, where: Path, path: str) -> Path:
    """Install by the Node.js that is found on a ``$PATH``."""
    for program in ("node", "npm"):
        if not shutil.which(program, path=path):
            version = f" {app.node.minimum} or later" if app.node.minimum else ""
            msg = (
                f"{app.name} needs Node.js{version} with npm, and there is no `{program}` here. "
                "On Debian or Ubuntu: apt-get install nodejs npm"
            )
            raise DemoError(msg)
    environment = {**os.environ, "PATH": path}
    version = _told(environment, "--version").removeprefix("v")
    if wanted := app.node.refusal(version):
        msg = f"{app.name} needs Node.js {wanted}, and this is {version}"
        raise OtherVersionNeededError(msg)
    if app.node.compiled and (missing := missing_packages("compile")):
        msg = (
            f"{app.name} is compiled in part, and this machine lacks {' and '.join(missing)}. "
            f"As root: apt-get install --no-install-recommends {' '.join(missing)}"
        )
        raise DemoError(msg)
    here = Path(_told(environment, "--print", "process.execPath")).resolve().parent
    if (here.parent / "include" / "node" / "node.h").exists():
        # Else whatever is compiled looks for it on the internet.
        environment["npm_package_config_node_gyp_nodedir"] = str(here.parent)
    # Behind the modules' own -O3, which takes the compiler minutes and a demo does not need.
    for flags in ("CFLAGS", "CXXFLAGS"):
        environment[flags] = f"{environment.get(flags, '')} -O1".strip()
    folder = where / f"{app.name}-{_digest(app.node.packages, version)}"
    npm = ["npm", "install", "--prefix", str(folder), "--no-audit", "--no-fund", "--no-progress"]
    steps = [[*npm, "--loglevel=http", *app.node.packages]]
    packages = app.node.packages
    return _once(folder, app, packages, "npm", steps, counted="http fetch ", env=environment)


def _told(environment: Mapping[str, str], *words: str) -> str:
    """What the Node.js of an environment says."""
    command = ["node", *words]
    told = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if not told.stdout.strip():
        msg = f"an application needs Node.js, and the one here does not run: {told.stderr.strip()}"
        raise DemoError(msg)
    return told.stdout.strip()


def _once(
    folder: Path,
    app: Application,
    packages: list[str],
    source: str,
    steps: list[list[str]],
    *,
    counted: str,
    env: Mapping[str, str] | None = None,
) -> Path:
    """Run the steps unless they were run before; what was interrupted begins anew."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    done = folder / ".installed"
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if done.exists():
            return folder
        say(f"Installing {', '.join(packages)} from {source} for {app.name}, once ...")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        log = folder.with_suffix(".log")
        with log.open("w") as output:
            for step in steps:
                _follow(step, output, counted=counted, env=env)
        done.touch()
    return folder


def _follow(
    step: list[str],
    output: Any,  # noqa: ANN401 - a text file
    *,
    counted: str,
    env: Mapping[str, str] | None,
) -> None:
    """Run a step with its output in a log, and say now and then how far it is."""
    began = said = time.monotonic()
    count = 0
    tail: list[str] = []
    with subprocess.Popen(
        step,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=env,
    ) as process:
        assert process.stdout is not None  # noqa: S101 - a pipe was asked for
        for line in process.stdout:
            output.write(line)
            tail = [*tail[-11:], line.rstrip()]
            count += counted in line
            if time.monotonic() - said > PATIENCE:
                said = time.monotonic()
                say(f"  {count} packages so far, {said - began:.0f} s ...")
    if process.returncode:
        msg = f"`{' '.join(step)}` failed:"
        raise DemoError("\n  ".join([msg, *tail, f"(all of it: {output.name})"]))


def _digest(packages: list[str], *others: str) -> str:
    text = json.dumps([packages, platform.machine(), *others])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _number(version: str) -> tuple[int, ...]:
    """Return a version's numbers: (3, 11, 2) of ``3.11.2rc1``."""
    return tuple(int(digits) for digits in re.findall(r"\d+", version)[:3])


def main(words: list[str]) -> int:
    """Install what the applications need below a folder; return the exit status.

    One that needs another version of Python or Node.js than there is here is left out.
    """
    failures = 0
    for name in names():
        try:
            installed(load(name), Path(*words).absolute())
        except OtherVersionNeededError as error:
            say(f"Left out: {error}")
        except DemoError as error:
            say(str(error))
            failures += 1
    return min(failures, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
