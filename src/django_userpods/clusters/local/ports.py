"""Which object has which port. A Service and its Deployment share that of their selector."""

from __future__ import annotations

import json
import socket
import time
import zlib
from contextlib import closing
from typing import TYPE_CHECKING

from django_userpods.core.objects import DEPLOYMENT, SERVICE, Manifest, Ref
from django_userpods.exceptions import QuotaExceeded

if TYPE_CHECKING:
    import sqlite3

LOOPBACK = "127.0.0.1"


class Ports:
    """Ports from the first to the last of ``ports``, in a table of the store of ``root``."""

    def __init__(self, ports: tuple[int, int], *, root: str) -> None:
        self._range = ports
        self._root = root

    def of(self, db: sqlite3.Connection, ref: Ref, declared: Manifest) -> int | None:
        """Return the port of an object, given to it if need be; None of one without."""
        if ref.kind == DEPLOYMENT:
            labels = declared["spec"]["template"]["metadata"]["labels"]
            selector = declared["spec"]["selector"]["matchLabels"]
            for text, port in db.execute(
                "SELECT selector, port FROM ports WHERE namespace = ? AND released IS NULL",
                (ref.namespace,),
            ):
                if json.loads(text).items() <= labels.items():
                    return int(port)
        elif ref.kind == SERVICE and declared["spec"].get("selector"):
            selector = declared["spec"]["selector"]
            for text, port in db.execute(
                "SELECT declared, port FROM objects"
                " WHERE kind = ? AND api_version = ? AND namespace = ?",
                (DEPLOYMENT.kind, DEPLOYMENT.api_version, ref.namespace),
            ):
                labels = json.loads(text)["spec"]["template"]["metadata"]["labels"]
                if selector.items() <= labels.items():
                    return int(port)
        else:
            return None
        return self._allot(db, ref.namespace, json.dumps(selector, sort_keys=True))

    def _allot(self, db: sqlite3.Connection, namespace: str, selector: str) -> int:
        """Give a port to a selector: the one it had; else a new one; else the longest unused."""
        owned = db.execute(
            "UPDATE ports SET released = NULL WHERE namespace = ? AND selector = ? RETURNING port",
            (namespace, selector),
        ).fetchone()
        if owned is not None:
            return int(owned[0])
        first, last = self._range
        used = {row[0] for row in db.execute("SELECT port FROM ports")}
        # Two state directories on one machine begin at different places.
        offset = zlib.crc32(self._root.encode()) % (last - first + 1)
        for port in (*range(first + offset, last + 1), *range(first, first + offset)):
            if port not in used and is_free(port):
                db.execute("INSERT INTO ports VALUES (?, ?, ?, NULL)", (port, namespace, selector))
                return int(port)
        for (port,) in db.execute(
            "SELECT port FROM ports WHERE released IS NOT NULL AND port BETWEEN ? AND ?"
            " ORDER BY released",
            (first, last),
        ).fetchall():
            if is_free(port):
                db.execute(
                    "UPDATE ports SET namespace = ?, selector = ?, released = NULL WHERE port = ?",
                    (namespace, selector, port),
                )
                return int(port)
        msg = f"all ports of the local cluster, {first} to {last}, are in use"
        raise QuotaExceeded(msg, status=403)

    def release(self, db: sqlite3.Connection) -> None:
        """Take back the ports that no object has any more."""
        db.execute(
            "UPDATE ports SET released = ? WHERE released IS NULL"
            " AND port NOT IN (SELECT port FROM objects WHERE port IS NOT NULL)",
            (time.time(),),
        )


def is_free(port: int) -> bool:
    """Say whether a process could listen on this loopback port now."""
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
