"""Profiles: what users may choose from, read from what a person wrote and merged into a template.

A profile overrides the image, resources and variables of the main container (the first of the
Deployment ``{name}``), or has a template of its own, or both.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django_userpods.core import naming, quantity, refusals
from django_userpods.core.documents import flatten, inside
from django_userpods.exceptions import TemplateError
from django_userpods.texts import Said, said

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from django_userpods.core.objects import Manifest

#: The longest name and the longest description, in characters.
MAX_NAME, MAX_DESCRIPTION = 100, 500
_SECTIONS = ("requests", "limits")
_CONTAINERS = "Deployment.spec.template.spec.containers"


class InvalidProfile(ValueError):  # noqa: N818 - says what it is
    """What somebody wrote cannot be a profile: under which key, what is wrong, what to write."""

    def __init__(self, key: str, message: Said, hint: Said) -> None:
        self.key = key
        self.message = message
        self.hint = hint
        super().__init__(f"{key} {message}" if key else message)


@dataclass(frozen=True, slots=True)
class Profile:
    """One of those that users may choose from.

    ``groups`` are the names of those whose users may choose it, none for everybody; ``at_once`` is
    how many pods of it may run at once, all users' together, None for any number.
    """

    slug: str
    name: str
    description: str = ""
    template: list[Manifest] | Path | None = None
    image: str = ""
    resources: Mapping[str, Any] = field(default_factory=dict)
    env: Mapping[str, str | None] = field(default_factory=dict)
    groups: frozenset[str] = frozenset()
    at_once: int | None = None
    enabled: bool = True
    #: Why it cannot be used, of one that is stored all the same.
    problem: str = ""


def parse(slug: object, value: object) -> Profile:
    """Return the profile that somebody wrote as a mapping; InvalidProfile says what is wrong."""
    if not isinstance(slug, str) or not naming.is_valid_label(slug):
        hint = said("It is at most 63 of a-z, 0-9 and '-', a letter or digit first and last.")
        raise InvalidProfile("", said("cannot be called %(slug)s", slug=repr(slug)), hint)
    if not isinstance(value, dict):
        hint = said("Write %(example)s.", example="{'NAME': ..., 'IMAGE': ...}")
        raise InvalidProfile("", _is_a(value), hint)
    readers = {
        "NAME": _name,
        "DESCRIPTION": _description,
        "TEMPLATE": _template,
        "IMAGE": _image,
        "RESOURCES": _resources,
        "ENV": _env,
        "GROUPS": _groups,
        "AT_ONCE": _at_once,
        "ENABLED": _enabled,
    }
    if unknown := sorted(str(key) for key in value if key not in readers):
        message = said("has unknown keys %(keys)s", keys=", ".join(unknown))
        raise InvalidProfile("", message, said("It may have %(keys)s.", keys=", ".join(readers)))
    found: dict[str, Any] = {key.lower(): readers[key](written) for key, written in value.items()}
    for key, read in found.items():
        # A template's is refused with its place, when it is compiled.
        if key != "template" and (place := refusals.place_of_nul(read)) is not None:
            hint = said(
                "Take it out: no container can be given it, and not every database keeps it."
            )
            message = (
                said("has a NUL character in %(place)s", place=place)
                if place
                else said("has a NUL character")
            )
            raise InvalidProfile(key.upper(), message, hint)
    return Profile(slug=slug, **{"name": slug, **found})


def merged(manifests: Iterable[Manifest], profile: Profile) -> list[Manifest]:
    """Return a template with what a profile overrides in its main container.

    A value of None takes out what the template has. Raises TemplateError where a request comes to
    more than its limit; whatever else is wrong with the template is said when it is compiled.
    """
    manifests = list(manifests)
    if not (profile.image or profile.resources or profile.env):
        return manifests
    documents = list(flatten(manifests))
    for container in _main_containers(documents):
        if profile.image:
            container["image"] = profile.image
        if profile.env:
            container["env"] = _merged_env(container.get("env"), profile.env)
        if profile.resources:
            container["resources"] = _merged_resources(
                container.get("resources"), profile.resources
            )
    return documents


def _main_containers(documents: Iterable[Manifest]) -> Iterator[dict[str, Any]]:
    for document in documents:
        is_main = document.get("kind") == "Deployment" and (
            inside(document, "metadata").get("name") == "{name}"
        )
        containers = inside(document, "spec", "template", "spec").get("containers")
        if is_main and isinstance(containers, list) and isinstance(next(iter(containers), 0), dict):
            yield containers[0]


def _merged_env(before: object, override: Mapping[str, str | None]) -> list[Any]:
    """Return the variables, those that are there in their places: others may refer to them."""
    left = dict(override)
    found: list[Any] = []
    for entry in before if isinstance(before, list) else []:
        name = entry.get("name") if isinstance(entry, dict) else None
        if name not in override:
            found.append(entry)
        elif name in left and (value := left.pop(name)) is not None:
            found.append({"name": name, "value": value})
    more = _in_order({name: value for name, value in left.items() if value is not None})
    return found + [{"name": name, "value": value} for name, value in more.items()]


def _in_order(variables: Mapping[str, str]) -> dict[str, str]:
    """Return variables with those first that others refer to, as ``$(NAME)``.

    Kubernetes knows those alone that stand before, and databases that keep JSON parsed (PostgreSQL,
    MySQL) have an order of keys of their own.
    """
    found: dict[str, str] = {}
    todo = dict(variables)
    while todo:
        free = [
            name
            for name, value in todo.items()
            if not any(f"$({other})" in value for other in todo if other != name)
        ]
        # Those that refer to each other have no order.
        for name in free or list(todo):
            found[name] = todo.pop(name)
    return found


def _merged_resources(before: object, override: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(before) if isinstance(before, dict) else {}
    for section, amounts in override.items():
        merged_section = {**inside(found, section), **amounts}
        found[section] = {name: what for name, what in merged_section.items() if what is not None}
    limits = inside(found, "limits")
    for name, wanted in inside(found, "requests").items():
        if name not in limits:
            continue
        request, limit = quantity.parse(wanted), quantity.parse(limits[name])
        if request is not None and limit is not None and request > limit:
            message = said(
                "is %(wanted)s, more than the limit of %(limit)s; raise the limit, too",
                wanted=wanted,
                limit=limits[name],
            )
            raise TemplateError(message, where=f"{_CONTAINERS}[0].resources.requests.{name}")
    return found


# --- what each key may hold


def _is(value: object) -> Said:
    return said("is %(value)s", value=repr(value))


def _of(place: str, value: object) -> Said:
    return said("%(place)s is %(value)s", place=place, value=repr(value))


def _is_a(value: object) -> Said:
    return said("is a %(type)s", type=type(value).__name__)


def _text(key: str, value: object, most: int) -> str:
    # Not only str: a project may have it translated when it is read.
    if value is None or isinstance(value, int | float | bytes | list | tuple | set | dict):
        raise InvalidProfile(key, _is(value), said("Write a text."))
    text = str(value).strip()
    if len(text) > most:
        message = said("has %(number)s characters", number=len(text))
        raise InvalidProfile(key, message, said("Write at most %(most)s.", most=most))
    return text


def _name(value: object) -> str:
    text = _text("NAME", value, MAX_NAME)
    if not text:
        raise InvalidProfile("NAME", said("is empty"), said("Write what people call it."))
    return text


def _description(value: object) -> str:
    return _text("DESCRIPTION", value, MAX_DESCRIPTION)


def _template(value: object) -> list[Manifest] | Path | None:
    if value is None or isinstance(value, Path):
        return value
    if isinstance(value, str):
        return Path(value)
    if isinstance(value, list | tuple):
        return list(value)
    hint = said("Give a list of manifests, or the path of a YAML file.")
    raise InvalidProfile("TEMPLATE", _is_a(value), hint)


def _image(value: object) -> str:
    if not isinstance(value, str) or not value.strip() or len(value.split()) != 1:
        hint = said("Name an image, as in 'example.org/app:1'.")
        raise InvalidProfile("IMAGE", _is(value), hint)
    return value.strip()


def _resources(value: object) -> dict[str, Any]:
    example = '{"requests": {"cpu": "1"}, "limits": {"memory": "2Gi"}}'
    hint = said("Write %(example)s.", example=example)
    if not isinstance(value, dict) or not set(value) <= set(_SECTIONS):
        raise InvalidProfile("RESOURCES", _is(value), hint)
    for section, amounts in value.items():
        if not isinstance(amounts, dict):
            raise InvalidProfile("RESOURCES", _of(section, amounts), hint)
        for name, amount in amounts.items():
            is_amount = isinstance(amount, str | int | float) and not isinstance(amount, bool)
            if amount is not None and not (is_amount and quantity.parse(amount) is not None):
                hint = said("Write a quantity, as in '500m' of cpu or '2Gi' of memory.")
                raise InvalidProfile("RESOURCES", _of(f"{section}.{name}", amount), hint)
    return value


def _env(value: object) -> dict[str, str | None]:
    if not isinstance(value, dict):
        hint = said("Write %(example)s.", example='{"NAME": "value"}')
        raise InvalidProfile("ENV", _is(value), hint)
    for name, text in value.items():
        if not isinstance(name, str) or not (text is None or isinstance(text, str)):
            # Good in the settings and in the admin, where it is JSON.
            example = json.dumps({str(name): str(text)}, ensure_ascii=False)
            hint = said("Write %(example)s.", example=example)
            message = said("%(name)s: %(value)s is not text", name=repr(name), value=repr(text))
            raise InvalidProfile("ENV", message, hint)
    return value


def _groups(value: object) -> frozenset[str]:
    if not isinstance(value, list | tuple | set | frozenset) or not all(
        isinstance(name, str) for name in value
    ):
        hint = said("Give a list of the names of groups; an empty one for everybody.")
        raise InvalidProfile("GROUPS", _is(value), hint)
    return frozenset(value)


def _at_once(value: object) -> int | None:
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        hint = said("Give a whole number from 1, or None for any number.")
        raise InvalidProfile("AT_ONCE", _is(value), hint)
    return value


def _enabled(value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidProfile("ENABLED", _is(value), said("Write True or False."))
    return value
