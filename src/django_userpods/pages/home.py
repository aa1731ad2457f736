"""My pods: a user's own pods, tokens and sessions, and what they may do with them.

Every form is answered with a redirect to the page, or with the page and what is wrong. Whoever asks
has to be signed in at the site itself: a token does not open it.
"""

from __future__ import annotations

import logging
from functools import wraps
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from django.contrib.auth.decorators import login_not_required
from django.db.models import Max, Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_POST, require_safe

from django_userpods import profiles, sentences
from django_userpods.access.reach import is_let_in
from django_userpods.conf import conf
from django_userpods.core import naming
from django_userpods.core.operations import FOR_USERS, Operation
from django_userpods.exceptions import PodNotAllowed, ProfileNotAllowed, SettingError
from django_userpods.models import AccessToken, Installation, PodSession, UserPod
from django_userpods.pages import assets
from django_userpods.pages.asking import Refusal, expected, main_pod, or_unavailable
from django_userpods.pages.links import namespace, to_login, to_view
from django_userpods.pages.refusals import for_browsers, page_of, sign_out
from django_userpods.pages.shared import may_share, pods_shared_with, shares_of
from django_userpods.pages.wording import label_of

if TYPE_CHECKING:
    import datetime
    from collections.abc import Callable, Mapping, Sequence

    from django.db.models import QuerySet

    from django_userpods.core.profile import Profile
    from django_userpods.models import Share

logger = logging.getLogger("django_userpods")

#: Maximum number of sessions, of tokens that work, and of those that are over, on the page.
_SESSIONS, _TOKENS, _OLD_TOKENS = 50, 200, 10


class ShownPod(NamedTuple):
    """A pod as the page shows it; ``may`` has the names of the operations that it offers."""

    pod: UserPod
    open_url: str
    since: datetime.datetime
    may: frozenset[str]
    changes: bool
    number: int
    #: The name of its profile, "" for none.
    profile: str = ""
    shares: Sequence[Share] = ()
    #: When it will stop as things are, and whether it will then though it is used.
    stops_at: datetime.datetime | None = None
    stops_anyway: bool = False
    #: Of a form about it that was refused: what was sent, and the field that is wrong.
    sent: Mapping[str, str] = MappingProxyType({})
    wrong: str = ""


def for_user(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Decorate a view for somebody who is signed in at the site and may have a pod."""

    @login_not_required
    @never_cache
    @csrf_protect
    @expected
    @wraps(view)
    def answer(request: HttpRequest, **named: Any) -> HttpResponse:  # noqa: ANN401
        def decide() -> HttpResponse:
            user: Any = request.user
            if not user.is_authenticated:
                return to_login(request, to_view(request, "home"))
            if not is_let_in(user):
                return page_of(request, Refusal.NOT_LET_IN)
            return view(request, **named)

        response = or_unavailable(decide, refuse=for_browsers(request))
        response["X-Frame-Options"] = "DENY"
        return response

    return answer


@for_user
@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """Show a user's own pods, tokens and sessions. The number of queries is always the same."""
    return page(request)


@for_user
@require_POST
def operate(request: HttpRequest, name: str) -> HttpResponse:
    """Start, stop or restart one of the user's own pods, as far as that is allowed."""
    from django_userpods import lifecycle

    pod = own_pods(request).filter(name=name)
    get_object_or_404(pod)
    asked = request.POST.get("do", "")
    if asked not in FOR_USERS or asked not in conf.USERPODS_SELF_SERVICE:
        return page(request, error=gettext("This is not allowed here."), status=403)
    user: Any = request.user
    result = lifecycle.OPERATIONS[Operation(asked)](pod, actor=user.get_username())
    for refused in result.refused.values():
        error, status = sentences.of_refused_profile(refused.why)
        return page(request, error=error, status=status)
    return back(request)


@for_user
@require_POST
def add(request: HttpRequest) -> HttpResponse:
    """Give the user a further pod of the name that they chose."""
    from django_userpods import lifecycle

    slot = request.POST.get("slot", "").strip().lower()
    profile = request.POST.get("profile", "")
    error, status, wrong = "", 400, "slot"
    if not {"add", *(["profile"] if profile else [])} <= conf.USERPODS_SELF_SERVICE:
        error, status, wrong = gettext("This is not allowed here."), 403, ""
    elif not naming.is_valid_slot(slot):
        error = gettext(
            "A name has at most %(number)s characters: letters a to z, digits, and single dashes "
            "between them."
        ) % {"number": naming.MAX_SLOT}
    elif own_pods(request).filter(slot=slot).exists():
        error = gettext("You already have a workspace with this name.")
    else:
        try:
            lifecycle.add_pod(request.user, slot, profile=profile)
        except ProfileNotAllowed as refused:
            (error, status), wrong = sentences.of_refused_profile(refused.why), "profile"
        except PodNotAllowed:
            error, wrong = gettext("You have reached the limit on workspaces."), ""
    return page(request, error=error, status=status, wrong=wrong) if error else back(request)


@for_user
@require_POST
def delete(request: HttpRequest, name: str) -> HttpResponse:
    """Take away a further pod whose name was typed."""
    from django_userpods import lifecycle

    pod = get_object_or_404(own_pods(request).exclude(slot=""), name=name)
    if "delete" not in conf.USERPODS_SELF_SERVICE:
        return page(request, error=gettext("This is not allowed here."), status=403, pod=pod)
    if request.POST.get("typed", "").strip() != pod.slot:
        error = gettext("Nothing was deleted: that is not the name of the workspace.")
        return page(request, error=error, status=400, pod=pod, wrong="typed")
    lifecycle.remove_pod(pod)
    return back(request)


def page(
    request: HttpRequest,
    *,
    error: str = "",
    status: int = 200,
    pod: UserPod | None = None,
    wrong: str = "",
) -> HttpResponse:
    """Return the page, with what is wrong with a form that was sent, which keeps what was typed.

    ``pod`` is the one whose form it is, None for one of the page's own; ``wrong`` is the name of
    the field that the error is about, "" where it is about none.
    """
    allowed = conf.USERPODS_SELF_SERVICE
    known = profiles.known()
    pods = _shown_pods(request, allowed, known)
    if pod is not None:
        pods = [
            item._replace(sent=request.POST, wrong=wrong) if item.pod.pk == pod.pk else item
            for item in pods
        ]
    others = [(pod, label_of(pod)) for pod in pods_shared_with(request.user)]
    names = {item.pod.pk: item.pod.slot for item in pods}
    names |= {pod.pk: label for pod, label in others}
    limit = conf.max_pods_of(request.user)  # type: ignore[arg-type]
    context = {
        **assets.context(request),
        **sign_out(request),
        "state": "home",
        "title": gettext("My workspaces") if limit > 1 else gettext("My workspace"),
        "namespace": namespace(request),
        "username": request.user.get_username(),
        "pods": pods,
        "changes": any(item.changes for item in pods),
        # One that failed may answer again, as a pod whose process is started anew.
        "has_failed": any(item.pod.state == UserPod.State.FAILED for item in pods),
        "allowed": allowed,
        "limit": limit,
        "may_add": "add" in allowed and len(pods) < limit,
        "max_slot": naming.MAX_SLOT,
        "offered": profiles.offered_to(request.user, known) if "profile" in allowed else [],
        "tokens": _tokens(request),
        "scopes": AccessToken.Scope.choices,
        "may_share": may_share(request.user),
        "others": others,
        "sessions": [(item, names.get(item.pod)) for item in _sessions(request)],
        "admin_url": _admin_url(request),
        "error": error,
        "sent": request.POST if pod is None else {},
        "wrong": wrong if pod is None else "",
    }
    return render(request, "userpods/home.html", context, status=status)


def back(request: HttpRequest) -> HttpResponse:
    """Return the redirect to the page after a form that was sent."""
    response = HttpResponseRedirect(to_view(request, "home"))
    response.status_code = 303
    return response


def own_pods(request: HttpRequest) -> QuerySet[UserPod]:
    """Return the user's pods that are to stay, the main one first."""
    pods = UserPod.objects.filter(owner=request.user.pk)
    return pods.exclude(wanted=UserPod.Wanted.ABSENT).order_by("slot")


def _shown_pods(
    request: HttpRequest, allowed: frozenset[str], known: Mapping[str, Profile]
) -> list[ShownPod]:
    from django_userpods import lifecycle

    main_pod(request.user)  # type: ignore[arg-type]  # makes a row where no signal did
    rows = own_pods(request).annotate(last_change=Max("transitions__at")).select_related("owner")
    pods = list(rows)
    if lifecycle.look_at_all(pods):
        pods = list(rows.all())
    shares, known_since = shares_of(pods), _known_since()
    return [
        ShownPod(
            pod,
            "" if pod.wanted == UserPod.Wanted.STOPPED else pod.url or ("" if pod.slot else "/"),
            pod.last_change or pod.created_at,
            _may(pod, allowed),
            UserPod.State(pod.state).may_change and pod.state != UserPod.State.FAILED,
            number,
            known[pod.profile].name if pod.profile in known else pod.profile,
            shares.get(pod.pk, ()),
            *_end_of(pod, known_since),
        )
        for number, pod in enumerate(pods)
    ]


def _may(pod: UserPod, allowed: frozenset[str]) -> frozenset[str]:
    """Return what may be asked of a pod and makes sense.

    One that is to run is not started but, if that is allowed, tried anew.
    """
    from django_userpods import lifecycle

    found = {
        operation.value
        for operation in FOR_USERS
        if operation in allowed and lifecycle.applies(operation, pod)
    }
    is_wanted = pod.wanted == UserPod.Wanted.RUNNING
    if is_wanted and (pod.state != UserPod.State.FAILED or Operation.RESTART in found):
        found.discard(Operation.START)
    return frozenset(found)


def _known_since() -> datetime.datetime | None:
    """Return since when it is known which pods are used; a query only where that matters."""
    if conf.USERPODS_IDLE_TIMEOUT is None:
        return None
    return Installation.objects.current(write=False).known_since


def _end_of(
    pod: UserPod, known_since: datetime.datetime | None
) -> tuple[datetime.datetime | None, bool]:
    """Return when a pod will stop as things are, and whether its age is the reason."""
    if pod.wanted != UserPod.Wanted.RUNNING:
        return None, False
    try:
        lifetime = pod.lifetime(known_since)
    except SettingError as error:
        # The project's own function, of one pod: the rest of the page is true all the same.
        logger.warning("pod %s: %s", pod, error)
        return None, False
    at = lifetime.stops_at
    return at, at is not None and at == lifetime.too_old_at


def _tokens(request: HttpRequest) -> Sequence[AccessToken]:
    """Return the user's tokens: those that work, and a few of any number that do not any more."""
    tokens = AccessToken.objects.filter(user=request.user.pk).order_by("-created_at", "-pk")
    works = Q(Q(expires_at=None) | Q(expires_at__gt=timezone.now()), revoked_at=None)
    return [*tokens.filter(works)[:_TOKENS], *tokens.filter(~works)[:_OLD_TOKENS]]


def _sessions(request: HttpRequest) -> Sequence[PodSession]:
    sessions = PodSession.objects.filter(user=request.user.pk, expires_at__gt=timezone.now())
    return list(sessions.order_by("-created_at")[:_SESSIONS])


def _admin_url(request: HttpRequest) -> str:
    if not getattr(request.user, "is_staff", False):
        return ""
    try:
        return reverse("admin:index")
    except NoReverseMatch:
        return ""
