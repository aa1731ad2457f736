"""What a term's threads do, step by step and without them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django_userpods.controller.term import BATCH

if TYPE_CHECKING:
    from django_userpods.controller.term import Term


def work(term: Term, rounds: int = 1) -> None:
    """Poll and do what is due, as the threads do."""
    for _ in range(rounds):
        term.changes.poll()
        if term.everything.take(1):
            term.do_everything()
        if keys := term.pods.take(BATCH):
            term.do(keys)
