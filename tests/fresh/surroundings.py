"""What a bare machine has to be told of this one's network: mirrors, proxies, certificates.

All of it is read from the machine that runs the tests, when they run; none of it is kept.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.testcluster import images

_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
_VARIABLES = re.compile(
    r"(?:https?|no|all|ftp)_proxy|SSL_CERT_FILE|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE|GIT_SSL_CAINFO",
    re.IGNORECASE,
)
# Where distributions come from and how they are fetched. Not `find-links`: what lies in a folder
# here is what a bare machine does not have.
_PIP = ("index-url", "extra-index-url", "trusted-host", "proxy", "cert", "default-timeout")
_APT = re.compile(
    r"Acquire::(?:(?:https?|ftp)::\S+|Check-Date|Check-Valid-Until|Retries|ForceIPv[46])"
    r' "[^"]+";'
)


def environment() -> dict[str, str]:
    """The variables that a program of a bare machine needs to reach package indexes."""
    found = {name: value for name, value in os.environ.items() if _VARIABLES.fullmatch(name)}
    for key, value in _pip_settings().items():
        found[f"PIP_{key.replace('-', '_').upper()}"] = value
    return found


def lay_out(root: Path) -> None:
    """Put sources, settings and certificates of this machine's network into a root file system."""
    if sources := images.sources():
        (root / "etc/apt/sources.list").write_text("".join(f"{line}\n" for line in sources))
    options = [line for line in _output("apt-config", "dump") if _APT.fullmatch(line)]
    (root / "etc/apt/apt.conf.d/90surroundings").write_text("".join(f"{o}\n" for o in options))
    certificates = {value for value in environment().values() if value.startswith("/")}
    for path in ("/etc/resolv.conf", "/etc/hosts", "/etc/apt/auth.conf", _BUNDLE, *certificates):
        if Path(path).is_file():
            target = root / path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            shutil.copyfile(path, target)


def _pip_settings() -> dict[str, str]:
    found: dict[str, str] = {}
    # The later win: files' settings for all commands, those for `install`, the environment's.
    for section in ("global", "install", ":env:"):
        for line in _output(sys.executable, "-m", "pip", "config", "list"):
            name, _, value = line.partition("=")
            if name.startswith(f"{section}.") and name.removeprefix(f"{section}.") in _PIP:
                found[name.removeprefix(f"{section}.")] = str(ast.literal_eval(value))
    return found


def _output(*command: str) -> list[str]:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
