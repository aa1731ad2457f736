"""``python -m tests.databases.older_driver JSON``: what the controller hears by psycopg 2.

In a process of its own, since Django takes psycopg 3 where it is there. JSON is an entry of
``DATABASES``. A line says each time that the controller would look, until standard input ends.
"""

from __future__ import annotations

import json
import sys
import threading


def main() -> None:
    """Listen."""
    # As if it were not installed.
    sys.modules["psycopg"] = None  # type: ignore[assignment]
    import django
    from django.conf import settings

    from tests import settings as ours

    named = {name: getattr(ours, name) for name in dir(ours) if name.isupper()}
    settings.configure(**{**named, "DATABASES": {"default": json.loads(sys.argv[1])}})
    django.setup()
    from django.db.backends.postgresql.psycopg_any import is_psycopg3

    from django_userpods.controller import changes

    assert not is_psycopg3
    stop = threading.Event()
    threading.Thread(
        target=changes.listen, args=(stop, lambda: print("look", flush=True)), daemon=True
    ).start()
    sys.stdin.read()
    stop.set()


if __name__ == "__main__":
    main()
