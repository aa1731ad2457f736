"""How many instructions a request takes in nginx: the router's and plain nginx's.

Unlike a time, this is the same on a busy machine. Both run as one process under callgrind, in front
of a bare nginx with answers of 1 KiB, with what a browser sends; the router's cache is warm. What
the kernel does is not counted.

    python benchmarks/instructions.py [--requests 2000]
"""

from __future__ import annotations

import argparse
import contextlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.router import PLAIN, TEMPORARY, bare_nginx  # noqa: E402 - the path is set above
from benchmarks.wrk import BROWSER  # noqa: E402
from tests.router.fake_django import FakeDjango  # noqa: E402
from tests.router.harness import Process, Router, eventually, is_open, nginx_binary, read_response  # noqa: E402
from tests.testcluster.processes import free_port  # noqa: E402

# What is sent beside: by nobody, by a gateway as it should be, and by ingress-nginx.
GATEWAY = {
    "x-forwarded-for": "192.0.2.7",
    "x-forwarded-proto": "https",
    "x-forwarded-host": "site.test",
    "x-request-id": "0123456789abcdef",
}
INGRESS = GATEWAY | {
    "x-forwarded-port": "443",
    "x-forwarded-scheme": "https",
    "x-scheme": "https",
    "x-real-ip": "192.0.2.7",
}
SENDERS: dict[str, dict[str, str]] = {
    "a browser": {},
    "a gateway": GATEWAY,
    "ingress-nginx": INGRESS,
}
# Until LuaJIT has compiled what it will.
WARM_UP = 1500


@contextlib.contextmanager
def counted(command: list[str], folder: Path, port: int) -> Iterator[int]:
    """Run nginx as one process under callgrind; yields its id."""
    valgrind = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder / 'counts'}"]
    # One process, for the counts are of one.
    alone = ["-g", "user root; master_process off;"]
    with Process([*valgrind, *command, *alone], folder / "log") as process:
        eventually(lambda: is_open(port), 60)
        yield process.process.pid


def instructions(pid: int, folder: Path, port: int, sent: dict[str, str], requests: int) -> float:
    """Instructions of a request in user space, once everything is warm."""
    lines = [f"{name}: {value}" for name, value in ({"host": "site.test"} | BROWSER | sent).items()]
    data = "\r\n".join(["GET / HTTP/1.1", *lines, "", ""]).encode()
    with socket.create_connection(("127.0.0.1", port)) as connection:

        def ask(times: int) -> None:
            for _ in range(times):
                connection.sendall(data)
                assert read_response(connection).status == 200

        def control(option: str) -> None:
            command = ["callgrind_control", option, str(pid)]
            subprocess.run(command, check=True, capture_output=True)

        ask(WARM_UP)
        control("--zero")
        ask(requests)
        control("--dump")
    text = (folder / "counts.1").read_text()
    found = re.search(r"^(?:summary|totals): (\d+)", text, re.MULTILINE)
    assert found, "callgrind wrote no total"
    return int(found[1]) / requests


def of_plain(folder: Path, backend: int, sent: dict[str, str], requests: int) -> float:
    """The same of a plain nginx."""
    port = free_port()
    (folder / "run").mkdir(parents=True)
    text = PLAIN.format(temporary=TEMPORARY, backend=backend, port=port, workers=1)
    (folder / "nginx.conf").write_text(text)
    command = [nginx_binary(), "-p", str(folder), "-c", str(folder / "nginx.conf")]
    with counted(command, folder, port) as pid:
        return instructions(pid, folder, port, sent, requests)


def of_router(folder: Path, backend: int, sent: dict[str, str], requests: int) -> float:
    """The same of the router, for which whoami's answer does not grow old meanwhile."""
    with FakeDjango() as django:
        django.user("alice", f"127.0.0.1:{backend}")
        options: dict[str, object] = {"cache_seconds": 3600, "recheck_seconds": 3600}
        router = Router(folder, django.port, workers=1, options=options, gateway=bool(sent))
        router.write()
        command = router.command[:5]
        with counted(command, folder, router.port) as pid:
            return instructions(pid, folder, router.port, sent, requests)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=2000)
    requests = parser.parse_args().requests
    if shutil.which("valgrind") is None:
        raise SystemExit("valgrind is missing: apt-get install valgrind")
    print("| with the headers of | plain nginx | router |\n|---|---|---|")
    for name, sent in SENDERS.items():
        with tempfile.TemporaryDirectory(prefix="userpods-bench-") as made:
            folder = Path(made)
            with bare_nginx(folder / "workload", kib=1) as workload:
                plain = of_plain(folder / "plain", workload.port, sent, requests)
                router = of_router(folder / "router", workload.port, sent, requests)
        print(f"| {name} | {plain:,.0f} | {router:,.0f} |", flush=True)


if __name__ == "__main__":
    main()
