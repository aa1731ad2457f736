"""What the router costs, against plain nginx proxying with kept upstream connections.

One nginx worker each, the same workload behind both, wrk with a browser's usual headers, rounds
in turn; medians of the rounds. The plain nginx sets the same proxy headers and writes an access
log, as one that stands before a web application would; the router has every guard on and a warm
cache. CPU is the worker's own (utime + stime) over the requests it answered.

    python benchmarks/router.py                 # print, and write docs/benchmarks/router.*
    python benchmarks/router.py --rounds 3 --seconds 2 --no-write
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
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
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

DOCS = ROOT / "docs" / "benchmarks"
CPU_LIMIT, THROUGHPUT_LIMIT, P99_LIMIT = 1.3, 0.9, 1.5

# What Chromium sends with a navigation, and a cookie jar of some size.
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
{modules}
daemon off; worker_processes 1; pid run/nginx.pid; error_log stderr;
events {{ worker_connections 4096; }}
http {{
    access_log off; keepalive_requests 10000000; default_type text/html;
    {temporary}
    server {{
        listen 127.0.0.1:{port};
        location / {{ return 200 "{body}"; }}
    }}
}}
"""

PLAIN = """
daemon off; worker_processes 1; pid run/nginx.pid; error_log stderr;
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
    """One way to the workload: its port and the process whose workers are measured."""

    name: str
    port: int
    pid: int


def workers(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children]


def cpu_seconds(pid: int) -> float:
    """Time on a CPU (utime + stime, in nanoseconds there) of the workers of a master process."""
    schedstats = (Path(f"/proc/{worker}/schedstat") for worker in workers(pid))
    return sum(int(path.read_text().split()[0]) for path in schedstats) / 1e9


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


def measure(side: Side, script: Path, seconds: int, connections: int, path: str = "/") -> Round:
    """One round of wrk."""
    headers = [part for key, value in BROWSER.items() for part in ("-H", f"{key}: {value}")]
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", str(script)]
    before = cpu_seconds(side.pid)
    done = subprocess.run(
        [*command, *headers, f"http://127.0.0.1:{side.port}{path}"],
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


def median(rounds: list[Round]) -> Round:
    return Round(
        **{
            key: statistics.median(getattr(one, key) for one in rounds)
            for key in ("cpu", "rate", "p50", "p99")
        }
    )


def compare(sides: list[Side], rounds: int, run: Callable[[Side], Round]) -> dict[str, Round]:
    """Rounds in turn, in alternating order; the medians by name."""
    results: dict[str, list[Round]] = {side.name: [] for side in sides}
    for number in range(rounds):
        for side in sides if number % 2 else reversed(sides):
            results[side.name].append(run(side))
            print(f"  round {number + 1} {side.name}: {results[side.name][-1]}", flush=True)
    return {name: median(found) for name, found in results.items()}


def run(rounds: int, seconds: int, connections: int) -> dict[str, Round]:
    script_text = WRK
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="userpods-bench-")))
        script = folder / "report.lua"
        script.write_text(script_text)
        backend_port, plain_port = free_port(), free_port()
        body = "x" * 1024
        backend = BACKEND.format(modules="", temporary=TEMPORARY, port=backend_port, body=body)
        stack.enter_context(plain_nginx(folder / "backend", backend, backend_port))
        plain = PLAIN.format(temporary=TEMPORARY, backend=backend_port, port=plain_port)
        plain_pid = stack.enter_context(plain_nginx(folder / "plain", plain, plain_port))
        django = stack.enter_context(FakeDjango())
        django.user("alice", f"127.0.0.1:{backend_port}")
        router = stack.enter_context(
            Router(folder / "router", django.port, workers=1, options={"cache_seconds": 5})
        )
        sides = [
            Side("plain", plain_port, plain_pid),
            Side("router", router.port, router.process.process.pid),
        ]
        for side in sides:
            measure(side, script, 1, connections)
        return compare(sides, rounds, lambda side: measure(side, script, seconds, connections))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--no-write", action="store_true", help="print only")
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is missing: apt-get install wrk")
    results = run(options.rounds, options.seconds, options.connections)
    plain, router = results["plain"], results["router"]
    print(json.dumps({name: asdict(one) for name, one in results.items()}, indent=1))
    print(
        f"cpu {router.cpu / plain.cpu:.3f} (<= {CPU_LIMIT}), "
        f"rate {router.rate / plain.rate:.3f} (>= {THROUGHPUT_LIMIT}), "
        f"p99 {router.p99 / plain.p99:.3f} (<= {P99_LIMIT}) on {platform.platform()}"
    )


if __name__ == "__main__":
    main()
