"""A site in the test's own process, and its controllers as processes beside it.

The database is a file, or a server that the test gives; users are saved by Django here, or put in
by SQL. What a controller does is seen in the cluster, in the rows and in its log.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.core.management import call_command
from django.db import connections
from django.db.models import F
from django.db.utils import ConnectionHandler
from django.test.utils import override_settings

from django_userpods.cluster import get_cluster
from django_userpods.core.objects import DEPLOYMENT, LEASE, SERVICE, Kind, Manifest, Ref
from django_userpods.models import UserPod
from django_userpods.reconcile.wanted import this_installation
from tests.real.matrix import busy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
BACKEND = "django_userpods.clusters.kubernetes.KubernetesCluster"
#: The name of what is beside the pods and nobody's here; see ``foreign``.
FOREIGN = "foreign"

_SETTINGS = """
from tests.settings import *
DATABASES = {{"default": {database!r}}}
USERPODS_CLUSTER = {{"BACKEND": {backend!r}, "OPTIONS": {options!r}}}
USERPODS_NAMESPACE = USERPODS_INSTANCE = {namespace!r}
USERPODS_CONTROLLER = True
"""


def until(
    condition: Callable[[], Any], seconds: float, what: str = "", *, every: float = 0.05
) -> float:
    """Wait until a condition holds, for at most so long; return how long it took.

    The time is that of a machine with nothing else to do.
    """
    began = time.monotonic()
    while not condition():
        passed = time.monotonic() - began
        if passed >= seconds * busy():
            pytest.fail(f"{what or condition} did not come in {passed:.0f} s; {_unsettled()}")
        time.sleep(every)
    return time.monotonic() - began


def _unsettled() -> str:
    """Say which rows are not as they are to be."""
    found = UserPod.objects.exclude(state=F("wanted"), asked_at=None).order_by("looked_at")
    said = found.values_list("name", "state", "wanted", "asked_at", "looked_at", "message")
    return f"of {UserPod.objects.count()} rows not settled: {len(said)}, such as {said[:3]}"


class Controller:
    """One ``run_userpods``. Its log is a file."""

    def __init__(self, folder: Path, number: int, env: dict[str, str], *options: str) -> None:
        self.log = folder / f"controller-{number}.log"
        self._out = self.log.open("w")
        command = ["-m", "django", "run_userpods", "--listen", "127.0.0.1:0"]
        self.process = subprocess.Popen(
            [sys.executable, *command, "--log-format", "text", *options],
            env=env,
            cwd=folder,
            stdout=self._out,
            stderr=self._out,
        )
        self._url = ""

    @property
    def url(self) -> str:
        """Where it answers."""
        if not self._url:
            until(lambda: self.process.poll() is not None or "http://" in self.text, 60, "a start")
            assert "http://" in self.text, self.text
            self._url = self.text.partition("http://")[2].partition("/")[0]
        return f"http://{self._url}"

    @property
    def text(self) -> str:
        """What it has said so far."""
        return self.log.read_text()

    def get(self, path: str) -> tuple[int, str]:
        """Return what it answers, (0, "") where it does not."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=10) as answer:  # noqa: S310
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    @property
    def is_leading(self) -> bool:
        return "userpods_leading 1.0" in self.get("/metrics")[1]

    @property
    def is_synced(self) -> bool:
        return self.is_leading and self.get("/readyz")[0] == 200

    @property
    def rate(self) -> float:
        """How many calls a second it makes at most."""
        said = re.search(r"^userpods_api_rate_limit (.+)$", self.get("/metrics")[1], re.MULTILINE)
        return float(said[1]) if said else 0.0

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it by a signal and return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        status = self.process.wait(60)
        self._out.close()
        return status


class Site:
    """The settings of this process and of controllers; see ``site``."""

    def __init__(self, folder: Path, namespace: str) -> None:
        self.folder, self.namespace = folder, namespace
        self.controllers: list[Controller] = []
        self.database: dict[str, Any] = {}

    def start(
        self,
        kubeconfig: Path,
        *options: str,
        cluster: dict[str, Any] | None = None,
        environment: dict[str, str] | None = None,
        settings: str = "",
    ) -> Controller:
        """Start a controller that reaches the API server by this kubeconfig.

        ``cluster`` are more options of the cluster's, ``environment`` more variables, ``settings``
        more lines of its settings.
        """
        number = len(self.controllers)
        name = f"settings_{number}"
        (self.folder / f"{name}.py").write_text(
            _SETTINGS.format(
                database=self.database,
                backend=BACKEND,
                options={"kubeconfig": str(kubeconfig), **(cluster or {})},
                namespace=self.namespace,
            )
            + settings
        )
        env = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(self.folder), str(ROOT), str(ROOT / "src")]),
            "DJANGO_SETTINGS_MODULE": name,
            "PYTHONUNBUFFERED": "1",
            **(environment or {}),
        }
        controller = Controller(self.folder, number, env, *options)
        self.controllers.append(controller)
        return controller

    def end_all(self) -> None:
        """Kill what still runs."""
        for controller in self.controllers:
            if controller.process.poll() is None:
                controller.send(signal.SIGCONT)
                controller.end(signal.SIGKILL)

    # --- what there is

    def names(self, kind: Kind = DEPLOYMENT) -> list[str]:
        """Return the names of a kind's objects but for foreign ones, sorted."""
        found = get_cluster().list(kind, namespace=self.namespace, labels={})
        return sorted({item["metadata"]["name"] for item in found} - {FOREIGN})

    def has_pairs(self, *names: str) -> bool:
        """Tell whether there are a Deployment and a Service of each of these, and no others."""
        return self.names() == self.names(SERVICE) == sorted(names)

    def get(self, name: str, kind: Kind = DEPLOYMENT) -> Manifest | None:
        return get_cluster().get(Ref(kind, self.namespace, name))

    def lease(self) -> Manifest | None:
        name = f"userpods-{this_installation().id}"
        return get_cluster().get(Ref(LEASE, self.namespace, name))

    def holder(self) -> str:
        """Return who has the Lease."""
        lease = self.lease()
        return "" if lease is None else str(lease["spec"].get("holderIdentity") or "")

    def is_settled(self) -> bool:
        """Tell whether each pod is as it is to be, and nothing was left to be done."""
        rows = list(UserPod.objects.values_list("state", "wanted", "asked_at"))
        return all(state == wanted and asked is None for state, wanted, asked in rows)

    def sync(self) -> None:
        """Do what a sync does, whether or not there is a controller."""
        from django_userpods.reconcile import reconcile

        reconcile(allow_mass_delete=True)

    def changes_of_a_sync(self) -> int:
        """Return how many objects a sync would change now."""
        from django_userpods.reconcile import reconcile

        report = reconcile(dry_run=True)
        return sum(report.counts().values())

    def writes_of_a_sync(self) -> list[str]:
        """Do a sync, and return what it wrote: changes of objects, and statements to the rows."""
        from django_userpods.reconcile import reconcile

        written: list[str] = []

        def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
            if sql.startswith(("INSERT", "UPDATE", "DELETE")):
                written.append(f"{sql} {params}")
            return execute(sql, params, many, context)

        with connections["default"].execute_wrapper(note):
            report = reconcile(allow_mass_delete=True)
        return written + [f"{count} {what}" for what, count in report.counts().items() if count]

    def assert_at_rest(self) -> None:
        """Hold that a sync writes nothing, once what was on its way at a test's end has come."""
        last = time.monotonic() + 10 * busy()
        while written := self.writes_of_a_sync():
            assert time.monotonic() < last, f"each sync writes: {written}"
            time.sleep(0.2)


@contextmanager
def site(
    folder: Path, kubeconfig: Path, namespace: str, database: dict[str, Any] | None = None
) -> Iterator[Site]:
    """Point this process at a database and a namespace of its own; end all controllers at last.

    ``database`` are Django's settings of a server; a file otherwise. Use it with database access.
    """
    made = Site(folder, namespace)
    default = {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(folder / "db.sqlite3"),
        "OPTIONS": {"timeout": 30},
    }
    made.database = dict(database or default)
    settings, own = connections.settings["default"], connections["default"]
    with ExitStack() as stack:
        stack.callback(made.end_all)
        stack.enter_context(
            override_settings(
                USERPODS_CLUSTER={
                    "BACKEND": BACKEND,
                    "OPTIONS": {"kubeconfig": str(kubeconfig), "qps": 0},
                    "IN_TESTS": True,
                },
                USERPODS_NAMESPACE=namespace,
                USERPODS_INSTANCE=namespace,
                USERPODS_CONTROLLER=True,
            )
        )
        handler = ConnectionHandler({"default": dict(made.database)})
        connections.settings["default"] = handler.settings["default"]
        del connections["default"]
        try:
            call_command("migrate", verbosity=0)
            yield made
        finally:
            connections["default"].close()
            connections.settings["default"] = settings
            connections["default"] = own
