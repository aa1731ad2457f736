"""From a user to names, labels and annotations that Kubernetes accepts.

Rules: names of Deployments and Services are labels of RFC 1123 (at most 63 of ``a-z 0-9 -``, no
dash at either end); label values may also hold ``A-Z _ .``. Source: Kubernetes, "Object Names and
IDs" and "Labels and Selectors".
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import NamedTuple

MAX_LABEL = 63
#: The longest ``USERPODS_NAME_PREFIX``: room must be left for a slug and a hash.
MAX_PREFIX = 24

MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
MANAGED_BY = "django-userpods"
#: Tells our objects from another installation's: random, made once for each database.
INSTALLATION_LABEL = "django-userpods/installation"
#: The installation's name for people; decides nothing.
INSTANCE_LABEL = "django-userpods/instance"
USER_ID_LABEL = "django-userpods/user-id"
RESERVED_LABELS = frozenset({MANAGED_BY_LABEL, INSTALLATION_LABEL, INSTANCE_LABEL, USER_ID_LABEL})

USERNAME_ANNOTATION = "django-userpods/username"
TEMPLATE_HASH_ANNOTATION = "django-userpods/template-hash"
RESTARTED_AT_ANNOTATION = "django-userpods/restarted-at"
RESERVED_ANNOTATIONS = frozenset(
    {USERNAME_ANNOTATION, TEMPLATE_HASH_ANNOTATION, RESTARTED_AT_ANNOTATION}
)

#: Between slug and hash. No unescaped name holds it, so the two kinds of name never meet.
ESCAPE = "--"
HASH_LENGTH = 16

_PLAIN = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\Z")
_PREFIX = re.compile(r"[a-z](?:[a-z0-9-]*[a-z0-9-])?\Z")
_LABEL_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?\Z")
_NOT_IN_SLUG = re.compile(r"[^a-z0-9]+")


class Installation(NamedTuple):
    """Whose objects these are: the database's random ``id`` and the ``name`` that people see."""

    id: str
    name: str


def is_valid_prefix(prefix: str) -> bool:
    """Tell whether a name may begin with this.

    It begins with a letter (a Service's name has to), holds no ``--`` (the mark of an escaped
    name) and is at most ``MAX_PREFIX`` characters long.
    """
    return len(prefix) <= MAX_PREFIX and ESCAPE not in prefix and bool(_PREFIX.match(prefix))


def is_valid_label(text: str) -> bool:
    """Tell whether this is a label of RFC 1123: a legal name of a namespace or a Service."""
    return len(text) <= MAX_LABEL and bool(_PLAIN.match(text))


def is_valid_label_value(text: str) -> bool:
    """Tell whether this is a legal value of a Kubernetes label."""
    return bool(_LABEL_VALUE.match(text))


def is_plain(username: str, *, prefix: str) -> bool:
    """Tell whether the name of this user is simply ``prefix + username``."""
    return (
        len(prefix) + len(username) <= MAX_LABEL
        and ESCAPE not in username
        and bool(_PLAIN.match(username))
    )


def name_for(username: str, *, prefix: str) -> str:
    """Return the name of a user's objects: ``user-alice``.

    A username that is not plain becomes a slug and a hash of the original:
    ``user-jose-garcia--0123456789abcdef``. Equal names mean equal usernames.
    """
    if is_plain(username, prefix=prefix):
        return prefix + username
    return _escaped(username, prefix=prefix, identity=username)


def name_apart(username: str, *, user_pk: str, prefix: str) -> str:
    """Return a name for a user whose own is held by somebody else (who was renamed)."""
    return _escaped(username, prefix=prefix, identity=f"{username}\0{user_pk}")


def label_value(text: str) -> str:
    """Return the text as a label value: itself where that is legal, else a hash of it."""
    if text and is_valid_label_value(text):
        return text
    return "sha256-" + _digest(text, 32)


def labels_for(user_pk: str, *, installation: Installation) -> dict[str, str]:
    """Return the labels that mark an object as this user's and ours."""
    return {
        MANAGED_BY_LABEL: MANAGED_BY,
        INSTALLATION_LABEL: installation.id,
        INSTANCE_LABEL: installation.name,
        USER_ID_LABEL: label_value(user_pk),
    }


def _escaped(username: str, *, prefix: str, identity: str) -> str:
    room = MAX_LABEL - len(prefix) - len(ESCAPE) - HASH_LENGTH
    return f"{prefix}{_slug(username)[:room].rstrip('-')}{ESCAPE}{_digest(identity, HASH_LENGTH)}"


def _slug(text: str) -> str:
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return _NOT_IN_SLUG.sub("-", ascii_text).strip("-")


def _digest(text: str, length: int) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:length]
