"""What the tests do to the site's database, in a process of its own: one command, its arguments."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import django

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.contrib.sessions.backends.db import SessionStore


def prepare(*peers: str) -> None:
    """Make alice and bob (password: their name), and their pods at these addresses."""
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    for name, peer in zip(("alice", "bob"), peers, strict=True):
        _make(name, peer)


def people(*words: str) -> None:
    """Make users (``name=peer``) with pods, sign them in, and print their sessions' keys."""
    for word in words:
        name, _, peer = word.partition("=")
        _make(name, peer)
        session(name)


def _make(name: str, peer: str) -> None:
    from django.contrib.auth.models import User

    from django_userpods.models import UserPod

    user = User.objects.create_superuser(name, password=name)
    row = UserPod.objects.get(owner=user)
    row.address, row.state = peer, UserPod.State.RUNNING
    row.save()


def slot(name: str, slot: str, peer: str) -> None:
    """Give a user a further pod, at this address."""
    from django.contrib.auth.models import User

    from django_userpods import lifecycle
    from django_userpods.models import UserPod

    row = lifecycle.add_pod(User.objects.get(username=name), slot)
    UserPod.objects.filter(pk=row.pk).update(address=peer, state=UserPod.State.RUNNING)


def becomes(name: str, state: str) -> None:
    """Have a user's pod in a state that no look at the cluster changes."""
    from django_userpods.models import UserPod

    found = UserPod.objects.filter(owner__username=name)
    found.update(state=state, looked_at="2999-01-01T00:00Z")


def late(seconds: str) -> None:
    """Make all tickets older by this number of seconds."""
    from datetime import timedelta

    from django.db.models import F

    from django_userpods.tokens import Ticket

    Ticket.objects.update(expires_at=F("expires_at") - timedelta(seconds=int(seconds)))


def credentials(*names: str) -> None:
    """Print, a line for each, a session, a token and a session on the pod's host of these users."""
    for name in names:
        session(name)
        token(name)
        host_session(name)


def token(name: str) -> None:
    """Make a token of this user and print it."""
    from django.contrib.auth.models import User

    from django_userpods.models import AccessToken

    _, text = AccessToken.objects.issue(User.objects.get(username=name))
    print(text)


def session(name: str) -> None:
    """Sign this user in and print the session's key."""
    print(_signed_in(name).session_key)


def _signed_in(name: str) -> SessionStore:
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.contrib.auth.models import User
    from django.contrib.sessions.backends.db import SessionStore

    user = User.objects.get(username=name)
    store = SessionStore()
    store[SESSION_KEY] = str(user.pk)
    store[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    store[HASH_SESSION_KEY] = user.get_session_auth_hash()
    store.save()
    return store


def host_session(name: str) -> None:
    """Sign this user in on their pod's host, as a ticket does, and print the cookie's value."""
    from django.contrib.auth.models import User

    from django_userpods.access import tickets
    from django_userpods.models import UserPod

    user, state = User.objects.get(username=name), tickets.state_of("nonce")
    pod = UserPod.objects.get(owner=user)
    text = tickets.issue(user, pod, session=_signed_in(name), state=state, path="/")
    print(tickets.begin(*tickets.redeem(text, nonces=["nonce"]), instead_of=[]).secret)


def deactivate(name: str) -> None:
    """Take a user's access, as the admin does it."""
    from django.contrib.auth.models import User

    user = User.objects.get(username=name)
    user.is_active = False
    user.save()


def delete(name: str) -> None:
    from django.contrib.auth.models import User

    User.objects.get(username=name).delete()


def hand_over(loser: str, winner: str) -> None:
    """Give one user's address to another, as a reconcile that saw it at another Service does."""
    from django.contrib.auth.models import User

    from django_userpods.access import router_client
    from django_userpods.models import UserPod

    row = UserPod.objects.get(owner__username=loser)
    address, row.address = row.address, None
    row.save()
    UserPod.objects.filter(owner__username=winner).update(address=address)
    for name in (loser, winner):
        router_client.purge(str(User.objects.get(username=name).pk))


def share(name: str, guest: str) -> None:
    """Share a user's pod with another, or with the group ``@name``, as the page does."""
    _sharing("share", name, guest)


def unshare(name: str, guest: str) -> None:
    """Take that back."""
    _sharing("unshare", name, guest)


def _sharing(do: str, name: str, guest: str) -> None:
    from django.contrib.auth.models import Group, User

    from django_userpods import lifecycle
    from django_userpods.models import UserPod

    whom = (
        Group.objects.get_or_create(name=guest[1:])[0]
        if guest.startswith("@")
        else User.objects.get(username=guest)
    )
    getattr(lifecycle, do)(UserPod.objects.get(owner__username=name), with_=whom)


def join(name: str, group: str) -> None:
    """Put a user into a group."""
    from django.contrib.auth.models import Group, User

    User.objects.get(username=name).groups.add(Group.objects.get_or_create(name=group)[0])


def leave(name: str, group: str) -> None:
    """Take a user out of a group."""
    from django.contrib.auth.models import Group, User

    User.objects.get(username=name).groups.remove(Group.objects.get(name=group))


def become(name: str, wanted: str, state: str, message: str = "") -> None:
    """Have a user's pod wanted and seen like this."""
    from django_userpods.models import UserPod

    rows = UserPod.objects.filter(owner__username=name)
    rows.update(wanted=wanted, state=state, message=message)


def asked(name: str) -> None:
    """Print what is wanted of a user's pod, and who asked for it last."""
    from django_userpods.models import UserPod

    row = UserPod.objects.get(owner__username=name)
    last = row.transitions.exclude(operation="").order_by("pk").last()
    print(row.wanted, last.actor if last else "nobody")


def main() -> None:
    django.setup()
    from django_userpods.access import router_client

    name, *arguments = sys.argv[1:]
    commands: dict[str, Callable[..., None]] = {
        "prepare": prepare,
        "people": people,
        "slot": slot,
        "late": late,
        "token": token,
        "session": session,
        "credentials": credentials,
        "deactivate": deactivate,
        "delete": delete,
        "hand-over": hand_over,
        "share": share,
        "unshare": unshare,
        "join": join,
        "leave": leave,
        "become": become,
        "becomes": becomes,
        "asked": asked,
    }
    commands[name](*arguments)
    router_client.wait_idle()


if __name__ == "__main__":
    main()
