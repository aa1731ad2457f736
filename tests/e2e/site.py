"""The deployed site: applied from the shipped manifests, and what tests ask of it."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.e2e import images
from tests.e2e.client import HOST, POD_SESSION, Client, pods_host
from tests.testcluster.processes import wait_for

if TYPE_CHECKING:
    import subprocess

    from tests.testcluster.node import NodeCluster

DJANGO = "userpods"
USERS = "userpods-users"
OVERLAY = Path(__file__).with_name("overlay")
ADMIN = "root"
VOLUME = "/var/lib/userpods-e2e/postgres"  # as overlay/volume.yaml has it


@dataclass
class Site:
    """An operator's view of the deployed site."""

    cluster: NodeCluster
    passwords: dict[str, str] = field(default_factory=dict)

    def deploy(self) -> None:
        """Load the images, ``kubectl apply -k`` the overlay and wait for everything."""
        for archive in (
            images.router(),
            images.site(),
            images.postgres(),
            images.example_workload(),
        ):
            self.cluster.load_image(archive)
        self.cluster.inside("install", "-d", "-m", "700", "-o", "999", "-g", "999", VOLUME)
        self.kubectl("apply", "-k", OVERLAY)
        for part in ("statefulset/postgres", "deployment/django", "deployment/userpods-router"):
            self.rollout(part)
        self.passwords[ADMIN] = secrets.token_urlsafe(12)
        self.manage(
            *("createsuperuser", "--noinput", f"--username={ADMIN}", "--email=root@example.org"),
            DJANGO_SUPERUSER_PASSWORD=self.passwords[ADMIN],
        )

    def kubectl(self, *args: str | Path, timeout: float = 240) -> subprocess.CompletedProcess[str]:
        return self.cluster.kubectl(*args, timeout=timeout)

    def rollout(self, part: str, *, namespace: str = DJANGO, seconds: int = 200) -> None:
        """Wait until *part* runs as it is written.

        Raises ``AssertionError`` after *seconds*, with what its pods say of themselves.
        """
        try:
            self.kubectl("rollout", "status", part, "-n", namespace, f"--timeout={seconds}s")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self._why_not_ready(namespace)}") from None

    def replace(self, deployment: str) -> None:
        """Roll one of Django's namespace, and wait until no pod of before is left."""
        selector = f"app.kubernetes.io/name={deployment}"
        before = {pod["metadata"]["uid"] for pod in self.pods(selector)}
        self.kubectl("rollout", "restart", f"deployment/{deployment}", "-n", DJANGO)
        self.rollout(f"deployment/{deployment}")

        def gone() -> bool:
            return not before & {pod["metadata"]["uid"] for pod in self.pods(selector)}

        wait_for(gone, f"the pods of before of {deployment} to be gone", 200)

    def _why_not_ready(self, namespace: str) -> str:
        """Events and logs of the namespace's pods that are not ready."""
        said = []
        for pod in self.pods("", namespace=namespace):
            conditions = pod["status"].get("conditions", [])
            if any(c["type"] == "Ready" and c["status"] == "True" for c in conditions):
                continue
            name = f"pod/{pod['metadata']['name']}"
            for words in (
                ("describe", name),
                ("logs", name, "--all-containers", "--prefix", "--tail=60"),
                ("logs", name, "--all-containers", "--prefix", "--tail=60", "--previous"),
            ):
                done = self.cluster.kubectl(*words, "-n", namespace, check=False)
                said.append(f"--- {' '.join(words)}\n{done.stdout or done.stderr}")
        return "\n".join(said) or "every pod is ready"

    def manage(self, *args: str, **env: str) -> str:
        """Run a command of ``manage.py`` in a Django pod, as the documentation says."""
        words = [f"{key}={value}" for key, value in env.items()]
        command = ["exec", "-n", DJANGO, "deployment/django", "-c", "django", "--", "env", *words]
        return self.kubectl(*command, "/app/entrypoint", *args).stdout

    def shell(self, code: str) -> str:
        """Run Python in Django and return what it prints."""
        return self.manage("shell", "--command", code)

    def get(self, kind: str, name: str = "", *, namespace: str = USERS) -> dict[str, Any]:
        return self.cluster.get(*filter(None, (kind, name)), "-n", namespace)

    def exists(self, kind: str, name: str, *, namespace: str = USERS) -> bool:
        command = ("get", kind, name, "-n", namespace, "--ignore-not-found", "-o", "name")
        return bool(self.kubectl(*command).stdout.strip())

    def address(self, service: str, *, namespace: str = DJANGO) -> str:
        address: str = self.get("service", service, namespace=namespace)["spec"]["clusterIP"]
        return address

    def pods(self, selector: str, *, namespace: str = DJANGO) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self.cluster.get("pods", "-n", namespace, "-l", selector)[
            "items"
        ]
        return items

    def put_certificate(self) -> None:
        """Put certificates of the cluster's own authority where the ways in expect them."""
        for name, hosts in (
            ("userpods-tls", [HOST, "login.example.org"]),
            ("userpods-pods-tls", [pods_host("*"), "app.example.org"]),
        ):
            certificate, key = self.cluster._authority.issue(name, hosts[0], hosts=hosts)
            words = ("create", "secret", "tls", name, "-n", DJANGO, "--dry-run=client")
            made = self.kubectl(*words, "-o=yaml", f"--cert={certificate}", f"--key={key}")
            self.cluster.kubectl("apply", "-f", "-", input=made.stdout)

    def client(self) -> Client:
        """A browser at the Services where an ingress sends requests: Django's and the router's."""
        services = {True: self.address("django"), False: self.address("userpods-router")}
        return Client(lambda host: (services[host == HOST], 80))

    def signed_in(self, user: str, *, client: Client | None = None) -> Client:
        """A client that has signed in as *user* at the site, and gone on to the user's pod."""
        client = client or self.client()
        answer = client.api_login(user, self.passwords[user])
        assert answer.status == 200, (answer.status, answer.text)
        answer = client.enter(user)
        # A pod that is not up yet: 503, or where ingress-nginx does the router's work 502.
        assert answer.status in {200, 502, 503}, (answer.status, answer.text)
        assert POD_SESSION in client.cookies
        return client

    def admin(self) -> Client:
        """The administrator, signed in at the admin's own page."""
        client = self.client()
        client.form_login(ADMIN, self.passwords[ADMIN], to="/admin/")
        return client

    def add_user(self, name: str, *, admin: Client | None = None) -> None:
        """Add a user in the admin, as a person does."""
        self.passwords[name] = f"long-enough-for-{name}-1"
        answer = (admin or self.admin()).submit(
            "/admin/auth/user/add/",
            username=name,
            usable_password="true",
            password1=self.passwords[name],
            password2=self.passwords[name],
        )
        assert answer.status == 302, answer.text
        assert "/change/" in answer.header("Location"), answer.header("Location")

    def wait_for_pod(self, client: Client, *, seconds: float = 60) -> dict[str, Any]:
        """Ask through the router until the pod answers; what it said."""
        end = time.monotonic() + seconds
        while True:
            answer = client.get("/")
            if answer.status == 200:
                said: dict[str, Any] = json.loads(answer.body)
                return said
            assert answer.status == 503, (answer.status, answer.text)
            assert time.monotonic() < end, f"no pod after {seconds:g} s: {answer.text}"
            time.sleep(0.1)

    def inside(self, user_pod: str, *args: str) -> subprocess.CompletedProcess[str]:
        """Run the workload's own program in a user's pod."""
        command = ("exec", "-n", USERS, f"deployment/{user_pod}", "--", "/workload", *args)
        return self.cluster.kubectl(*command, check=False)

    def gone(self, kind: str, name: str, *, seconds: float = 60) -> None:
        """Wait until an object of the users' namespace is gone."""
        wait_for(lambda: not self.exists(kind, name), f"{kind} {name} to be gone", seconds)
