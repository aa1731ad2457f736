"""Pods that do not come up, each for a reason of its own: users and profiles made for that."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django_userpods.core import builtin
from tests.e2e.images import SITE
from tests.e2e.site import DJANGO, USERS

if TYPE_CHECKING:
    from tests.e2e.site import Site

_SMALL = {"requests": {"cpu": "1m", "memory": "16Mi", "ephemeral-storage": "1Mi"}}


@dataclass(frozen=True)
class Unwell:
    """How a pod is not well, and what its row is to say of that: its state, and these words."""

    state: str
    words: tuple[str, ...]
    #: What its template has beside the built-in one's: in the container, in the pod.
    container: dict[str, Any] = field(default_factory=dict)
    pod: dict[str, Any] = field(default_factory=dict)
    limits: dict[str, str] = field(default_factory=dict)

    def template(self) -> list[dict[str, Any]]:
        """Return the template as a profile has it."""
        limits = {"memory": "128Mi", **self.limits}
        deployment, service = builtin.manifests(
            image=SITE, port=8000, env={}, resources={**_SMALL, "limits": limits}
        )
        spec = deployment["spec"]["template"]["spec"]
        spec |= self.pod
        spec["containers"][0] |= self.container
        for container in spec.get("initContainers", ()):
            container["securityContext"] = spec["containers"][0]["securityContext"]
        return [deployment, service]


def _python(code: str) -> dict[str, Any]:
    return {"command": ["python3", "-c", code]}


CLAIM = "nobody-provides"
_WAITING = {"name": "wait", "image": SITE, **_python("import time; time.sleep(8)")}
#: By the user's name.
PODS = {
    "no-image": Unwell(
        "failed",
        ("ImagePullBackOff", "localhost/nothing:1"),
        container={"image": "localhost/nothing:1"},
    ),
    "crashes": Unwell(
        "failed",
        ("CrashLoopBackOff", "last exit code 3"),
        container=_python("raise SystemExit(3)"),
    ),
    "no-memory": Unwell(
        "failed",
        ("CrashLoopBackOff", "last exit code 137, OOMKilled"),
        container=_python("print(len(b'x' * 2**30))"),
        limits={"memory": "64Mi"},
    ),
    "no-volume": Unwell(
        "starting",
        ("Unschedulable", "unbound immediate PersistentVolumeClaims"),
        pod={"volumes": [{"name": "home", "persistentVolumeClaim": {"claimName": CLAIM}}]},
    ),
    "no-node": Unwell(
        "starting",
        ("Unschedulable", "node affinity/selector"),
        pod={"nodeSelector": {"example.org/nowhere": "yes"}},
    ),
    # The kubelet evicts it for what it writes, and the one in its place waits for a while.
    "evicted": Unwell(
        "starting",
        ("Evicted", "ephemeral"),
        container=_python("import time; print('x' * 2**22, flush=True); time.sleep(600)"),
        pod={"initContainers": [_WAITING]},
        limits={"ephemeral-storage": "1Mi"},
    ),
}

_MAKE = """
import json
from django.contrib.auth import get_user_model
from django_userpods import lifecycle
from django_userpods.models import Profile, UserPod
for name, template in json.loads({templates!r}).items():
    Profile(slug=name, name=name, template=json.dumps(template[0]) + "\\n---\\n"
            + json.dumps(template[1])).save()
    get_user_model().objects.create(username=name)
    lifecycle.choose_profile(UserPod.objects.filter(owner__username=name), name)
"""
_QUERY = """
SELECT u.username, p.state, p.message
FROM userpods_userpod p JOIN auth_user u ON u.id = p.owner_id;
"""


def make(site: Site) -> None:
    """Make the users, their profiles and what they refer to."""
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": CLAIM, "namespace": USERS},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    site.cluster.create(claim)
    templates = {name: pod.template() for name, pod in PODS.items()}
    site.shell(_MAKE.format(templates=json.dumps(templates)))


def rows(site: Site) -> dict[str, tuple[str, str]]:
    """Return state and message of all rows, by their users' names: straight from the table."""
    options = '-v ON_ERROR_STOP=1 -U userpods -d userpods -At -F "\t" -R "\f"'
    shell = f"PGPASSWORD=$POSTGRES_PASSWORD exec psql {options}"
    command = ("exec", "-i", "-n", DJANGO, "postgres-0", "--", "sh", "-c", shell)
    said = site.cluster.kubectl(*command, input=_QUERY).stdout
    found = (line.split("\t", 2) for line in said.rstrip("\n").split("\f") if line)
    return {name: (state, message) for name, state, message in found}


def remove(site: Site) -> None:
    """Remove the users, and so their pods."""
    names = sorted(PODS)
    code = "from django.contrib.auth import get_user_model\n"
    site.shell(f"{code}get_user_model().objects.filter(username__in={names!r}).delete()")
