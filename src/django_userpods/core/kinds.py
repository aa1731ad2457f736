"""Everything known of the kinds of Kubernetes, once; a test holds it against a real API server.

What is asked of a kind: its place in the order of creation, whether it belongs to a namespace,
what the API calls it in URLs, which fields cannot be changed, and by :func:`field_of` and
:func:`field_in` what holds for its fields. Of a kind that is not listed nothing is assumed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django_userpods.core.fields import NOTHING, UNKNOWN, Field, Type
from django_userpods.core.objectfields import OBJECT_TYPES
from django_userpods.core.objects import Kind
from django_userpods.core.podfields import POD_TYPES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_TYPES = OBJECT_TYPES | POD_TYPES
_NO_TYPE = Type()


@dataclass(frozen=True, slots=True)
class About:
    """What is known of a kind."""

    kind: str
    #: The API group and the versions that servers have, the one to ask for first.
    group: str
    versions: tuple[str, ...]
    #: What the API calls it in URLs.
    plural: str
    namespaced: bool = True
    #: Paths of fields that cannot be changed once the object is there.
    fixed: tuple[tuple[str, ...], ...] = ()


def _about(kind: str, plural: str, *fixed: str, api: str = "v1", cluster: bool = False) -> About:
    """Write one down; ``api`` is the apiVersion, further versions follow after commas."""
    group, _, versions = api.rpartition("/")
    paths = tuple(tuple(path.split(".")) for path in fixed)
    return About(kind, group, tuple(versions.split(",")), plural, not cluster, paths)


_RBAC = "rbac.authorization.k8s.io/v1"
_ADMISSION = "admissionregistration.k8s.io/v1"
_NETWORK = "networking.k8s.io/v1"

#: In the order of creation: what others need comes first, so that a pod never starts without its
#: policy or its volume, and a Service comes when there is something to send to.
_FIRST = (
    _about("Namespace", "namespaces", cluster=True),
    _about(
        "CustomResourceDefinition",
        "customresourcedefinitions",
        api="apiextensions.k8s.io/v1",
        cluster=True,
    ),
    _about("PriorityClass", "priorityclasses", api="scheduling.k8s.io/v1", cluster=True),
    _about("StorageClass", "storageclasses", api="storage.k8s.io/v1", cluster=True),
    _about("RuntimeClass", "runtimeclasses", api="node.k8s.io/v1", cluster=True),
    _about("IngressClass", "ingressclasses", api=_NETWORK, cluster=True),
    _about("GatewayClass", "gatewayclasses", api="gateway.networking.k8s.io/v1", cluster=True),
    _about("ServiceAccount", "serviceaccounts"),
    _about("NetworkPolicy", "networkpolicies", api=_NETWORK),
    _about("ResourceQuota", "resourcequotas", "spec.scopes"),
    _about("LimitRange", "limitranges"),
    _about("Secret", "secrets", "type"),
    _about("ConfigMap", "configmaps"),
    _about("PersistentVolume", "persistentvolumes", cluster=True),
    _about(
        "PersistentVolumeClaim",
        "persistentvolumeclaims",
        "spec.accessModes",
        "spec.selector",
        "spec.storageClassName",
        "spec.volumeMode",
    ),
    _about("Role", "roles", api=_RBAC),
    _about("ClusterRole", "clusterroles", api=_RBAC, cluster=True),
    _about("RoleBinding", "rolebindings", "roleRef", api=_RBAC),
    _about("ClusterRoleBinding", "clusterrolebindings", "roleRef", api=_RBAC, cluster=True),
)
#: Kinds that are not listed come here.
_BETWEEN = (
    _about("APIService", "apiservices", api="apiregistration.k8s.io/v1", cluster=True),
    _about(
        "MutatingWebhookConfiguration",
        "mutatingwebhookconfigurations",
        api=_ADMISSION,
        cluster=True,
    ),
    _about(
        "ValidatingWebhookConfiguration",
        "validatingwebhookconfigurations",
        api=_ADMISSION,
        cluster=True,
    ),
    _about("Node", "nodes", cluster=True),
    _about("Event", "events"),
    _about("Lease", "leases", api="coordination.k8s.io/v1"),
    _about("PodDisruptionBudget", "poddisruptionbudgets", api="policy/v1"),
    _about("HorizontalPodAutoscaler", "horizontalpodautoscalers", api="autoscaling/v2,v1"),
    _about("Ingress", "ingresses", api=_NETWORK),
    _about("Endpoints", "endpoints"),
    _about("EndpointSlice", "endpointslices", "addressType", api="discovery.k8s.io/v1"),
    _about("CronJob", "cronjobs", api="batch/v1"),
    _about("Job", "jobs", "spec.completionMode", "spec.selector", "spec.template", api="batch/v1"),
    _about("Pod", "pods"),
)
_LAST = (
    _about(
        "StatefulSet",
        "statefulsets",
        "spec.podManagementPolicy",
        "spec.selector",
        "spec.serviceName",
        "spec.volumeClaimTemplates",
        api="apps/v1",
    ),
    _about("Deployment", "deployments", "spec.selector", api="apps/v1"),
    _about("DaemonSet", "daemonsets", "spec.selector", api="apps/v1"),
    _about("ReplicaSet", "replicasets", "spec.selector", api="apps/v1"),
    _about("Service", "services", "spec.clusterIP"),
)

KNOWN = {(known.group, known.kind): known for known in (*_FIRST, *_BETWEEN, *_LAST)}
_PLACES = {name: number for number, name in enumerate(KNOWN)}
_PLACE_BETWEEN = len(_FIRST)

#: Kinds whose pods a selector finds.
WORKLOADS = frozenset({"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"})
#: Those of them that say how many pods there are to be.
SCALED = WORKLOADS - {"DaemonSet"}
#: Those that label their pods with a name that they make of their own (controller-revision-hash).
REVISIONED = frozenset({"StatefulSet", "DaemonSet"})
#: All kinds that run pods, which may need other objects.
POD_RUNNERS = WORKLOADS | {"CronJob", "Job", "Pod"}
#: Those that may be deleted and made anew where a field changed that cannot be changed.
REPLACEABLE = frozenset({"Job"})
#: Those whose pods are replaced when their template changes.
REPLACING = WORKLOADS | REPLACEABLE


def about(kind: Kind) -> About | None:
    """Return what is known of a kind, whichever of its versions; None where nothing is."""
    return KNOWN.get((kind.api_version.rpartition("/")[0], kind.kind))


def place(kind: Kind) -> int:
    """Return the kind's place in the order of creation, to sort by."""
    return _PLACES.get((kind.api_version.rpartition("/")[0], kind.kind), _PLACE_BETWEEN)


def is_cluster_scoped(kind: Kind) -> bool:
    """Tell whether objects of this kind are known to belong to no namespace."""
    known = about(kind)
    return known is not None and not known.namespaced


def field_of(kind: Kind) -> Field:
    """Return the field that a whole object of this kind is, from which :func:`field_in` goes on."""
    return Field(kind.kind) if about(kind) is not None and kind.kind in _TYPES else UNKNOWN


def field_in(outer: Field, name: str) -> Field:
    """Return what is known of a field in the mapping that ``outer`` is (or of its items)."""
    if outer.is_quantity or outer.is_bytes:
        # A mapping of such values: this is one of them.
        return Field(is_quantity=outer.is_quantity, is_bytes=outer.is_bytes)
    return _TYPES.get(outer.type, _NO_TYPE).fields.get(name, UNKNOWN)


def is_atomic(outer: Field) -> bool:
    """Tell whether an apply replaces the field's mapping as a whole."""
    return outer.is_whole or _TYPES.get(outer.type, _NO_TYPE).is_atomic


def union_in(outer: Field, present: Iterable[str]) -> frozenset[str]:
    """Return the fields of a mapping, of those that are present, that exclude each other."""
    one_of = _TYPES.get(outer.type, _NO_TYPE).one_of
    if "*" in one_of:
        return frozenset(present) - {"name"}
    return one_of.intersection(present)


def key_of(item: Any, field: Field) -> tuple[Any, ...]:  # noqa: ANN401 - any JSON value
    """Return what identifies an item of a list that is merged by keys, server's defaults included.

    Values that are no plain text come as text: of an unknown kind a key may be anything.
    """
    of_item, key = Field(field.type), []
    for name in field.keys:
        part = item.get(name) if isinstance(item, dict) else None
        default = field_in(of_item, name).default
        if not part and default is not NOTHING:
            part = default
        key.append(repr(part) if isinstance(part, dict | list) else part)
    return tuple(key)


def built_in() -> Iterator[tuple[Kind, About]]:
    """Yield the kinds that every API server has, each in the version to ask for."""
    for known in KNOWN.values():
        if known.group != "gateway.networking.k8s.io":
            yield Kind(f"{known.group}/{known.versions[0]}".lstrip("/"), known.kind), known
