"""Alerts, dashboard, documentation and what the controller counts name the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from django_userpods.controller.metrics import Metrics
from django_userpods.controller.queue import Backlog
from tests.manifests import monitoring

DOCS = (Path(__file__).parents[2] / "docs" / "monitoring.md").read_text()


@pytest.fixture
def counted(db: None) -> dict[str, str]:
    """The names of what a controller that leads exposes, and their types."""
    metrics = Metrics()
    metrics.backlog = lambda: Backlog(due=0, later=0, running=0, lag=0.0)
    metrics.rate = lambda: 200.0
    exposed = metrics.exposition()
    assert exposed is not None
    found = dict(re.findall(r"^# TYPE (\w+) (\w+)$", exposed[0].decode(), re.MULTILINE))
    # The client library's own, for each counter.
    return {name: kind for name, kind in found.items() if not name.endswith("_created")}


def test_every_metric_that_is_asked_for_exists(counted: dict[str, str]) -> None:
    asked = monitoring.metrics_in(" ".join(monitoring.expressions("any").values()))
    assert len(asked) > 5
    assert asked <= set(counted)


def test_the_dashboard_shows_every_metric(counted: dict[str, str]) -> None:
    asked = " ".join(target["expr"] for panel in monitoring.panels() for target in panel["targets"])
    assert monitoring.metrics_in(asked) == set(counted)


def test_every_label_that_is_asked_for_is_one_of_the_metric() -> None:
    rows = re.findall(r"^\| `(userpods_\w+)` \| \w+ \| ([^|]*)\|", DOCS, re.MULTILINE)
    labels = {name: {*re.findall(r"`(\w+)`", text)} for name, text in rows}
    for what, expression in monitoring.expressions("any").items():
        (metric,) = monitoring.metrics_in(expression)
        asked = {*re.findall(r"[{,](\w+)[!=]", expression)}
        for names in re.findall(r"\bby \(([^)]*)\)", expression):
            asked.update(names.split(", "))
        # What Prometheus puts on by itself, and what buckets have.
        assert asked <= labels[metric] | {"namespace", "pod", "le"}, what


def test_every_metric_and_no_other_is_documented_with_its_type(counted: dict[str, str]) -> None:
    rows = re.findall(r"^\| `(userpods_\w+)` \| (\w+) \|", DOCS, re.MULTILINE)
    assert dict(rows) == counted


def test_what_was_never_counted_is_zero(db: None) -> None:
    exposed = Metrics().exposition()
    assert exposed is not None
    text = exposed[0].decode()
    for sample in (
        'userpods_reconcile_seconds_count{result="error",what="everything"} 0.0',
        'userpods_reconcile_seconds_count{result="failed",what="pods"} 0.0',
        'userpods_asked_to_settled_seconds_count{state="failed"} 0.0',
    ):
        assert sample in text


def test_the_operators_rules_are_the_same() -> None:
    path = monitoring.FOLDER / "operator" / "prometheusrule.yaml"
    assert yaml.safe_load(path.read_text())["spec"]["groups"] == monitoring.groups()


def test_every_alert_says_what_to_do_and_the_documentation_more() -> None:
    headings = re.findall(r"^### (Userpods\w+)$", DOCS, re.MULTILINE)
    assert headings == list(monitoring.alerts())
    for name, rule in monitoring.alerts().items():
        said = rule["annotations"]
        assert said["summary"], name
        assert said["description"], name
        assert said["runbook_url"].endswith(f"/docs/monitoring.md#{name.lower()}")
        assert rule["labels"]["severity"] in ("critical", "warning")


def test_panels_have_their_own_places_and_ids() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in monitoring.panels():
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24, panel["title"]
        taken |= cells
    ids = [panel["id"] for panel in monitoring.panels()]
    assert len(set(ids)) == len(ids)
