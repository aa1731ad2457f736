"""Kubeconfigs and exec plugins for the tests of what is made of them."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


def write(path: Path, user: dict[str, Any], *, server: str = "http://127.0.0.1:9") -> Path:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    }
    path.write_text(json.dumps(config))
    return path


def plugin(path: Path, script: str) -> dict[str, Any]:
    """A user whose credentials come from an exec plugin: a shell script."""
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(stat.S_IRWXU)
    return {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": str(path),
            "interactiveMode": "Never",
        }
    }


def credential(token: str) -> str:
    """What a plugin prints to hand out a token."""
    said = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": token},
    }
    return f"echo '{json.dumps(said)}'"


def several(path: Path, *names: str, server: str = "http://127.0.0.1:9") -> Path:
    """Write a kubeconfig with some contexts, the first of them current."""
    config = {
        "current-context": names[0],
        "clusters": [{"name": f"c-{n}", "cluster": {"server": f"{server}/{n}"}} for n in names],
        "users": [{"name": f"u-{n}", "user": {"token": f"secret-of-{n}"}} for n in names],
        "contexts": [
            {"name": n, "context": {"cluster": f"c-{n}", "user": f"u-{n}"}} for n in names
        ],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(config))
    return path
