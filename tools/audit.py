"""Fail where a known vulnerability is in what ``requirements-dev.txt`` names (``pip-audit``).

pip-audit asks a service on the network, and takes one that knows nothing of any package, as a
mirror does that has no such pages, for a clean bill. So a service is first asked for what it has to
know, and where none does this says that nothing was audited, and is no failure.

``AUDIT_OSV_URL`` names another service that speaks OSV's protocol, such as a mirror of it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

LOCK = Path(__file__).resolve().parents[1] / "requirements-dev.txt"
# A release with several, all published in 2023.
KNOWN = "django==4.2.1"
SERVICES = {
    "pypi.org": ["--vulnerability-service", "pypi"],
    "api.osv.dev": ["--vulnerability-service", "osv"],
}


class UnreachableError(Exception):
    """A service gave no usable answer; the text is why."""


def main() -> int:
    """Audit; return the exit status."""
    services = SERVICES
    if url := os.environ.get("AUDIT_OSV_URL"):
        services = {url: ["--vulnerability-service", "osv", "--osv-url", url]}
    refused = []
    for name, options in services.items():
        try:
            probe(options)
            packages = ask(options, LOCK)
        except UnreachableError as error:
            refused.append(f"{name}: {error}")
            continue
        return report(name, packages)
    print("NOT AUDITED, no service that knows vulnerabilities can be asked from here:")
    print("\n".join(f"  {line}" for line in refused))
    return 0


def probe(options: list[str]) -> None:
    """Ask a service for a release that is known to be vulnerable. Raises ``UnreachableError``."""
    with tempfile.TemporaryDirectory() as folder:
        known = Path(folder) / "known.txt"
        known.write_text(f"{KNOWN}\n")
        (package,) = ask(options, known)
    if not package.get("vulns"):
        raise UnreachableError(package.get("skip_reason", f"it knows nothing against {KNOWN}"))


def ask(options: list[str], requirements: Path) -> list[dict[str, Any]]:
    """What a service says of each package of a file. Raises ``UnreachableError``."""
    command = [sys.executable, "-m", "pip_audit", "--format", "json", "--progress-spinner", "off"]
    command += ["--no-deps", "--disable-pip", "--requirement", str(requirements), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    try:
        packages: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except ValueError:
        lines = done.stderr.strip().splitlines() or [f"pip-audit ended with {done.returncode}"]
        raise UnreachableError(lines[-1]) from None
    return packages


def report(service: str, packages: list[dict[str, Any]]) -> int:
    """Say what was found; return the exit status."""
    skipped = [package for package in packages if "skip_reason" in package]
    for package in skipped:
        print(f"not audited: {package['skip_reason']}")
    found = 0
    for package in packages:
        for hole in package.get("vulns", ()):
            found += 1
            fixed = ", ".join(hole["fix_versions"]) or "no release yet"
            print(f"{package['name']} {package['version']}: {hole['id']}, mended in {fixed}")
    audited = len(packages) - len(skipped)
    print(f"{service}: {found or 'no'} known vulnerabilities in {audited} packages")
    if found:
        print("Raise the versions (pyproject.toml where it names one), then: make lock UPGRADE=1")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
