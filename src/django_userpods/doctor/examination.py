"""The whole examination: parts side by side, each in a thread that nobody waits for too long."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from django.db import connections
from django.utils.translation import gettext as _
from django.utils.translation import override

from django_userpods.doctor import inside, outside, permissions
from django_userpods.doctor.findings import note, wrong

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from django_userpods.doctor.findings import Finding

    Part = Callable[[], Iterable[Finding]]


def examine(*, timeout: float = 10.0, controller: bool = False) -> list[Finding]:
    """Look at settings, database, cluster, rights, DNS, routers, certificates and clocks.

    It takes at most three times ``timeout`` seconds, whatever does not answer: that is then what
    was found of it. ``controller`` asks for the rights of ``run_userpods``, too. Nothing is
    written, and no finding holds a secret.
    """
    facts = inside.Facts()
    steps: list[dict[str, Part]] = [
        # What the others need to know comes first.
        {"settings": inside.settings},
        {"database": partial(inside.database, facts)},
        {
            "cluster": partial(permissions.cluster, timeout),
            "rights": partial(permissions.rights, facts, timeout, controller=controller),
            "dns": outside.names,
            "router": partial(outside.routers, timeout),
            "certificates": partial(outside.certificates, timeout),
            "clock": partial(permissions.clock, facts, timeout),
        },
    ]
    found: list[Finding] = []
    for parts in steps:
        found += _side_by_side(parts, timeout)
    return found


def _side_by_side(parts: dict[str, Part], timeout: float) -> list[Finding]:
    running = {about: _Running(about, part) for about, part in parts.items()}
    deadline = time.monotonic() + timeout
    for one in running.values():
        one.start()
    found: list[Finding] = []
    for about, one in running.items():
        if one.done.wait(max(0.0, deadline - time.monotonic())):
            found += one.findings
        else:
            text = _("There was no answer within %(seconds)g s.") % {"seconds": timeout}
            found.append(
                wrong(about, text, _("Find out what it is waiting for, or pass --timeout."))
            )
    return found


@dataclass(slots=True)
class _Running:
    """A part on its way. Its thread is a daemon: one that hangs keeps no process from ending."""

    about: str
    part: Part
    findings: list[Finding] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        from django.utils.translation import get_language

        threading.Thread(
            target=self._run, args=[get_language()], name=f"userpods-{self.about}", daemon=True
        ).start()

    def _run(self, language: str | None) -> None:
        try:
            with override(language):
                self.findings = list(self.part())
        except Exception as error:  # noqa: BLE001 - one part that fails is no reason to say nothing
            # The kind of error alone: its text may be anything, a password too.
            text = _("This could not be examined: %(error)s.") % {"error": type(error).__name__}
            self.findings = [note(self.about, text)]
        finally:
            connections.close_all()
            self.done.set()
