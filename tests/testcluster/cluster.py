"""What tests can ask of a cluster, ours or yours."""

from __future__ import annotations

import json
import os
import subprocess
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from pathlib import Path


class Cluster(ABC):
    """A Kubernetes that tests may use as its administrator."""

    kubeconfig: Path
    """A kubeconfig file of an administrator."""
    server: str
    """The API server's URL."""
    ca_file: Path
    """The certificates that vouch for the API server."""

    @abstractmethod
    def start(self) -> None:
        """Bring the cluster up, or find out that it is."""

    @abstractmethod
    def stop(self) -> None:
        """Remove everything that ``start`` and the methods below made on this machine."""

    @abstractmethod
    def restart_apiserver(self) -> None:
        """Stop the API server and start it again; returns when it answers."""

    @abstractmethod
    def stop_apiserver(self) -> None:
        """Stop the API server: connections to it are refused from now on."""

    @abstractmethod
    def start_apiserver(self) -> None:
        """Start the API server after ``stop_apiserver``; returns when it answers."""

    @abstractmethod
    def fake_nodes(self, count: int) -> None:
        """Add *count* nodes whose pods become Ready without running."""

    @abstractmethod
    def kubectl_command(self) -> list[str]:
        """The kubectl to use, as the beginning of a command line."""

    @property
    @abstractmethod
    def directory(self) -> Path:
        """A directory of this run's own, gone after ``stop``."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def kubectl(
        self,
        *args: str | Path,
        input: str | None = None,  # noqa: A002  (the name that subprocess.run has)
        check: bool = True,
        kubeconfig: Path | None = None,
        timeout: float = 120,
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl with *args*, as administrator or with *kubeconfig*, and *input* as input.

        Raises ``AssertionError`` with kubectl's own words if *check* and it fails, and
        ``subprocess.TimeoutExpired`` after *timeout* seconds.
        """
        env = os.environ | {
            "KUBECONFIG": str(kubeconfig or self.kubeconfig),
            # Neither read nor leave anything in the home directory.
            "KUBECACHEDIR": str(self.directory / "kubectl-cache"),
            "KUBERC": "off",
        }
        done = subprocess.run(
            [*self.kubectl_command(), *map(str, args)],
            env=env,
            input=input,
            # Without input kubectl must not wait for a person.
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )
        if check and done.returncode:
            words = " ".join(map(str, args))
            raise AssertionError(f"kubectl {words}: exit {done.returncode}\n{done.stderr}")
        return done

    def apply(self, *objects: dict[str, Any]) -> None:
        """``kubectl apply`` these objects."""
        self.kubectl("apply", "-f", "-", input=_list(objects))

    def create(self, *objects: dict[str, Any]) -> None:
        """``kubectl create`` these objects; fails if one exists."""
        self.kubectl("create", "-f", "-", input=_list(objects))

    def get(self, *args: str) -> dict[str, Any]:
        """``kubectl get *args``, parsed."""
        parsed: dict[str, Any] = json.loads(self.kubectl("get", *args, "-o", "json").stdout)
        return parsed

    def kubeconfig_for(
        self,
        *,
        service_account: str | None = None,
        token: str | None = None,
        namespace: str = "default",
    ) -> Path:
        """A kubeconfig file that may do only what the ServiceAccount, or the *token*, may.

        *namespace* is where the ServiceAccount is, and the file's default namespace.
        """
        if token is None:
            assert service_account, "name a service_account or give a token"
            command = ("create", "token", service_account, "-n", namespace, "--duration=24h")
            token = self.kubectl(*command).stdout.strip()
        path = self.directory / f"kubeconfig-{os.urandom(6).hex()}"
        write_kubeconfig(
            path, server=self.server, ca_file=self.ca_file, token=token, namespace=namespace
        )
        return path


def write_kubeconfig(
    path: Path, *, server: str, ca_file: Path, token: str, namespace: str = "default"
) -> None:
    """Write a kubeconfig file for one user of one cluster. JSON is YAML too."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [
            {
                "name": "test",
                "cluster": {"server": server, "certificate-authority": str(ca_file)},
            }
        ],
        "users": [{"name": "test", "user": {"token": token}}],
        "contexts": [
            {
                "name": "test",
                "context": {"cluster": "test", "user": "test", "namespace": namespace},
            }
        ],
    }
    path.touch(mode=0o600)
    path.write_text(json.dumps(config, indent=2))


def _list(objects: tuple[dict[str, Any], ...]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
