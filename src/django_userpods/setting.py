"""Reading one setting by its name: its type, and what is said of a value that is not of it.

Each function raises SettingError, whose hint says what to write instead.
"""

from __future__ import annotations

import difflib
import inspect
from typing import TYPE_CHECKING, Any, cast

from django.conf import settings
from django.utils.module_loading import import_string

from django_userpods.exceptions import SettingError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from django_userpods.core.profile import Profile

#: ``USERPODS_PROFILES`` where they are edited in the admin.
DATABASE = "database"


def get(name: str, default: object) -> Any:  # noqa: ANN401 - a setting may hold anything
    """Return a setting's value, whatever it is."""
    return getattr(settings, name, default)


def invalid(name: str, message: str, hint: str) -> SettingError:
    """Return the error that says what is wrong with a setting, and what to do."""
    return SettingError(message, setting=name, hint=hint)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a question that begins a hint, where a mistyped name is like one that is known."""
    found = difflib.get_close_matches(name, known, n=1)
    return f"Did you mean {found[0]}? " if found else ""


def integer(name: str, default: int, *, least: int, most: int) -> int:
    """Return a whole number from ``least`` to ``most``."""
    value = get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise invalid(name, f"is {value!r}", f"Give a whole number from {least} to {most}.")
    return value


def number(name: str, default: float) -> float:
    """Return a number of seconds, 0 or more."""
    value = get(name, default)
    if not isinstance(value, int | float) or isinstance(value, bool) or not value >= 0:
        raise invalid(name, f"is {value!r}", "Give a number of seconds, 0 or more.")
    return float(value)


def flag(name: str, *, default: bool) -> bool:
    """Return True or False."""
    value = get(name, default)
    if not isinstance(value, bool):
        raise invalid(name, f"is {value!r}", "Write True or False.")
    return value


def seconds(name: str) -> Any:  # noqa: ANN401
    """Return a number of seconds from 1, a callable that tells them, or None for no limit."""
    value = get(name, None)
    if value is None or callable(value) or isinstance(value, str):
        return function(name, None)
    return some_seconds(name, value)


def some_seconds(name: str, value: object, *, what: str = "is") -> float:
    """Return a number of seconds from 1."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 1 <= value < 1e9:
        hint = (
            "Give a number of seconds from 1, None, or a dotted path to (pod) -> seconds or None."
        )
        raise invalid(name, f"{what} {value!r}", hint)
    return float(value)


def seconds_of(name: str, given: Any, item: object) -> float | None:  # noqa: ANN401
    """Return what ``seconds`` gave, for one item: called with it where it is a callable."""
    if not callable(given):
        return given  # type: ignore[no-any-return]
    try:
        found = given(item)
    except Exception as error:
        hint = "Correct the function; it returns a number of seconds from 1, or None."
        raise invalid(name, f"raised, for {item}, {error!r}", hint) from error
    return None if found is None else some_seconds(name, found, what=f"gave, for {item},")


def is_list_of_text(value: object) -> bool:
    """Tell whether this is a list (or set) of texts."""
    return isinstance(value, list | tuple | set | frozenset) and all(
        isinstance(item, str) for item in value
    )


def mapping(name: str, default: dict[str, Any]) -> dict[str, Any]:
    """Return a dict."""
    value = get(name, default)
    if not isinstance(value, dict):
        raise invalid(name, f"is {value!r}", "Give a dict.")
    return value


def function(name: str, default: object) -> Any:  # noqa: ANN401
    """Return a callable, given itself or by its dotted path; None where that is the value."""
    value = get(name, default)
    if isinstance(value, str):
        value = imported(name, value)
    if inspect.iscoroutinefunction(value):
        # What it returns is true whatever it comes to.
        raise invalid(name, f"is async ({value!r})", "Write the function without async.")
    if value is None or callable(value):
        return value
    raise invalid(name, f"is {value!r}", "Give a callable or the dotted path to one.")


def imported(name: str, path: str) -> Any:  # noqa: ANN401
    """Return the callable of a dotted path."""
    try:
        value = import_string(path)
    except ImportError as error:
        raise invalid(name, f"{path!r} cannot be imported: {error}", "Correct the path.") from error
    if not callable(value):
        raise invalid(name, f"{path!r} is a {type(value).__name__}", "Name something callable.")
    return value


def imported_all(name: str, default: Sequence[str]) -> list[Any]:
    """Return what a list of dotted paths names."""
    value = get(name, default)
    if not isinstance(value, list | tuple) or not value:
        raise invalid(name, f"is {value!r}", "Give a list of dotted paths to classes.")
    return [imported(name, item) if isinstance(item, str) else item for item in value]


def authenticators(name: str, default: Sequence[str]) -> list[Any]:
    """Return an object of each class that a list of dotted paths names: what ``whoami`` asks."""
    made = []
    for cls in imported_all(name, default):
        try:
            one = cls()
        except TypeError as error:
            hint = "Name subclasses of django_userpods.access.Authenticator."
            raise invalid(
                name, f"has {cls!r}, which cannot be instantiated: {error}", hint
            ) from error
        methods = [getattr(one, method, None) for method in ("authenticate", "fingerprint")]
        if not all(map(callable, methods)):
            hint = (
                "That is a class of Django REST framework: name a subclass of "
                "django_userpods.access.RestFrameworkAuthenticator that has it in "
                "authentication_classes."
                if hasattr(one, "authenticate_header")
                else "Name subclasses of django_userpods.access.Authenticator."
            )
            raise invalid(
                name, f"has {cls!r}, which is not an authenticator of django-userpods", hint
            )
        if any(map(inspect.iscoroutinefunction, methods)):
            hint = "Write it without async; call what is async itself by async_to_sync."
            raise invalid(name, f"has {cls!r}, which has an async method", hint)
        made.append(one)
    return made


def profiles(name: str) -> dict[str, Profile] | str | None:
    """Return profiles by their slugs, or ``DATABASE`` or None where the setting is that."""
    value = get(name, None)
    if value is None or value == DATABASE:
        return cast("str | None", value)
    if not isinstance(value, dict):
        hint = (
            "Write {'small': {'NAME': 'Small', 'RESOURCES': {...}}, ...}, or 'database' for those "
            "that are edited in the admin."
        )
        raise invalid(name, f"is {value!r}", hint)
    # What reads profiles takes time to import, which no other start needs.
    from django_userpods.core.profile import InvalidProfile, parse

    found = {}
    for slug, written in value.items():
        try:
            found[slug] = parse(slug, written)
        except InvalidProfile as error:
            raise invalid(name, f"{slug!r}: {error}", error.hint) from error
    return found


def task_backend() -> str:
    """Return the dotted name of the backend ``default`` of ``TASKS``; "" where there is none."""
    return str(getattr(settings, "TASKS", {}).get("default", {}).get("BACKEND") or "")


def check_options(name: str, factory: Any, backend: str, options: dict[str, Any]) -> None:  # noqa: ANN401 - a class
    """Refuse an option that a backend does not have, and say which it may have been."""
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):
        return  # then making it says what is wrong
    if any(item.kind is item.VAR_KEYWORD for item in parameters):
        return
    known = [item.name for item in parameters if item.kind is not item.VAR_POSITIONAL]
    for option in options:
        if option not in known:
            raise invalid(
                name,
                f"OPTIONS: {option!r} is not an option of {backend}",
                f"{nearest(str(option), known)}It has {', '.join(known)}.",
            )
