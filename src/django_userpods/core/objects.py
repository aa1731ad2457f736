"""The few types that flow between the rooms: kinds, references to objects, manifests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

#: A Kubernetes object as plain parsed JSON or YAML.
Manifest = dict[str, Any]


class Kind(NamedTuple):
    """A kind of object, as a manifest names it: ``Kind("apps/v1", "Deployment")``."""

    api_version: str
    kind: str

    @classmethod
    def of(cls, manifest: Manifest) -> Kind:
        """Return the kind of a manifest."""
        return cls(manifest["apiVersion"], manifest["kind"])

    @classmethod
    def parse(cls, text: str) -> Kind:
        """Read what ``str(kind)`` wrote: ``apps/v1/Deployment`` or ``v1/Service``."""
        api_version, _, kind = text.rpartition("/")
        return cls(api_version, kind)

    def __str__(self) -> str:
        return f"{self.api_version}/{self.kind}"


DEPLOYMENT = Kind("apps/v1", "Deployment")
SERVICE = Kind("v1", "Service")
POD = Kind("v1", "Pod")
CLAIM = Kind("v1", "PersistentVolumeClaim")
LEASE = Kind("coordination.k8s.io/v1", "Lease")


class Ref(NamedTuple):
    """One object in a cluster: kind, namespace and name."""

    kind: Kind
    namespace: str
    name: str

    @classmethod
    def of(cls, manifest: Manifest) -> Ref:
        """Return the reference of a manifest that has a name and a namespace."""
        metadata = manifest["metadata"]
        return cls(Kind.of(manifest), metadata.get("namespace", ""), metadata["name"])

    def __str__(self) -> str:
        return f"{self.kind.kind} {self.namespace}/{self.name}"


def matches(labels: Mapping[str, str], wanted: Mapping[str, str | frozenset[str]]) -> bool:
    """Tell whether labels have all these values, or one of those where there are several."""
    return all(
        labels.get(key) == value if isinstance(value, str) else labels.get(key) in value
        for key, value in wanted.items()
    )
