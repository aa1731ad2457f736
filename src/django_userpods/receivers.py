"""What happens to users becomes a request for a reconcile: after the commit, never in its way."""

from __future__ import annotations

import itertools
import logging
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.signals import user_logged_out
from django.db import router as db_router
from django.db import transaction
from django.db.models.signals import (
    class_prepared,
    m2m_changed,
    post_delete,
    post_save,
    pre_save,
)
from django.utils import timezone

from django_userpods import background
from django_userpods.access.sessions import after_session_deletion, when_flushed
from django_userpods.conf import conf
from django_userpods.exceptions import SettingError
from django_userpods.models import AccessToken, PodSession, Share, UserPod
from django_userpods.signals import tokens_revoked

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from django.db.models import Model
    from django.http import HttpRequest

logger = logging.getLogger("django_userpods")

#: Seconds that a logout, and a deletion or deactivation of users, wait, at most, until all routers
#: know of it.
ROUTERS_WAIT = 0.25
#: Where a save that begins notes, for its end, whether it changes the username.
_RENAMED = "_userpods_renamed"


def connect() -> None:
    """Connect the receivers, once all models are there."""
    background.connect()
    for model in apps.get_models():
        _connect_user(model)
    class_prepared.connect(_connect_user, dispatch_uid="django_userpods.class_prepared")
    for signal, uid in ((post_save, "token_saved"), (post_delete, "token_deleted")):
        signal.connect(token_changed, sender=AccessToken, dispatch_uid=f"django_userpods.{uid}")
    for signal, uid in ((post_save, "share_saved"), (post_delete, "share_deleted")):
        signal.connect(share_changed, sender=Share, dispatch_uid=f"django_userpods.{uid}")
    m2m_changed.connect(membership_changed, dispatch_uid="django_userpods.membership_changed")
    uid = "django_userpods.pod_session_deleted"
    post_delete.connect(pod_session_deleted, sender=PodSession, dispatch_uid=uid)
    tokens_revoked.connect(revoked, dispatch_uid="django_userpods.revoked")
    user_logged_out.connect(logged_out, dispatch_uid="django_userpods.logged_out")


def _connect_user(sender: type[Model], **_: Any) -> None:  # noqa: ANN401
    """Connect to a model of users: proxies and subclasses send under their own names.

    Not to all models at once: Django reads each row before it deletes it where anybody listens.
    """
    if issubclass(sender, get_user_model()):
        uid = f"django_userpods.{sender._meta.label}"  # noqa: SLF001 - Django's documented name
        pre_save.connect(user_about_to_be_saved, sender=sender, dispatch_uid=uid)
        post_save.connect(user_saved, sender=sender, dispatch_uid=uid)
        post_delete.connect(user_deleted, sender=sender, dispatch_uid=uid)


def user_about_to_be_saved(
    sender: type[Model],  # noqa: ARG001 - a signal's argument
    instance: AbstractBaseUser,
    *,
    raw: bool = False,
    update_fields: frozenset[str] | None = None,
    using: str | None = None,
    **_: Any,  # noqa: ANN401
) -> None:
    """Find out whether the save changes the username, which the pod is told."""
    model = get_user_model()
    name = model.USERNAME_FIELD
    if raw or instance.pk is None or (update_fields is not None and name not in update_fields):
        return
    if not instance._state.adding:  # noqa: SLF001 - Django's documented name
        stored = model._base_manager.using(using).filter(pk=instance.pk)  # noqa: SLF001
        before = stored.values_list(name, flat=True).first()
        instance.__dict__[_RENAMED] = before != instance.serializable_value(name)


def user_saved(
    sender: type[Model],  # noqa: ARG001 - a signal's argument
    instance: AbstractBaseUser,
    *,
    raw: bool = False,
    created: bool = False,
    update_fields: frozenset[str] | None = None,
    using: str | None = None,
    **_: Any,  # noqa: ANN401
) -> None:
    """Ask for the user's pod. Fixtures (``raw``) may be half loaded: the next sync sees them."""
    if raw:
        return
    renamed = instance.__dict__.pop(_RENAMED, False)
    if update_fields is not None and set(update_fields) <= {"last_login"}:
        return
    change = _Change(str(instance.pk), instance, created=created)
    change.needed = renamed or _pods_may_depend_on_anything()
    _after_commit(change, using=using)


def _pods_may_depend_on_anything() -> bool:
    """Tell whether the project's own code makes the pods' manifests, or the usernames."""
    try:
        return (
            conf.USERPODS_CUSTOMIZE is not None
            or callable(conf.USERPODS_TEMPLATE)
            or get_user_model().get_username is not AbstractBaseUser.get_username
        )
    except SettingError:
        return True  # whoever uses the setting says what is wrong


def user_deleted(
    sender: type[Model],  # noqa: ARG001 - a signal's argument
    instance: Model,
    *,
    using: str | None = None,
    **_: Any,  # noqa: ANN401
) -> None:
    """Ask for the end of the user's pod. The key is noted now: the instance loses it."""
    _after_commit(_Change(str(instance.pk)), using=using)


def token_changed(
    sender: type[Model],  # noqa: ARG001 - a signal's argument
    instance: AccessToken,
    *,
    using: str | None = None,
    **_: Any,  # noqa: ANN401
) -> None:
    """Let the routers and ``whoami`` forget what they know of a token's user."""
    transaction.on_commit(partial(_forget, str(instance.user_id)), using=using, robust=True)


def pod_session_deleted(
    sender: type[Model],  # noqa: ARG001 - a signal's argument
    instance: PodSession,
    *,
    using: str | None = None,
    **_: Any,  # noqa: ANN401
) -> None:
    """Let the routers and ``whoami`` forget what they know of a session's user, if it was good."""
    if instance.expires_at > timezone.now():
        transaction.on_commit(partial(_forget, str(instance.user_id)), using=using, robust=True)


def share_changed(
    sender: type[Model],  # noqa: ARG001 - a signal's argument
    instance: Share,
    *,
    using: str | None = None,
    **_: Any,  # noqa: ANN401
) -> None:
    """Let the routers and ``whoami`` forget what they know of the guests of a share's pod."""
    pods = UserPod.objects.using(using).filter(pk=instance.pod_id, name__isnull=False)
    for name in pods.values_list("name", flat=True):
        forget = partial(_forget, guests_of=[str(name)])
        transaction.on_commit(forget, using=using, robust=True)


def membership_changed(
    sender: type[Model],
    instance: Model,
    action: str,
    *,
    reverse: bool = False,
    using: str | None = None,
    **_: Any,  # noqa: ANN401
) -> None:
    """Let the routers and ``whoami`` forget guests of whom one came into a group, or left it."""
    groups: Any = getattr(get_user_model(), "groups", None)
    if getattr(groups, "through", None) is not sender or not action.startswith("post_"):
        return
    from django_userpods.access import reach

    if not reach.is_on():
        return
    if not reverse:
        forget = partial(_forget, str(instance.pk))
    else:
        # Of a group that was emptied nobody says who was in it.
        shares = Share.objects.using(using).filter(group=instance.pk, pod__name__isnull=False)
        names = sorted(set(map(str, shares.values_list("pod__name", flat=True))))
        forget = partial(_forget, guests_of=names)
    transaction.on_commit(forget, using=using, robust=True)


def revoked(sender: type[Model], user_pks: set[str], **_: Any) -> None:  # noqa: ANN401, ARG001
    """Let the routers and ``whoami`` forget what they know of the users of revoked tokens."""
    using = db_router.db_for_write(AccessToken)
    for user_pk in user_pks:
        transaction.on_commit(partial(_forget, user_pk), using=using, robust=True)


def logged_out(
    sender: type[Model],  # noqa: ARG001 - a signal's argument
    request: HttpRequest | None = None,
    user: Model | None = None,
    **_: Any,  # noqa: ANN401
) -> None:
    """Let the routers and ``whoami`` forget what they know of a user who logs out.

    Django sends its signal before it deletes the session. Whoever asks in between is let in and
    remembered, so what counts is what happens after it. Projects that log out without a session
    (tokens of their own) send the signal, too, so something happens at the signal as well.
    """
    if user is None:
        return
    from django_userpods.access import router_client, site_sessions, tickets

    user_pk = str(user.pk)
    is_flushed = False

    def at_signal() -> None:
        if not is_flushed:
            _forget(user_pk)

    def at_flush() -> None:
        nonlocal is_flushed
        is_flushed = True
        after_session_deletion(session, after_flush)

    def after_flush() -> None:
        try:
            # Signed cookies cannot be ended themselves; what came from them can.
            tickets.end(site_session=site_session)
        finally:
            _forget(user_pk)
        # Whoever logs out may look whether it is so. A dead router holds nobody up for longer.
        router_client.wait_idle(ROUTERS_WAIT)

    using = db_router.db_for_write(user._meta.model)  # noqa: SLF001 - Django's documented name
    transaction.on_commit(at_signal, using=using, robust=True)
    session = getattr(request, "session", None)
    site_session = "" if session is None else site_sessions.name_of(session)
    if session is not None:
        when_flushed(session, at_flush)


def _forget(*user_pks: str, guests_of: Collection[str] = ()) -> None:
    from django_userpods.access import cache, router_client

    # First here: a router that has forgotten asks again at once.
    cache.forget(user_pks, guests_of=guests_of)
    for user_pk in user_pks:
        router_client.purge(user_pk)
    for name in guests_of:
        router_client.purge_guests(name)


class _Change:
    """What happened to one user in a transaction; called after the commit.

    The transaction holds it, and lets go of it where it is rolled back.
    """

    _numbers = itertools.count()

    def __init__(
        self, user_pk: str, saved: AbstractBaseUser | None = None, *, created: bool = False
    ) -> None:
        self.user_pk = user_pk
        #: None where the user was deleted.
        self.saved = saved
        self.created = created
        #: Whether a reconcile is needed, whatever the row says.
        self.needed = saved is None
        self.number = next(self._numbers)
        self.of_connection: weakref.WeakSet[_Change] = weakref.WeakSet()
        self.is_done = False

    @property
    def is_out(self) -> bool:
        """Whether the user is deleted or may not sign in."""
        return self.saved is None or not getattr(self.saved, "is_active", True)

    def __call__(self) -> None:
        """Look after all users whom the transaction changed: the first to be called does it."""
        if self.is_done:
            return
        later = (item for item in self.of_connection if item.number >= self.number)
        changes = sorted((item for item in later if not item.is_done), key=lambda c: c.number)
        for change in changes:
            change.is_done = True
        _wake(changes)


#: The changes that wait for their commit, by connection.
_waiting: weakref.WeakKeyDictionary[Any, weakref.WeakSet[_Change]] = weakref.WeakKeyDictionary()


def _after_commit(change: _Change, *, using: str | None) -> None:
    connection = transaction.get_connection(using)
    change.of_connection = _waiting.setdefault(connection, change.of_connection)
    change.of_connection.add(change)
    transaction.on_commit(change, using=using, robust=True)


def _wake(changes: Sequence[_Change]) -> None:
    """Ask once for all that one transaction brings: one bounded try, or one task."""
    from django_userpods import tasks
    from django_userpods.access import reach, router_client

    last = {change.user_pk: change for change in changes}
    needed = {change.user_pk for change in changes if change.needed}
    try:
        # Whoever may not come in any more lets nobody else in either.
        _forget(*last, guests_of=sorted(reach.shared_pods_of(last)))
        (change, *others) = last.values()
        if others or change.saved is None:
            tasks.ask_for_some(list(last), needed=needed)
        else:
            created = any(change.created for change in changes)
            tasks.ask_for(change.saved, created=created, needed=bool(needed))
    except Exception:
        # The users are saved; whatever this was, the next sync finds the difference.
        names = ", ".join(last)
        logger.exception("user %s: the pod could not be seen to now; the next sync does it", names)
    if any(change.is_out for change in last.values()):
        # Whoever did that may look whether it is so, as after a logout.
        router_client.wait_idle(ROUTERS_WAIT)
