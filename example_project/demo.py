"""``make demo``: the site, the router and everybody's workload on this machine, until Ctrl-C.

Starts Django under gunicorn, the router of ``manifests/router`` under nginx and the controller,
with the local cluster for pods; prints addresses and passwords; ends everything when it is
interrupted or terminated, when its terminal is closed, and when one of the three ends.

``DEMO_PORT`` (8080) is the router's port on this machine; ``DEMO_WAY`` says where pods are found
(``demo_ways``); ``DEMO_DIR`` (``.demo`` in the checkout) is where data and logs are kept from one
run to the next. ``APP`` names an application of ``examples/apps`` to run in pods, and
``DEMO_COMMAND`` is any command line instead of one; ``DEMO_APPS`` is where what applications need
is installed (``apps`` in ``DEMO_DIR``).
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from demo_apps import installed, load
from demo_machine import (
    HOST,
    DemoError,
    found,
    install_packages,
    loopback,
    only_one,
    reserved_ports,
    say,
)
from demo_router import lay_out
from demo_ways import Way

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent


class Part:
    """A process of the demo, with its output in a log file."""

    def __init__(self, name: str, command: list[str], *, log: Path, env: Mapping[str, str]) -> None:
        self.name = name
        self.log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                command,
                env=env,
                cwd=HERE,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C is for the demo, which then ends them in order
                preexec_fn=partial(_end_with, os.getpid()),
            )

    def check(self) -> None:
        """DemoError with the end of its log where it has ended."""
        code = self.process.poll()
        if code is not None:
            lines = self.log.read_text(errors="replace").splitlines()[-12:]
            text = "\n  ".join([f"{self.name} ended with status {code}:", *lines])
            raise DemoError(text)

    def stop(self, *, patience: float) -> None:
        """Ask it to end; kill it and what it started where it does not."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(patience)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()


def _end_with(parent: int) -> None:
    """Between fork and exec: have the kernel terminate this process with the demo (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:
            os._exit(1)


class Demo:
    """Everything that belongs to one run."""

    def __init__(
        self, *, way: Way, hosts: Sequence[str], data: Path, workload: Mapping[str, str]
    ) -> None:
        self.way = way
        self.hosts = hosts
        self.data = data
        self.logs = data / "logs"
        self.pods = data / "site" / "pods"
        self.parts: list[Part] = []
        self.workload = workload
        self.internal_port = self.django_port = self.controller_port = 0
        self.env: dict[str, str] = {}

    def run(self) -> None:
        """Start everything, print what a person needs, and wait until something ends."""
        for folder in (self.data, self.logs, self.data / "site"):
            folder.mkdir(parents=True, exist_ok=True)
        # Of a closed terminal only the session's leader is told, which may be make.
        terminal = next((number for number in range(3) if os.isatty(number)), None)
        with only_one(self.data), reserved_ports(3) as ports:
            self.internal_port, self.django_port, self.controller_port = ports
            self.env = {**self._environment(), **self.workload}
            try:
                passwords = self._prepare()
                self._start_django()
                self._start_router()
                self._start_controller()
                self._welcome(passwords)
                while terminal is None or os.isatty(terminal):
                    for part in self.parts:
                        part.check()
                    time.sleep(0.5)
            finally:
                self.stop()

    def stop(self) -> None:
        """End everything; whoever interrupts again waits no less."""
        for number in STOPPING:
            signal.signal(number, signal.SIG_IGN)
        if not self.parts and not self.pods.exists():
            return
        say("\nStopping ...")
        for part in reversed(self.parts):
            part.stop(patience=15)
        if self.pods.exists():
            command = [sys.executable, "-m", "django_userpods.clusters.local", "stop"]
            done = subprocess.run([*command, str(self.pods)], check=False, cwd=HERE, env=self.env)
            if done.returncode:
                say("The workloads did not end in time; they do when nobody uses them any more.")
        say("Nothing is left running.")

    def _environment(self) -> dict[str, str]:
        keep = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "PYTHONPATH")
        env = {key: os.environ[key] for key in keep if key in os.environ}
        return {
            **env,
            "DJANGO_SETTINGS_MODULE": "example.settings",
            "DATA_DIR": str(self.data / "site"),
            "STATIC_ROOT": str(self.data / "static"),
            "DATABASE_URL": f"sqlite:///{self.data / 'site' / 'db.sqlite3'}",
            "DEBUG": "off",
            "HTTPS": "off",
            "SECRET_KEY": kept_secret(self.data / "secret_key"),
            "ALLOWED_HOSTS": "localhost",
            "USERPODS_URL": self.way.pods,
            "USERPODS_SITE_URL": self.way.site,
            "USERPODS_CLUSTER": "local",
            "USER_APP_IMAGE": "workload:demo",  # a name to be shown: no image is run
            "USERPODS_PROFILES": "database",
            "USERPODS_SHARING": "on" if self.way.name == "host" else "off",
            "USERPODS_ROUTERS": f"http://{HOST}:{self.internal_port}",
            "CLIENT_ADDRESS_HEADER": "HTTP_X_REAL_IP",
            "BIND": f"{HOST}:{self.django_port}",
            "PYTHONUNBUFFERED": "1",
        }

    def _prepare(self) -> dict[str, str]:
        say("Preparing the database, the users and their workloads ...")
        done = subprocess.run(
            [sys.executable, "manage.py", "prepare_demo"],
            cwd=HERE,
            env={**self.env, "USERPODS_ROUTERS": ""},  # none is there yet
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        (self.logs / "prepare.log").write_text(done.stderr)
        if done.returncode:
            raise DemoError("the preparation failed:\n" + done.stderr.strip())
        passwords: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
        return passwords

    def _start_django(self) -> None:
        say("Starting Django under gunicorn ...")
        command = [sys.executable, "-m", "gunicorn", "--config", str(HERE / "gunicorn.conf.py")]
        command.append("example.wsgi:application")
        self._start("Django", command, log="django.log")
        self._wait_for(f"http://{HOST}:{self.django_port}/healthz", host="localhost")

    def _start_router(self) -> None:
        say("Starting the router under nginx ...")
        folder = self.data / "router"
        lay_out(
            folder,
            way=self.way,
            hosts=self.hosts,
            internal_port=self.internal_port,
            django_port=self.django_port,
        )
        command = [found("nginx"), "-p", f"{folder}/", "-c", str(folder / "nginx.conf")]
        if os.geteuid() == 0:
            command += ["-g", "user root;"]
        self._start("The router", command, log="router.log")
        self._wait_for(f"http://{HOST}:{self.internal_port}/healthz")
        public = f"http://{HOST}:{self.way.port}/accounts/login/"
        self._wait_for(public, host=f"localhost:{self.way.port}")

    def _start_controller(self) -> None:
        # Nobody waits for it: all that people do works without.
        address = f"{HOST}:{self.controller_port}"
        command = [sys.executable, "manage.py", "run_userpods", "--listen", address]
        self._start("The controller", [*command, "--log-format", "text"], log="controller.log")

    def _start(self, name: str, command: list[str], *, log: str) -> None:
        path = self.logs / log
        path.write_text("")
        self.parts.append(Part(name, command, log=path, env=self.env))

    def _wait_for(self, url: str, *, host: str = HOST, seconds: float = 30.0) -> None:
        # By number, because not every machine knows what localhost is.
        request = urllib.request.Request(url, headers={"Host": host})  # noqa: S310 - our own address
        deadline = time.monotonic() + seconds
        while True:
            for part in self.parts:
                part.check()
            try:
                with urllib.request.urlopen(request, timeout=5):  # noqa: S310 - as above
                    return
            except (OSError, urllib.error.URLError) as error:
                if time.monotonic() > deadline:
                    msg = f"{url} does not answer after {seconds:g} s: {error} (logs: {self.logs})"
                    raise DemoError(msg) from error
                time.sleep(0.1)

    def _welcome(self, passwords: dict[str, str]) -> None:
        site, pod = self.way.site, self.way.pod
        lines = [
            "",
            f"  The site        {site}",
            f"  Administration  {site}admin/",
            "                  Add charlie there, and charlie's pod comes by itself.",
            "",
            "  Sign in as      password        and your pod is at",
            *(f"    {name:<14}{word:<16}{pod(name)}" for name, word in passwords.items()),
            "",
            f"  Sign out or change the user at {site}accounts/",
            f"  Logs are in {self.logs} and {self.pods / 'logs'}",
            "  For a first look only: all workloads are processes of this machine's user.",
            "",
            "  Ctrl-C ends everything.",
        ]
        say("\n".join(lines))


STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def workload(data: Path) -> dict[str, str]:
    """Return the settings that say what runs in pods: an application, a command, or the example.

    Installs what the application needs; DemoError where that is not possible.
    """
    name, command = os.environ.get("APP", ""), os.environ.get("DEMO_COMMAND", "")
    if name and command:
        msg = "APP and DEMO_COMMAND are both given; pods can run one of them"
        raise DemoError(msg)
    if command:
        return {"USER_APP_COMMAND": json.dumps(["/bin/sh", "-c", command.replace("$", "$$")])}
    if not name:
        return {}
    app = load(name)
    path = installed(app, Path(os.environ.get("DEMO_APPS") or data / "apps").absolute())
    template = data / "template.yaml"
    template.parent.mkdir(parents=True, exist_ok=True)
    # JSON is YAML, too.
    template.write_text("\n---\n".join(json.dumps(each) for each in app.manifests(path)))
    return {"USER_APP_TEMPLATE": str(template)}


def idle_timeout() -> dict[str, str]:
    """Return the setting after how many seconds idle pods are stopped (``DEMO_IDLE``), if any."""
    given = os.environ.get("DEMO_IDLE", "")
    if given and not (given.isdecimal() and int(given) >= 1):
        msg = f"DEMO_IDLE is {given!r}: give a number of seconds from 1"
        raise DemoError(msg)
    return {"USERPODS_IDLE_TIMEOUT": given} if given else {}


def kept_secret(path: Path) -> str:
    """Return the secret in a file, made at the first run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        path.touch(0o600, exist_ok=False)
        path.write_text(secrets.token_urlsafe(50))
    return path.read_text().strip()


def interrupted(number: int, frame: object) -> NoReturn:  # noqa: ARG001 - a signal handler
    """Leave through the ``finally`` that ends everything."""
    raise KeyboardInterrupt


def main() -> int:
    """Run the demo; return the exit status."""
    for number in STOPPING:
        signal.signal(number, interrupted)
    try:
        port = int(os.environ.get("DEMO_PORT") or 8080)
        if not 1 <= port <= 65535:
            raise ValueError
    except ValueError:
        say(f"DEMO_PORT is {os.environ['DEMO_PORT']!r}: give a port number")
        return 2
    data = Path(os.environ.get("DEMO_DIR") or ROOT / ".demo").absolute()
    try:
        way = Way(os.environ.get("DEMO_WAY") or "host", port)
        hosts = loopback(port)
        install_packages()
        Demo(way=way, hosts=hosts, data=data, workload=workload(data) | idle_timeout()).run()
    except KeyboardInterrupt:
        return 0
    except DemoError as error:
        say(f"\nThe demo cannot go on: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
