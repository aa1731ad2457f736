"""Container images without a registry and without a container engine.

An image here is a file that ``docker save`` could have written, made of layers: tar archives laid
one over the other. ``NodeCluster.load_image`` gives it to a node. A Debian base is made once per
list of packages and kept in the cache; what changes often (our own files) is a layer on top.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.testcluster import build

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

SUITE = "bookworm"
PYTHON = "3.11"  # the one that SUITE comes with
SITE_PACKAGES = f"/usr/local/lib/python{PYTHON}/dist-packages"

# What can be put into an image: a file or folder of this machine (modes are kept), contents
# (readable by all), or contents with a mode.
Source = Path | str | bytes | tuple[bytes | str, int]


@dataclass(frozen=True, kw_only=True)
class Config:
    """How a container of the image starts. *user* is numeric, ``runAsNonRoot`` can be checked."""

    entrypoint: Sequence[str] = ()
    cmd: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    user: str = "65532"
    workdir: str = "/"
    stop_signal: str = ""


def scratch_image(name: str, files: Mapping[str, Source], config: Config) -> Path:
    """An image with nothing but *files* (path in the image to source); the archive's path."""
    return build_image(name, [files_layer(files)], config)


def debian_image(
    name: str,
    *,
    packages: Sequence[str] = (),
    pip: Sequence[str] = (),
    files: Mapping[str, Source] | None = None,
    config: Config,
) -> Path:
    """A Debian image with *packages*, Python distributions and *files*; the archive's path.

    *packages* are Debian's; *pip* are requirements or paths of wheels, put where Debian's Python
    finds them (no scripts: use ``python3 -m``). Both are cached, so a second call takes seconds.
    Needs root and ``mmdebstrap``.
    """
    layers = [debian_layer(packages)]
    if pip:
        layers.append(pip_layer(pip))
    if files:
        layers.append(files_layer(files))
    return build_image(name, layers, config)


def build_image(name: str, layers: Sequence[Path], config: Config) -> Path:
    """Put *layers* (tar files, lowest first) together as the image *name*; the archive's path.

    *name* must name a host, such as ``localhost/web:1``, or Docker Hub's is put before it.
    """
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
    digests = [_digest(layer) for layer in layers]
    image = {
        "architecture": architecture,
        "os": "linux",
        "config": {
            "Entrypoint": list(config.entrypoint),
            "Cmd": list(config.cmd),
            "Env": [f"{key}={value}" for key, value in {"PATH": _PATH, **config.env}.items()],
            "User": config.user,
            "WorkingDir": config.workdir,
            **({"StopSignal": config.stop_signal} if config.stop_signal else {}),
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]},
    }
    raw = json.dumps(image, sort_keys=True).encode()
    key = hashlib.sha256(name.encode() + raw).hexdigest()
    manifest = [
        {
            "Config": "config.json",
            "RepoTags": [name],
            "Layers": [f"{digest}.tar" for digest in digests],
        }
    ]
    target = directory() / f"{key[:24]}.image.tar"
    if not target.exists():
        with _finished(target) as unfinished, tarfile.open(unfinished, "w") as tar:
            _add_bytes(tar, "manifest.json", json.dumps(manifest).encode(), 0o644)
            _add_bytes(tar, "config.json", raw, 0o644)
            for digest, layer in zip(digests, layers, strict=True):
                tar.add(layer, f"{digest}.tar")
    return target


def files_layer(files: Mapping[str, Source]) -> Path:
    """A layer that holds *files*, owned by root; equal files make an equal layer."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for parent in sorted({str(p) for path in files for p in Path(path).parents} - {"/", "."}):
            _add_directory(tar, parent.lstrip("/"))
        for path, source in sorted(files.items()):
            _add(tar, path.strip("/"), source)
    content = buffer.getvalue()
    target = directory() / f"{hashlib.sha256(content).hexdigest()[:24]}.files.tar"
    if not target.exists():
        with _finished(target) as unfinished:
            unfinished.write_bytes(content)
    return target


def debian_layer(packages: Sequence[str]) -> Path:
    """A minimal Debian root file system with *packages*, as a layer."""
    wanted = sorted({"ca-certificates", *packages})
    target = directory() / f"{_key(SUITE, *_DROP, *wanted)}.debian.tar"
    with build.lock(target.with_suffix(".lock")):
        if target.exists():
            return target
        if shutil.which("mmdebstrap") is None:
            raise build.BuildError("mmdebstrap is needed: apt-get install mmdebstrap")
        print(f"making a Debian with {', '.join(wanted)}", file=sys.stderr, flush=True)
        with _finished(target) as unfinished:
            command = ["mmdebstrap", "--quiet", "--variant=minbase", "--format=tar"]
            command += [f"--include={','.join(wanted)}"]
            # Documentation and translations are a third of a small system.
            command += [f'--dpkgopt=path-exclude="{path}"' for path in _UNWANTED]
            command += [*_DROP, SUITE, str(unfinished), *sources()]
            _run(command)
    return target


@functools.cache
def sources() -> tuple[str, ...]:
    """Where this machine gets Debian's ``SUITE`` from, as lines of a ``sources.list``.

    Empty where it is no Debian of that suite: mmdebstrap then takes Debian's own mirror.
    """
    if shutil.which("apt-get") is None:
        return ()
    columns = "$(REPO_URI) $(RELEASE) $(COMPONENT) $(ORIGIN)"
    command = ["apt-get", "indextargets", "Created-By: Packages", "--format", columns]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    rows = [line.split() for line in done.stdout.splitlines()]
    found = [row[:3] for row in rows if row[3:] == ["Debian"] and row[1].startswith(SUITE)]
    lines = [f"deb {uri} {release} {component}" for uri, release, component in found]
    return tuple(lines) if [SUITE, "main"] in [row[1:] for row in found] else ()


def pip_layer(requirements: Sequence[str]) -> Path:
    """A layer with Python distributions for Debian's Python, whatever Python runs this."""
    # A wheel's path stays the same when its contents change.
    parts = [
        _digest(Path(item)) if item.endswith(".whl") and Path(item).exists() else item
        for item in requirements
    ]
    # What depends on the version of Python (``; python_version < "3.12"``) pip decides for the one
    # that it runs on, whatever it is told of wheels: on Debian that can be the image's own.
    same = Path(f"/usr/bin/python{PYTHON}")
    is_there = same.exists()
    target = directory() / f"{_key('pip', PYTHON, str(is_there), *sorted(parts))}.pip.tar"
    with build.lock(target.with_suffix(".lock")):
        if target.exists():
            return target
        with tempfile.TemporaryDirectory() as place:
            command = [sys.executable, "-m", "pip", *(["--python", str(same)] if is_there else [])]
            command += ["install", "--quiet", "--no-compile"]
            command += ["--target", place, "--python-version", PYTHON]
            command += ["--implementation", "cp", "--only-binary=:all:", *requirements]
            _run(command)
            layer = files_layer({SITE_PACKAGES: Path(place)})
        layer.rename(target)
    return target


_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_UNWANTED = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/info/*")
_DROP = (
    "--aptopt=APT::Install-Recommends false",
    # Files only: programs expect their folders to be there.
    '--customize-hook=find "$1"/var/log "$1"/var/cache "$1"/var/lib/apt/lists -type f -delete',
)


_KEPT_SECONDS = 30 * 24 * 3600


def directory() -> Path:
    """Where images and layers are kept between runs; what nobody read for a month is removed."""
    path = build.cache_dir() / "images"
    path.mkdir(exist_ok=True)
    _remove_unread(path)
    return path


@functools.cache
def _remove_unread(path: Path) -> None:
    for file in path.iterdir():
        with contextlib.suppress(FileNotFoundError):
            found = file.stat()
            if max(found.st_atime, found.st_mtime) < time.time() - _KEPT_SECONDS:
                file.unlink()


@contextlib.contextmanager
def _finished(target: Path) -> Iterator[Path]:
    """A path to write to, that becomes *target* only if all goes well."""
    unfinished = target.with_suffix(f".{os.getpid()}.tar")
    try:
        yield unfinished
        unfinished.rename(target)
    finally:
        unfinished.unlink(missing_ok=True)


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise build.BuildError(f"{command[0]} failed:\n{(done.stdout + done.stderr)[-3000:]}")


def _key(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _add(tar: tarfile.TarFile, name: str, source: Source) -> None:
    match source:
        case bytes() | str():
            _add_bytes(tar, name, _bytes(source), 0o644)
        case (content, mode):
            _add_bytes(tar, name, _bytes(content), mode)
        case Path() if source.is_dir():
            _add_directory(tar, name)
            for child in sorted(source.iterdir()):
                if child.name != "__pycache__":
                    _add(tar, f"{name}/{child.name}", child)
        case Path():
            # At least readable by the user that the container runs as.
            mode = (source.stat().st_mode & 0o777) | 0o444
            _add_bytes(tar, name, source.read_bytes(), mode)


def _bytes(content: bytes | str) -> bytes:
    return content.encode() if isinstance(content, str) else content


def _add_bytes(tar: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(content), mode
    tar.addfile(info, io.BytesIO(content))


def _add_directory(tar: tarfile.TarFile, name: str) -> None:
    info = tarfile.TarInfo(name)
    info.type, info.mode = tarfile.DIRTYPE, 0o755
    tar.addfile(info)
