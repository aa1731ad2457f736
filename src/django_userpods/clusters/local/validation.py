"""What the API server would refuse, of the rules that a mistake in a template meets."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from django_userpods.core.objects import DEPLOYMENT, SERVICE, Ref
from django_userpods.exceptions import Invalid

if TYPE_CHECKING:
    from django_userpods.core.objects import Manifest

# Kubernetes, "Object Names and IDs"; Services are DNS-1123 labels since 1.34, DNS-1035 before.
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_SUBDOMAIN = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*"
)


def validate(manifest: Manifest, *, before: Manifest | None = None) -> Manifest:
    """Return a copy of the manifest that may be stored; Invalid where it is not valid.

    ``before`` is what was declared until now: a Deployment's selector cannot change.
    """
    try:
        manifest = json.loads(json.dumps(manifest))
    except (TypeError, ValueError, RecursionError) as error:
        msg = f"the manifest cannot be written as JSON: {error}"
        raise Invalid(msg, status=400) from error
    for key in ("apiVersion", "kind"):
        if not isinstance(manifest.get(key), str) or not manifest[key]:
            msg = f"the manifest has no {key}"
            raise Invalid(msg, status=400)
    metadata = _mapping(manifest, "metadata", "")
    for key in ("name", "namespace"):
        if not isinstance(metadata.get(key), str) or not metadata[key]:
            msg = f"{manifest['kind']}: metadata.{key} is missing"
            raise Invalid(msg, status=422)
    ref = Ref.of(manifest)
    _metadata(ref, metadata)
    if ref.kind == DEPLOYMENT:
        _deployment(ref, manifest, before)
    elif ref.kind == SERVICE:
        _service(ref, manifest)
    return manifest


def _metadata(ref: Ref, metadata: dict[str, Any]) -> None:
    pattern = _LABEL if ref.kind == SERVICE else _SUBDOMAIN
    if not pattern.fullmatch(ref.name) or not _LABEL.fullmatch(ref.namespace):
        msg = (
            f"{ref}: a name consists of lower case letters, digits and dashes "
            "and begins and ends with a letter or digit"
        )
        raise Invalid(msg, status=422)
    for key in ("labels", "annotations"):
        for name, value in _mapping(metadata, key, f"{ref}: metadata", optional=True).items():
            if not isinstance(value, str):
                msg = f"{ref}: metadata.{key}[{name!r}] has to be a string, not {value!r}"
                raise Invalid(msg, status=400)


def _deployment(ref: Ref, manifest: Manifest, before: Manifest | None) -> None:
    spec = _mapping(manifest, "spec", str(ref))
    replicas = spec.get("replicas", 1)
    if not isinstance(replicas, int) or isinstance(replicas, bool) or replicas < 0:
        msg = f"{ref}: spec.replicas has to be 0 or more, not {replicas!r}"
        raise Invalid(msg, status=422)
    where = f"{ref}: spec"
    selector = _mapping(_mapping(spec, "selector", where), "matchLabels", f"{where}.selector")
    template = _mapping(spec, "template", where)
    template_metadata = _mapping(template, "metadata", f"{where}.template")
    labels = _mapping(template_metadata, "labels", f"{where}.template.metadata")
    if not selector or not selector.items() <= labels.items():
        msg = f"{where}.selector does not match the labels of spec.template"
        raise Invalid(msg, status=422)
    if before is not None and before["spec"]["selector"] != spec["selector"]:
        msg = f"{where}.selector is immutable; delete the Deployment to make it anew"
        raise Invalid(msg, status=422)
    pod = _mapping(template, "spec", f"{where}.template")
    containers = pod.get("containers")
    if not isinstance(containers, list) or not containers:
        msg = f"{where}.template.spec.containers is empty"
        raise Invalid(msg, status=422)
    for index, container in enumerate(containers):
        _container(f"{where}.template.spec.containers[{index}]", container)


def _container(where: str, container: object) -> None:
    if not isinstance(container, dict) or not container.get("name"):
        msg = f"{where} has no name"
        raise Invalid(msg, status=422)
    for key in ("command", "args"):
        words = container.get(key) or []
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            msg = f"{where}.{key} has to be a list of strings"
            raise Invalid(msg, status=400)
    for entry in container.get("env") or []:
        if not isinstance(entry, dict) or not isinstance(entry.get("value", ""), str):
            msg = f"{where}.env has to be a list of name and value, the value a string"
            raise Invalid(msg, status=400)


def _service(ref: Ref, manifest: Manifest) -> None:
    spec = _mapping(manifest, "spec", str(ref))
    _mapping(spec, "selector", f"{ref}: spec", optional=True)
    ports = spec.get("ports")
    if not isinstance(ports, list) or not ports:
        msg = f"{ref}: spec.ports is empty"
        raise Invalid(msg, status=422)


def _mapping(parent: Manifest, key: str, where: str, *, optional: bool = False) -> dict[str, Any]:
    value = parent.get(key)
    if value is None and optional:
        return {}
    if not isinstance(value, dict):
        place = f"{where}.{key}" if where else key
        msg = f"{place} has to be a mapping, not {value!r:.60}"
        raise Invalid(msg, status=422)
    return value
