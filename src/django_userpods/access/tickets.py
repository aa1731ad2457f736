"""From the site's session to one on a pod's host: tickets, and what they are changed for.

The site's cookie does not reach a pod's host. So a signed-in user is sent there with a ticket,
good for a minute, once, for one pod, and only in the browser that asked for it: a nonce in a cookie
of the pod's host tells. Else somebody could sign others in as themselves.
"""

from __future__ import annotations

import datetime
import secrets
from typing import TYPE_CHECKING, Any, NamedTuple

from django.db import router
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from django_userpods.access import site_sessions
from django_userpods.exceptions import InvalidCredentials
from django_userpods.tokens import AccessToken, PodSession, Ticket

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django_userpods.models import UserPod

#: How long a ticket is good.
LIFETIME = datetime.timedelta(seconds=60)
#: Rows that are cleaned up in one query, and the maximum number of queries in one go.
_BATCH, _BATCHES = 500, 20


class Entered(NamedTuple):
    """A session on a pod's host that has just begun."""

    secret: str
    pod: str
    #: The path and query to open.
    path: str
    #: Seconds until the session ends; None for when the browser is closed.
    max_age: int | None


def state_of(nonce: str) -> str:
    """Return what is said of a nonce where others may read it."""
    return AccessToken.digest_of(nonce)


def issue(
    user: Any,  # noqa: ANN401 - the project's own user model
    pod: UserPod,
    *,
    session: Any,  # noqa: ANN401 - any engine's
    state: str,
    path: str,
) -> str:
    """Return a new ticket's text. Raises InvalidCredentials where the session is not the user's."""
    if not site_sessions.is_of(session, user):
        message = "signed in without a session of the site"
        raise InvalidCredentials(message)
    name = site_sessions.named(session)
    text = secrets.token_urlsafe(32)
    Ticket.objects.create(
        digest=AccessToken.digest_of(text),
        user=user,
        pod=pod.pk,
        site_session=name,
        sealed_key=site_sessions.seal(session.session_key, text),
        state=state,
        path=path,
        expires_at=timezone.now() + LIFETIME,
    )
    return text


def redeem(text: str, *, nonces: Sequence[str]) -> tuple[Ticket, Any]:
    """Use a ticket up and return it with its site session.

    Whoever shows a ticket uses it up, whether it is good or not. Raises InvalidCredentials where it
    was used before, is late, is another browser's, or its site session is over.
    """
    rows = Ticket.objects.using(router.db_for_write(Ticket)).select_related("user")
    ticket = rows.filter(digest=AccessToken.digest_of(text)).first()
    # One statement: of two who come at once, it deletes the row for one.
    if ticket is None or not rows.filter(pk=ticket.pk).delete()[0]:
        message = "no such ticket, or used before"
        raise InvalidCredentials(message)
    states = map(state_of, nonces)
    if not any(constant_time_compare(ticket.state, state) for state in states):
        message = "a ticket for another browser"
        raise InvalidCredentials(message)
    session = _site_session(ticket, text)
    if session is None:
        message = "a ticket that is late, or of a session that is over"
        raise InvalidCredentials(message)
    return ticket, session


def begin(ticket: Ticket, session: Any, *, instead_of: Sequence[str]) -> Entered:  # noqa: ANN401
    """Begin a session on the pod's host, in place of those of these secrets."""
    secret = secrets.token_urlsafe(32)
    end(secrets_=instead_of)
    age = session.get_expiry_age()
    PodSession.objects.create(
        digest=AccessToken.digest_of(secret),
        user=ticket.user,
        pod=ticket.pod,
        site_session=ticket.site_session,
        sealed_key=site_sessions.seal(session.session_key, secret),
        expires_at=timezone.now() + datetime.timedelta(seconds=age),
    )
    max_age = None if session.get_expire_at_browser_close() else age
    return Entered(secret, ticket.pod, ticket.path, max_age)


def is_alive(session: PodSession, secrets_: Sequence[str]) -> bool:
    """Tell whether a session on a pod's host, of one of these secrets, is not over yet."""
    return any(
        AccessToken.digest_of(secret) == session.digest
        and _site_session(session, secret) is not None
        for secret in secrets_
    )


def end(*, secrets_: Sequence[str] = (), site_session: str = "") -> None:
    """End sessions on pods' hosts: those of these secrets, or all of one session of the site."""
    if secrets_:
        digests = list(map(AccessToken.digest_of, secrets_))
        PodSession.objects.filter(digest__in=digests).delete()
    if site_session:
        Ticket.objects.filter(site_session=site_session).delete()
        PodSession.objects.filter(site_session=site_session).delete()


def end_all_of(user: Any) -> None:  # noqa: ANN401 - the project's own user model
    """End all of a user's sessions on pods' hosts, and what would begin one."""
    Ticket.objects.filter(user=user).delete()
    PodSession.objects.filter(user=user).delete()


def clean_up() -> int:
    """Delete what has expired, in bounded steps, and return how much that was."""
    count = 0
    for model in (Ticket, PodSession):
        rows = model._default_manager.using(router.db_for_write(model))  # noqa: SLF001 - documented
        for _ in range(_BATCHES):
            expired = rows.filter(expires_at__lt=timezone.now()).order_by("pk")
            pks = list(expired.values_list("pk", flat=True)[:_BATCH])
            count += rows.filter(pk__in=pks).delete()[0] if pks else 0
            if len(pks) < _BATCH:
                break
    return count


def _site_session(row: Ticket | PodSession, secret: str) -> Any:  # noqa: ANN401 - any engine's
    """Return the session of the site that a row stands for; None where either is over."""
    if row.expires_at <= timezone.now():
        return None
    session = site_sessions.load(site_sessions.unseal(row.sealed_key, secret))
    is_same = constant_time_compare(site_sessions.name_of(session), row.site_session)
    return session if is_same and site_sessions.is_of(session, row.user) else None
