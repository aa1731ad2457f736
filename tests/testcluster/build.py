"""Build the test cluster's programs from the Go modules beside this file, once per machine.

The binaries are kept outside the checkout, under a name that changes whenever anything
that goes into them does, so a changed ``go.mod`` builds anew and a second checkout does not.
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
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
KUBERNETES = "1.36.3"
_VERSION = "k8s.io/component-base/version"

# Linker flags. Without the version the API server would call itself v0.0.0.
_LDFLAGS = {
    "kubernetes": (
        f"-s -w -X {_VERSION}.gitVersion=v{KUBERNETES}"
        f" -X {_VERSION}.gitMajor=1 -X {_VERSION}.gitMinor=36"
    ),
}
# Compiler flags: without what debuggers read, which is a tenth of the work of a first build.
_GCFLAGS = "all=-dwarf=false"
# Programs that are built as they are, without a main of ours (`tool` in go.mod).
_PACKAGES = {
    "traefik": "github.com/traefik/traefik/v3/cmd/traefik",
    "ingressnginx": "k8s.io/ingress-nginx/cmd/nginx",
}
# Minutes a first build takes on two cores, to tell people how long to wait.
_MINUTES = {
    "kubernetes": 6,
    "kwok": 2,
    "coredns": 3,
    "netpol": 2,
    "traefik": 6,
    "ingressnginx": 2,
}


class BuildError(Exception):
    """A program could not be built; the message says what to do about it."""


def cache_dir() -> Path:
    """Where built things are kept between runs.

    ``$USERPODS_TEST_CACHE``, else ``$XDG_CACHE_HOME/django-userpods``, else
    ``~/.cache/django-userpods``. It can be deleted at any time.
    """
    if chosen := os.environ.get("USERPODS_TEST_CACHE"):
        path = Path(chosen)
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        path = Path(base) / "django-userpods"
    path.mkdir(parents=True, exist_ok=True)
    return path.resolve()


@contextmanager
def lock(path: Path) -> Iterator[None]:
    """Hold *path* for this process alone, so that two runs do not do the same work twice."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"waiting for another run that holds {path}", file=sys.stderr, flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def go_version(module: Path) -> str:
    """The Go that will build *module*, such as ``go1.26.8``.

    Raises ``BuildError`` where Go is missing or older than the module asks for.
    """
    match = re.search(r"^go (\d+)\.(\d+)", (module / "go.mod").read_text(), re.MULTILINE)
    assert match, f"{module / 'go.mod'} names no Go version"
    wanted = (int(match[1]), int(match[2]))
    install = (
        f"Install Go {wanted[0]}.{wanted[1]} or later from https://go.dev/dl/ and put its bin/ on"
        " PATH (distributions' packages are often older)."
    )
    if shutil.which("go") is None:
        raise BuildError(f"Go is needed to build the test cluster, and there is no `go`. {install}")
    asked = subprocess.run(
        ["go", "env", "GOVERSION"], cwd=module, capture_output=True, text=True, check=False
    )
    found = re.match(r"go(\d+)\.(\d+)", asked.stdout)
    # Since 1.21 Go fetches the newer Go that a module asks for, unless told not to.
    if asked.returncode or not found or (int(found[1]), int(found[2])) < wanted:
        had = asked.stdout.strip() or asked.stderr.strip() or "an unknown version"
        raise BuildError(f"Go is too old to build the test cluster: {had}. {install}")
    return asked.stdout.strip()


def binary(program: str) -> Path:
    """The path of *program*'s binary (a folder's name beside this file), built if need be.

    A first build takes minutes and says so on standard error. Raises ``BuildError``.
    """
    module = HERE / program
    target = cache_dir() / "bin" / f"{program}-{_key(program, go_version(module))}"
    if target.exists():
        return target
    with lock(target.with_suffix(".lock")):
        if not target.exists():
            _build(module, target)
    return target


def module_dir(program: str, module: str) -> Path:
    """Where Go keeps the source of *module*, in the version that *program* is built with."""
    done = subprocess.run(
        ["go", "mod", "download", "-json", module],
        cwd=HERE / program,
        env=os.environ | {"GOWORK": "off"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BuildError(f"the source of {module} is not to be had:\n{done.stdout}{done.stderr}")
    return Path(json.loads(done.stdout)["Dir"])


def _key(program: str, version: str) -> str:
    digest = hashlib.sha256()
    for part in (version, platform.machine(), _LDFLAGS.get(program, ""), _GCFLAGS):
        digest.update(part.encode() + b"\0")
    for path in sorted((HERE / program).iterdir()):
        if path.suffix in {".go", ".mod", ".sum"}:
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _build(module: Path, target: Path) -> None:
    name, started = module.name, time.monotonic()
    print(
        f"building the test cluster's {name}: up to {_MINUTES.get(name, 1)} minutes on two cores"
        f" the first time, then it is kept in {target.parent}",
        file=sys.stderr,
        flush=True,
    )
    # Built beside its place and moved there: a build that is interrupted leaves no half binary.
    unfinished = target.with_suffix(f".{os.getpid()}")
    command = ["go", "build", "-v", "-trimpath", "-ldflags", _LDFLAGS.get(name, "-s -w")]
    command += ["-gcflags", _GCFLAGS, "-o", str(unfinished), _PACKAGES.get(name, ".")]
    if nice := shutil.which("nice"):
        command = [nice, "-n", "5", *command]
    # -buildvcs=false: the binary must not depend on the state of this checkout.
    env = os.environ | {"CGO_ENABLED": "0", "GOWORK": "off", "GOFLAGS": "-buildvcs=false"}
    # The compiler collects its garbage less often, which is an eighth of its work.
    env.setdefault("GOGC", "400")
    lines: list[str] = []
    with subprocess.Popen(
        command, cwd=module, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        done = threading.Event()
        progress = threading.Thread(target=_report, args=(name, lines, done, started), daemon=True)
        progress.start()
        try:
            assert process.stdout is not None
            lines.extend(line.rstrip() for line in process.stdout)
        except BaseException:
            process.terminate()
            raise
        finally:
            done.set()
            progress.join()
    if process.returncode:
        unfinished.unlink(missing_ok=True)
        raise BuildError(f"`go build` of {name} failed:\n" + "\n".join(lines[-30:]))
    unfinished.rename(target)
    seconds = time.monotonic() - started
    print(f"built {name} in {seconds:.0f} s", file=sys.stderr, flush=True)


def _report(name: str, lines: list[str], done: threading.Event, started: float) -> None:
    while not done.wait(20):
        compiled = sum(1 for line in lines if not line.startswith("go: "))
        fetched = len(lines) - compiled
        print(
            f"building {name}: {time.monotonic() - started:.0f} s,"
            f" {fetched} modules fetched, {compiled} packages compiled",
            file=sys.stderr,
            flush=True,
        )
