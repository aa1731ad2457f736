"""What a person writes as a template: documents, checked, and completed with what they imply."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from django_userpods.core import activity, kinds, naming, refusals
from django_userpods.core.objects import DEPLOYMENT, SERVICE, Kind, Manifest
from django_userpods.exceptions import TemplateError
from django_userpods.texts import said

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def read(manifests: Iterable[Any], name: str) -> list[Manifest]:
    """Return a template's documents: copied, checked, completed, in the order of creation.

    ``name`` is what the Deployment and the Service are called, and what the others' names are
    made of (``naming``). Raises TemplateError with the place and the remedy.
    """
    documents = list(flatten(manifests))
    if not documents:
        message = said("the template has no manifests; it needs a Deployment and a Service")
        raise TemplateError(message)
    for document in documents:
        _check_object(document, name)
    workloads = {d["metadata"]["name"] for d in documents if d["kind"] in kinds.WORKLOADS}
    for document in documents:
        if document["kind"] in kinds.WORKLOADS:
            _complete_selector(document)
        elif document["kind"] == "Service":
            _complete_service_selector(document, workloads)
    _check_complete(documents, name)
    for document in documents:
        refusals.check_text(document)
        refusals.check_duplicates(document)
    refusals.check_way(documents, name)
    return sorted(documents, key=lambda document: kinds.place(Kind.of(document)))


def flatten(manifests: Iterable[Any]) -> Iterator[Manifest]:
    """Yield copies of the manifests, those in a List one by one."""
    for index, manifest in enumerate(manifests):
        if not isinstance(manifest, dict):  # YAML and callables give what they give
            found = type(manifest).__name__
            message = said("is %(type)s, not a mapping with apiVersion and kind", type=found)
            where = said("manifest %(number)s", number=index + 1)
            raise TemplateError(message, where=where)
        if manifest.get("kind") == "List" and isinstance(manifest.get("items"), list):
            yield from flatten(manifest["items"])
        else:
            yield copy.deepcopy(manifest)


def _check_object(document: Manifest, own: str) -> None:
    kind = document.get("kind")
    for field in ("apiVersion", "kind"):
        if not isinstance(document.get(field), str):
            raise TemplateError(said("is missing"), where=f"{kind or 'manifest'}.{field}")
    where = str(kind)
    if kinds.is_cluster_scoped(Kind.of(document)):
        message = said(
            "belongs to no namespace, so it cannot be one user's; create it once, by hand"
        )
        raise TemplateError(message, where=where)
    metadata = mapping(document, "metadata", where=where)
    name = metadata.get("name")
    if not isinstance(name, str) or naming.suffix_of(name, pod=own) is None:
        message = said(
            'is %(name)s; it must be "%(own)s" or "%(own)s--SUFFIX" with a suffix of a-z, 0-9 '
            "and single dashes (but not 16 hexadecimal digits), so that it is never the "
            "name of another user's object%(spelling)s",
            name=repr(name),
            own=own,
            spelling=_right_spelling(name, own),
        )
        raise TemplateError(message, where=f"{where}.metadata.name")
    if metadata.get("namespace") not in (None, "{namespace}"):
        message = said("is set by USERPODS_NAMESPACE; leave it out of the template")
        raise TemplateError(message, where=f"{where}.metadata.namespace")
    _check_reserved(metadata, where=f"{where}.metadata")
    _check_activity(document, own)


def _check_activity(document: Manifest, own: str) -> None:
    metadata = document["metadata"]
    rules = mapping(metadata, "annotations", where=f"{document['kind']}.metadata")
    if naming.ACTIVITY_ANNOTATION not in rules:
        return
    where = f"{document['kind']}.metadata.annotations.{naming.ACTIVITY_ANNOTATION}"
    if Kind.of(document) != DEPLOYMENT or metadata["name"] != own:
        raise TemplateError(said('belongs on the Deployment "%(own)s"', own=own), where=where)
    activity.check(rules[naming.ACTIVITY_ANNOTATION], where=where)


def _right_spelling(name: object, own: str) -> str:
    rest = name.removeprefix(own).strip("-") if isinstance(name, str) else ""
    if rest == name or not naming.is_valid_suffix(rest):
        return ""
    return said(': write "%(name)s"', name=f"{own}{naming.SUFFIX_SEPARATOR}{rest}")


def _check_reserved(metadata: dict[str, Any], *, where: str) -> None:
    for field, reserved in (
        ("labels", naming.RESERVED_LABELS),
        ("annotations", naming.RESERVED_ANNOTATIONS),
    ):
        for key in mapping(metadata, field, where=where):
            if key in reserved:
                message = said("is reserved for django-userpods; leave it out of the template")
                raise TemplateError(message, where=f"{where}.{field}.{key}")


def mapping(parent: dict[str, Any], field: str, *, where: str) -> dict[str, Any]:
    """Return ``parent[field]``, made where it is missing."""
    value = parent.get(field)
    if value is None:
        value = parent[field] = {}
    if not isinstance(value, dict):
        raise TemplateError(said("is not a mapping"), where=f"{where}.{field}")
    return value


def _complete_selector(document: Manifest) -> None:
    """Make the selector ``app=<name>`` and hold the pods' labels against it."""
    where, name = document["kind"], document["metadata"]["name"]
    spec = mapping(document, "spec", where=where)
    selector = mapping(spec, "selector", where=f"{where}.spec")
    match = mapping(selector, "matchLabels", where=f"{where}.spec.selector")
    template = mapping(spec, "template", where=f"{where}.spec")
    metadata = mapping(template, "metadata", where=f"{where}.spec.template")
    labels = mapping(metadata, "labels", where=f"{where}.spec.template.metadata")
    _check_reserved(metadata, where=f"{where}.spec.template.metadata")
    match.setdefault("app", name)
    labels.setdefault("app", match["app"])
    if match != {"app": name} or "matchExpressions" in selector:
        message = said(
            'must be "app: %(name)s" alone: selectors cannot be changed later', name=name
        )
        raise TemplateError(message, where=f"{where}.spec.selector")
    if labels["app"] != match["app"]:
        message = said(
            'the selector "app: %(selector)s" does not match the pods\' label "app: %(label)s"',
            selector=match["app"],
            label=labels["app"],
        )
        raise TemplateError(message, where=f"{where}.spec.template.metadata.labels")
    pod = mapping(template, "spec", where=f"{where}.spec.template")
    containers = pod.get("containers")
    if not isinstance(containers, list) or not containers:
        message = said("must list at least one container")
        raise TemplateError(message, where=f"{where}.spec.template.spec.containers")


def _complete_service_selector(document: Manifest, workloads: set[str]) -> None:
    where = document["kind"]
    spec = mapping(document, "spec", where=where)
    selector = mapping(spec, "selector", where=f"{where}.spec")
    selector.setdefault("app", document["metadata"]["name"])
    if selector["app"] not in workloads:
        message = said(
            '"app: %(selector)s" matches no pods of this template; it must be one of %(names)s',
            selector=selector["app"],
            names=", ".join(sorted(workloads)) or said("(no Deployment there)"),
        )
        raise TemplateError(message, where=f"{where}.spec.selector")
    if not isinstance(spec.get("ports"), list) or not spec["ports"]:
        raise TemplateError(said("must list at least one port"), where=f"{where}.spec.ports")


def _check_complete(documents: list[Manifest], name: str) -> None:
    for kind in (DEPLOYMENT, SERVICE):
        if not any(Kind.of(d) == kind and d["metadata"]["name"] == name for d in documents):
            message = said(
                'the template has no %(kind)s (%(version)s) named "%(name)s"',
                kind=kind.kind,
                version=kind.api_version,
                name=name,
            )
            raise TemplateError(message)
    seen = set()
    for document in documents:
        key = (document["apiVersion"], document["kind"], document["metadata"]["name"])
        if key in seen:
            message = said("stands in the template twice")
            raise TemplateError(message, where=f"{key[1]} {key[2]}")
        seen.add(key)


def inside(value: Any, *fields: str) -> dict[str, Any]:  # noqa: ANN401 - a person wrote it
    """Return the mapping under ``fields``, empty where there is none or something else."""
    for field in fields:
        value = value.get(field) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}
