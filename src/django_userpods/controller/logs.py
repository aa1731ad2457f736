"""Structured logs: what a record is about beside what it says, for machines to read."""

from __future__ import annotations

import datetime
import json
import logging
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django_userpods.reconcile.report import Failure, Report

logger = logging.getLogger("django_userpods.controller")

#: What records of ours carry (``extra``).
FIELDS = ("pod", "user_pk", "verb", "kind", "namespace", "name_of_object", "reason")


class JsonFormatter(logging.Formatter):
    """One JSON object a line: ``time``, ``level``, ``logger``, ``message`` and what is known."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        when = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        line = {
            "time": when.isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: getattr(record, name) for name in FIELDS if hasattr(record, name)}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def log_to_stderr(*, as_json: bool) -> None:
    """Have what ``django_userpods`` logs go to standard error, and nowhere else."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        JsonFormatter() if as_json else logging.Formatter("%(asctime)s %(levelname)s %(message)s")
    )
    logger = logging.getLogger("django_userpods")
    logger.handlers[:] = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False


def log_done(what: str, report: Report, took: float) -> None:
    """Log what a look did, and how long it took."""
    for action in report.done:
        reason = f" ({action.reason})" if action.reason else ""
        logger.info(
            "%s %s%s",
            action.verb,
            action.ref,
            reason,
            extra={
                "pod": action.pod,
                "verb": str(action.verb),
                "kind": action.ref.kind.kind,
                "namespace": action.ref.namespace,
                "name_of_object": action.ref.name,
                "reason": action.reason,
            },
        )
    if report.refused is not None:
        logger.error("%s", report.refused)
    level = logging.INFO if what == "everything" else logging.DEBUG
    logger.log(level, "looked at %s: %d users, %.3f s", what, report.users, took)


def log_failure(pod: str, failure: Failure, pause: float, *, times: int) -> None:
    """Log why a pod failed, and when it is tried again.

    That is a warning the first of so many ``times`` in a row, the second, fourth, eighth and so on.
    """
    extra = {"pod": pod, "user_pk": failure.user_pk, "reason": failure.message}
    level = logging.DEBUG if times & (times - 1) else logging.WARNING
    text = "%s: %s; again in %.1f s"
    logger.log(level, text, failure.name, failure.message, pause, extra=extra)
