"""PostgreSQL and MariaDB from the distribution's packages, in folders of their own."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pymysql

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.testcluster.processes import Run

NAME = "userpods"
#: Levels of isolation by the names that Django's MySQL backend has for them.
LEVELS = ("read committed", "repeatable read", "serializable")


@dataclass
class Server:
    """A database server that runs, and what Django is to know of it."""

    kind: str
    directory: Path
    settings: dict[str, Any]
    #: What starts it, by the name that its run knows it by, and what tells that it answers.
    command: list[str | Path] = field(default_factory=list)
    ready: list[str | Path] = field(default_factory=list)
    migrated: bool = False

    def kill(self, run: Run) -> None:
        """Let it end at once, with all connections.

        PostgreSQL without a word. MariaDB may say its last: a second of it is only in its memory.
        """
        number = signal.SIGQUIT if self.kind == "postgresql" else signal.SIGTERM
        os.kill(run.pid(self.kind), number)
        run.wait(self.kind)

    def end(self, run: Run) -> None:
        """Let PostgreSQL end its connections, and itself once its standby knows all it does."""
        os.kill(run.pid(self.kind), signal.SIGINT)
        run.wait(self.kind)

    def start(self, run: Run) -> None:
        """Start it and wait until it answers."""
        run.start(self.kind, self.command)
        _wait(run, self.kind, self.ready)

    def at(self, level: str) -> dict[str, Any]:
        """Return the settings for a level of isolation."""
        chosen: Any = level
        if self.kind == "postgresql":
            from psycopg import IsolationLevel

            chosen = IsolationLevel[level.replace(" ", "_").upper()]
        return {**self.settings, "OPTIONS": {"isolation_level": chosen}}


def start_postgresql(run: Run) -> Server:
    """Start PostgreSQL; nothing listens on the network."""
    where = _folder(run, "postgres", "postgres")
    data = where / "data"
    as_user = _as("postgres")
    _call([*as_user, _program("initdb"), "-D", data, "-U", "postgres", "-A", "trust", "--no-sync"])
    options = [part for option in _POSTGRESQL for part in ("-c", option)]
    server = Server(
        "postgresql",
        where,
        {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": NAME,
            "HOST": str(where),
            "USER": "postgres",
        },
        command=[*as_user, _program("postgres"), "-D", data, "-k", where, *options],
        ready=[_program("pg_isready"), "-h", where],
    )
    server.start(run)
    _call([_program("createdb"), "-h", where, "-U", "postgres", NAME])
    return server


_POSTGRESQL = ("listen_addresses=", "fsync=off", "deadlock_timeout=100ms", "lock_timeout=20s")


def start_standby(run: Run, primary: Server) -> Server:
    """Start a PostgreSQL that follows another, until it is told to be the primary itself."""
    where = _folder(run, "standby", "postgres")
    data = where / "data"
    as_user = _as("postgres")
    copy = [_program("pg_basebackup"), "--write-recovery-conf", "--checkpoint=fast", "--no-sync"]
    _call([*as_user, *copy, "-h", primary.directory, "-U", "postgres", "-D", data])
    options = [part for option in _POSTGRESQL for part in ("-c", option)]
    server = Server(
        "standby",
        where,
        {**primary.settings, "HOST": str(where)},
        command=[*as_user, _program("postgres"), "-D", data, "-k", where, *options],
        ready=[_program("pg_isready"), "-h", where],
    )
    server.start(run)
    return server


def promote(standby: Server) -> None:
    """Let a standby be the primary; returns once it is."""
    data = standby.directory / "data"
    _call([*_as("postgres"), _program("pg_ctl"), "promote", "--wait", "-D", data])


def start_mariadb(run: Run) -> Server:
    """Start MariaDB; nothing listens on the network."""
    where = _folder(run, "mysql", "mysql")
    data, socket = where / "data", where / "socket"
    as_user = _as("mysql")
    owner = ["--user=mysql"] if as_user else []
    _call(
        [
            *(_program("mariadb-install-db"), "--no-defaults", f"--datadir={data}", *owner),
            *("--auth-root-authentication-method=normal", "--skip-test-db"),
        ]
    )
    server = Server(
        "mariadb",
        where,
        {
            "ENGINE": "django.db.backends.mysql",
            "NAME": NAME,
            "HOST": str(socket),
            "USER": "root",
        },
        command=[
            *(*as_user, _program("mariadbd"), "--no-defaults", f"--datadir={data}"),
            *(f"--socket={socket}", f"--pid-file={where}/pid", "--skip-networking"),
            *("--innodb-flush-log-at-trx-commit=0", "--innodb-lock-wait-timeout=20"),
        ],
        ready=[_program("mariadb-admin"), "-uroot", f"--socket={socket}", "ping"],
    )
    server.start(run)
    with pymysql.connect(unix_socket=str(socket), user="root") as connection:
        connection.cursor().execute(f"CREATE DATABASE {NAME} CHARACTER SET utf8mb4")
    return server


STARTERS: dict[str, Callable[[Run], Server]] = {
    "postgresql": start_postgresql,
    "mariadb": start_mariadb,
}


def _folder(run: Run, name: str, user: str) -> Path:
    """Make a folder that the server's own user can use: neither server runs as root."""
    # One of its own each time: tests in another order may want a server again that has ended.
    where = Path(tempfile.mkdtemp(prefix=name, dir=run.directory))
    where.chmod(0o755)
    run.directory.chmod(0o711)
    if os.geteuid() == 0:
        os.chown(where, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
    return where


def _as(user: str) -> list[str]:
    if os.geteuid() != 0:
        return []
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]


def _program(name: str) -> str:
    """Find a server's program; Debian's PostgreSQL is in no PATH."""
    places = [str(place) for place in sorted(Path("/usr/lib/postgresql").glob("*/bin"))]
    found = shutil.which(name, path=os.pathsep.join([*places[-1:], "/usr/sbin", "/usr/bin"]))
    if found is None:
        raise FileNotFoundError(f"{name} is not installed; tools/apt-install test")
    return found


def _call(command: Sequence[str | Path]) -> None:
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {done.stdout}{done.stderr}")


def _wait(run: Run, name: str, command: Sequence[str | Path]) -> None:
    def ready() -> bool:
        return not subprocess.run(command, capture_output=True, check=False).returncode

    run.wait_ready(name, ready)
