"""What Django's own log says of what was done here: stored in English, read in any language."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from django.utils.translation import gettext, gettext_noop

from django_userpods.core.operations import Operation

if TYPE_CHECKING:
    from django.http import HttpResponse

OPERATIONS: dict[Operation, str] = {
    Operation.SYNC: gettext_noop("Sync was requested."),
    Operation.START: gettext_noop("Start was requested."),
    Operation.STOP: gettext_noop("Stop was requested."),
    Operation.RESTART: gettext_noop("Restart was requested."),
    Operation.RECREATE: gettext_noop("Recreate was requested."),
}
ROLLOUT = gettext_noop("Resuming the rollout was requested.")
PROFILE = gettext_noop("Profile: %(profile)s")
RESTORED = gettext_noop("Restored to version %(number)s.")
REVOKED = gettext_noop("Revoked.")


def _pattern(text: str) -> re.Pattern[str]:
    """Return what finds a text again that was filled in."""
    return re.compile(re.sub(r"%\\?\((\w+)\\?\)s", r"(?P<\1>.*)", re.escape(text)), re.DOTALL)


@cache
def _known() -> dict[str, re.Pattern[str]]:
    texts = (*OPERATIONS.values(), ROLLOUT, PROFILE, RESTORED, REVOKED)
    return {text: _pattern(text) for text in texts}


def translated(message: str) -> str:
    """Return an entry's message in the language of whoever reads it; another's as it is."""
    for text, pattern in _known().items():
        if found := pattern.fullmatch(message):
            return gettext(text) % found.groupdict()
    return message


def for_reader(response: HttpResponse) -> HttpResponse:
    """Have a history page of Django's say our entries in its reader's language."""
    for entry in (getattr(response, "context_data", None) or {}).get("action_list", ()):
        # Of those on this page alone: nothing is saved. Django translates its own, which are JSON.
        entry.change_message = translated(entry.change_message)
    return response
