"""Pod templates: read, checked and compiled once, then filled in for each user."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django_userpods.core import kinds, naming
from django_userpods.core.documents import flatten, inside, mapping, read
from django_userpods.core.objects import Kind, Manifest
from django_userpods.core.shape import (
    MISSING,
    Difference,
    Map,
    Scalar,
    Shape,
    Text,
    Value,
    compile_shape,
)
from django_userpods.exceptions import TemplateError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from django_userpods.core.naming import InstallationIdentity
    from django_userpods.core.shape import Values


#: What a controller appends to the name of one of ``kinds.REVISIONED`` in the label
#: ``controller-revision-hash`` of its pods, which as a label's value ends at 63 characters.
REVISION_HASH = len("-0123456789")


@dataclass(frozen=True, slots=True)
class ObjectTemplate:
    """One object of a template: its kind, and name and whole manifest with blanks."""

    kind: Kind
    name: Shape
    manifest: Map

    def matches(self, observed: Manifest, values: Values) -> bool:
        """Tell whether an observed object is as declared."""
        return self.manifest.matches(observed, values)


@dataclass(frozen=True, slots=True)
class Template:
    """A compiled pod template, its objects in the order in which they are to be made."""

    objects: tuple[ObjectTemplate, ...]
    #: Tells one template from another; the same for all users of one.
    digest: str
    #: How many characters its objects and Kubernetes append to a pod's name.
    room: int
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


class _WhenStopped(Shape):
    """One value for a user whose pod is stopped, and another, or none, for one whose runs."""

    constant = False

    def __init__(self, stopped: Any, running: Shape | None = None) -> None:  # noqa: ANN401
        self._stopped = stopped
        self._running = running

    def fill(self, values: Values) -> Any:  # noqa: ANN401 - any JSON value
        if values["stopped"]:
            return self._stopped
        return MISSING if self._running is None else self._running.fill(values)

    def differences(self, observed: Any, values: Values) -> Iterator[Difference]:  # noqa: ANN401
        if not self.matches(observed, values):
            yield Difference("", self.fill(values), observed)

    def matches(self, observed: Any, values: Values) -> bool:  # noqa: ANN401
        return bool(observed == self.fill(values))


class _FreeReplicas(_WhenStopped):
    """``spec.replicas`` that a template leaves to an autoscaler: none when stopped, else its."""

    def matches(self, observed: Any, values: Values) -> bool:  # noqa: ANN401
        return not values["stopped"] or super().matches(observed, values)


def placeholder_values(
    pod: naming.PodIdentity,
    *,
    name: str,
    namespace: str,
    username: str,
    slot: str = "",
    stopped: bool = False,
    restarted_at: str | None = None,
    url: str = "",
    path: str = "/",
) -> Values:
    """Return what fills a template in for one pod.

    ``url`` is the pod's own URL, "" where it has none, and ``path`` the path of it.
    ``restarted_at`` is the time (ISO 8601) of the last restart that was asked for.
    """
    return {
        "name": name,
        "namespace": namespace,
        "pod": pod.id,
        "user_id": pod.user_pk,
        "username": username,
        "slot": slot,
        "url": url,
        "path": path,
        "user_label": naming.label_value(pod.user_pk),
        "stopped": stopped,
        "restarted_at": restarted_at,
    }


def compile_template(
    manifests: Iterable[Manifest],
    *,
    installation: InstallationIdentity,
    name: str = "{name}",
    values: str = "",
) -> Template:
    """Check a template and make it ready for filling in.

    Adds what we promise on every object: namespace, labels, annotations, one of them a digest of
    what the template says of that object. With another ``name`` the manifests are one user's own,
    of that name, and nothing in them is a placeholder. ``values`` is what else decides on what
    everybody's objects come to, for the digests. Raises TemplateError with the place and the
    remedy for anything invalid.
    """
    documents = read(manifests, name)
    for document in documents:
        if document["kind"] == "Secret":
            _encode_secret(document, literal=name != "{name}")
    digest = _digest(documents, installation, values)
    made = frozenset(map(Kind.of, documents))
    return Template(
        objects=tuple(
            _compile(
                document,
                installation=installation,
                # Of the one alone, so that a change of one object is no change of the others.
                digest=_digest(
                    [document, *_beside(document, documents, name)], installation, values
                ),
                literal=name != "{name}",
            )
            for document in documents
        ),
        digest=digest,
        room=max(_room(document, name) for document in documents),
        kinds=made,
        kinds_text=",".join(sorted(map(str, made))),
    )


def _room(document: Manifest, own: str) -> int:
    """Return how much longer than the pod's name an object's name gets, and names made of it."""
    appended = REVISION_HASH if document["kind"] in kinds.REVISIONED else 0
    return len(document["metadata"]["name"]) - len(own) + appended


def _beside(document: Manifest, documents: list[Manifest], own: str) -> list[str]:
    """Return what other objects of a template run pods, for the one that is its Deployment.

    A pod with one more of them, or one fewer, is another pod.
    """
    if (document["kind"], document["metadata"]["name"]) != ("Deployment", own):
        return []
    return sorted(
        f"{other['kind']} {other['metadata']['name']}"
        for other in documents
        if other is not document and other["kind"] in kinds.POD_RUNNERS
    )


def _digest(documents: list[Any], installation: InstallationIdentity, values: str) -> str:
    try:
        text = json.dumps([documents, installation, values], sort_keys=True, default=str)
    except TypeError:
        # Keys that are not text (YAML reads "on" as True): compiling says where.
        text = ""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def personal(
    manifests: Iterable[Manifest], *, name: str, installation: InstallationIdentity, values: Values
) -> Template:
    """Compile one user's own manifests: filled in by ``Template.fill``, then changed by a person.

    What we promise on every object may not have been changed: TemplateError.
    """
    expected = {
        "labels": naming.labels_for(
            naming.PodIdentity(values["pod"], values["user_id"]), installation=installation
        ),
        "annotations": {naming.USERNAME_ANNOTATION: values["username"]},
    }
    documents = list(flatten(manifests))
    for document in documents:
        metadata = document.get("metadata")
        if not isinstance(metadata, dict):
            continue
        where = f"{document.get('kind')}.metadata"
        if metadata.get("namespace") == values["namespace"]:
            del metadata["namespace"]
        pod_metadata = inside(document, "spec", "template", "metadata")
        for place, part in ((where, metadata), (f"pod {where}", pod_metadata)):
            for field, reserved in expected.items():
                present = mapping(part, field, where=place) if part else {}
                present.pop(naming.TEMPLATE_HASH_ANNOTATION, None)
                for key, value in reserved.items():
                    if present.pop(key, value) != value:
                        message = "is reserved for django-userpods and was changed"
                        raise TemplateError(message, where=f"{place}.{field}.{key}")
        selector = inside(document, "spec", "selector")
        selector = inside(selector, "matchLabels") if "matchLabels" in selector else selector
        if selector.pop(naming.POD_LABEL, values["pod"]) != values["pod"]:
            message = "is reserved for django-userpods and was changed"
            raise TemplateError(message, where=f"{document.get('kind')}.spec.selector")
    return compile_template(documents, installation=installation, name=name)


def _encode_secret(document: Manifest, *, literal: bool) -> None:
    # stringData is write-only: the API server answers with data, so data is what can be compared.
    # A value with a placeholder has to stay as it is until it is filled in.
    text = document.get("stringData")
    if not isinstance(text, dict):
        return
    data = mapping(document, "data", where="Secret")
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

    def differences(self, observed: Any, values: Values) -> Iterator[Difference]:  # noqa: ANN401
        if observed != self.fill(values):
            yield Difference("", self.fill(values), observed)


def _compile(
    document: Manifest, *, installation: InstallationIdentity, digest: str, literal: bool
) -> ObjectTemplate:
    where = document["kind"]
    labels: dict[str, Any] = {
        naming.MANAGED_BY_LABEL: naming.MANAGED_BY,
        naming.INSTALLATION_LABEL: Scalar(installation.id),
        naming.INSTANCE_LABEL: Scalar(installation.name),
        naming.USER_ID_LABEL: Value("user_label"),
        naming.POD_LABEL: Value("pod"),
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
    if document["kind"] in kinds.WORKLOADS:
        spec = document["spec"]
        pod_metadata = spec["template"]["metadata"]
        pod_metadata["labels"].update(labels)
        spec["selector"]["matchLabels"][naming.POD_LABEL] = Value("pod")
        pod_metadata["annotations"][naming.RESTARTED_AT_ANNOTATION] = Value("restarted_at")
        if document["kind"] in kinds.SCALED:
            if spec.get("replicas") is None:
                spec["replicas"] = _FreeReplicas(0)
                # Tells our 0, which starting takes back, from an autoscaler's.
                stopped = _WhenStopped("true")
                metadata["annotations"][naming.STOPPED_ANNOTATION] = stopped
            else:
                running = compile_shape(
                    spec["replicas"], where=f"{where}.spec.replicas", literal=literal
                )
                spec["replicas"] = _WhenStopped(0, running)
    elif document["kind"] == "Service":
        document["spec"]["selector"][naming.POD_LABEL] = Value("pod")
    manifest = compile_shape(
        document, where=where, field=kinds.field_of(Kind.of(document)), literal=literal
    )
    assert isinstance(manifest, Map)  # noqa: S101 - a document is a mapping
    return ObjectTemplate(
        kind=Kind.of(document),
        name=compile_shape(metadata["name"], where=f"{where}.metadata.name", literal=literal),
        manifest=manifest,
    )
