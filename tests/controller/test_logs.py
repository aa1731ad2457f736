"""Structured logs: each line is JSON, and says which pod it is about and why."""

from __future__ import annotations

import io
import json
import logging
import sys
from typing import TYPE_CHECKING, Any

import pytest

from django_userpods.cluster import another_cluster
from django_userpods.controller import term as terms
from django_userpods.controller.logs import log_to_stderr
from django_userpods.controller.metrics import Metrics
from django_userpods.controller.term import Options, Term
from django_userpods.exceptions import Invalid
from django_userpods.models import UserPod
from tests.django.support import deployment
from tests.factories import UserFactory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django_userpods.testing import MemoryCluster

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What is written to standard error with ``--log-format json``."""
    logger, stream = logging.getLogger("django_userpods"), io.StringIO()
    level, propagate = logger.level, logger.propagate
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", stream)
        log_to_stderr(as_json=True)
    (handler,) = logger.handlers
    yield stream
    logger.removeHandler(handler)
    logger.setLevel(level)
    logger.propagate = propagate


def lines(said: io.StringIO) -> list[dict[str, Any]]:
    """Return the lines since the last time."""
    found = [json.loads(line) for line in said.getvalue().splitlines()]
    said.truncate(said.seek(0))
    return found


@pytest.fixture
def term(settings: Any, memory: MemoryCluster) -> Term:
    settings.USERPODS_CONTROLLER = True
    return Term(Options(), Metrics(), another_cluster())


def test_a_json_line_of_a_change_says_of_which_pod_it_is_and_why(
    term: Term, memory: MemoryCluster, said: io.StringIO
) -> None:
    UserFactory(username="alice")
    UserFactory(username="bob")
    term.do_everything()
    ids = {str(pod.name): pod.pk for pod in UserPod.objects.all()}
    made = [line for line in lines(said) if line.get("verb") == "create"]
    assert {(line["name_of_object"], line["pod"]) for line in made} == set(ids.items())
    deployment(memory, "user-alice")["spec"]["replicas"] = 7
    term.do([ids["user-alice"]])
    (line,) = [line for line in lines(said) if "verb" in line]
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "INFO",
        "logger": "django_userpods.controller",
        "message": "update Deployment default/user-alice (.spec.replicas)",
        "pod": ids["user-alice"],
        "verb": "update",
        "kind": "Deployment",
        "namespace": "default",
        "name_of_object": "user-alice",
        "reason": ".spec.replicas",
    }


def test_a_json_line_of_a_failure_says_of_which_pod_it_is_and_why(
    term: Term, memory: MemoryCluster, said: io.StringIO
) -> None:
    alice = UserFactory(username="alice")
    pod = UserPod.objects.get().pk
    memory.fail_with(Invalid("no such image: ä", status=422), verb="create", times=1)
    term.do([pod])
    refused, again = [line for line in lines(said) if line["level"] == "WARNING"]
    assert refused["pod"] == again["pod"] == pod
    assert refused["reason"] == again["reason"] == "no such image: ä"
    assert again["user_pk"] == str(alice.pk)


def test_a_json_line_has_the_exception(
    term: Term, said: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: Any) -> None:
        message = "a\nb"
        raise RuntimeError(message)

    monkeypatch.setattr(terms, "reconcile", fail)
    term.do(["7"])
    (line,) = lines(said)
    assert (line["level"], line["pod"]) == ("ERROR", "7")
    assert line["exception"].endswith("RuntimeError: a\nb")
