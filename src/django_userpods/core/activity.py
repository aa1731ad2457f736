"""What counts as use of a pod: rules that its template carries, and its application's own words.

The rules are in an annotation of the Deployment, a line each (``docs/idle.md``):

    ignore GET,HEAD {path}api/*     neither counts nor wakes a stopped pod
    quiet {path}socket              its beginning does neither; its bytes count
    open {path}queue/*              counts as long as it runs
    ask {path}api/status            where the application says itself when it was used

The router goes by the first three, whoever stops idle pods by the last. A row and ``whoami`` have
them in one line, with semicolons.
"""

from __future__ import annotations

import datetime
import re
from functools import lru_cache
from typing import Any

from django_userpods.exceptions import TemplateError
from django_userpods.texts import said

#: Maximum number of characters of a pod's rules: they are a header of each answer of whoami.
LONGEST = 2000
#: In a template a path may begin with the placeholder of the pod's own.
_LINE = re.compile(
    r"(?:(?:ignore|quiet|open)(?: +[A-Z]+(?:,[A-Z]+)*)?|ask) +(?:/|\{path\})[!-:<-~]*"
)
_SEPARATOR = "; "


def check(text: object, *, where: str) -> None:
    """Refuse rules that nobody could follow: TemplateError with the place and the remedy."""
    if not isinstance(text, str):
        raise TemplateError(said("is not a text"), where=where)
    for line in _lines(text):
        if not _LINE.fullmatch(line):
            message = said(
                "has the line %(line)s; a line is 'ignore', 'quiet' or 'open', methods where it "
                "is not for all (GET,HEAD), and a path; or 'ask' and a path. A path begins with / "
                "or {path}, has no blanks and no semicolons, and * in it stands for anything",
                line=repr(line),
            )
            raise TemplateError(message, where=where)
    if len(one_line(text)) > LONGEST:
        message = said(
            "has more than %(longest)s characters; let * stand for what several rules share",
            longest=LONGEST,
        )
        raise TemplateError(message, where=where)


@lru_cache(maxsize=2000)
def one_line(text: str) -> str:
    """Return the rules of an annotation as a row has them, without lines that are not rules."""
    rules = [" ".join(line.split()) for line in _lines(text) if _LINE.fullmatch(line)]
    return _SEPARATOR.join(rules)


def addresses(rules: str) -> list[str]:
    """Return the paths at which an application says when it was used, of a row's rules."""
    return [rule[4:] for rule in rules.split(_SEPARATOR) if rule.startswith("ask ")]


def last_use(document: Any, *, now: datetime.datetime) -> datetime.datetime | None:  # noqa: ANN401 - any JSON
    """Return when an application was used last by its own words, None where it does not say.

    Anywhere in the document: the newest ``last_activity`` (ISO 8601, as Jupyter's server, kernels
    and terminals have it); *now* where an ``execution_state`` is ``busy``, or ``active`` is true.
    """
    newest: datetime.datetime | None = None
    left = [document]
    while left:
        item = left.pop()
        if isinstance(item, list):
            left.extend(item)
        elif isinstance(item, dict):
            if item.get("execution_state") == "busy" or item.get("active") is True:
                return now
            at = _time(item.get("last_activity"))
            if at is not None and (newest is None or at > newest):
                newest = at
            left.extend(value for value in item.values() if isinstance(value, list | dict))
    return newest if newest is None else min(newest, now)


def _time(value: object) -> datetime.datetime | None:
    if not isinstance(value, str):
        return None
    try:
        found = datetime.datetime.fromisoformat(value)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=datetime.UTC)


def _lines(text: str) -> list[str]:
    stripped = (line.strip() for line in text.splitlines())
    return [line for line in stripped if line and not line.startswith("#")]
