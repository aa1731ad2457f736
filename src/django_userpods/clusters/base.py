"""The interface between django-userpods and the place where pods run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, NamedTuple, NoReturn

from django_userpods.core.objects import LEASE
from django_userpods.exceptions import ClusterConfigurationError

if TYPE_CHECKING:
    import datetime
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from django_userpods.core.objects import Kind, Manifest, Ref

__all__ = ["FIELD_MANAGER", "Cluster", "Event", "PodEvent", "PodLog", "Watch"]

#: Who we are to the API server; see Kubernetes, "Server-Side Apply", field management.
FIELD_MANAGER = "django-userpods"


class Event(NamedTuple):
    """What a watch tells: Kubernetes, "API concepts", efficient detection of changes.

    ``type`` is ``ADDED``, ``MODIFIED``, ``DELETED`` (also of an object that lost a label that was
    asked for) or ``BOOKMARK``. Which of the first two it is may be wrong where a watch was resumed.
    ``object`` has ``apiVersion``, ``kind`` and ``metadata`` without ``managedFields``, and nothing
    else; that of a bookmark has in its ``metadata`` no more than the ``resourceVersion``.
    """

    type: str
    object: Manifest

    @property
    def version(self) -> str:
        """The resourceVersion from which a watch would go on after this event."""
        return str(self.object["metadata"]["resourceVersion"])


class PodEvent(NamedTuple):
    """What a cluster noted of a pod: an Event of Kubernetes' ("Cluster resources", v1).

    ``at`` is when it was last so, None where that is not said, and ``times`` how often it was;
    ``type`` is ``Normal`` or ``Warning``; ``about`` is the object's kind and name, as in
    ``Pod user-alice-5d4f-x2k9``.
    """

    at: datetime.datetime | None
    type: str
    reason: str
    message: str
    times: int = 1
    about: str = ""


class PodLog(NamedTuple):
    """The last lines that a container wrote; ``is_cut`` where there are more before them.

    ``is_previous``: of the container before it was last restarted.
    """

    pod: str
    container: str
    text: str
    is_previous: bool = False
    is_cut: bool = False


class Watch(Iterator[Event]):
    """Events as they come; ends when the cluster ends it, raises where it broke off.

    ``close`` may be called by any thread, at any time and more than once: it lets go of the
    connection at once, and whoever waits for the next event sees the end.
    """

    @property
    def is_open(self) -> bool:
        """Whether the cluster has agreed to tell; it may be asked by the first ``next`` only."""
        return True

    @property
    def was_open(self) -> bool:
        """Whether it ``is_open``, or was before it ended."""
        return True

    @abstractmethod
    def close(self) -> None:
        """Let go of the connection."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class Cluster(ABC):
    """Where pods run.

    Objects go in and come out as plain dicts in the form of the Kubernetes API. All methods may
    be called from several threads at once, connect on first use, never at construction, and raise
    only subclasses of :class:`django_userpods.exceptions.ClusterError`.

    ``timeout`` is the time the whole call may take in seconds, retries and waiting for the rate
    limit included; None means the cluster's own default.
    """

    #: How many calls may run side by side (threads a caller may use).
    concurrency: int = 1
    #: Whether tests may use it although no setting says so, since it leads nowhere.
    in_tests: ClassVar[bool] = False
    #: When requests may try again, by ``time.monotonic()``, after it did not answer one.
    paused_until: float = 0.0
    #: The DNS suffix of Services, see "DNS for Services and Pods".
    cluster_domain: str = "cluster.local"
    #: Called right before each write, each retry too; raises NotLeading where none may be made.
    #: Leases are exempt: they are what it is decided by.
    guard: Callable[[], None] | None = None

    #: Told of each answer of an API server: the method and the status, 0 where there was none.
    on_answer: Callable[[str, int], None] | None = None

    @property
    def rate(self) -> float:
        """Calls a second that are made at most in the long run, as of now; 0: no limit."""
        return 0.0

    def prepare(self) -> None:  # noqa: B027 - most clusters have nothing to get ready
        """Load what the first call needs, without connecting, so that its time can be counted.

        What cannot be loaded is the first call's to say.
        """

    @property
    def is_prepared(self) -> bool:
        """Whether ``prepare`` has nothing left to do, so that nobody has to wait for it."""
        return True

    def whereabouts(self) -> str:
        """Return for people which cluster this is, without connecting.

        Raises ClusterConfigurationError where that is not known.
        """
        return type(self).__name__

    def misconfiguration(self) -> str:
        """Return what is known, without connecting, to be in the way of any call, or ""."""
        return ""

    def lacks_client(self) -> str:
        """Return what has to be installed before any call, without connecting, or ""."""
        return ""

    def lacks_namespace(self, name: str) -> str:  # noqa: ARG002 - most clusters have all
        """Return that there is no namespace of this name, and what to do; "" where there is.

        Raises ClusterError where that cannot be known.
        """
        return ""

    def is_allowed(
        self,
        verb: str,  # noqa: ARG002 - most clusters allow all, to here
        kind: Kind,  # noqa: ARG002
        *,
        namespace: str | None,  # noqa: ARG002
        timeout: float | None = None,  # noqa: ARG002
    ) -> bool:
        """Tell whether we may do this to a kind's objects, in one namespace or in all (None).

        ``verb`` is one of Kubernetes' ("Authorization", request verbs). Raises ClusterError where
        that cannot be known, UnknownKind where there is no such kind.
        """
        return True

    def server_time(self, *, timeout: float | None = None) -> datetime.datetime | None:  # noqa: ARG002
        """Return what time it is there, in UTC; None where that is the time of this machine."""
        return None

    @abstractmethod
    def list(
        self,
        kind: Kind,
        *,
        namespace: str | None,
        labels: Mapping[str, str | frozenset[str]],
        without: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Iterator[Manifest]:
        """Yield the objects of a kind that carry all ``labels``, from one namespace or all (None).

        Where several values are given for a label, one of them. With ``without`` only those of
        which each of these labels has another value, or is missing.

        The list is consistent (not from a cache that lags) and read in pages. A failure in the
        middle raises, so a list that ends has ended whole. A list whose page token expired raises
        :class:`~django_userpods.exceptions.Expired`: begin again. Objects come with ``apiVersion``
        and ``kind``, and without ``metadata.managedFields``. ``timeout`` holds for each page.

        Raises NotFound where the kind itself (its API group) is unknown.
        """

    @abstractmethod
    def get(self, ref: Ref, *, timeout: float | None = None) -> Manifest | None:
        """Return the object, or None where there is none."""

    @abstractmethod
    def create(self, manifest: Manifest, *, timeout: float | None = None) -> Manifest:
        """Create the object and return it as stored; AlreadyExists where the name is taken."""

    @abstractmethod
    def apply(self, manifest: Manifest, *, timeout: float | None = None) -> Manifest:
        """Make the object's declared fields so, and return it as stored.

        Server-side apply with force: fields that an earlier create or apply of ours declared and
        this manifest does not are removed; fields of others stay. Creates a missing object.
        """

    @abstractmethod
    def delete(self, ref: Ref, *, uid: str, timeout: float | None = None) -> None:
        """Delete the object if it still has this UID, dependents in the background.

        An object that is gone already is success. Another UID under the name is
        :class:`~django_userpods.exceptions.Conflict`.
        """

    def replace(self, manifest: Manifest, *, timeout: float | None = None) -> Manifest:  # noqa: ARG002 - for subclasses
        """Put the manifest in place of the object, and return it as stored.

        Where it has a ``metadata.resourceVersion``, the object has to have the same: a change by
        somebody else is :class:`~django_userpods.exceptions.Conflict`. NotFound where there is no
        object.
        """
        self._lacks("replace objects")

    def version(
        self,
        kind: Kind,  # noqa: ARG002 - for subclasses, as the next ones
        *,
        namespace: str | None,  # noqa: ARG002
        labels: Mapping[str, str],  # noqa: ARG002
        timeout: float | None = None,  # noqa: ARG002
    ) -> str:
        """Return the resourceVersion of now, from which a watch tells everything after it.

        Raises as ``list`` does.
        """
        self._lacks("be watched")

    def watch(
        self,
        kind: Kind,  # noqa: ARG002 - for subclasses, as the next ones
        *,
        namespace: str | None,  # noqa: ARG002
        labels: Mapping[str, str],  # noqa: ARG002
        since: str,  # noqa: ARG002
        seconds: float = 300.0,  # noqa: ARG002
    ) -> Watch:
        """Return what happens, after ``since``, to the objects of a kind that carry all labels.

        From one namespace or all (None). It ends, without an error, after ``seconds`` or when the
        cluster ends it; go on from the last event's ``version``. Nothing is remembered in between,
        so memory does not grow with the number of objects.

        Raises, at once or while it runs, Expired where ``since`` is too old (take a new
        ``version`` and look at everything), ClusterUnavailable where nothing was heard for too
        long or the connection broke, UnknownKind, Forbidden and what ``list`` raises.
        """
        self._lacks("be watched")

    def events(
        self,
        *,
        namespace: str,  # noqa: ARG002 - for subclasses, as the next ones
        labels: Mapping[str, str],  # noqa: ARG002
        limit: int,  # noqa: ARG002
        timeout: float | None = None,  # noqa: ARG002
    ) -> Sequence[PodEvent]:
        """Return the last events of the pods that carry all labels, the newest first.

        At most ``limit``. Raises Forbidden, ClusterUnavailable and what ``list`` raises.
        """
        self._shows_nothing("events")

    def logs(
        self,
        *,
        namespace: str,  # noqa: ARG002 - for subclasses, as the next ones
        labels: Mapping[str, str],  # noqa: ARG002
        lines: int,  # noqa: ARG002
        size: int,  # noqa: ARG002
        timeout: float | None = None,  # noqa: ARG002
    ) -> Iterator[PodLog]:
        """Yield the last lines of each container of the newest pods that carry all labels.

        At most ``lines``, and the last ``size`` bytes, of each. A container that has written
        nothing, or is not there yet, is left out. Raises as ``events`` does; ``timeout`` holds for
        all of them together.
        """
        self._shows_nothing("logs")

    def address(self, *, namespace: str, name: str, port: int, peer: str | None) -> str:  # noqa: ARG002 - for subclasses
        """Return ``host:port`` at which clients inside the cluster reach a user's Service.

        ``peer`` is the Service's own IP address and port, ``10.96.0.7:8000``, where it is known.
        """
        return f"{name}.{namespace}.svc.{self.cluster_domain}:{port}"

    def step_times(self, deployment: Manifest) -> str | None:  # noqa: ARG002 - for subclasses
        """Return how far a Deployment has come that is not up, as ``core.step_times`` has it.

        For clusters without pods, which say it elsewhere; None where the Deployment does not.
        """
        return None

    def peer(self, service: Manifest) -> str | None:
        """Return the Service's own ``ip:port``, or None while (or where) it has none.

        The port is the Service's first. IPv6 addresses come in brackets.
        """
        spec = service.get("spec", {})
        ip, ports = spec.get("clusterIP"), spec.get("ports")
        if not ip or ip == "None" or not ports:
            return None
        return f"[{ip}]:{ports[0]['port']}" if ":" in ip else f"{ip}:{ports[0]['port']}"

    def close(self) -> None:  # noqa: B027 - most clusters hold something, a stand-in need not
        """Let go of connections and threads; the next call connects anew."""

    # --- for subclasses

    def check_guard(self, kind: Kind) -> None:
        """Raise NotLeading where objects of this kind may not be written now."""
        if self.guard is not None and kind != LEASE:
            self.guard()

    def _shows_nothing(self, what: str) -> NoReturn:
        raise ClusterConfigurationError(f"{type(self).__name__} cannot show {what} of pods")

    def _lacks(self, ability: str) -> NoReturn:
        raise ClusterConfigurationError(
            f"{type(self).__name__} cannot {ability}, so run_userpods cannot be used with it; "
            "sync_userpods can"
        )
