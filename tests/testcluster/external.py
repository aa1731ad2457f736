"""Your own cluster (kind, k3d, minikube, a real one), named by ``USERPODS_TEST_CONTEXT``."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any, NoReturn

from tests.testcluster import build
from tests.testcluster.cluster import Cluster


class UnsupportedError(Exception):
    """Asked of a cluster that is not ours to do such things to."""


class ExternalCluster(Cluster):
    """The cluster of a context of yours; everything that tests make there is a namespace."""

    def __init__(self, context: str) -> None:
        self.context = context
        self._directory: Path | None = None

    @property
    def directory(self) -> Path:
        assert self._directory, "the cluster is not started"
        return self._directory

    def start(self) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="userpods-"))
        try:
            config = self._read_context()
            self.kubeconfig = self.directory / "kubeconfig"
            self.kubeconfig.touch(mode=0o600)
            self.kubeconfig.write_text(json.dumps(config))
            cluster: dict[str, Any] = config["clusters"][0]["cluster"]
            self.server = cluster["server"]
            self.ca_file = self.directory / "ca.crt"
            authority = cluster.get("certificate-authority-data", "")
            self.ca_file.write_bytes(base64.b64decode(authority))
            self.kubectl("get", "--raw", "/readyz")
        except BaseException:
            self.stop()
            raise

    def _read_context(self) -> dict[str, Any]:
        """Return a kubeconfig with this one context, from wherever kubectl finds it."""
        view = ("config", "view", "--raw", "--minify", "--flatten", "-o=json")
        done = subprocess.run(
            [*self.kubectl_command(), *view, f"--context={self.context}"],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise AssertionError(f"USERPODS_TEST_CONTEXT={self.context}: {done.stderr}")
        config: dict[str, Any] = json.loads(done.stdout)
        return config

    def stop(self) -> None:
        if self._directory:
            shutil.rmtree(self._directory)
            self._directory = None

    def kubectl_command(self) -> list[str]:
        if kubectl := shutil.which("kubectl"):
            return [kubectl]
        return [str(build.binary("kubernetes")), "kubectl"]

    def restart_apiserver(self) -> NoReturn:
        self._refuse("restart the API server")

    def stop_apiserver(self) -> NoReturn:
        self._refuse("stop the API server")

    def start_apiserver(self) -> NoReturn:
        self._refuse("start the API server")

    def fake_nodes(self, count: int) -> NoReturn:
        self._refuse(f"add {count} pretended nodes")

    def _refuse(self, what: str) -> NoReturn:
        raise UnsupportedError(f"will not {what}: the cluster of {self.context} is not ours")
