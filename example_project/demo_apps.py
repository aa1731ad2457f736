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
from demo_machine import HOST, DemoError, say

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
    """What an application needs of Python or Node.js: pinned packages, and versions of it."""

    packages: list[str] = field(default_factory=list)
    minimum: str = ""
    below: str = ""

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
    places = [os.environ.get("PATH", os.defpath)]
    if app.node.packages:
        places.insert(0, str(_install_from_npm(app, where) / "node_modules" / ".bin"))
    if app.python.packages:
        places.insert(0, str(_install_from_pypi(app, where) / "bin"))
    return os.pathsep.join(places)


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


def _install_from_npm(app: Application, where: Path) -> Path:
    for program in ("node", "npm"):
        if not shutil.which(program):
            version = f" {app.node.minimum} or later" if app.node.minimum else ""
            msg = (
                f"{app.name} needs Node.js{version} with npm, and there is no `{program}` here. "
                "On Debian or Ubuntu: apt-get install nodejs npm"
            )
            raise DemoError(msg)
    told = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False)  # noqa: S607 - found just now
    version = told.stdout.strip().removeprefix("v")
    if not version:
        msg = f"{app.name} needs Node.js, and the one here does not run: {told.stderr.strip()}"
        raise DemoError(msg)
    if wanted := app.node.refusal(version):
        msg = f"{app.name} needs Node.js {wanted}, and this is {version}"
        raise OtherVersionNeededError(msg)
    folder = where / f"{app.name}-{_digest(app.node.packages, version)}"
    npm = ["npm", "install", "--prefix", str(folder), "--no-audit", "--no-fund", "--no-progress"]
    steps = [[*npm, "--loglevel=http", *app.node.packages]]
    return _once(folder, app, app.node.packages, "npm", steps, counted="http fetch ")


def _once(
    folder: Path,
    app: Application,
    packages: list[str],
    source: str,
    steps: list[list[str]],
    *,
    counted: str,
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
                _follow(step, output, counted=counted)
        done.touch()
    return folder


def _follow(step: list[str], output: Any, *, counted: str) -> None:  # noqa: ANN401 - a text file
    """Run a step with its output in a log, and say now and then how far it is."""
    began = said = time.monotonic()
    count = 0
    tail: list[str] = []
    with subprocess.Popen(
        step, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
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
