"""What a sync costs: nothing to do for many users, and creating many, against the bare API server.

python benchmarks/sync.py [--users 10000] [--new 2000]

The API server runs on the same machine, without controllers, so that what is measured is ours and
its own work and nobody else's. The baseline of "nothing to do" is the same two LISTs, read page
by page to the end and not parsed, in turn with syncs in one process, which a CronJob is too. The
baseline of "creating" is ``wrk`` sending the same POSTs over as many connections.
"""

from __future__ import annotations

import argparse
import http.client
import json
import re
import shutil
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path
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


def raw_lists(
    server: str, token: str, ca_file: str, *, pages: int | None = None
) -> tuple[float, int]:
    """Read the two lists as a sync does, parse nothing: (seconds, bytes).

    With ``pages`` no more than so many of each list.
    """
    context = ssl.create_default_context(cafile=ca_file)
    connection = http.client.HTTPSConnection(server.removeprefix("https://"), context=context)
    connection.connect()
    headers = {"Authorization": f"Bearer {token}", "Accept-Encoding": "gzip"}
    selector = quote("app.kubernetes.io/managed-by=django-userpods")
    began, size = time.monotonic(), 0
    for path in (
        "/apis/apps/v1/namespaces/bench/deployments",
        "/api/v1/namespaces/bench/services",
    ):
        page, count = "", 0
        while count != pages:
            count += 1
            query = f"?labelSelector={selector}&limit=500" + (f"&continue={page}" if page else "")
            connection.request("GET", path + query, headers=headers)
            response = connection.getresponse()
            body = response.read()
            if response.getheader("Content-Encoding") == "gzip":
                body = zlib.decompress(body, 31)
            size += len(body)
            found = _CONTINUE.search(body[:2000])
            if not found:
                break
            page = quote(found[1].decode())
    connection.close()
    return time.monotonic() - began, size


class Bench:
    """The control plane, and Django on it."""

    def __init__(self, plane: ControlPlane) -> None:
        self.plane = plane
        for namespace in ("bench", "wrk"):
            plane.kubectl("create", "namespace", namespace)

    def wrk_rate(self, seconds: int, *, tag: str) -> float:
        """Return how many POSTs a second the API server takes from ``wrk``."""
        from django_userpods.core.naming import PodIdentity
        from django_userpods.core.template import placeholder_values
        from django_userpods.reconcile.wanted import TemplateSource, this_installation

        values = placeholder_values(
            PodIdentity("NAME", "1"), name="NAME", namespace="wrk", username="NAME"
        )
        manifests = TemplateSource(this_installation()).template_for(None, values).fill(values)
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
    parser.add_argument("--rounds", type=int, default=20)
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

    # Warm: the import of the client, the connections, the API server's caches.
    add(100, "warm")
    reconcile()
    ours, rate = creating_rates(bench, options.new, add)
    add(options.users - options.new - 100, "more")
    reconcile()
    rounds = quiet_rounds(bench.plane, options.rounds)
    raw = statistics.mean(one["lists"] for one in rounds)
    sync = statistics.mean(one["sync"] for one in rounds)
    size = int(rounds[0]["bytes"])
    peak = peak_of_a_sync()
    publish(
        "sync",
        "What a sync costs",
        [
            (
                f"Nothing to do for {options.users:,} users, against its LISTs ({size >> 20} MiB)",
                f"{sync / raw:.2f} times ({sync:.2f} s, {raw:.2f} s)",
                "at most 2.0 times",
            ),
            (
                "Peak memory of that sync, as a process of its own",
                f"{peak:.0f} MB",
                "at most 200 MB",
            ),
            (
                f"Creating {options.new:,} users, against the same POSTs from wrk",
                f"{ours / rate:.2f} of its rate ({ours:.0f}/s, {rate:.0f}/s)",
                "at least 0.70",
            ),
        ],
        __doc__.split("\n\n", 2)[2],
    )


def creating_rates(
    bench: Bench, users: int, add: Callable[[int, str], None]
) -> tuple[float, float]:
    """Return how many objects a second a sync makes for new users, and wrk with the same POSTs."""
    from django_userpods.reconcile import reconcile

    # In turn and in small parts: a Service's POST costs the API server more the more there are.
    parts, theirs = 4, [bench.wrk_rate(1, tag="w")]
    made, spent = 0, 0.0
    for part in range(parts):
        add(users // parts, f"part{part}-")
        began = time.monotonic()
        report = reconcile()
        spent += time.monotonic() - began
        if not report.ok:
            sys.exit(f"creating failed: {report.failed[:3]}")
        made += len(report.done)
        theirs.append(bench.wrk_rate(1, tag=f"w{part}"))
    # Of rates at which the same number of POSTs was sent, as ours is one over all parts.
    ours, rate = made / spent, statistics.harmonic_mean(theirs)
    print(f"created {made} objects in {spent:.1f} s: {ours:.0f}/s; wrk {rate:.0f}/s")
    return ours, rate


def in_a_process(code: str) -> str:
    """Run code as a process of its own, with the same project; return what it prints."""
    from django.conf import settings

    before = (
        "import os, sys\n"
        f"sys.path[:0] = {sys.path[:3]!r}\n"
        "os.environ['DJANGO_SETTINGS_MODULE'] = 'tests.settings'\n"
        "import django\n"
        "from django.conf import settings\n"
        f"settings.DATABASES['default'] |= {settings.DATABASES['default']!r}\n"
        f"settings.USERPODS_CLUSTER = {settings.USERPODS_CLUSTER!r}\n"
        "settings.USERPODS_NAMESPACE = 'bench'\n"
        "django.setup()\n"
    )
    return subprocess.run(
        [sys.executable, "-c", before + code], check=True, capture_output=True, text=True
    ).stdout


def quiet_rounds(plane: ControlPlane, rounds: int) -> list[dict[str, float]]:
    """Time the lists and a sync with nothing to do in turn, in one process, as a CronJob is one."""
    code = (
        "import json, time\n"
        "from benchmarks.sync import raw_lists\n"
        "from django_userpods.reconcile import reconcile\n"
        f"where = {plane.server!r}, {plane.token!r}, {str(plane.ca_file)!r}\n"
        "reconcile()\n"
        f"for number in range({rounds}):\n"
        # Uneven, or the server's garbage collection would always fall on the same one of the two.
        "    raw_lists(*where, pages=number * 7 % 20)\n"
        "    lists, size = raw_lists(*where)\n"
        "    began = time.monotonic()\n"
        "    report = reconcile()\n"
        "    sync = time.monotonic() - began\n"
        "    assert report.ok and not report.done, report\n"
        "    print(json.dumps({'lists': lists, 'sync': sync, 'bytes': size}))\n"
    )
    found = [json.loads(line) for line in in_a_process(code).splitlines()]
    for one in found:
        print(f"lists {one['lists']:.2f} s, sync {one['sync']:.2f} s")
    return found


def peak_of_a_sync() -> float:
    """Run ``sync_userpods`` in a process of its own; return its peak memory in MB (10^6 bytes)."""
    code = (
        "import resource\n"
        "from django.core.management import call_command\n"
        "call_command('sync_userpods', verbosity=0)\n"
        "print('PEAK', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    return float(int(in_a_process(code).split("PEAK ")[1]) * 1024) / 1e6


if __name__ == "__main__":
    main()
