"""What is asked of an API server about itself, what we may do, and what it knows of pods."""

from __future__ import annotations

import datetime
import json
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from django_userpods.clusters.base import Cluster
from django_userpods.clusters.kubernetes import errors
from django_userpods.clusters.kubernetes.request import ApiCall
from django_userpods.core.objects import POD
from django_userpods.exceptions import BadAnswer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from django_userpods.clusters.base import PodEvent, PodLog
    from django_userpods.clusters.kubernetes.discovery import Resources
    from django_userpods.clusters.kubernetes.evidence import Place
    from django_userpods.clusters.kubernetes.retry import Deadline
    from django_userpods.clusters.kubernetes.transport import Transport
    from django_userpods.core.objects import Kind

_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


class Asking(Cluster):
    """The part of the Kubernetes cluster that people ask; not used by a reconcile."""

    _resources: Resources

    @property
    def _transport(self) -> Transport:
        raise NotImplementedError

    def _deadline(self, timeout: float | None) -> Deadline:
        raise NotImplementedError

    def is_allowed(
        self, verb: str, kind: Kind, *, namespace: str | None, timeout: float | None = None
    ) -> bool:
        """Ask by a SelfSubjectAccessReview, which everybody who is known may do."""
        deadline = self._deadline(timeout)
        resource = self._resources.find(kind, deadline)
        attributes = {
            "verb": verb,
            "group": kind.api_version.rpartition("/")[0],
            "resource": resource.plural,
            "namespace": namespace or "",
        }
        what = f"ask whether we may {verb} {resource.plural}"
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        request = ApiCall("POST", _REVIEWS, what, json.dumps(body).encode())
        answer = self._transport.call(request, deadline)
        server = self._transport.server
        status = errors.decode(answer, what=what, server=server).get("status")
        if not isinstance(status, dict) or not isinstance(status.get("allowed"), bool):
            raise BadAnswer(f"{what}: {server} did not say")
        return bool(status["allowed"])

    def server_time(self, *, timeout: float | None = None) -> datetime.datetime | None:
        """Return the ``Date`` of an answer to ``GET /version``, exact to a second."""
        request = ApiCall("GET", "/version", "read the API server's clock")
        response = self._transport.open(request, self._deadline(timeout))
        date = response.headers.get("Date", "")
        response.close()
        try:
            return parsedate_to_datetime(date).astimezone(datetime.UTC)
        except ValueError:
            return None

    def events(
        self,
        *,
        namespace: str,
        labels: Mapping[str, str],
        limit: int,
        timeout: float | None = None,
    ) -> list[PodEvent]:
        """Ask for the events of each pod, and of the ReplicaSet that made it, by their UIDs."""
        from django_userpods.clusters.kubernetes import evidence

        return evidence.events(self._place(namespace, labels, timeout), limit=limit)

    def logs(
        self,
        *,
        namespace: str,
        labels: Mapping[str, str],
        lines: int,
        size: int,
        timeout: float | None = None,
    ) -> Iterator[PodLog]:
        """Ask the kubelets, through the API server, for each container's log."""
        from django_userpods.clusters.kubernetes import evidence

        place = self._place(namespace, labels, timeout)
        yield from evidence.logs(place, lines=lines, size=size)

    def _place(self, namespace: str, labels: Mapping[str, str], timeout: float | None) -> Place:
        """Find the pods, of whose names the rest is asked."""
        from django_userpods.clusters.kubernetes import evidence

        deadline = self._deadline(timeout)
        every = self.list(POD, namespace=namespace, labels=labels, timeout=deadline.remaining())
        return evidence.Place(
            self._transport.call, self._resources, namespace, evidence.newest(every), deadline
        )
