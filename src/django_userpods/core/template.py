"""Pod templates: read, checked and compiled once, then filled in for each user."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django_userpods.core import naming
from django_userpods.core.objects import DEPLOYMENT, SERVICE, Kind, Manifest
from django_userpods.core.quick import QuickCheck
from django_userpods.core.shape import Map, Scalar, Shape, Text, Value, compile_shape
from django_userpods.exceptions import TemplateError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from django_userpods.core.shape import Values

# What others need comes first, so that a pod never starts without its policy or its volume.
_ORDER = (
    "ServiceAccount",
    "NetworkPolicy",
    "ResourceQuota",
    "LimitRange",
    "Secret",
    "ConfigMap",
    "PersistentVolumeClaim",
    "Role",
    "RoleBinding",
)
_CLUSTER_SCOPED = frozenset(
    {
        "APIService",
        "ClusterRole",
        "ClusterRoleBinding",
        "CustomResourceDefinition",
        "IngressClass",
        "MutatingWebhookConfiguration",
        "Namespace",
        "Node",
        "PersistentVolume",
        "PriorityClass",
        "RuntimeClass",
        "StorageClass",
        "ValidatingWebhookConfiguration",
    }
)
_WITH_SELECTOR = frozenset({"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"})


@dataclass(frozen=True, slots=True)
class ObjectTemplate:
    """One object of a template: its kind, and name and whole manifest with blanks."""

    kind: Kind
    name: Shape
    manifest: Map
    quick: QuickCheck

    def matches(self, observed: Manifest, values: Values) -> bool:
        """Tell whether an observed object is as declared."""
        if self.quick.surely_matches(observed, values):
            return True
        if not self.manifest.matches(observed, values):
            return False
        self.quick.learn()
        return True


@dataclass(frozen=True, slots=True)
class Template:
    """A compiled pod template, its objects in the order in which they are to be made."""

    objects: tuple[ObjectTemplate, ...]
    #: Tells one template from another; the same for all users of one.
    digest: str
    #: The kinds of object that the template makes, and the same as a row notes them.
    kinds: frozenset[Kind]
    kinds_text: str

    def fill(self, values: Values) -> list[Manifest]:
        """Return one user's manifests; parts may be shared, so do not change them."""
        return [template.manifest.fill(values) for template in self.objects]

    def find(self, kind: Kind, name: str, values: Values) -> ObjectTemplate | None:
        """Return the template of one of the user's objects."""
        for template in self.objects:
            if template.kind == kind and template.name.fill(values) == name:
                return template
        return None


class _Replicas(Shape):
    """``spec.replicas``: none for a user whose pod is stopped."""

    constant = False

    def __init__(self, running: Shape) -> None:
        self.running = running

    def fill(self, values: Values) -> Any:  # noqa: ANN401 - any JSON value
        return 0 if values["stopped"] else self.running.fill(values)

    def differences(self, observed: Any, values: Values) -> Iterator[str]:  # noqa: ANN401
        if not self.matches(observed, values):
            yield ""

    def matches(self, observed: Any, values: Values) -> bool:  # noqa: ANN401
        return bool(observed == self.fill(values))


def values_for(
    *,
    name: str,
    namespace: str,
    user_pk: str,
    username: str,
    stopped: bool = False,
    restarted_at: str | None = None,
) -> Values:
    """Return what fills a template in for one user.

    ``restarted_at`` is the time (ISO 8601) of the last restart that was asked for.
    """
    return {
        "name": name,
        "namespace": namespace,
        "user_id": user_pk,
        "username": username,
        "user_label": naming.label_value(user_pk),
        "stopped": stopped,
        "restarted_at": restarted_at,
    }


def compile_template(
    manifests: Iterable[Manifest], *, instance: str, name: str = "{name}"
) -> Template:
    """Check a template and make it ready for filling in.

    Adds what we promise on every object: namespace, labels, annotations. With another ``name``
    the manifests are one user's own, of that name, and nothing in them is a placeholder. Raises
    TemplateError with the place and the remedy for anything that does not make sense.
    """
    documents = list(_flatten(manifests))
    if not documents:
        message = "the template has no manifests; it needs a Deployment and a Service"
        raise TemplateError(message)
    for document in documents:
        _check_object(document, name)
    workloads = {d["metadata"]["name"] for d in documents if d["kind"] in _WITH_SELECTOR}
    for document in documents:
        if document["kind"] in _WITH_SELECTOR:
            _settle_selector(document)
        elif document["kind"] == "Service":
            _settle_service_selector(document, workloads)
        elif document["kind"] == "Secret":
            _encode_secret(document, literal=name != "{name}")
    _check_complete(documents, name)
    digest = _digest(documents, instance)
    ordered = sorted(documents, key=_rank)
    kinds = frozenset(Kind.of(document) for document in ordered)
    return Template(
        objects=tuple(
            _compile(document, instance=instance, digest=digest, literal=name != "{name}")
            for document in ordered
        ),
        digest=digest,
        kinds=kinds,
        kinds_text=",".join(sorted(map(str, kinds))),
    )


def _digest(documents: list[Manifest], instance: str) -> str:
    try:
        text = json.dumps([documents, instance], sort_keys=True, default=str)
    except TypeError:
        # Keys that are not text (YAML reads "on" as True): compiling says where.
        text = ""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _check_complete(documents: list[Manifest], name: str) -> None:
    for kind in (DEPLOYMENT, SERVICE):
        if not any(Kind.of(d) == kind and d["metadata"]["name"] == name for d in documents):
            message = f'the template has no {kind.kind} ({kind.api_version}) named "{name}"'
            raise TemplateError(message)
    seen = set()
    for document in documents:
        key = (document["apiVersion"], document["kind"], document["metadata"]["name"])
        if key in seen:
            message = "stands in the template twice"
            raise TemplateError(message, where=f"{key[1]} {key[2]}")
        seen.add(key)


def personal(
    manifests: Iterable[Manifest], *, name: str, instance: str, values: Values
) -> Template:
    """Compile one user's own manifests: filled in by ``Template.fill``, then changed by a person.

    What we promise on every object may not have been changed: TemplateError.
    """
    expected = {
        "labels": naming.labels_for(values["user_id"], instance=instance),
        "annotations": {naming.USERNAME_ANNOTATION: values["username"]},
    }
    documents = list(_flatten(manifests))
    for document in documents:
        metadata = document.get("metadata")
        if not isinstance(metadata, dict):
            continue
        where = f"{document.get('kind')}.metadata"
        if metadata.get("namespace") == values["namespace"]:
            del metadata["namespace"]
        pod_metadata = _inside(document, "spec", "template", "metadata")
        for place, part in ((where, metadata), (f"pod {where}", pod_metadata)):
            for field, reserved in expected.items():
                present = _mapping(part, field, where=place) if part else {}
                present.pop(naming.TEMPLATE_HASH_ANNOTATION, None)
                for key, value in reserved.items():
                    if present.pop(key, value) != value:
                        message = "is reserved for django-userpods and was changed"
                        raise TemplateError(message, where=f"{place}.{field}.{key}")
    return compile_template(documents, instance=instance, name=name)


def _inside(value: Any, *fields: str) -> dict[str, Any]:  # noqa: ANN401 - a person wrote it
    """Return the mapping under ``fields``, empty where there is none or something else."""
    for field in fields:
        value = value.get(field) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def _flatten(manifests: Iterable[Any]) -> Iterator[Manifest]:
    for index, manifest in enumerate(manifests):
        if not isinstance(manifest, dict):  # YAML and callables give what they give
            message = f"is {type(manifest).__name__}, not a mapping with apiVersion and kind"
            raise TemplateError(message, where=f"manifest {index + 1}")
        if manifest.get("kind") == "List" and isinstance(manifest.get("items"), list):
            yield from _flatten(manifest["items"])
        else:
            yield copy.deepcopy(manifest)


def _check_object(document: Manifest, own: str) -> None:
    kind = document.get("kind")
    for field in ("apiVersion", "kind"):
        if not isinstance(document.get(field), str):
            raise TemplateError("is missing", where=f"{kind or 'manifest'}.{field}")
    where = str(kind)
    if kind in _CLUSTER_SCOPED:
        message = "belongs to no namespace, so it cannot be one user's; create it once, by hand"
        raise TemplateError(message, where=where)
    metadata = _mapping(document, "metadata", where=where)
    name = metadata.get("name")
    if not isinstance(name, str) or not (name == own or name.startswith(f"{own}-")):
        message = f'is {name!r}; it must be "{own}" or begin with "{own}-", so that no two '
        message += "users share an object"
        raise TemplateError(message, where=f"{where}.metadata.name")
    if metadata.get("namespace") not in (None, "{namespace}"):
        message = "is set by USERPODS_NAMESPACE; leave it out of the template"
        raise TemplateError(message, where=f"{where}.metadata.namespace")
    _check_reserved(metadata, where=f"{where}.metadata")


def _check_reserved(metadata: dict[str, Any], *, where: str) -> None:
    for field, reserved in (
        ("labels", naming.RESERVED_LABELS),
        ("annotations", naming.RESERVED_ANNOTATIONS),
    ):
        for key in _mapping(metadata, field, where=where):
            if key in reserved:
                message = "is reserved for django-userpods; leave it out of the template"
                raise TemplateError(message, where=f"{where}.{field}.{key}")


def _mapping(parent: dict[str, Any], field: str, *, where: str) -> dict[str, Any]:
    """Return ``parent[field]``, made where it is missing."""
    value = parent.get(field)
    if value is None:
        value = parent[field] = {}
    if not isinstance(value, dict):
        raise TemplateError("is not a mapping", where=f"{where}.{field}")
    return value


def _settle_selector(document: Manifest) -> None:
    """Make the selector ``app=<name>`` and hold the pods' labels against it."""
    where, name = document["kind"], document["metadata"]["name"]
    spec = _mapping(document, "spec", where=where)
    selector = _mapping(spec, "selector", where=f"{where}.spec")
    match = _mapping(selector, "matchLabels", where=f"{where}.spec.selector")
    template = _mapping(spec, "template", where=f"{where}.spec")
    metadata = _mapping(template, "metadata", where=f"{where}.spec.template")
    labels = _mapping(metadata, "labels", where=f"{where}.spec.template.metadata")
    _check_reserved(metadata, where=f"{where}.spec.template.metadata")
    match.setdefault("app", name)
    labels.setdefault("app", match["app"])
    if match != {"app": name} or "matchExpressions" in selector:
        message = f'must be "app: {name}" alone: selectors cannot be changed later'
        raise TemplateError(message, where=f"{where}.spec.selector")
    if labels["app"] != match["app"]:
        message = f'the selector "app: {match["app"]}" does not match the pods\' label '
        message += f'"app: {labels["app"]}"'
        raise TemplateError(message, where=f"{where}.spec.template.metadata.labels")
    pod = _mapping(template, "spec", where=f"{where}.spec.template")
    containers = pod.get("containers")
    if not isinstance(containers, list) or not containers:
        message = "must list at least one container"
        raise TemplateError(message, where=f"{where}.spec.template.spec.containers")


def _settle_service_selector(document: Manifest, workloads: set[str]) -> None:
    where = document["kind"]
    spec = _mapping(document, "spec", where=where)
    selector = _mapping(spec, "selector", where=f"{where}.spec")
    selector.setdefault("app", document["metadata"]["name"])
    if selector["app"] not in workloads:
        message = f'"app: {selector["app"]}" matches no pods of this template; '
        message += f"it must be one of {', '.join(sorted(workloads)) or '(no Deployment there)'}"
        raise TemplateError(message, where=f"{where}.spec.selector")
    if not isinstance(spec.get("ports"), list) or not spec["ports"]:
        raise TemplateError("must list at least one port", where=f"{where}.spec.ports")


def _encode_secret(document: Manifest, *, literal: bool) -> None:
    # stringData is write-only: the API server answers with data, so data is what can be compared.
    # A value with a placeholder has to stay as it is until it is filled in.
    text = document.get("stringData")
    if not isinstance(text, dict):
        return
    data = _mapping(document, "data", where="Secret")
    for key, value in text.items():
        data[key] = _Base64(compile_shape(value, where=f"Secret.stringData.{key}", literal=literal))
    del document["stringData"]


class _Base64(Shape):
    """A Secret's text, as the API server stores it."""

    constant = False

    def __init__(self, text: Shape) -> None:
        self.text = text

    def __str__(self) -> str:
        # For the template's digest.
        pieces = (
            self.text.pieces if isinstance(self.text, Text) else [getattr(self.text, "value", "")]
        )
        return "\0".join(map(str, pieces))

    def fill(self, values: Values) -> str:
        return base64.b64encode(str(self.text.fill(values)).encode()).decode()

    def differences(self, observed: Any, values: Values) -> Iterator[str]:  # noqa: ANN401
        if observed != self.fill(values):
            yield ""


def _rank(document: Manifest) -> int:
    kind: str = document["kind"]
    if kind in _ORDER:
        return _ORDER.index(kind)
    return len(_ORDER) + (kind in _WITH_SELECTOR) + 2 * (kind == "Service")


def _compile(document: Manifest, *, instance: str, digest: str, literal: bool) -> ObjectTemplate:
    where = document["kind"]
    labels: dict[str, Any] = {
        naming.MANAGED_BY_LABEL: naming.MANAGED_BY,
        naming.INSTANCE_LABEL: Scalar(instance),
        naming.USER_ID_LABEL: Value("user_label"),
    }
    metadata = document["metadata"]
    metadata["namespace"] = Value("namespace")
    metadata["labels"].update(labels)
    metadata["annotations"].update(
        {
            naming.USERNAME_ANNOTATION: Value("username"),
            naming.TEMPLATE_HASH_ANNOTATION: digest,
        }
    )
    if document["kind"] in _WITH_SELECTOR:
        spec = document["spec"]
        pod_metadata = spec["template"]["metadata"]
        pod_metadata["labels"].update(labels)
        pod_metadata["annotations"][naming.RESTARTED_AT_ANNOTATION] = Value("restarted_at")
        if document["kind"] != "DaemonSet":
            replicas = spec.get("replicas")
            spec["replicas"] = _Replicas(
                compile_shape(
                    1 if replicas is None else replicas,
                    where=f"{where}.spec.replicas",
                    literal=literal,
                )
            )
    manifest = compile_shape(document, where=where, literal=literal)
    assert isinstance(manifest, Map)  # noqa: S101 - a document is a mapping
    return ObjectTemplate(
        kind=Kind.of(document),
        name=compile_shape(metadata["name"], where=f"{where}.metadata.name", literal=literal),
        manifest=manifest,
        quick=QuickCheck(manifest),
    )
