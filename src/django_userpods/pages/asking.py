"""Who is asking, and about which pod: the beginning of every view here."""

from __future__ import annotations

import logging
from enum import Enum
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

from django.db import Error
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.utils.log import log_response

from django_userpods.access import reach
from django_userpods.access.addresses import asked_pod
from django_userpods.access.authenticators import Visitor, authenticate
from django_userpods.access.reach import Reached
from django_userpods.exceptions import InvalidCredentials, NotLetIn, Undecided
from django_userpods.models import UserPod, main_pod_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from django.contrib.auth.models import AbstractBaseUser

logger = logging.getLogger("django_userpods")
#: What was answered, at DEBUG: see ``expected``.
_answers = logging.getLogger("django_userpods.request")

Answer = TypeVar("Answer", bound=HttpResponseBase)

#: Seconds after which a client may ask again.
RETRY_AFTER = 3


class Refusal(Enum):
    """Why somebody is not let in."""

    NOBODY = "no credentials"
    INVALID = "credentials that are not valid"
    NOT_LET_IN = "inactive or not selected"
    ANOTHERS = "another user's pod, or none at all"
    NOT_READY = "no pod yet, while its name is another's whose pod is going"
    UNAVAILABLE = "nobody can tell who is asking"

    @property
    def status(self) -> int:
        """The status of the answer."""
        if self in (Refusal.NOT_READY, Refusal.UNAVAILABLE):
            return 503
        return 401 if self is Refusal.NOBODY else 403

    @property
    def text(self) -> str:
        """What programs are told."""
        if self is Refusal.ANOTHERS:
            return "not your pod"
        if self is Refusal.NOT_READY:
            return "not ready"
        if self is Refusal.UNAVAILABLE:
            return "unavailable"
        # Of a user who may not come in they are told no more than of a token that is not valid.
        return "no token" if self is Refusal.NOBODY else "invalid token"


def expected(view: Callable[..., Answer]) -> Callable[..., Answer]:
    """Decorate a view whose 4xx and 503 are ordinary answers, not faults.

    Django logs each 5xx as an error, which mails the ADMINS by default, and each 4xx as a warning,
    unless the response has been logged already. What really went wrong (a database that is down) is
    logged where it is noticed.
    """

    @wraps(view)
    def answer(request: HttpRequest, **named: Any) -> Answer:  # noqa: ANN401
        return logged_quietly(request, view(request, **named))

    return answer


def logged_quietly(request: HttpRequest, response: Answer) -> Answer:
    """Log an answer at DEBUG if it is one that Django would log, and return it."""
    if response.status_code >= 400:
        log_response(
            "%s: %s",
            response.reason_phrase,
            request.path,
            response=cast("HttpResponse", response),
            request=request,
            logger=_answers,
            level="debug",
        )
    return response


def is_storable(text: str) -> bool:
    """Tell whether every database takes the text: JSON may carry halves of surrogate pairs."""
    return "\0" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text)


def is_navigation(request: HttpRequest) -> bool:
    """Tell whether a person's browser opens a page (Fetch Metadata, else the Accept header)."""
    mode = request.headers.get("Sec-Fetch-Mode")
    html = "text/html" in request.headers.get("Accept", "")
    return html and mode in (None, "navigate")


def for_visitor(
    request: HttpRequest,
    answer: Callable[[Visitor, UserPod], Answer],
    *,
    refuse: Callable[[Refusal], HttpResponse] | None = None,
) -> Answer | HttpResponse:
    """Answer 401, 403 and 503, or what ``answer`` makes for who is asking and their row.

    401, 403 and 503 are JSON, unless ``refuse`` makes something else of them.
    """

    def decide() -> Answer | HttpResponse:
        found = _decide(request, answer)
        return (refuse or in_json)(found) if isinstance(found, Refusal) else found

    return or_unavailable(decide, refuse=refuse)


def or_unavailable(
    answer: Callable[[], Answer], *, refuse: Callable[[Refusal], HttpResponse] | None = None
) -> Answer | HttpResponse:
    """Answer 503 where it cannot be told who is asking: JSON, unless ``refuse`` makes a page."""
    try:
        return answer()
    except Undecided:
        pass
    except Error:  # InterfaceError too: a connection that is gone
        logger.exception("the database could not tell who is asking")
    return (refuse or in_json)(Refusal.UNAVAILABLE)


def in_json(refusal: Refusal) -> HttpResponse:
    """Return what programs are told that are not let in."""
    return as_json({"error": refusal.text}, status=refusal.status)


def _decide(
    request: HttpRequest, answer: Callable[[Visitor, UserPod], Answer]
) -> Answer | HttpResponse | Refusal:
    try:
        visitor = authenticate(request)
    except NotLetIn:
        return Refusal.NOT_LET_IN
    except InvalidCredentials:
        return Refusal.INVALID
    if visitor is None:
        return Refusal.NOBODY
    # (Where pods are paths, a page of one of them says which; whom it may be is decided below.)
    asked = asked_pod(request, at=request.GET.get("at"))
    if asked == "":
        pod = main_pod(visitor.user)
        return answer(visitor, pod) if pod else Refusal.NOT_READY
    found = reachable(visitor.user, asked)
    if found is None:
        return Refusal.ANOTHERS
    visitor = visitor._replace(is_guest=found.is_guest, until=found.until)
    return answer(visitor, found.pod)


def reachable(user: AbstractBaseUser, name: str | None) -> Reached | None:
    """Return the pod of this name if the user may reach it (``access.reach``)."""
    if name is None:
        return None
    found = reach.find(user, name)
    if found is not None:
        return found
    # A main pod whose row was not there, or not to stay, a moment ago.
    main = main_pod(user)
    return Reached(main) if main is not None and main.name == name else None


def main_pod(user: AbstractBaseUser) -> UserPod | None:
    """Return the user's main pod, whose row is made if need be; None where they get none."""
    pod = main_pod_of(user)
    if pod is None or pod.wanted == UserPod.Wanted.ABSENT:
        # No signal told us of this user (bulk_create, SQL).
        from django_userpods.reconcile.pods import ensure_row

        pod = ensure_row(user)
    return pod


def as_json(data: Mapping[str, object], *, status: int) -> JsonResponse:
    """Return the data as JSON; a 503 says when to ask again (RFC 9110, section 10.2.3)."""
    response = JsonResponse(data, status=status)
    if status == 503:
        response["Retry-After"] = str(RETRY_AFTER)
    return response
