"""The small rules that the cluster behind an API server is made of."""

from __future__ import annotations

import json
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import pytest

from django_userpods.clusters.kubernetes import KubernetesCluster, errors, jsontext, paging
from django_userpods.clusters.kubernetes.ownership import ownership_patch
from django_userpods.clusters.kubernetes.ratelimit import RateLimiter
from django_userpods.clusters.kubernetes.retry import (
    ATTEMPTS,
    parse_retry_after,
    pause_before_retry,
)
from django_userpods.core.objects import DEPLOYMENT, SERVICE, Kind, Ref
from django_userpods.exceptions import (
    BadAnswer,
    ClusterTimeout,
    ClusterUnavailable,
    Forbidden,
    NotFound,
    TooManyRequests,
    UnknownKind,
)
from tests import faults
from tests.clusters import kubeconfigs
from tests.faultproxy import FaultProxy

if TYPE_CHECKING:
    from pathlib import Path

CONFIGMAP = Kind("v1", "ConfigMap")


def elapsed(limiter: RateLimiter, calls: int) -> float:
    begun = time.monotonic()
    assert all(limiter.wait(10) for _ in range(calls))
    return time.monotonic() - begun


def test_a_burst_passes_at_once_and_the_rest_at_the_rate() -> None:
    limiter = RateLimiter(qps=50, burst=10)

    assert elapsed(limiter, 10) < 0.1
    assert 0.17 < elapsed(limiter, 10) < 0.5


def test_threads_share_the_rate() -> None:
    limiter = RateLimiter(qps=100, burst=1)
    threads = [threading.Thread(target=elapsed, args=(limiter, 5)) for _ in range(6)]
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 0.28 < time.monotonic() - begun < 1


def test_who_cannot_wait_so_long_is_told_at_once() -> None:
    limiter = RateLimiter(qps=1, burst=1)
    assert limiter.wait(0)
    begun = time.monotonic()

    assert not limiter.wait(0.5)

    assert time.monotonic() - begun < 0.1


def test_a_server_that_has_enough_is_given_half_and_then_more_again() -> None:
    now = 0.0
    limiter = RateLimiter(qps=200, burst=200, clock=lambda: now)
    assert limiter.wait(0)
    # Eight that were under way hear the same.
    for _ in range(8):
        limiter.slow_down()
    assert limiter.rate == 100
    assert not limiter.wait(0), "there is a burst"
    for _ in range(20):
        now += 1.0
        limiter.slow_down()
    assert limiter.rate >= 200 / 16
    slow = limiter.rate
    assert slow < 25
    now += 15
    assert limiter.wait(0)
    assert 100 < limiter.rate < 200
    now += 30
    assert limiter.wait(0)
    assert limiter.rate == 200


def test_a_server_that_has_enough_slows_down_the_calls_that_follow(tmp_path: Path) -> None:
    """At this rate the next one's turn is longer off than it may take; a burst would hide that."""
    slow: dict[str, Any] = {"qps": 0.01, "burst": 100, "timeout": 10}
    with FaultProxy(kubeconfigs.write(tmp_path / "config", {})) as server:
        server.on(faults.status(429), times=1)
        client = KubernetesCluster(kubeconfig=server.kubeconfig, **slow)
        with pytest.raises(ClusterTimeout, match="qps and burst"):
            client.get(Ref(SERVICE, "default", "nothing"))
        assert [call.status for call in server.calls] == [429]
        client.close()

        # A watch, too, which is not tried again.
        server.clear()
        server.forget()
        server.on(faults.status(429), query="watch=true")
        server.on(faults.status(404))
        client = KubernetesCluster(kubeconfig=server.kubeconfig, **slow)
        with pytest.raises(TooManyRequests):
            list(client.watch(SERVICE, namespace=None, labels={}, since="1", seconds=5))
        with pytest.raises(ClusterTimeout, match="qps and burst"):
            client.get(Ref(SERVICE, "default", "nothing"))
        assert [call.status for call in server.calls] == [429]
        client.close()


def test_what_has_no_limit_is_not_slowed_down() -> None:
    limiter = RateLimiter(qps=0, burst=1)
    limiter.slow_down()
    assert elapsed(limiter, 1000) < 1


def test_no_rate_is_no_limit() -> None:
    assert elapsed(RateLimiter(qps=0, burst=1), 10_000) < 1


def test_the_rate_limit_respects_a_calls_deadline(tmp_path: Any) -> None:
    kubeconfig = tmp_path / "config"
    kubeconfig.write_text(
        '{"current-context": "c", "users": [], "contexts": [{"name": "c", "context": '
        '{"cluster": "c"}}], "clusters": [{"name": "c", "cluster": '
        '{"server": "http://127.0.0.1:9"}}]}'
    )
    client = KubernetesCluster(kubeconfig=kubeconfig, qps=0.1, burst=1, timeout=0.5)
    with pytest.raises(ClusterUnavailable):
        list(client.list(CONFIGMAP, namespace=None, labels={}))

    with pytest.raises(ClusterTimeout, match="qps and burst"):
        list(client.list(CONFIGMAP, namespace=None, labels={}))


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("0", 0), ("7", 7), (" 3 ", 3), ("", None), (None, None), ("soon", None), ("-1", None)],
)
def test_retry_after_may_be_seconds(value: str | None, seconds: float | None) -> None:
    assert parse_retry_after(value) == seconds


def test_retry_after_may_be_a_date() -> None:
    soon = parse_retry_after(format_datetime(datetime.now(UTC) + timedelta(seconds=30)))
    assert soon is not None
    assert 28 < soon <= 30
    assert parse_retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    naive = parse_retry_after("Wed, 21 Oct 2015 07:28:00 -0000")
    assert naive == 0


def test_pauses_double_with_jitter_and_end() -> None:
    error = ClusterUnavailable("", status=503)
    for attempt, longest in enumerate((0.1, 0.2, 0.4, 0.8), start=1):
        pauses = {pause_before_retry(error, attempt=attempt, retry_after=None) for _ in range(50)}
        assert len(pauses) > 1
        assert all(pause and longest / 2 <= pause <= longest for pause in pauses)
    assert pause_before_retry(error, attempt=ATTEMPTS, retry_after=1) is None


def test_a_pause_is_never_shorter_than_asked() -> None:
    for _ in range(50):
        pause = pause_before_retry(TooManyRequests(""), attempt=1, retry_after=2)
        assert pause
        assert 2 <= pause <= 2.2


def test_what_would_be_the_same_again_is_not_tried_again() -> None:
    for error in (Forbidden(""), NotFound(""), ClusterUnavailable("", status=501)):
        assert pause_before_retry(error, attempt=1, retry_after=None) is None


@pytest.mark.parametrize(
    "body",
    [
        b'{"kind":"Status","message":"x","code":404}',
        b'{"kind":"Status","message":"x","details":{},"code":404}',
        b"404 page not found\n",
    ],
)
def test_a_404_without_a_name_is_about_the_kind(body: bytes) -> None:
    error = errors.from_answer(404, body, what="get", server="s", retry_after=None)

    assert type(error) is UnknownKind


def test_answers_are_cut_and_objects_not_quoted() -> None:
    long = errors.from_answer(418, b"x" * 9999, what="get", server="s", retry_after=None)
    assert type(long) is BadAnswer
    assert len(str(long)) < 500
    secret = errors.from_answer(
        418, b'{"kind":"Secret","data":"cGFzcw=="}', what="get", server="s", retry_after=None
    )
    assert "cGFzcw" not in str(secret)
    with pytest.raises(BadAnswer) as caught:
        errors.decode(b'{"kind":"Secret","data":"cGFz', what="get", server="s")
    assert "cGFz" not in str(caught.value)


def entry(operation: str, fields: dict[str, Any], **more: str) -> dict[str, Any]:
    return {
        "manager": "django-userpods",
        "operation": operation,
        "apiVersion": "apps/v1",
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
        **more,
    }


def test_ownership_of_updates_is_united_with_that_of_applies() -> None:
    theirs = entry("Update", {"f:spec": {"f:c": {}}}, manager="kubectl-edit")
    status = entry("Update", {"f:status": {}}, subresource="status")
    live = {
        "metadata": {
            "resourceVersion": "7",
            "managedFields": [
                entry("Apply", {"f:spec": {"f:a": {}, "f:map": {"f:x": {}}}}),
                theirs,
                status,
                entry("Update", {"f:spec": {"f:b": {}, "f:map": {"f:y": {}}}}),
            ],
        }
    }

    patch = ownership_patch(live)

    united: dict[str, Any] = {"f:spec": {"f:a": {}, "f:b": {}, "f:map": {"f:x": {}, "f:y": {}}}}
    assert patch == [
        {
            "op": "replace",
            "path": "/metadata/managedFields",
            "value": [entry("Apply", united), theirs, status],
        },
        {"op": "replace", "path": "/metadata/resourceVersion", "value": "7"},
    ]


@pytest.mark.parametrize(
    "entries",
    [[], [entry("Apply", {})], [entry("Update", {}, manager="someone")]],
)
def test_there_is_nothing_to_take(entries: list[dict[str, Any]]) -> None:
    live = {"metadata": {"resourceVersion": "7", "managedFields": entries}}

    assert ownership_patch(live) is None
    assert ownership_patch({"metadata": {"resourceVersion": "7"}}) is None


def test_pages_in_any_order_of_keys_are_read_whole() -> None:
    pages = {
        "": b'{"metadata":{"continue":"t1"},"items":[{"metadata":{}}],"kind":"ConfigMapList"}',
        "t1": b'{"kind":"ConfigMapList","apiVersion":"v1","metadata":{"continue":"t2"},'
        b'"items":[{"metadata":{"managedFields":[1]}}]}',
        "t2": b'{"kind":"ConfigMapList","metadata":{},"items":null}',
    }

    found = paging.read_pages(pages.__getitem__, kind=CONFIGMAP, what="list", server=lambda: "s")

    assert list(found) == [{"metadata": {}, "apiVersion": "v1", "kind": "ConfigMap"}] * 2


def page(*items: dict[str, Any], kind: str = "Deployment") -> bytes:
    """A list as the API server's encoder writes it."""
    whole = {"kind": f"{kind}List", "apiVersion": "apps/v1", "metadata": {}, "items": items}
    return json.dumps(whole, separators=(",", ":")).encode()


def test_managed_fields_are_left_out_and_nothing_else() -> None:
    like_it = {"name": '"managedFields":[', "annotations": {"managedFields": "x"}}
    items: list[dict[str, Any]] = [
        {"metadata": {**like_it, "managedFields": [entry("Update", {})]}, "spec": {"a": [{}]}},
        {"metadata": {"name": "b"}, "spec": {"managedFields": [1]}},
    ]

    found = paging.read_pages(
        lambda _: page(*items), kind=DEPLOYMENT, what="list", server=lambda: "s"
    )

    of_kind = {"apiVersion": "apps/v1", "kind": "Deployment"}
    assert list(found) == [
        {"metadata": like_it, "spec": {"a": [{}]}, **of_kind},
        {"metadata": {"name": "b"}, "spec": {"managedFields": [1]}, **of_kind},
    ]


@pytest.mark.parametrize("fast", [True, False])
def test_json_is_read_alike_with_and_without_msgspec(
    monkeypatch: pytest.MonkeyPatch, *, fast: bool
) -> None:
    assert jsontext.has_msgspec()
    monkeypatch.setattr(jsontext, "has_msgspec", lambda: fast)

    text = '{"a": [1, 2.5, null, true, "\\u00e9é"], "items": [{"b": "é"}, {}], "c": {}}'
    whole = {"a": [1, 2.5, None, True, "éé"], "items": [{"b": "é"}, {}], "c": {}}
    assert jsontext.loads(text.encode()) == whole
    rest, items = jsontext.split_list(text.encode())
    assert (rest, list(items)) == ({"a": whole["a"], "c": {}}, whole["items"])
    rest, items = jsontext.split_list(b'{"a": 1, "items": null}')
    assert (rest, list(items)) == ({"a": 1}, [])

    for nonsense in (b"{nonsense}", b"", b'{"a": "\xff"}'):
        with pytest.raises(ValueError):
            jsontext.loads(nonsense)
    for no_list in (b"[]", b"7", b"{}", b'{"items": 7}', b'{"items": [', b"<html>"):
        with pytest.raises(ValueError):
            jsontext.split_list(no_list)


def test_an_item_that_is_cut_short_is_a_bad_answer() -> None:
    pages = paging.read_pages(
        lambda _: b'{"kind":"ConfigMapList","items":[{"metadata":{"name":"\xff"}}]}',
        kind=CONFIGMAP,
        what="list",
        server=lambda: "s",
    )
    with pytest.raises(BadAnswer, match="list: s answered with what is not JSON"):
        list(pages)
