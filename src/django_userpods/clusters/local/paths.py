"""The files of a state directory, and nothing else."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from pathlib import Path

from django_userpods.exceptions import ClusterConfigurationError, ClusterUnavailable

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@dataclass(frozen=True, slots=True)
class StateDir:
    """Where everything of one local cluster lives; only the user who runs Django may look in."""

    root: Path

    @classmethod
    def open(cls, path: str | Path) -> StateDir:
        """Make the directory where it is missing.

        Raises ClusterConfigurationError where it cannot be written, and ClusterUnavailable where
        there is no room.
        """
        root = Path(path).expanduser().absolute()
        state = cls(root)
        try:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            probe = root / ".writable"
            probe.touch()
            probe.unlink(missing_ok=True)
        except OSError as error:
            if error.errno in _NO_ROOM:
                msg = f"the local cluster's state_dir {root}: {error.strerror}; make room there"
                raise ClusterUnavailable(msg) from error
            msg = (
                f"the local cluster cannot write to its state_dir {root}: {error.strerror}. "
                "Give OPTIONS a state_dir that the user running Django may write to"
            )
            raise ClusterConfigurationError(msg) from error
        return state

    @property
    def objects(self) -> Path:
        """The SQLite database of objects and ports."""
        return self.root / "objects.sqlite3"

    @property
    def supervisor_lock(self) -> Path:
        """Held exclusively while a supervisor or its reaper lives; contains its process id."""
        return self.root / "supervisor.lock"

    @property
    def clients_lock(self) -> Path:
        """Held shared by every process that uses the cluster."""
        return self.root / "clients.lock"

    @property
    def wake(self) -> Path:
        """A FIFO that the supervisor reads; it has a reader exactly while one is at work."""
        return self.root / "wake"

    @property
    def supervisor_log(self) -> Path:
        """What the supervisor has to say."""
        return self.root / "supervisor.log"

    def log(self, *, namespace: str, name: str) -> Path:
        """Output of a workload, kept also after it is gone."""
        return self.root / "logs" / namespace / f"{name}.log"

    def work(self, *, namespace: str, name: str) -> Path:
        """Working directory of a workload; it lives as long as the Deployment."""
        return self.root / "work" / namespace / name
