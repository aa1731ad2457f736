"""What the router costs, against plain nginx proxying with kept upstream connections.

The same workload behind both, wrk with a browser's usual headers in front; many short rounds in
turn, medians of the ratios of neighbours, for answers of several sizes: most of what a page loads
is 4 to 30 KiB; a small answer is the hardest case, because its way is all it costs.

Throughput and latency are measured as shipped, with two workers that share the machine's CPUs with
the workload and wrk; CPU per request with one worker and a CPU for it alone, where there are two,
because that is far steadier (it is utime + stime over the requests answered). The plain nginx sets
the same proxy headers and writes an access log, as one before a web application would; the router
has every guard on and a warm cache. Measure on a quiet machine: other load on the same cores slows
the router more than plain nginx.

    python benchmarks/router.py                 # print, and write docs/benchmarks/router.*
    python benchmarks/router.py --rounds 5 --seconds 1 --no-write
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.router.fake_django import FakeDjango  # noqa: E402 - the path is set just above
from tests.router.harness import (  # noqa: E402
    Process,
    Router,
    eventually,
    free_port,
    is_open,
    nginx_binary,
)

DOCS = ROOT / "docs/benchmarks"
CPU_LIMIT, THROUGHPUT_LIMIT, P99_LIMIT = 1.3, 0.9, 1.5

# What Chromium sends with a navigation.
BROWSER = {
    "sec-ch-ua": '"Chromium";v="142", "Not?A_Brand";v="24"',
    "sec-ch-ua-mobile": "?0",
    "sec-ch-ua-platform": '"Linux"',
    "upgrade-insecure-requests": "1",
    "user-agent": (
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
        "Chrome/142.0.0.0 Safari/537.36"
    ),
    "accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8",
    "sec-fetch-site": "same-origin",
    "sec-fetch-mode": "navigate",
    "sec-fetch-user": "?1",
    "sec-fetch-dest": "document",
    "referer": "https://site.test/notes/",
    "accept-encoding": "gzip, deflate, br, zstd",
    "accept-language": "en-GB,en;q=0.9,de;q=0.8",
    "cookie": (
        "csrftoken=4bBmT8mN1sYtq3JmJ8yq2yQ3cV7rX0aL; theme=dark; _ga=GA1.1.1234567890.1700000000; "
        "sessionid=s-alice; lang=en"
    ),
}

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

WRK = """
done = function(summary, latency, requests)
    io.write(string.format('\\nRESULT {"requests": %d, "microseconds": %d, "errors": %d, '
        .. '"p50": %.1f, "p99": %.1f}\\n', summary.requests, summary.duration,
        summary.errors.connect + summary.errors.read + summary.errors.write
            + summary.errors.status + summary.errors.timeout,
        latency:percentile(50), latency:percentile(99)))
end
"""


@dataclass(frozen=True)
class Round:
    """One round: CPU in microseconds a request, requests a second, latency in microseconds."""

    cpu: float
    rate: float
    p50: float
    p99: float


@dataclass(frozen=True)
class Side:
    """One way to the workload: its port and the master process of the measured workers."""

    port: int
    pid: int


def workers_of(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children]


def cpu_seconds(pid: int) -> float:
    """Time on a CPU (utime + stime, in nanoseconds there) of the workers of a master process."""
    texts = (Path(f"/proc/{worker}/schedstat").read_text() for worker in workers_of(pid))
    return sum(int(text.split()[0]) for text in texts) / 1e9


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


def measure(
    side: Side,
    script: Path,
    seconds: int,
    connections: int,
    sent: dict[str, str] = BROWSER,
) -> Round:
    """One round of wrk."""
    headers = [part for key, value in sent.items() for part in ("-H", f"{key}: {value}")]
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", str(script)]
    before = cpu_seconds(side.pid)
    done = subprocess.run(
        [*command, *headers, f"http://127.0.0.1:{side.port}/"],
        capture_output=True,
        text=True,
        check=True,
    )
    used = cpu_seconds(side.pid) - before
    line = next(x for x in done.stdout.splitlines() if x.startswith("RESULT "))
    words = json.loads(line.removeprefix("RESULT "))
    assert words["errors"] == 0, done.stdout
    return Round(
        cpu=used / words["requests"] * 1e6,
        rate=words["requests"] / words["microseconds"] * 1e6,
        p50=words["p50"],
        p99=words["p99"],
    )


def pin(sides: list[Side], backend: int) -> None:
    """Give the measured workers one CPU and everything else another, where there are two."""
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        return
    for side in sides:
        for worker in workers_of(side.pid):
            os.sched_setaffinity(worker, {cpus[0]})
    for worker in workers_of(backend):
        os.sched_setaffinity(worker, {cpus[1]})
    # The threads of this process, and wrk, which inherits it.
    for thread in Path("/proc/self/task").iterdir():
        os.sched_setaffinity(int(thread.name), {cpus[1]})


def median(rounds: list[Round]) -> Round:
    return Round(
        **{
            key: statistics.median(getattr(one, key) for one in rounds)
            for key in ("cpu", "rate", "p50", "p99")
        }
    )


@dataclass(frozen=True)
class Comparison:
    """Medians of each side, and medians of the ratios of neighbouring rounds."""

    plain: Round
    router: Round
    ratio: Round


def compare(plain: Side, router: Side, rounds: int, run: Callable[[Side], Round]) -> Comparison:
    """Rounds in turn, in alternating order, so that what else the machine does hits both."""
    pairs: list[tuple[Round, Round]] = []
    for number in range(rounds):
        if number % 2:
            first = run(plain)
            pairs.append((first, run(router)))
        else:
            second = run(router)
            pairs.append((run(plain), second))
        one, other = pairs[-1]
        print(f"  round {number + 1}: {one.cpu:.1f} and {other.cpu:.1f} us", flush=True)
    ratios = [
        Round(
            cpu=other.cpu / one.cpu,
            rate=other.rate / one.rate,
            p50=other.p50 / one.p50,
            p99=other.p99 / one.p99,
        )
        for one, other in pairs
    ]
    return Comparison(
        plain=median([one for one, _ in pairs]),
        router=median([other for _, other in pairs]),
        ratio=median(ratios),
    )


def backend_configuration(port: int, kib: int) -> str:
    """A workload whose answers have so many KiB (a parameter of nginx has at most 4)."""
    return BACKEND.format(temporary=TEMPORARY, port=port, kib="x" * 1024, body="$kib" * kib)


def warm(
    workers: int, rounds: int, seconds: int, connections: int, *, kib: int, alone: bool
) -> Comparison:
    """Plain nginx against the router with a warm cache, each with so many workers.

    ``kib``: the size of an answer. ``alone``: the measured workers have a CPU that nothing else
    here uses.
    """
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="userpods-bench-")))
        script = folder / "report.lua"
        script.write_text(WRK)
        backend_port, plain_port = free_port(), free_port()
        backend = backend_configuration(backend_port, kib)
        backend_pid = stack.enter_context(plain_nginx(folder / "backend", backend, backend_port))
        text = PLAIN.format(
            temporary=TEMPORARY, backend=backend_port, port=plain_port, workers=workers
        )
        plain_pid = stack.enter_context(plain_nginx(folder / "plain", text, plain_port))
        django = stack.enter_context(FakeDjango())
        django.user("alice", f"127.0.0.1:{backend_port}")
        router = stack.enter_context(Router(folder / "router", django.port, workers=workers))
        plain = Side(plain_port, plain_pid)
        routed = Side(router.port, router.process.process.pid)
        if alone:
            pin([plain, routed], backend_pid)

        def run(side: Side) -> Round:
            return measure(side, script, seconds, connections)

        for side in (plain, routed):
            run(side)
        return compare(plain, routed, rounds, run)


def cold(seconds: int, connections: int) -> Round:
    """The router with its cache off: Django (gunicorn, two processes) is asked every time."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="userpods-bench-")))
        script = folder / "report.lua"
        script.write_text(WRK)
        backend_port, django_port = free_port(), free_port()
        backend = backend_configuration(backend_port, 1)
        stack.enter_context(plain_nginx(folder / "backend", backend, backend_port))
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
        command("prepare", f"127.0.0.1:{backend_port}", "127.0.0.1:9")
        key = command("session", "alice")
        os.environ.update(environment)
        gunicorn = [sys.executable, "-m", "gunicorn", "--workers=2", "--threads=4"]
        gunicorn += ["-b", f"127.0.0.1:{django_port}", "django.core.wsgi:get_wsgi_application()"]
        stack.enter_context(Process(gunicorn, folder / "gunicorn.log"))
        eventually(lambda: is_open(django_port), 30)
        side = Side(router.port, router.process.process.pid)
        headers = BROWSER | {"cookie": BROWSER["cookie"].replace("s-alice", key)}
        measure(side, script, max(seconds, 2), connections, headers)
        return measure(side, script, max(seconds, 5), connections, headers)


def compare_size(kib: int, options: argparse.Namespace) -> Comparison:
    """Throughput and latency as shipped, CPU of a worker with a CPU of its own."""
    print(f"answers of {kib} KiB", flush=True)
    counts = options.rounds, options.seconds, options.connections
    cpus = os.sched_getaffinity(0)
    # As shipped: two workers, which share the CPUs with the workload and the client.
    shared = warm(2, *counts, kib=kib, alone=False)
    alone = warm(1, *counts, kib=kib, alone=True)
    for thread in Path("/proc/self/task").iterdir():
        os.sched_setaffinity(int(thread.name), cpus)
    return Comparison(
        plain=replace(shared.plain, cpu=alone.plain.cpu),
        router=replace(shared.router, cpu=alone.router.cpu),
        ratio=replace(shared.ratio, cpu=alone.ratio.cpu),
    )


def report(found: dict[int, Comparison], asked: Round, options: argparse.Namespace) -> str:
    """The result as Markdown."""

    def row(name: str, one: Round) -> str:
        return f"| {name} | {one.cpu:.1f} | {one.rate:,.0f} | {one.p50:,.0f} | {one.p99:,.0f} |"

    absolute, ratios = [], []
    for kib, one in found.items():
        absolute += [
            row(f"plain nginx, {kib} KiB", one.plain),
            row(f"router, warm cache, {kib} KiB", one.router),
        ]
        ratio = one.ratio
        ratios.append(f"| {kib} KiB | {ratio.cpu:.2f} | {ratio.rate:.2f} | {ratio.p99:.2f} |")
    absolute.append(row("router, cache off: Django asked every time, 1 KiB", asked))
    first, second = "\n".join(ratios), "\n".join(absolute)
    return f"""# What the router costs

Against plain nginx proxying with kept upstream connections, in the same run (`make bench`, or
`python benchmarks/router.py`): for each size of answer {options.rounds} rounds of
{options.seconds} s in turn, {options.connections} connections; medians. CPU per request is
measured with a CPU for one worker alone, throughput and latency with two workers, the workload and
the client sharing the machine. Most of what a page loads is 4 to 30 KiB; a small answer is the
hardest case, because its way is all it costs.
{platform.machine()}, {os.cpu_count()} CPUs, Linux {platform.release()},
{time.strftime("%Y-%m-%d", time.gmtime())}; {os.getloadavg()[1]:.1f} processes were running or
waiting on average, of which about 3 are the benchmark's.

| warm router : plain nginx | CPU per request | requests/s | p99 |
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
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 4, 16], help="KiB")
    parser.add_argument("--no-write", action="store_true", help="print only")
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is missing: apt-get install wrk")
    asked = cold(options.seconds, min(options.connections, 16))
    found = {kib: compare_size(kib, options) for kib in options.sizes}
    text = report(found, asked, options)
    print(text)
    if not options.no_write:
        DOCS.mkdir(parents=True, exist_ok=True)
        (DOCS / "router.md").write_text(text)
        data = {
            "warm": {f"{kib} KiB": asdict(one) for kib, one in found.items()},
            "cold": asdict(asked),
        }
        (DOCS / "router.json").write_text(json.dumps(data, indent=2) + "\n")


if __name__ == "__main__":
    main()
