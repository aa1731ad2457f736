"""What the router costs, against plain nginx proxying with kept upstream connections.

The same workload behind both, wrk with a browser's usual headers in front; many short rounds in
turn, medians of the ratios of neighbours. The workload is an application (the one the tests put
into pods, of Go's standard library), and a bare nginx whose answer costs nothing but its way, in
several sizes: most of what a page loads is 4 to 30 KiB; a small answer is the hardest case.

Throughput and latency are measured as shipped, with two workers that share the machine's CPUs with
the workload and wrk; CPU per request with one worker and a CPU for it alone, where there are two,
because that is far steadier (it is utime + stime over the requests answered). The plain nginx sets
the same proxy headers and writes an access log, as one before a web application would; the router
has every guard on and a warm cache. Measure on a quiet machine: other load on the same cores slows
the router more than plain nginx.

    python benchmarks/router.py                 # print, and write docs/benchmarks/router.*
    python benchmarks/router.py --rounds 5 --only application --no-write
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.wrk import (  # noqa: E402 - the path is set just above
    BROWSER,
    Comparison,
    Round,
    Side,
    compare,
    measure,
    pin,
    workers_of,
)
from tests.router.fake_django import FakeDjango  # noqa: E402
from tests.router.harness import Process, Router, eventually, is_open, nginx_binary  # noqa: E402
from tests.testcluster import build  # noqa: E402
from tests.testcluster.processes import free_port  # noqa: E402

DOCS = ROOT / "docs/benchmarks"
CPU_LIMIT, THROUGHPUT_LIMIT, P99_LIMIT = 1.3, 0.9, 1.5

BACKEND = """
daemon off; worker_processes 1; pid run/nginx.pid; error_log stderr;
events {{ worker_connections 4096; }}
http {{
    access_log off; keepalive_requests 10000000; default_type text/html;
    {temporary}
    server {{
        listen 127.0.0.1:{port};
        set $kib "{kib}";
        location / {{ return 200 "{body}"; }}
    }}
}}
"""

PLAIN = """
daemon off; worker_processes {workers}; pid run/nginx.pid; error_log stderr;
events {{ worker_connections 8192; }}
http {{
    log_format plain escape=json
        '{{"time":"$time_iso8601","client":"$remote_addr","method":"$request_method",'
        '"uri":"$request_uri","status":$status,"bytes":$body_bytes_sent,"seconds":$request_time,'
        '"upstream":"$upstream_addr","connect":"$upstream_connect_time",'
        '"header":"$upstream_header_time","response":"$upstream_response_time"}}';
    access_log /dev/stdout plain buffer=16k flush=1s;
    keepalive_requests 10000000;
    {temporary}
    map $http_upgrade $connection_upgrade {{ default upgrade; "" ""; }}
    upstream pod {{
        server 127.0.0.1:{backend}; keepalive 256; keepalive_requests 10000000;
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://pod;
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-Host $http_host;
        }}
    }}
}}
"""

TEMPORARY = "\n".join(
    f"{kind}_temp_path run/{kind};" for kind in ("client_body", "proxy", "fastcgi", "scgi", "uwsgi")
)


@contextlib.contextmanager
def plain_nginx(folder: Path, text: str, port: int) -> Iterator[int]:
    """Run nginx with this configuration; yields the master's process id."""
    (folder / "run").mkdir(parents=True)
    (folder / "nginx.conf").write_text(text)
    command = [nginx_binary(), "-p", str(folder), "-c", str(folder / "nginx.conf")]
    if os.geteuid() == 0:
        command += ["-g", "user root;"]
    with Process(command, folder / "log") as process:
        eventually(lambda: is_open(port))
        yield process.process.pid


@dataclass(frozen=True)
class Workload:
    """What runs behind both ways: its port and the processes that answer."""

    port: int
    pids: list[int]


@contextlib.contextmanager
def bare_nginx(folder: Path, *, kib: int) -> Iterator[Workload]:
    """A workload whose answers have so many KiB (a parameter of nginx has at most 4)."""
    port = free_port()
    text = BACKEND.format(temporary=TEMPORARY, port=port, kib="x" * 1024, body="$kib" * kib)
    with plain_nginx(folder, text, port) as pid:
        yield Workload(port, workers_of(pid))


@contextlib.contextmanager
def application(folder: Path) -> Iterator[Workload]:
    """The application that the tests put into pods; its first page is a little JSON."""
    folder.mkdir()
    port = free_port()
    command = ["env", f"PORT={port}", str(build.binary("workload"))]
    with Process(command, folder / "log") as process:
        eventually(lambda: is_open(port))
        yield Workload(port, [process.process.pid])


# In the order of the table: the name, what the table calls it, how to start it.
WORKLOADS: dict[str, tuple[str, Callable[[Path], contextlib.AbstractContextManager[Workload]]]] = {
    "application": ("an application, a little JSON", application),
    "nginx-1": ("a bare nginx, 1 KiB", partial(bare_nginx, kib=1)),
    "nginx-4": ("a bare nginx, 4 KiB", partial(bare_nginx, kib=4)),
    "nginx-16": ("a bare nginx, 16 KiB", partial(bare_nginx, kib=16)),
}


def warm(
    name: str, workers: int, rounds: int, seconds: int, connections: int, *, alone: bool
) -> Comparison:
    """Plain nginx against the router with a warm cache, each with so many workers.

    ``name``: of the workload. ``alone``: the measured workers have a CPU that nothing else here
    uses.
    """
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="userpods-bench-")))
        workload = stack.enter_context(WORKLOADS[name][1](folder / "workload"))
        plain_port = free_port()
        text = PLAIN.format(
            temporary=TEMPORARY, backend=workload.port, port=plain_port, workers=workers
        )
        plain_pid = stack.enter_context(plain_nginx(folder / "plain", text, plain_port))
        django = stack.enter_context(FakeDjango())
        django.user("alice", f"127.0.0.1:{workload.port}")
        router = stack.enter_context(Router(folder / "router", django.port, workers=workers))
        plain = Side(plain_port, plain_pid)
        routed = Side(router.port, router.process.process.pid)
        if alone:
            pin([plain, routed], workload.pids)

        def run(side: Side) -> Round:
            return measure(side, seconds, connections)

        for side in (plain, routed):
            run(side)
        return compare(plain, routed, rounds, run)


def cold(seconds: int, connections: int) -> Round:
    """The router with its cache off: Django (gunicorn, two processes) is asked every time."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="userpods-bench-")))
        workload = stack.enter_context(bare_nginx(folder / "workload", kib=1))
        django_port = free_port()
        router = Router(folder / "router", django_port, workers=1, options={"cache_seconds": 0})
        environment = os.environ | {
            "DJANGO_SETTINGS_MODULE": "tests.router.site_settings",
            "SITE_DATABASE": str(folder / "db.sqlite3"),
            "SITE_ROUTER": f"http://127.0.0.1:{router.internal}",
            "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}",
        }

        def command(*arguments: str) -> str:
            return subprocess.run(
                [sys.executable, "-m", "tests.router.site_command", *arguments],
                cwd=ROOT,
                env=environment,
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            ).stdout.strip()

        stack.enter_context(router)
        command("prepare", f"127.0.0.1:{workload.port}", "127.0.0.1:9")
        key = command("session", "alice")
        os.environ.update(environment)
        gunicorn = [sys.executable, "-m", "gunicorn", "--workers=2", "--threads=4"]
        gunicorn += ["-b", f"127.0.0.1:{django_port}", "django.core.wsgi:get_wsgi_application()"]
        stack.enter_context(Process(gunicorn, folder / "gunicorn.log"))
        eventually(lambda: is_open(django_port), 30)
        side = Side(router.port, router.process.process.pid)
        headers = BROWSER | {"cookie": BROWSER["cookie"].replace("s-alice", key)}
        measure(side, max(seconds, 2), connections, headers)
        return measure(side, max(seconds, 5), connections, headers)


def compare_with(name: str, options: argparse.Namespace) -> Comparison:
    """Throughput and latency as shipped, CPU of a worker with a CPU of its own."""
    print(WORKLOADS[name][0], flush=True)
    counts = options.rounds, options.seconds, options.connections
    cpus = os.sched_getaffinity(0)
    # As shipped: two workers, which share the CPUs with the workload and the client.
    shared = warm(name, 2, *counts, alone=False)
    alone = warm(name, 1, *counts, alone=True)
    for thread in Path("/proc/self/task").iterdir():
        os.sched_setaffinity(int(thread.name), cpus)
    return Comparison(
        plain=replace(shared.plain, cpu=alone.plain.cpu),
        router=replace(shared.router, cpu=alone.router.cpu),
        ratio=replace(shared.ratio, cpu=alone.ratio.cpu),
    )


def processor() -> str:
    """The processor's name, as far as the machine says it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return f"{line.partition(':')[2].strip()} ({platform.machine()})"
    return platform.machine()


def report(found: dict[str, Comparison], asked: Round, options: argparse.Namespace) -> str:
    """The result as Markdown."""

    def row(name: str, one: Round) -> str:
        return f"| {name} | {one.cpu:.1f} | {one.rate:,.0f} | {one.p50:,.0f} | {one.p99:,.0f} |"

    absolute, ratios = [], []
    for name, one in found.items():
        words = WORKLOADS[name][0]
        absolute += [row(f"plain nginx, {words}", one.plain)]
        absolute += [row(f"router, warm cache, {words}", one.router)]
        ratio = one.ratio
        # Fine enough that nothing is rounded into its reach.
        ratios.append(f"| {words} | {ratio.cpu:.4f} | {ratio.rate:.4f} | {ratio.p99:.4f} |")
    absolute.append(row("router, cache off: Django asked every time, a bare nginx, 1 KiB", asked))
    first, second = "\n".join(ratios), "\n".join(absolute)
    return f"""# What the router costs

Against plain nginx proxying with kept upstream connections, in the same run (`make bench`, or
`python benchmarks/router.py`): for each workload {options.rounds} rounds of {options.seconds} s in
turn, {options.connections} connections; medians. CPU per request is measured with a CPU for one
worker alone, throughput and latency with two workers, the workload and the client sharing the
machine. The application is the one that the tests put into pods, of Go's standard library, and does
next to nothing. The bare nginx does nothing at all, so that its rows show the way alone; most of
what a page loads is 4 to 30 KiB, and a small answer is the hardest case.
{processor()}, {os.cpu_count()} CPUs, Linux {platform.release()},
{time.strftime("%Y-%m-%d", time.gmtime())}; {os.getloadavg()[1]:.1f} processes were running or
waiting on average, of which about 3 are the benchmark's.

| warm router : plain nginx, in front of | CPU per request | requests/s | p99 |
|---|---|---|---|
{first}
| reach | at most {CPU_LIMIT} | at least {THROUGHPUT_LIMIT} | at most {P99_LIMIT} |

| | CPU per request (us) | requests/s | p50 (us) | p99 (us) |
|---|---|---|---|---|
{second}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=int, default=1)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument(
        "--only", nargs="+", choices=WORKLOADS, default=[*WORKLOADS], help="workloads; else all"
    )
    parser.add_argument("--no-write", action="store_true", help="print only")
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is missing: apt-get install wrk")
    asked = cold(options.seconds, min(options.connections, 16))
    found = {name: compare_with(name, options) for name in options.only}
    text = report(found, asked, options)
    print(text)
    if not options.no_write:
        DOCS.mkdir(parents=True, exist_ok=True)
        (DOCS / "router.md").write_text(text)
        data = {"warm": {name: asdict(one) for name, one in found.items()}, "cold": asdict(asked)}
        (DOCS / "router.json").write_text(json.dumps(data, indent=2) + "\n")


if __name__ == "__main__":
    main()
