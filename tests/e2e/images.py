"""The images of the end-to-end tests, made from the shipped Dockerfiles without a container engine.

What the Dockerfiles take from Docker Hub comes from Debian here (Python and PostgreSQL are older
by it); packages, Python distributions, files, steps, environment and user are read from them.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from tests.e2e import dockerfile
from tests.testcluster import build, images

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

TOP = Path(__file__).resolve().parents[2]
SITE = "localhost/site:1"
ROUTER = "localhost/router:1"
POSTGRES = "localhost/postgres:1"
EXAMPLE_WORKLOAD = "localhost/example-workload:1"
#: Of ``examples/apps``, what runs on the node.
APPLICATIONS = ("jupyterlab", "django")

_PYTHON = ["python3", "python-is-python3"]
# Where a virtual environment at /venv has its packages.
_PACKAGES = f"/venv/lib/python{images.PYTHON}/site-packages"
_BASES = {
    "python:3.13-slim": _PYTHON,
    "debian:bookworm-slim": [],
}
_PG_BIN = "/usr/lib/postgresql/15/bin"


def router() -> Path:
    """``manifests/router/Dockerfile``."""
    stage = dockerfile.read(TOP / "manifests" / "router" / "Dockerfile")[""]
    packages = [*_BASES[stage.base], *stage.apt_packages()]
    layers = [images.debian_layer(packages), images.files_layer({"/etc/userpods/.keep": ""})]
    return images.build_image(ROUTER, layers, _config(stage))


def site() -> Path:
    """The stage ``site`` of ``example_project/Dockerfile``."""
    stages = dockerfile.read(TOP / "example_project" / "Dockerfile")
    stage = stages["site"]
    assert stage.copies_from == [("build", "/venv", "/venv")]
    layers = [
        images.debian_layer(_BASES[stage.base]),
        _distributions(stages["build"]),
        _package(),
        _copied(stage),
    ]
    # The Dockerfile's own steps, in the environment that it sets.
    script = "python3 -m venv --without-pip /venv\n" + "\n".join(stage.runs)
    layers.append(_run(layers, script, stage))
    return images.build_image(SITE, layers, _config(stage))


def example_workload() -> Path:
    """The stage ``workload`` of ``example_project/Dockerfile``."""
    stage = dockerfile.read(TOP / "example_project" / "Dockerfile")["workload"]
    layers = [images.debian_layer(_BASES[stage.base]), _copied(stage)]
    return images.build_image(EXAMPLE_WORKLOAD, layers, _config(stage))


def postgres() -> Path:
    """What ``manifests/example/postgres.yaml`` asks of an image, nothing of ours in it."""
    return images.debian_image(
        POSTGRES,
        packages=["postgresql"],
        # It looks its user's name up; Debian gives that user another number.
        files={"/etc/passwd": "root:x:0:0::/root:/bin/sh\npostgres:x:999:999::/tmp:/bin/sh\n"},
        config=images.Config(env={"PATH": f"{_PG_BIN}:{_PATH}"}, user="999:999"),
    )


def application(name: str) -> Path:
    """What a template of ``examples/apps`` asks of its image, with the packages that the demo has.

    It bears the name that the template gives it, so the template is used as it is.
    """
    folder = TOP / "examples" / "apps" / name
    wanted = tomllib.loads((folder / "demo.toml").read_text())["python"]["packages"]
    template = yaml.safe_load_all((folder / "template.yaml").read_text())
    deployment = next(each for each in template if each["kind"] == "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    packages = images.pip_layer(wanted)
    files: dict[str, images.Source] = {
        f"/app/{path.relative_to(folder.relative_to(TOP))}": TOP / path
        for path in _tracked(str(folder.relative_to(TOP)))
    }
    layers = [images.debian_layer(_PYTHON), packages, _programs(packages)]
    return images.build_image(
        pod["containers"][0]["image"],
        [*layers, images.files_layer(files)],
        images.Config(env={"PATH": _PATH, **_DATA}, user="1000:1000"),
    )


# Where Jupyter finds what distributions bring beside modules: pip puts it next to these here.
_DATA = {
    "JUPYTERLAB_DIR": f"{images.SITE_PACKAGES}/share/jupyter/lab",
    "JUPYTER_PATH": f"{images.SITE_PACKAGES}/share/jupyter",
    "JUPYTER_CONFIG_PATH": f"{images.SITE_PACKAGES}/etc/jupyter",
}


def _programs(packages: Path) -> Path:
    """A layer with the programs of a layer of distributions, for the image's own Python."""
    target = packages.with_name(f"{packages.name.split('.')[0]}.programs.tar")
    if not target.exists():
        with tempfile.TemporaryDirectory() as directory:
            _checked(["tar", "-C", directory, "-xf", str(packages)])
            files: dict[str, images.Source] = {}
            for path in (Path(directory) / images.SITE_PACKAGES.lstrip("/") / "bin").iterdir():
                first, _, rest = path.read_bytes().partition(b"\n")
                if first.startswith(b"#!") and b"python" in first:
                    program = (b"#!/usr/bin/python3\n" + rest, 0o755)
                    files[f"/usr/local/bin/{path.name}"] = program
            images.files_layer(files).rename(target)
    return target


_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def _config(stage: dockerfile.Stage) -> images.Config:
    return images.Config(
        entrypoint=stage.entrypoint,
        cmd=stage.cmd,
        env=_env(stage),
        user=stage.user,
        workdir=stage.workdir,
        stop_signal=stage.stop_signal,
    )


def _env(stage: dockerfile.Stage) -> dict[str, str]:
    return {key: value.replace("$PATH", _PATH) for key, value in stage.env.items()}


def _copied(stage: dockerfile.Stage) -> Path:
    """A layer with what ``COPY`` takes from the checkout: git's files, nothing a developer left."""
    files: dict[str, images.Source] = {}
    for source, place in stage.copies:
        for path in _tracked(source):
            inside = path.relative_to(source) if path != Path(source) else None
            files[f"{place}/{inside}" if inside else place] = TOP / path
    return images.files_layer(files)


def _tracked(source: str) -> Iterator[Path]:
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", source]
    out = subprocess.run(command, cwd=TOP, check=True, capture_output=True, text=True).stdout
    paths = map(Path, sorted(filter(None, out.split("\0"))))
    yield from (path for path in paths if (TOP / path).exists())


def _distributions(stage: dockerfile.Stage) -> Path:
    """A layer with everything that ``pip install`` brings but the package itself, at /venv."""
    project = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]
    wanted = list(project["dependencies"])
    words = iter(stage.pip_requirements())
    for word in words:
        if word == "-r":
            file = TOP / next(words).removeprefix("/src/")
            lines = (line.partition("#")[0].strip() for line in file.read_text().splitlines())
            wanted += [line for line in lines if line]
        elif word.startswith("/src"):
            for extra in word.removeprefix("/src").strip("[]").split(","):
                wanted += project["optional-dependencies"][extra]
        else:
            wanted.append(word)
    layer = images.pip_layer(wanted)
    # Made for Debian's own Python; the Dockerfile has a virtual environment.
    target = layer.with_name(f"{layer.name.split('.')[0]}.venv.tar")
    if not target.exists():
        with tempfile.TemporaryDirectory() as directory:
            subprocess.run(["tar", "-C", directory, "-xf", layer], check=True)
            content = Path(directory) / images.SITE_PACKAGES.lstrip("/")
            start = ('#!/bin/sh\nexec /venv/bin/python -m gunicorn "$@"\n', 0o755)
            made = images.files_layer({_PACKAGES: content, "/venv/bin/gunicorn": start})
            made.rename(target)
    return target


def _package() -> Path:
    """A layer with the package as its wheel has it."""
    digest = hashlib.sha256()
    sources = [path for name in ("src", "manifests", "pyproject.toml") for path in _tracked(name)]
    for path in sources:
        digest.update(str(path).encode() + b"\0" + (TOP / path).read_bytes() + b"\0")
    target = images.directory() / f"{digest.hexdigest()[:24]}.package.tar"
    with build.lock(target.with_suffix(".lock")):
        if target.exists():
            return target
        with tempfile.TemporaryDirectory() as directory:
            command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
            _checked([*command, "--wheel-dir", directory, str(TOP)])
            (wheel,) = Path(directory).glob("*.whl")
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(Path(directory) / "unpacked")
            layer = images.files_layer({_PACKAGES: Path(directory) / "unpacked"})
        layer.rename(target)
    return target


def _run(layers: Sequence[Path], script: str, stage: dockerfile.Stage) -> Path:
    """A layer with what *script* changes, run as root in the image that *layers* make."""
    key = hashlib.sha256("\0".join([*(layer.name for layer in layers), script]).encode())
    target = images.directory() / f"{key.hexdigest()[:24]}.run.tar"
    with build.lock(target.with_suffix(".lock")):
        if target.exists():
            return target
        with tempfile.TemporaryDirectory(prefix="userpods-image-") as directory:
            place = Path(directory)
            for name in ("lower", "upper", "work", "root"):
                (place / name).mkdir()
            for layer in layers:
                _checked(["tar", "-C", str(place / "lower"), "-xf", str(layer)])
            env = {"PATH": _PATH, **_env(stage)}
            words = ["env", "-i", *(f"{key}={value}" for key, value in env.items())]
            words += ["/bin/sh", "-ec", f"cd {stage.workdir}\n{script}"]
            # The mount lives in a namespace of its own and ends with it.
            _checked(["unshare", "--mount", "sh", "-ec", _IN_OVERLAY, "sh", directory, *words])
            unfinished = target.with_suffix(f".{os.getpid()}")
            _checked(["tar", "-C", str(place / "upper"), "-cf", str(unfinished), "."])
            unfinished.rename(target)
    return target


_IN_OVERLAY = """
cd "$1"; shift
mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work root
mount --rbind /dev root/dev
exec chroot root "$@"
"""


def _checked(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stdout + done.stderr)[-3000:]
        raise build.BuildError(f"{shutil.which(command[0])} failed:\n{said}")
