"""The fault matrix: what each row allowed and took; written to ``docs/controller-faults.md``."""

from __future__ import annotations

import datetime
import os
import platform
from dataclasses import dataclass, field
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "controller-faults.md"

#: The rows in their order: what goes wrong, and the seconds that all may take to be well again.
ROWS = {
    "saved": ("a user is saved", 3),
    "sql": ("a user is put in by SQL", 3),
    "deployment": ("a Deployment is deleted by hand", 3),
    "service": ("a Service is deleted by hand", 3),
    "edited": ("a Deployment is edited by hand", 3),
    "status": ("the cluster says that a pod crashes, or is ready: until its row does", 1),
    "relabelled": ("the label of a Deployment's pod is changed by hand", 10),
    "recreated": ("all of a pod's objects are deleted by hand at once", 10),
    "replaced": ("a pod's objects are deleted and made anew by hand (kubectl replace --force)", 10),
    "burst": ("500 users in one transaction, until every row says running", 25),
    "deleted": ("a user is deleted while the pod starts", 10),
    "namespace": ("the namespace is deleted, and made again", 10),
    "killed": ("the leader is killed (SIGKILL): until another leads", 15),
    "killed-agreed": ("... and until it has done what was asked for meanwhile", 25),
    "terminated": ("the leader is told to end (SIGTERM): until another leads", 3),
    "paused": ("the leader is paused (SIGSTOP) for longer than its lease, then goes on", 10),
    "killed-at-calls": ("the leader is killed at an API call, at each once: from a next start", 10),
    "contending": ("two start at the same moment, and the one that leads is cut off", 25),
    "clock": ("the clock of the leader's machine is set a minute back, and a minute ahead", 10),
    "away-4": ("the API server refuses connections for 4 seconds", 10),
    "away-60": ("the API server refuses connections for a minute", 10),
    "restarted": ("the API server is stopped, and started again", 10),
    "errors": ("every write, or every list, is answered with 500 for a while", 10),
    "throttled": ("every write, or every list, is answered with 429 and Retry-After", 10),
    "silent": ("watches say nothing any more, after `silence` (here 2 s, else 70)", 10),
    "cut": ("watches are cut in the middle of a line", 10),
    "expired": ("watches cannot go on where they were (410)", 10),
    "late": ("a list is answered late, as things were seconds before", 10),
    "restored": ("etcd is set back to what it was before: a user came, another went", 10),
    "quota": ("a ResourceQuota is used up, then lifted", 10),
    "failed-often": ("a dozen tries have failed (500s, a quota) before it can be done", 10),
    "router": ("the router is restarted while 20 pods start, and others move or go", 10),
    "unready": ("50 users beside one whose pod never gets ready", 10),
    "slow": ("the tables are locked for four seconds", 10),
    "failed-over": ("PostgreSQL fails over to its standby", 10),
    "database": ("PostgreSQL is killed, MariaDB ended, and started again", 10),
}


def busy() -> float:
    """Return how many processes want each core: one that has to share takes so much longer."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


@dataclass
class Matrix:
    """What was measured, in seconds, by the rows' keys."""

    measured: dict[str, float] = field(default_factory=dict)
    #: The busiest that the machine was at a row.
    busiest: float = 1.0

    def note(self, row: str, seconds: float) -> None:
        """Note the longest that a row took, and hold it to its bound."""
        what, bound = ROWS[row]
        self.measured[row] = max(seconds, self.measured.get(row, 0.0))
        self.busiest = max(self.busiest, load := busy())
        assert seconds <= bound * load, f"{what}: {seconds:.1f} s of {bound}, at {load:.1f} a core"

    def write(self) -> None:
        """Write the page; only a run that measured every row replaces it."""
        if self.measured.keys() == ROWS.keys():
            PAGE.write_text(self.page())

    def page(self) -> str:
        """The page as Markdown."""
        today = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
        lines = [
            "# The controller on bad days",
            "",
            f"Written by `make test` on {today}, {os.cpu_count()} cores ({platform.machine()}),",
            "other tests beside it: a real API server, with a proxy in front where it has to",
            "misbehave. Each row is a test (`tests/real/test_controller*.py`; those of databases",
            "are in `tests/databases/`). Seconds count from the end of what goes wrong to both",
            "agreeing; where not, the row says so. After it a full sync writes nothing, neither",
            "objects nor rows, and what is somebody else's beside the pods is as it was (for",
            "this the etcd that is set back and the router's restart have none).",
            "",
            "500 users at once are no fault to recover from: nothing is away or wrong. They take",
            "as long as it takes to make so many objects and start so many pods, which grows with",
            "their number, so the bound is of that number alone.",
            "",
            "What is relabelled heals where it is the pod's label. Without the *installation's*",
            "label an object is nobody's: it is not touched any more, by ownership rules, and the",
            "pod's row says so until somebody deletes it or gives the label back.",
            "",
            "The calls at which the leader is killed are all that it makes when it begins (lists",
            "in pages, too) and ends, when a user comes and one goes, a Deployment was edited and",
            "a pod is recreated, each with a Deployment and a Service. A call that writes is once",
            "lost and once carried out.",
            "",
            "The bounds are those of a machine that has nothing else to do; where others wanted",
            f"its cores, too (here up to {self.busiest:.1f} processes each), they are longer.",
            "",
            "| What happens | at most | measured |",
            "|---|---|---|",
        ]
        lines += [
            f"| {what} | {bound} s | {self.measured[row]:.1f} s |"
            for row, (what, bound) in ROWS.items()
        ]
        return "\n".join(lines) + "\n"


MATRIX = Matrix()
