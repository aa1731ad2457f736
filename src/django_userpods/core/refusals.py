"""What a cluster takes, and what then fails at the first change or never works.

Refused when a template is read, with the place and the remedy, instead of in a year.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django_userpods.core import kinds
from django_userpods.core.fields import NOTHING, Field
from django_userpods.core.objects import DEPLOYMENT, SERVICE, Kind, Manifest
from django_userpods.exceptions import TemplateError
from django_userpods.texts import said

if TYPE_CHECKING:
    from collections.abc import Iterator


#: Kinds whose contents may be anything.
_OF_DATA = frozenset({"ConfigMap", "Secret"})


def check_text(document: Manifest) -> None:
    """Refuse a NUL character: an API server takes it, no container and not every database does."""
    if document["kind"] in _OF_DATA:
        return
    if (place := place_of_nul(document)) is not None:
        message = said("has a NUL character, which no container can be given; take it out")
        raise TemplateError(message, where=f"{document['kind']}{place}")


def place_of_nul(value: Any, where: str = "") -> str | None:  # noqa: ANN401 - a person wrote it
    """Return at which place below a value a text has a NUL character, None where none has.

    A key that has one is called by what is around it.
    """
    if isinstance(value, str):
        return where if "\0" in value else None
    if isinstance(value, dict):
        if any(isinstance(key, str) and "\0" in key for key in value):
            return where
        inner = ((f"{where}.{key}", item) for key, item in value.items())
    elif isinstance(value, list | tuple | set | frozenset):
        inner = ((f"{where}[{index}]", item) for index, item in enumerate(value))
    else:
        return None
    places = (place_of_nul(item, place) for place, item in inner)
    return next((place for place in places if place is not None), None)


def check_duplicates(document: Manifest) -> None:
    """Refuse two items of one key in a list that is merged by it: two ``env`` of one name.

    Most of these are taken by a POST; every apply that follows is refused.
    """
    for where, key in _duplicates(document, kinds.field_of(Kind.of(document)), document["kind"]):
        message = said(
            "has %(key)s twice: the first change of the object would be refused; leave one out",
            key=key,
        )
        raise TemplateError(message, where=where)


def _duplicates(value: Any, field: Field, where: str) -> Iterator[tuple[str, str]]:  # noqa: ANN401
    if isinstance(value, dict):
        for name, inner in value.items():
            if isinstance(name, str):  # compiling says where one is not
                yield from _duplicates(inner, kinds.field_in(field, name), f"{where}.{name}")
    elif isinstance(value, list):
        of_item = Field(field.type)
        seen = set()
        for index, item in enumerate(value):
            if field.keys and isinstance(item, dict) and field.keys[0] in item:
                key = " ".join(f"{part}: {_part(item, part, of_item)}" for part in field.keys)
                if key in seen:
                    yield where, key
                seen.add(key)
            yield from _duplicates(item, of_item, f"{where}[{index}]")


def _part(item: Manifest, name: str, of_item: Field) -> Any:  # noqa: ANN401 - any JSON value
    default = kinds.field_in(of_item, name).default
    return item.get(name) or ("" if default is NOTHING else default)


def check_way(documents: list[Manifest], name: str) -> None:
    """Refuse a Service ``name`` through which no router can reach the Deployment ``name``.

    To be called once the documents are complete and their selectors settled.
    """
    by_kind = {Kind.of(d): d for d in documents if d["metadata"]["name"] == name}
    service, deployment = by_kind[SERVICE]["spec"], by_kind[DEPLOYMENT]["spec"]
    if service.get("type") == "ExternalName":
        message = said("ExternalName has no pods behind it; leave type out")
        raise TemplateError(message, where="Service.spec.type")
    if service.get("clusterIP") == "None" or "None" in (service.get("clusterIPs") or ()):
        message = said(
            "a headless Service has no address for the router to send to; leave clusterIP out, "
            'and give pods that need it another Service, "%(name)s--SUFFIX"',
            name=name,
        )
        raise TemplateError(message, where="Service.spec.clusterIP")
    labels = deployment["template"]["metadata"]["labels"]
    for key, value in service["selector"].items():
        if labels.get(key) != value:
            message = said(
                '"%(key)s: %(value)s" does not select the pods of the Deployment "%(name)s", '
                "whose labels are %(labels)s; the router would reach nothing",
                key=key,
                value=value,
                name=name,
                labels=_shown(labels),
            )
            raise TemplateError(message, where="Service.spec.selector")
    _check_port(service["ports"][0], _lasting(deployment["template"]["spec"]))


def _lasting(pod: dict[str, Any]) -> list[Any]:
    """Return the containers that run as long as the pod: sidecars among those that begin it, too.

    Source: ``FindPort`` of k8s.io/endpointslice, by which Services find a named port.
    """
    sidecars = [
        container
        for container in pod.get("initContainers") or ()
        if isinstance(container, dict) and container.get("restartPolicy") == "Always"
    ]
    return [*pod["containers"], *sidecars]


def _check_port(port: Any, containers: list[Any]) -> None:  # noqa: ANN401 - a person wrote it
    """Hold the first port, which is the one that the router goes to, against the containers."""
    where = "Service.spec.ports[0]"
    if not isinstance(port, dict) or "port" not in port:
        raise TemplateError(said("has no port, the number that the router goes to"), where=where)
    if (port.get("protocol") or "TCP") != "TCP":
        message = said(
            "is %(protocol)s; the router goes to the first port and speaks HTTP: put the app's "
            "TCP port first",
            protocol=port["protocol"],
        )
        raise TemplateError(message, where=f"{where}.protocol")
    target = port.get("targetPort")
    if not isinstance(target, str) or not target or "{" in target:
        return
    named = {
        entry.get("name")
        for container in containers
        if isinstance(container, dict)
        for entry in container.get("ports") or ()
        if isinstance(entry, dict) and (entry.get("protocol") or "TCP") == "TCP"
    }
    if target not in named:
        message = said(
            '"%(target)s" is the name of no TCP port of the Deployment\'s containers; they have '
            "%(names)s",
            target=target,
            names=", ".join(sorted(filter(None, named))) or said("none"),
        )
        raise TemplateError(message, where=f"{where}.targetPort")


def _shown(labels: dict[str, Any]) -> str:
    return ", ".join(f'"{key}: {value}"' for key, value in labels.items())
