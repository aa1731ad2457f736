"""Credentials from a program: ``exec`` of a kubeconfig's user.

See Kubernetes, "client-go credential plugins". The official client runs plugins without a bound
on their time and only logs that one failed. Nobody may be there to answer a question, so a plugin
is never given a terminal.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from django_userpods.clusters.kubernetes import errors
from django_userpods.exceptions import ClusterConfigurationError

if TYPE_CHECKING:
    from django_userpods.clusters.kubernetes.kubeconfig import Context

#: What a plugin is told of the cluster, under the same names as in the kubeconfig.
_CLUSTER = (
    "server",
    "tls-server-name",
    "insecure-skip-tls-verify",
    "certificate-authority-data",
    "proxy-url",
    "disable-compression",
)
#: Maximum number of bytes of a plugin's output; a token or a certificate has a few KiB.
_MOST = 1 << 20
_PIECE = 1 << 16
_EXTENSION = "client.authentication.k8s.io/exec"


class Credential(NamedTuple):
    """What a plugin handed out: a token, or a certificate and its key (PEM), or both."""

    token: str = ""
    certificate: str = ""
    key: str = ""
    expires: datetime | None = None

    @property
    def expired(self) -> bool:
        """Whether the plugin has to be asked again."""
        return self.expires is not None and self.expires <= datetime.now(UTC)


def run(context: Context, *, seconds: float) -> Credential:
    """Run the plugin of a context's user, for at most ``seconds``; then it is killed.

    Raises ClusterConfigurationError, with what the plugin said on its error output.
    """
    spec = context.user["exec"]
    command = str(spec["command"])
    if os.sep in command:
        command = str(context.folder / command)
    if spec.get("interactiveMode") == "Always":
        raise _failure(context, "it wants a person at a terminal (interactiveMode: Always)")
    added = {str(item["name"]): str(item["value"]) for item in spec.get("env") or []}
    try:
        process = subprocess.Popen(  # noqa: S603 - the kubeconfig names it, as for kubectl
            [command, *map(str, spec.get("args") or [])],
            env={**os.environ, **added, "KUBERNETES_EXEC_INFO": _info(context, spec)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # So that what it started goes with it.
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        hint = f"; {spec['installHint']}" if spec.get("installHint") else ""
        raise _failure(context, f"{getattr(error, 'strerror', None) or error}{hint}") from error
    try:
        out, said = _read(process, time.monotonic() + seconds)
    except (TimeoutError, subprocess.TimeoutExpired) as error:
        raise _failure(context, f"it did not end within {seconds:g} s") from error
    except _TooMuch as error:
        raise _failure(context, f"it printed more than {_MOST >> 10} KiB") from error
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
    if process.returncode != 0:
        text = said.decode("utf-8", "replace")
        raise _failure(context, f"exit status {process.returncode}: {text}")
    return _parse(context, out, str(spec["apiVersion"]))


class _TooMuch(Exception):  # noqa: N818 - never leaves this module
    """A plugin prints without an end."""


def _read(process: subprocess.Popen[bytes], end: float) -> tuple[bytes, bytes]:
    """Read both outputs of a plugin to their ends and wait for its own, until a moment.

    (``communicate`` takes all that comes. A pipe that a child of the plugin keeps open after it is
    read until the end, too.)
    """
    kept = {process.stdout: bytearray(), process.stderr: bytearray()}
    with selectors.DefaultSelector() as selector:
        for pipe in kept:
            if pipe is not None:
                selector.register(pipe, selectors.EVENT_READ)
        while selector.get_map():
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError
            for key, _ in selector.select(left):
                piece = os.read(key.fd, _PIECE)
                read = kept[key.fileobj]  # type: ignore[index] # one of the two
                read += piece
                if len(read) > _MOST:
                    raise _TooMuch
                if not piece:
                    selector.unregister(key.fileobj)
    process.wait(max(0.0, end - time.monotonic()))
    return bytes(kept[process.stdout]), bytes(kept[process.stderr])


def _info(context: Context, spec: dict[str, Any]) -> str:
    told: dict[str, Any] = {"interactive": False}
    if spec.get("provideClusterInfo"):
        cluster = context.cluster
        told["cluster"] = {name: cluster[name] for name in _CLUSTER if name in cluster}
        for item in cluster.get("extensions") or []:
            if item["name"] == _EXTENSION:
                told["cluster"]["config"] = item["extension"]
    info = {"apiVersion": spec["apiVersion"], "kind": "ExecCredential", "spec": told}
    return json.dumps(info)


def _parse(context: Context, out: bytes, version: str) -> Credential:
    try:
        answer = json.loads(out)
        status = answer["status"]
        if answer["kind"] != "ExecCredential" or answer["apiVersion"] != version:
            raise ValueError
        expires = status.get("expirationTimestamp")
        credential = Credential(
            token=str(status.get("token") or ""),
            certificate=str(status.get("clientCertificateData") or ""),
            key=str(status.get("clientKeyData") or ""),
            expires=datetime.fromisoformat(expires) if expires else None,
        )
        if credential.expires is not None and credential.expires.tzinfo is None:
            raise ValueError
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        # Its output may be a token, so it is not quoted.
        raise _failure(context, f"it printed no ExecCredential of {version}") from error
    if not credential.token and not (credential.certificate and credential.key):
        raise _failure(context, "it printed neither a token nor a certificate with its key")
    return credential


def _failure(context: Context, text: str) -> ClusterConfigurationError:
    command = context.user["exec"].get("command")
    return ClusterConfigurationError(
        f"the kubeconfig {context.file}, context {context.name}, gives no credentials: "
        f"the exec plugin {command}: {errors.shortened(text)}"
    )
