"""What a sync costs: nothing to do for many users, and creating many, against the bare API server.

python benchmarks/sync.py [--users 10000] [--new 2000]

The API server runs on the same machine, without controllers, so that what is measured is ours and
its own work and nobody else's. The baseline of "nothing to do" is the same two LISTs, read page
by page to the end and not parsed. The baseline of "creating" is ``wrk`` sending the same POSTs
over as many connections.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.common import publish, set_up_django
from tests.testcluster.controlplane import ControlPlane

CONNECTIONS = 8
_CONTINUE = re.compile(rb'"continue":"([^"]+)"')

WRK = """
local bodies = {{}}
for line in io.lines("{bodies}") do bodies[#bodies + 1] = line end
local paths = {{ "/apis/apps/v1/namespaces/wrk/deployments", "/api/v1/namespaces/wrk/services" }}
local QUERY = "?fieldManager=django-userpods&fieldValidation=Strict"
local count = 0
local threads = 0
function setup(thread) threads = threads + 1; thread:set("id", threads) end
wrk.headers["Authorization"] = "Bearer {token}"
wrk.headers["Content-Type"] = "application/json"
function request()
  local which = count % 2 + 1
  local name = "user-{tag}-t" .. id .. "n" .. math.floor(count / 2)
  count = count + 1
  local body = bodies[which]:gsub("NAME", name)
  return wrk.format("POST", paths[which] .. QUERY, nil, body)
end
local bad = 0
function response(status) if status ~= 201 then bad = bad + 1 end end
function done(summary)
  io.write(string.format("RESULT %d %d %d\\n", summary.requests, summary.duration,
    summary.errors.status))
end
"""


class Bench:
    """The control plane, and Django on it."""

    def __init__(self, plane: ControlPlane) -> None:
        self.plane = plane
        self.context = ssl.create_default_context(cafile=str(plane.ca_file))
        for namespace in ("bench", "wrk"):
            plane.kubectl("create", "namespace", namespace)

    def raw_lists(self) -> tuple[float, int]:
        """Read the two lists as a sync does, parse nothing: (seconds, bytes)."""
        import http.client
        import zlib

        host = self.plane.server.removeprefix("https://")
        connection = http.client.HTTPSConnection(host, context=self.context)
        headers = {"Authorization": f"Bearer {self.plane.token}", "Accept-Encoding": "gzip"}
        selector = quote("django-userpods/instance=default")
        began, size = time.monotonic(), 0
        for path in (
            "/apis/apps/v1/namespaces/bench/deployments",
            "/api/v1/namespaces/bench/services",
        ):
            token = ""
            while True:
                query = f"?labelSelector={selector}&limit=500" + (
                    f"&continue={token}" if token else ""
                )
                connection.request("GET", path + query, headers=headers)
                response = connection.getresponse()
                body = response.read()
                if response.getheader("Content-Encoding") == "gzip":
                    body = zlib.decompress(body, 31)
                size += len(body)
                found = _CONTINUE.search(body[:2000])
                if not found:
                    break
                token = quote(found[1].decode())
        connection.close()
        return time.monotonic() - began, size

    def wrk_rate(self, seconds: int, *, tag: str) -> float:
        """Return how many POSTs a second the API server takes from ``wrk``."""
        from django_userpods.core.template import values_for
        from django_userpods.desired import Desired

        values = values_for(name="NAME", namespace="wrk", user_pk="1", username="NAME")
        manifests = Desired().template_for(None, values).fill(values)
        folder = Path(tempfile.mkdtemp(prefix="userpods-wrk-"))
        (folder / "bodies").write_text("".join(json.dumps(m) + "\n" for m in manifests))
        script = WRK.format(bodies=folder / "bodies", token=self.plane.token, tag=tag)
        (folder / "post.lua").write_text(script)
        command = ["wrk", "-t2", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", folder / "post.lua"]
        out = subprocess.run(
            [*map(str, command), self.plane.server], check=True, capture_output=True, text=True
        ).stdout
        requests, microseconds, bad = map(int, out.split("RESULT ")[1].split())
        shutil.rmtree(folder)
        if bad:
            sys.exit(f"wrk: {bad} of {requests} POSTs were not 201")
        return requests / (microseconds / 1e6)


def main() -> None:
    """Measure and publish."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--new", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if not shutil.which("wrk"):
        sys.exit("wrk is needed (Debian: apt-get install wrk)")
    with ControlPlane(controller_manager=False, scheduler=False, kwok=False) as plane:
        set_up_django(
            USERPODS_NAMESPACE="bench",
            USERPODS_CLUSTER={
                "BACKEND": "django_userpods.clusters.kubernetes.KubernetesCluster",
                "OPTIONS": {
                    "kubeconfig": str(plane.kubeconfig),
                    "qps": 0,
                    "concurrency": CONNECTIONS,
                    "timeout": 60,
                },
            },
        )
        measure(Bench(plane), options)


def measure(bench: Bench, options: argparse.Namespace) -> None:
    """Run the rounds."""
    from django.contrib.auth.models import User

    from django_userpods.reconcile import reconcile

    def add(count: int, prefix: str) -> None:
        users = (User(username=f"{prefix}{number}") for number in range(count))
        User.objects.bulk_create(users, batch_size=500)

    def timed(work: Callable[[], Any]) -> tuple[float, Any]:
        began = time.monotonic()
        result = work()
        return time.monotonic() - began, result

    # Warm: the import of the client, the connections, the API server's caches.
    add(100, "warm")
    reconcile()
    # In turn and in small parts: a Service's POST costs the API server more the more there are.
    parts, theirs = 2, [bench.wrk_rate(1, tag="w")]
    made, spent = 0, 0.0
    for part in range(parts):
        add(options.new // parts, f"part{part}-")
        seconds, report = timed(reconcile)
        if not report.ok:
            sys.exit(f"creating failed: {report.failed[:3]}")
        made, spent = made + len(report.done), spent + seconds
        theirs.append(bench.wrk_rate(1, tag=f"w{part}"))
    ours, rate = made / spent, statistics.mean(theirs)
    print(f"created {made} objects in {spent:.1f} s: {ours:.0f}/s; wrk {rate:.0f}/s")
    add(options.users - options.new - 100, "more")
    reconcile()
    lists, syncs = [], []
    size = 0
    for _ in range(options.rounds):
        raw, size = bench.raw_lists()
        lists.append(raw)
        seconds, report = timed(reconcile)
        if report.done or not report.ok:
            sys.exit(f"there was something to do: {report.done[:3]} {report.failed[:3]}")
        syncs.append(seconds)
        print(f"lists {raw:.2f} s, sync {seconds:.2f} s")
    sync, raw = statistics.median(syncs), statistics.median(lists)
    peak = peak_of_a_sync()
    publish(
        "sync",
        "What a sync costs",
        [
            (
                f"Nothing to do for {options.users:,} users, against its LISTs ({size >> 20} MiB)",
                f"{sync / raw:.2f} times ({sync:.2f} s, {raw:.2f} s)",
                "at most 1.5 times",
            ),
            (
                "Peak memory of that sync, as a process of its own",
                f"{peak:.0f} MB",
                "at most 300 MB",
            ),
            (
                f"Creating {options.new:,} users, against the same POSTs from wrk",
                f"{ours / rate:.2f} of its rate ({ours:.0f}/s, {rate:.0f}/s)",
                "at least 0.70",
            ),
        ],
        __doc__.split("\n\n", 2)[2],
    )


def peak_of_a_sync() -> float:
    """Run ``sync_userpods`` in a process of its own; return its peak memory in MB (10^6 bytes)."""
    from django.conf import settings

    code = (
        "import resource, sys\n"
        f"sys.path[:0] = {sys.path[:3]!r}\n"
        "from benchmarks.common import set_up_django\n"
        "import os; os.environ['DJANGO_SETTINGS_MODULE'] = 'tests.settings'\n"
        "import django\n"
        "from django.conf import settings\n"
        f"settings.DATABASES['default']['NAME'] = {settings.DATABASES['default']['NAME']!r}\n"
        f"settings.USERPODS_CLUSTER = {settings.USERPODS_CLUSTER!r}\n"
        "settings.USERPODS_NAMESPACE = 'bench'\n"
        "django.setup()\n"
        "from django.core.management import call_command\n"
        "call_command('sync_userpods', verbosity=0)\n"
        "print('PEAK', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout
    return float(int(out.split("PEAK ")[1]) * 1024) / 1e6


if __name__ == "__main__":
    main()
