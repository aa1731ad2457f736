"""The real thing: an API server of Kubernetes.

The official client gives configuration, credentials, TLS and proxies; it takes half a second and
40 MB to import, so that happens at the first call. Everything else is ours: objects are plain
JSON, and time, retries and errors are what ``transport`` says.
"""

from __future__ import annotations

import json
import math
import os
import threading
from contextlib import suppress
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from django_userpods.clusters import options
from django_userpods.clusters.base import FIELD_MANAGER
from django_userpods.clusters.kubernetes import answers, client, errors, meant, patching
from django_userpods.clusters.kubernetes.asking import Asking
from django_userpods.clusters.kubernetes.discovery import Resources, label_selector
from django_userpods.clusters.kubernetes.ownership import Patch, ownership_patch
from django_userpods.clusters.kubernetes.paging import read_pages
from django_userpods.clusters.kubernetes.ratelimit import RateLimiter
from django_userpods.clusters.kubernetes.request import METADATA, METADATA_LIST, ApiCall
from django_userpods.clusters.kubernetes.retry import Deadline
from django_userpods.core.objects import Kind, Manifest, Ref
from django_userpods.exceptions import (
    ClusterConfigurationError,
    Invalid,
    NotFound,
    UnknownKind,
)
from django_userpods.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from django_userpods.clusters.base import Watch
    from django_userpods.clusters.kubernetes.transport import Connection, Transport

#: ``fieldValidation=Strict``: a misspelt field would otherwise be dropped in silence, and each
#: sync would find it missing again.
_WRITE = f"fieldManager={FIELD_MANAGER}&fieldValidation=Strict"
_JSON_PATCH = "application/json-patch+json"
_AGENT = f"django-userpods/{__version__}"


class KubernetesCluster(Asking):
    """A cluster behind an API server; ``OPTIONS`` of ``USERPODS_CLUSTER`` are the keywords here.

    ``context``: the context of a kubeconfig, which is ``kubeconfig``, else what ``KUBECONFIG``
    says, else ``~/.kube/config``; a ``kubeconfig`` with a single context needs no ``context``.
    With neither the pod's own service account is used; outside of a pod one has to be named.

    ``timeout``: seconds that a call may take in all, and each page of a list;
    ``connect_timeout``: seconds for one attempt to connect; ``qps`` and ``burst``: calls a second
    in the long run (0: no limit) and at once; ``concurrency``: connections kept open, and threads
    that a caller may use; ``page_size``: objects in one answer to a list; ``cluster_domain``: the
    DNS suffix of Services; ``compress``: ask for lists gzipped, which saves much network for a
    little CPU; ``silence``: seconds without a byte after which a watch is taken for dead.
    """

    def __init__(
        self,
        *,
        context: str | None = None,
        kubeconfig: str | os.PathLike[str] | None = None,
        timeout: float = 10.0,
        connect_timeout: float = 3.0,
        qps: float = 200.0,
        burst: int = 200,
        concurrency: int = 8,
        page_size: int = 500,
        cluster_domain: str = "cluster.local",
        compress: bool = True,
        silence: float = 70.0,
    ) -> None:
        options.check_text(context=context, kubeconfig=kubeconfig)
        options.check_text(cluster_domain=cluster_domain or 0)
        options.check_number(timeout=timeout, connect_timeout=connect_timeout, silence=silence)
        options.check_number(qps=qps, zero=True)
        options.check_count(burst=burst, concurrency=concurrency, page_size=page_size)
        options.check_flag(compress=compress)
        self._options: dict[str, Any] = {
            "context": context,
            "kubeconfig": os.fspath(kubeconfig) if kubeconfig is not None else None,
            "timeout": timeout,
            "connect_timeout": connect_timeout,
            "qps": qps,
            "burst": burst,
            "concurrency": concurrency,
            "page_size": page_size,
            "cluster_domain": cluster_domain,
            "compress": compress,
            "silence": silence,
        }
        self.concurrency = concurrency
        self.cluster_domain = cluster_domain
        self._timeout = timeout
        self._page_size = page_size
        self._compress = compress
        self._begin()

    def _begin(self) -> None:
        """Make everything that must not be shared with another process."""
        self._pid = os.getpid()
        self._resources = Resources(
            lambda call, deadline: self._transport.call(call, deadline),
            server=lambda: self._transport.server,
        )
        self._made: Transport | None = None
        self._lock = threading.Lock()

    @property
    def _transport(self) -> Transport:
        """What sends calls. It imports urllib3, which no start of a site is to wait for."""
        with self._lock:
            if self._made is None:
                from django_userpods.clusters.kubernetes.transport import Transport

                self._made = Transport(
                    self._connect,
                    limiter=RateLimiter(qps=self._options["qps"], burst=self._options["burst"]),
                    connect_timeout=self._options["connect_timeout"],
                    agent=_AGENT,
                    on_answer=lambda *said: self.on_answer and self.on_answer(*said),
                )
            return self._made

    @property
    def rate(self) -> float:
        """Calls a second in the long run: ``qps``, and less for a while after a 429."""
        return self._transport.rate

    def __getstate__(self) -> dict[str, Any]:
        return self._options

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc] # the same options through the same checks

    # --- the interface

    def list(
        self,
        kind: Kind,
        *,
        namespace: str | None,
        labels: Mapping[str, str | frozenset[str]],
        without: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Iterator[Manifest]:
        """Yield the matching objects, page by page; the next page comes while you work on one.

        With ``timeout`` all pages have to be read within that.
        """
        where = f"in namespace {namespace}" if namespace is not None else "in all namespaces"
        what = f"list {kind.kind}s {where}"
        whole = None if timeout is None else self._deadline(timeout)
        resource = self._resources.find(kind, whole or self._deadline(None))
        query = f"?limit={self._page_size}&labelSelector={quote(label_selector(labels, without))}"
        path = resource.collection(namespace) + query

        def fetch(token: str) -> bytes:
            url = f"{path}&continue={quote(token)}" if token else path
            request = ApiCall("GET", url, what, compress=self._compress)
            return self._transport.call(request, whole or self._deadline(None))

        yield from read_pages(fetch, kind=kind, what=what, server=lambda: self._transport.server)

    def get(self, ref: Ref, *, timeout: float | None = None) -> Manifest | None:
        """Return the object, or None."""
        live = self._get(ref, self._deadline(timeout))
        return answers.trimmed(live) if live is not None else None

    def create(self, manifest: Manifest, *, timeout: float | None = None) -> Manifest:
        """Create the object by POST.

        If an answer is lost, the call is sent again, and then AlreadyExists may be about the
        object that the lost call made: read it to know.
        """
        ref = Ref.of(manifest)
        deadline = self._deadline(timeout)
        path = self._resources.find(ref.kind, deadline).collection(ref.namespace)
        return self._send_object(
            "POST", f"{path}?{_WRITE}", f"create {ref}", ref, manifest, deadline
        )

    def apply(self, manifest: Manifest, *, timeout: float | None = None) -> Manifest:
        """Apply the object by server-side apply, whoever else has set its fields."""
        ref = Ref.of(manifest)
        deadline = self._deadline(timeout)
        path = self._resources.find(ref.kind, deadline).item(ref.namespace, ref.name)
        path += f"?{_WRITE}&force=true"
        self._patch(ref, ownership_patch, deadline)
        try:
            return self._send_object("PATCH", path, f"apply {ref}", ref, manifest, deadline)
        except Invalid as error:
            from django_userpods.clusters.kubernetes.unions import union_patch

            refused = error.fields
            if not self._patch(ref, lambda live: union_patch(live, manifest, refused), deadline):
                raise
        self._patch(ref, ownership_patch, deadline)
        return self._send_object("PATCH", path, f"apply {ref}", ref, manifest, deadline)

    def delete(self, ref: Ref, *, uid: str, timeout: float | None = None) -> None:
        """Delete the object if it has this UID; its dependents go in the background."""
        if not uid:
            raise Invalid(f"delete {ref}: a UID is needed")
        deadline = self._deadline(timeout)
        path = self._resources.find(ref.kind, deadline).item(ref.namespace, ref.name)
        guard = partial(self.check_guard, ref.kind)
        body = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": uid},
            "propagationPolicy": "Background",
        }
        what = f"delete {ref}"
        try:
            answer = self._transport.call(
                ApiCall("DELETE", path, what, json.dumps(body).encode(), guard=guard), deadline
            )
        except UnknownKind:
            raise
        except NotFound:
            return
        errors.decode(answer, what=what, server=self._transport.server)

    def replace(self, manifest: Manifest, *, timeout: float | None = None) -> Manifest:
        """Replace the object by PUT."""
        ref = Ref.of(manifest)
        deadline = self._deadline(timeout)
        path = self._resources.find(ref.kind, deadline).item(ref.namespace, ref.name)
        return self._send_object(
            "PUT", f"{path}?{_WRITE}", f"replace {ref}", ref, manifest, deadline
        )

    def version(
        self,
        kind: Kind,
        *,
        namespace: str | None,
        labels: Mapping[str, str],
        timeout: float | None = None,
    ) -> str:
        """Return the version that a list of now has, from a list of one object's metadata."""
        what = f"read the version of {kind.kind}s"
        deadline = self._deadline(timeout)
        path = self._resources.find(kind, deadline).collection(namespace)
        query = f"?limit=1&labelSelector={quote(label_selector(labels))}"
        request = ApiCall("GET", path + query, what, accept=METADATA_LIST)
        body = self._transport.call(request, deadline)
        return answers.list_version(body, what=what, server=self._transport.server)

    def watch(
        self,
        kind: Kind,
        *,
        namespace: str | None,
        labels: Mapping[str, str],
        since: str,
        seconds: float = 300.0,
    ) -> Watch:
        """Watch by a connection of its own, which is made by the first ``next``."""
        what = f"watch {kind.kind}s"
        collection = self._resources.find(kind, self._deadline(None)).collection(namespace)
        query = (
            f"?watch=true&allowWatchBookmarks=true&resourceVersion={quote(since)}"
            f"&timeoutSeconds={math.ceil(seconds)}&labelSelector={quote(label_selector(labels))}"
        )
        request = ApiCall("GET", collection + query, what, accept=METADATA)
        from django_userpods.clusters.kubernetes.watch import KubernetesWatch

        return KubernetesWatch(
            lambda deadline: self._transport.open(request, deadline),
            kind,
            what=what,
            server=lambda: self._transport.server,
            timeout=self._timeout,
            silence=self._options["silence"],
            seconds=seconds,
        )

    def whereabouts(self) -> str:
        """Return the API server's URL, and whether a context or the pod's account leads there."""
        return meant.whereabouts(file=self._options["kubeconfig"], context=self._options["context"])

    def misconfiguration(self) -> str:
        """Return why there is no API server to speak to, where none is named, or the like."""
        return meant.misconfiguration(
            file=self._options["kubeconfig"], context=self._options["context"]
        )

    def lacks_client(self) -> str:
        """Return that no official client is installed that will do, and how to install one."""
        return client.problem()

    def lacks_namespace(self, name: str) -> str:
        """Return that the namespace is not there, and what to do; "" where it is.

        Raises Forbidden where we may not look.
        """
        what = f"get the namespace {name}"
        deadline = self._deadline(None)
        request = ApiCall("GET", f"/api/v1/namespaces/{quote(name, safe='')}", what)
        try:
            self._transport.call(request, deadline)
        except UnknownKind:
            raise
        except NotFound as error:
            return str(error)
        return ""

    def prepare(self) -> None:
        """Import the official client; where there is none, the first call says so."""
        with suppress(ClusterConfigurationError):
            client.modules()

    @property
    def is_prepared(self) -> bool:
        """Whether the official client has been imported in this process, or cannot be."""
        return client.is_loaded() or bool(client.problem())

    def close(self) -> None:
        """Close the connections; the next call connects anew."""
        if self._made is not None:
            self._made.close()

    # --- inside

    def _deadline(self, timeout: float | None) -> Deadline:
        if self._pid != os.getpid():
            self._begin()
        # Imports are this machine's work, not the cluster's, so they do not count.
        client.modules()
        for late in ("clusters.kubernetes.connecting", "core.kinds"):
            import_module(f"django_userpods.{late}")
        return Deadline(self._timeout if timeout is None else timeout)

    def _get(self, ref: Ref, deadline: Deadline) -> Manifest | None:
        what = f"get {ref}"
        path = self._resources.find(ref.kind, deadline).item(ref.namespace, ref.name)
        try:
            body = self._transport.call(ApiCall("GET", path, what), deadline)
        except UnknownKind:
            raise
        except NotFound:
            return None
        return answers.one_object(body, ref, what=what, server=self._transport.server)

    def _patch(
        self, ref: Ref, patch_for: Callable[[Manifest], Patch | None], deadline: Deadline
    ) -> bool:
        """Read the object and patch it as ``patch_for`` says; False where there is nothing to."""
        what = f"apply {ref}"
        path = self._resources.find(ref.kind, deadline).item(ref.namespace, ref.name)
        guard = partial(self.check_guard, ref.kind)
        call = partial(ApiCall, "PATCH", path, what, content_type=_JSON_PATCH, guard=guard)
        return patching.patch(
            read=lambda: self._get(ref, deadline),
            patch_for=patch_for,
            send=lambda body: self._transport.call(call(body=body), deadline),
            deadline=deadline,
        )

    def _send_object(
        self, method: str, path: str, what: str, ref: Ref, manifest: Manifest, deadline: Deadline
    ) -> Manifest:
        try:
            body = json.dumps(manifest, allow_nan=False, separators=(",", ":")).encode()
        except (TypeError, ValueError) as error:
            raise Invalid(f"{what}: the manifest is no JSON: {error}") from error
        kind = "application/apply-patch+yaml" if method == "PATCH" else "application/json"
        guard = partial(self.check_guard, ref.kind)
        passes = method != "PUT"
        request = ApiCall(method, path, what, body, kind, conflict_passes=passes, guard=guard)
        answer = self._transport.call(request, deadline)
        stored = answers.one_object(answer, ref, what=what, server=self._transport.server)
        return answers.trimmed(stored)

    def _connect(self) -> Connection:
        """Find the configuration, load credentials, and open nothing yet."""
        from django_userpods.clusters.kubernetes import connecting

        return connecting.connect(
            *client.modules(),
            file=self._options["kubeconfig"],
            context=self._options["context"],
            seconds=self._timeout,
            connections=self.concurrency,
        )
