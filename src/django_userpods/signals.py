"""Our own signals, sent with ``send_robust`` after the row is written; ``sender`` is ``UserPod``.

``userpod_applied``: a user's objects were created or changed. ``userpod`` is the row, ``actions``
the list of :class:`django_userpods.core.plan.Action` that were carried out.

``userpod_deleted``: a user's objects are gone. ``userpod`` is the row (unsaved, if it went too).

``tokens_revoked``: access tokens were revoked by a query, which sends no ``post_save``. ``sender``
is ``AccessToken``, ``user_pks`` are the primary keys of their users as text.

``userpod_failed``: something could not be done. ``userpod`` is the row, ``message`` says what.
"""

from __future__ import annotations

from django.dispatch import Signal

__all__ = ["tokens_revoked", "userpod_applied", "userpod_deleted", "userpod_failed"]

tokens_revoked = Signal()
userpod_applied = Signal()
userpod_deleted = Signal()
userpod_failed = Signal()
