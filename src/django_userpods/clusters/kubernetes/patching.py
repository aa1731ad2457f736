"""Patching an object as it was read, again where somebody was quicker."""

from __future__ import annotations

import json
import random
import time
from typing import TYPE_CHECKING

from django_userpods.exceptions import Conflict, NotFound

if TYPE_CHECKING:
    from collections.abc import Callable

    from django_userpods.clusters.kubernetes.ownership import Patch
    from django_userpods.clusters.kubernetes.retry import Deadline
    from django_userpods.core.objects import Manifest

#: A new Deployment's status is written several times in its first second, each time another
#: resourceVersion; these tries spread over about two.
_ATTEMPTS = 10
_PAUSE = 0.2


def patch(
    *,
    read: Callable[[], Manifest | None],
    patch_for: Callable[[Manifest], Patch | None],
    send: Callable[[bytes], object],
    deadline: Deadline,
) -> bool:
    """Patch the object that ``read`` returns as ``patch_for`` says; False for nothing to patch.

    The patch holds the resourceVersion that was read, so it is refused where that is another by
    now.
    """
    attempt = 0
    while True:
        attempt += 1
        live = read()
        wanted = patch_for(live) if live is not None else None
        if wanted is None:
            return False
        try:
            send(json.dumps(wanted).encode())
        except Conflict:
            if attempt == _ATTEMPTS or deadline.remaining() < _PAUSE:
                raise
            time.sleep(random.uniform(0, _PAUSE))  # noqa: S311 - no secret
        except NotFound:
            return False
        else:
            return True
