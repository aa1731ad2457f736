"""From a user to names, labels and annotations that Kubernetes accepts.

Rules: names of Deployments and Services are labels of RFC 1123 (at most 63 of ``a-z 0-9 -``, no
dash at either end); label values may also hold ``A-Z _ .``. Source: Kubernetes, "Object Names and
IDs" and "Labels and Selectors".

The grammar of names, in which no two things can have one name::

    object = pod [ "--" suffix ]            user-alice, user-alice--data
    pod    = prefix base [ "---" slot ]     user-alice, user-alice---gpu
    base   = plain | slug "--" hash         alice, jose-garcia--0123456789abcdef

``plain`` is a username that can stand for itself, ``slug`` what can be read of any other; with
``suffix`` (a template's further objects) and ``slot`` (a user's further pods) they are dashed
words: letters, digits and single dashes between them, so that two and three dashes are seen for
what they are wherever they stand. ``hash`` is 16 hexadecimal digits, which no suffix may be, so
what follows on two dashes is one or the other. Hence

- equal names of pods mean equal usernames and slots (to 64 bits of a hash of the username),
- an object of one pod never has the name of another's, whatever its user calls themselves,
- without the prefix, a pod's name is a host's label that no browser reads as punycode: it never
  has dashes in third and fourth place (RFC 5891, section 4.2.3.1),
- a name leaves ``room`` for what a template and Kubernetes append to it.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import NamedTuple

from django_userpods.exceptions import TemplateError

MAX_LABEL = 63
#: The longest ``USERPODS_NAME_PREFIX``: room must be left for a slug and a hash.
MAX_PREFIX = 24
#: The longest slot.
MAX_SLOT = 12

MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
MANAGED_BY = "django-userpods"
#: Tells our objects from another installation's: random, made once for each database.
INSTALLATION_LABEL = "django-userpods/installation"
#: The installation's name for people; decides nothing.
INSTANCE_LABEL = "django-userpods/instance"
USER_ID_LABEL = "django-userpods/user-id"
#: Tells one pod from another: random, the row's own, never used again.
POD_LABEL = "django-userpods/pod"
RESERVED_LABELS = frozenset(
    {MANAGED_BY_LABEL, INSTALLATION_LABEL, INSTANCE_LABEL, USER_ID_LABEL, POD_LABEL}
)

USERNAME_ANNOTATION = "django-userpods/username"
TEMPLATE_HASH_ANNOTATION = "django-userpods/template-hash"
RESTARTED_AT_ANNOTATION = "django-userpods/restarted-at"
#: On a workload whose number of pods is another's to set, as long as its user stopped it.
STOPPED_ANNOTATION = "django-userpods/stopped"
#: On the Deployment, by its template: what counts as use of the pod (``core.activity``).
ACTIVITY_ANNOTATION = "django-userpods/activity"
RESERVED_ANNOTATIONS = frozenset(
    {USERNAME_ANNOTATION, TEMPLATE_HASH_ANNOTATION, RESTARTED_AT_ANNOTATION, STOPPED_ANNOTATION}
)

#: Before a hash, and before the suffix of a template's further object.
SUFFIX_SEPARATOR = "--"
#: Before the slot of a user's further pod.
SLOT_SEPARATOR = "---"
HASH_LENGTH = 16

# Compiled when first used: all together they would be felt whenever Django starts.
_WORD = r"[a-z0-9]+(?:-[a-z0-9]+)*\Z"
_LABEL = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\Z"
_PREFIX = r"[a-z](?:[a-z0-9-]*[a-z0-9-])?\Z"
_LABEL_VALUE = r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?\Z"
_HASH = r"[0-9a-f]{16}\Z"
_WORDS = "[a-z0-9]+(?:-[a-z0-9]+)*"
_OBJECT = (
    rf"(?P<pod>{_WORDS}(?:--[0-9a-f]{{16}})?(?:---(?P<slot>{_WORDS}))?)"
    rf"(?:--(?P<suffix>{_WORDS}))?\Z"
)
_NOT_IN_SLUG = r"[^a-z0-9]+"
_DIGEST_PREFIX = "sha256-"


class InstallationIdentity(NamedTuple):
    """Whose objects these are: the database's random ``id`` and the ``name`` that people see."""

    id: str
    name: str


class Parts(NamedTuple):
    """What an object's name says: its pod's name, the slot of that, and its own suffix."""

    pod: str
    slot: str
    suffix: str


class PodIdentity(NamedTuple):
    """Which pod an object belongs to: the row's random ``id``, and its user's primary key."""

    id: str
    user_pk: str


def is_valid_prefix(prefix: str) -> bool:
    """Tell whether a name may begin with this.

    It begins with a letter (a Service's name has to), holds no two dashes side by side and is at
    most ``MAX_PREFIX`` characters long.
    """
    return (
        len(prefix) <= MAX_PREFIX
        and SUFFIX_SEPARATOR not in prefix
        and bool(re.match(_PREFIX, prefix))
    )


def is_valid_label(text: str) -> bool:
    """Tell whether this is a label of RFC 1123: a legal name of a namespace or a Service."""
    return len(text) <= MAX_LABEL and bool(re.match(_LABEL, text))


def is_valid_label_value(text: str) -> bool:
    """Tell whether this is a legal value of a Kubernetes label."""
    return bool(re.match(_LABEL_VALUE, text))


def is_valid_slot(text: str) -> bool:
    """Tell whether a user's further pod may be called this: at most 12 of ``a-z 0-9 -``."""
    return len(text) <= MAX_SLOT and bool(re.match(_WORD, text))


def is_valid_suffix(text: str) -> bool:
    """Tell whether a template's further object may be called ``{name}--`` and this."""
    return bool(re.match(_WORD, text)) and not re.match(_HASH, text)


def is_plain(username: str) -> bool:
    """Tell whether a username can stand for itself in a name that is long enough."""
    return bool(re.match(_WORD, username))


def name_for(username: str, *, prefix: str, slot: str = "", room: int = 0) -> str:
    """Return the name of a user's pod: ``user-alice``, and ``user-alice---gpu`` for a slot.

    A username that is not plain, or too long, becomes a slug and a hash of the original:
    ``user-jose-garcia--0123456789abcdef``. ``room`` is how many characters have to be left of 63.

    Raises TemplateError where the template's suffixes leave no room for any name.
    """
    end = _end(slot)
    plain = prefix + username + end
    # With dashes after one letter or two a host's label would look like punycode.
    if is_plain(username) and len(plain) + room <= MAX_LABEL and not (slot and len(username) <= 2):
        return plain
    return _hashed(username, prefix=prefix, end=end, room=room, identity=username)


def readable(name: str, username: str) -> str:
    """Return a pod's name for people: with its user's, where they could not tell that from it."""
    if not username or username in name:
        return name
    shown = " ".join(username.split())
    return f"{name} ({shown[:39]}…)" if len(shown) > 40 else f"{name} ({shown})"


def readable_object(ref: object, name: str, username: str) -> str:
    """Return an object of a pod for people: with the pod's user as ``readable`` says it."""
    return f"{ref}{readable(name, username).removeprefix(name)}"


def name_apart(username: str, *, pod: str, prefix: str, slot: str = "", room: int = 0) -> str:
    """Return a name for a pod whose own is held by somebody else (whose user was renamed).

    ``pod`` is the row's id.
    """
    identity = f"{username}\0{pod}"
    return _hashed(username, prefix=prefix, end=_end(slot), room=room, identity=identity)


def suffix_of(name: str, *, pod: str) -> str | None:
    """Return the suffix of one of a pod's objects, "" for a main one; None where it is no name."""
    if name == pod:
        return ""
    head, separator, suffix = name.partition(pod + SUFFIX_SEPARATOR)
    return suffix if separator and not head and is_valid_suffix(suffix) else None


def parts_of(name: str) -> Parts | None:
    """Return what the name of one of a pod's objects is made of; None where it is no such name."""
    found = re.match(_OBJECT, name)
    return Parts(found["pod"], found["slot"] or "", found["suffix"] or "") if found else None


def label_value(text: str) -> str:
    """Return the text as a label value: itself where that is legal, else a hash of it.

    Different texts have different values: a text that looks like a hash is hashed, too.
    """
    if text and is_valid_label_value(text) and not text.startswith(_DIGEST_PREFIX):
        return text
    return _DIGEST_PREFIX + _digest(text, 32)


def labels_for(pod: PodIdentity, *, installation: InstallationIdentity) -> dict[str, str]:
    """Return the labels that mark an object as this pod's and ours."""
    return {
        MANAGED_BY_LABEL: MANAGED_BY,
        INSTALLATION_LABEL: installation.id,
        INSTANCE_LABEL: installation.name,
        USER_ID_LABEL: label_value(pod.user_pk),
        POD_LABEL: pod.id,
    }


def _end(slot: str) -> str:
    return SLOT_SEPARATOR + slot if slot else ""


def _hashed(username: str, *, prefix: str, end: str, room: int, identity: str) -> str:
    left = MAX_LABEL - room - len(prefix) - len(SUFFIX_SEPARATOR) - HASH_LENGTH - len(end)
    if left < 1:
        message = (
            f"its further objects' names leave {MAX_LABEL - room} characters for a pod's name, "
            f"which with the prefix {prefix!r} needs {MAX_LABEL - room - left + 1}; use shorter "
            "suffixes or a shorter prefix"
        )
        raise TemplateError(message)
    slug = _slug(username)[:left].rstrip("-") or "x"
    if len(slug) == 2:
        # Not dashes in third and fourth place; the hash is what tells names apart.
        slug = slug[0]
    return f"{prefix}{slug}{SUFFIX_SEPARATOR}{_digest(identity, HASH_LENGTH)}{end}"


def _slug(text: str) -> str:
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(_NOT_IN_SLUG, "-", ascii_text).strip("-")


def _digest(text: str, length: int) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:length]
