"""How prompt the controller is, what it takes at rest, and how fast 500 users' pods are ready.

    python benchmarks/controller.py [--users 10000] [--burst 500] [--saves 100] [--rounds 3]
        [--only saves|rest|bursts]

A real API server on the same machine. *Save to Deployment* is from before ``User.save`` to the
first GET that finds the Deployment, one user after the other, beside nobody else and beside many;
these and the controller at rest are measured without Kubernetes' own controllers, with Deployments
that say that they are ready. *At rest* is five minutes with one look at everything in them (as
shipped, every 300 s), with an idle timeout, a router that says that every tenth pod is in use, a
rollout's rule, and a scrape every 15 s; the database, SQLite, is part of it. *500 users* are saved
in one transaction, with those controllers and nodes that kwok pretends, until all their Deployments
are ready; in turn, the same objects by ``kubectl create``, and as many users' pods and Services by
KubeSpawner, in an environment of its own, without a hub, until they run. Those are bare pods: a
Deployment costs the cluster a ReplicaSet, and the status of both, more.

*Where the time goes.* Both rates are the cluster's, which has no core to spare while it starts
pods. With 300 users at once on 2 cores, in seconds of CPU until all were ready (something small,
0.4, stood in for kubelets):

| | API server | etcd | controllers | scheduler | we, or KubeSpawner | in all |
|---|---|---|---|---|---|---|
| Ours | 15.7 | 2.2 | 3.3 | 0.7 | 2.6 | 24.8 |
| KubeSpawner's | 4.7 | 0.8 | 1.0 | 0.4 | 3.9 | 11.2 |

A controller that took nothing at all would so come to about half of KubeSpawner's rate. The API
server alone takes 7 ms for a Deployment and a Service that nobody acts upon, and 50 ms for those
that come to run: the ReplicaSet, each status of both, the endpoints, the events. We make two POSTs
for each user and one LIST for dozens, hold no call back (that table is of a run without a limit, in
which no more than 50 a second were made; ``qps`` is 200), and spend about a fifth of our part on
writing rows, in batches. What was ours to win was work done twice: a look at everything that fell
into the burst, as one does a few seconds after users were deleted, made the same objects as the
workers. Of 1,918 calls for 300 users 1,190 were in vain. It leaves to the workers what they have at
hand: 728 calls, and a fifth less CPU of ours.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.common import DOCS, publish, set_up_django
from benchmarks.resting import SETTINGS, Rest, at_rest, router
from tests.testcluster.controlplane import ControlPlane

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.real.controllers import Controller, Site

KUBESPAWNER = "jupyterhub-kubespawner>=7,<8"
NAMESPACE, THEIRS, SPAWNER = "bench", "kubectl", "spawner"
PARTS = ("saves", "rest", "bursts")


def main() -> None:
    """Measure and publish."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--burst", type=int, default=500)
    parser.add_argument("--saves", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=PARTS, help="measure this, and keep the other numbers")
    options = parser.parse_args()
    parts = [options.only] if options.only else PARTS
    set_up_django()
    rows = []
    if {"saves", "rest"} & set(parts):
        rows += alone(options.users, options.saves if "saves" in parts else 0, "rest" in parts)
    if "bursts" in parts:
        rows += bursts(options.burst, options.rounds)
    notes = (__doc__ or "").split("\n\n", 2)[2]
    publish("controller", "What the controller takes, and how prompt it is", merged(rows), notes)


def merged(rows: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """Return the rows that are published, with these in place of theirs."""
    new = {row[0]: row for row in rows}
    before = [tuple(row.values()) for row in json.loads((DOCS / "controller.json").read_text())]
    kept = [new.pop(row[0], row) for row in before]
    return [*kept, *new.values()] if len(rows) < len(kept) else rows


@contextmanager
def quiet(users: int) -> Iterator[tuple[Site, ControlPlane]]:
    """A site and an API server that nobody else works at, with so many pods that are ready."""
    from django.contrib.auth.models import User

    from tests.real.controllers import site

    with (
        ControlPlane(controller_manager=False, scheduler=False, kwok=False) as plane,
        tempfile.TemporaryDirectory() as folder,
        site(Path(folder), plane.kubeconfig, NAMESPACE) as here,
    ):
        plane.kubectl("create", "namespace", NAMESPACE)
        User.objects.bulk_create(
            (User(username=f"many{number}") for number in range(users)), batch_size=500
        )
        if users:
            here.sync()
            say_ready(here, plane)
            here.sync()
        yield here, plane


def alone(users: int, saves: int, rest: bool) -> list[tuple[str, str, str]]:
    """Measure saves beside nobody and beside many, and a controller at rest, as is asked for."""
    rows, times = [], []
    if saves:
        with quiet(0) as (here, plane):
            times.append(seconds_of_saves(here, plane, saves))
    with quiet(users) as (here, plane):
        if saves:
            times.append(seconds_of_saves(here, plane, saves))
            rows += of_saves(users, *times)
        if rest:
            rows += of_rest(users, resting(here, plane, users))
    return rows


def of_saves(users: int, none: list[float], many: list[float]) -> list[tuple[str, str, str]]:
    """Say how long saves waited, beside none and beside many."""
    times = f"{p50(many) / p50(none):.2f} and {p99(many) / p99(none):.2f} times"
    return [
        ("Save to Deployment, beside none: p50, p99", in_ms(none), ""),
        (f"The same beside {users:,} others", f"{in_ms(many)} ({times})", ""),
    ]


def of_rest(users: int, rest: Rest) -> list[tuple[str, str, str]]:
    """Say what a controller takes that has nothing to do."""
    memory = f"{rest.memory:.0f} MB, at most {rest.most:.0f} MB since its start"
    return [
        (f"Memory at rest, {users:,} pods", memory, "at most 400 MB"),
        (f"CPU at rest, {users:,} pods", f"{rest.share:.1%} of a core", "at most 2 % of a core"),
    ]


def resting(here: Site, plane: ControlPlane, users: int) -> Rest:
    """Return what a controller takes that has nothing to do, beside a router."""
    from django_userpods.models import UserPod

    say_ready(here, plane)
    used = [f"user-many{number}" for number in range(0, users, 10)]
    with router(used) as url:
        controller = led(here, plane, SETTINGS.format(router=url))
        settled(here)
        rest = at_rest(controller)
        print(rest, flush=True)
        assert controller.end() == 0, controller.text
    noted = UserPod.objects.exclude(last_activity=None).count()
    assert noted == len(used), f"of {noted} pods a use was noted"
    return rest


def p50(times: list[float]) -> float:
    """Return the median."""
    return statistics.median(times)


def p99(times: list[float]) -> float:
    """Return what one of a hundred takes at least."""
    return statistics.quantiles(times, n=100, method="inclusive")[98]


def in_ms(times: list[float]) -> str:
    """Say both in milliseconds."""
    return f"{p50(times) * 1e3:.0f} ms, {p99(times) * 1e3:.0f} ms"


def led(here: Site, plane: ControlPlane, settings: str = "") -> Controller:
    """Start a controller; return it once it has looked at everything."""
    from tests.real.controllers import until

    controller = here.start(plane.kubeconfig, settings=settings)
    until(lambda: controller.is_synced, 300, "a leader")
    return controller


def settled(here: Site) -> None:
    """Wait until every row says that its pod is as it is to be."""
    from tests.real.controllers import until

    until(here.is_settled, 300, "rows that say so", every=0.5)


def seconds_of_saves(here: Site, plane: ControlPlane, count: int) -> list[float]:
    """Save users one after the other; return how long each waited for a Deployment."""
    from django.contrib.auth.models import User

    controller, times = led(here, plane), []
    for number in range(count):
        began = time.monotonic()
        User.objects.create(username=f"one{number}")
        while here.get(f"user-one{number}") is None:
            time.sleep(0.001)
        times.append(time.monotonic() - began)
        # Neither always right after a look at the database, nor always right before one.
        time.sleep(number % 10 / 10)
    assert controller.end() == 0, controller.text
    return times


def say_ready(here: Site, plane: ControlPlane) -> None:
    """Write into the status of all Deployments that they are ready, for want of a controller."""
    from django_userpods.cluster import get_cluster
    from django_userpods.core.objects import DEPLOYMENT

    found = list(get_cluster().list(DEPLOYMENT, namespace=here.namespace, labels={}))
    waiting = [item for item in found if not (item.get("status") or {}).get("readyReplicas")]
    context = ssl.create_default_context(cafile=plane.ca_file)
    headers = {
        "Authorization": f"Bearer {plane.token}",
        "Content-Type": "application/merge-patch+json",
    }

    def write(items: list[dict[str, Any]]) -> None:
        server = plane.server.removeprefix("https://")
        connection = http.client.HTTPSConnection(server, context=context)
        for item in items:
            names = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
            generation = item["metadata"]["generation"]
            status = {"observedGeneration": generation, **dict.fromkeys(names, 1)}
            path = f"/apis/apps/v1/namespaces/{here.namespace}/deployments"
            path += f"/{item['metadata']['name']}/status"
            connection.request("PATCH", path, json.dumps({"status": status}), headers)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200, answer.status
        connection.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, (waiting[first::8] for first in range(8))))


def bursts(users: int, rounds: int) -> list[tuple[str, str, str]]:
    """Measure many users at once until they are ready, against kubectl and KubeSpawner."""
    from tests.real.controllers import site

    python = kubespawner()
    ours, theirs, spawner = [], [], []
    with (
        ControlPlane() as plane,
        tempfile.TemporaryDirectory() as folder,
        site(Path(folder), plane.kubeconfig, NAMESPACE) as here,
    ):
        for namespace in (NAMESPACE, THEIRS, SPAWNER):
            plane.kubectl("create", "namespace", namespace)
        controller = led(here, plane)
        for number in range(rounds):
            ours.append(burst(here, users, f"r{number}u"))
            theirs.append(burst_of_kubectl(plane, users, f"r{number}k"))
            spawner.append(burst_of_kubespawner(plane, python, users))
            said = (f"{times[-1]:.1f} s" for times in (ours, theirs, spawner))
            print("ours, kubectl, KubeSpawner:", *said, flush=True)
        controller.end()
    return [
        (f"{users} users at once, against kubectl create", rate(ours, theirs), "at least 1.0"),
        ("The same against KubeSpawner's bare pods and Services", rate(ours, spawner), ""),
    ]


def rate(ours: list[float], theirs: list[float]) -> str:
    """Say which part of their rate ours is."""
    mine, other = p50(ours), p50(theirs)
    return f"{other / mine:.2f} of its rate ({mine:.1f} s, {other:.1f} s)"


def burst(here: Site, users: int, prefix: str) -> float:
    """Return the seconds from a transaction's begin until all its users' Deployments are ready."""
    from django.contrib.auth.models import User
    from django.db import transaction

    from django_userpods.core.objects import POD
    from tests.real.controllers import until

    began = time.monotonic()
    with transaction.atomic():
        for number in range(users):
            User.objects.create(username=f"{prefix}{number}")
    wait_for_ready(NAMESPACE, users)
    took = time.monotonic() - began
    settled(here)
    User.objects.all().delete()
    until(lambda: not here.names(), 300, "no Deployments", every=0.5)
    until(lambda: not here.names(POD), 300, "no pods", every=1)
    return took


def burst_of_kubectl(plane: ControlPlane, users: int, prefix: str) -> float:
    """Return the same of ``kubectl create`` with the same objects."""
    from django_userpods.core.naming import PodIdentity
    from django_userpods.core.template import placeholder_values
    from django_userpods.reconcile.wanted import TemplateSource, this_installation

    source, items = TemplateSource(this_installation()), []
    for number in range(users):
        name = f"{prefix}{number}"
        identity = PodIdentity(f"{number:016x}", str(number))
        values = placeholder_values(identity, name=f"user-{name}", namespace=THEIRS, username=name)
        items += source.template_for(None, values).fill(values)
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    began = time.monotonic()
    plane.kubectl("create", "-f", "-", input=text)
    wait_for_ready(THEIRS, users)
    took = time.monotonic() - began
    clear(plane, THEIRS, "deployments,services")
    return took


def burst_of_kubespawner(plane: ControlPlane, python: Path, users: int) -> float:
    """Return the same of KubeSpawner, with its own objects."""
    script = Path(__file__).with_name("kubespawner_rate.py")
    done = subprocess.run(
        [python, script, SPAWNER, str(users), "example.org/app:1"],
        env={**os.environ, "KUBECONFIG": str(plane.kubeconfig)},
        check=True,
        capture_output=True,
        text=True,
    )
    clear(plane, SPAWNER, "pods,services")
    return float(done.stdout.split("SECONDS ")[1])


def clear(plane: ControlPlane, namespace: str, kinds: str) -> None:
    """Delete all of these kinds in a namespace, and wait until no pod is left."""
    from tests.real.controllers import until

    plane.kubectl("delete", kinds, "--all", "-n", namespace, "--wait=false", timeout=300)
    until(lambda: not plane.get("pods", "-n", namespace)["items"], 300, "no pods", every=1)


def wait_for_ready(namespace: str, count: int) -> None:
    """Wait until as many Deployments of a namespace are ready."""
    from django_userpods.cluster import get_cluster
    from django_userpods.core.objects import DEPLOYMENT
    from tests.real.controllers import until

    def are_ready() -> bool:
        found = get_cluster().list(DEPLOYMENT, namespace=namespace, labels={})
        return sum(bool((it.get("status") or {}).get("readyReplicas")) for it in found) == count

    until(are_ready, 300, f"{count} Deployments that are ready", every=0.2)


def kubespawner() -> Path:
    """Return the Python of an environment that has KubeSpawner, made if it is not there."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "django-userpods" / "kubespawner-7"
    python = folder / "bin" / "python"
    if not (folder / "done").exists():
        venv.create(folder, with_pip=True, clear=True)
        install = ["-m", "pip", "install", "--quiet", KUBESPAWNER, "jupyterhub"]
        subprocess.run([python, *install], check=True)
        (folder / "done").touch()
    return python


if __name__ == "__main__":
    main()
