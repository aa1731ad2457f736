"""What ``manifests/monitoring`` asks of Prometheus: each alert's expression and each panel's."""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

from django_userpods.deploy import shipped

FOLDER = shipped.source() / "monitoring"
RULES = FOLDER / "rules.yaml"


def groups() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load(RULES.read_text())["groups"]
    return found


def alerts() -> dict[str, dict[str, Any]]:
    """The alerts by name."""
    return {rule["alert"]: rule for group in groups() for rule in group["rules"]}


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(dashboard())["panels"]
    return found


def dashboard() -> str:
    return (FOLDER / "grafana" / "dashboard.json").read_text()


def without_threshold(expression: str) -> str:
    """Return what an alert looks at, on a good day, too."""
    if found := re.fullmatch(r"absent\((.+)\)", expression):
        return found[1]
    vector, compared, threshold = re.split(r" ([<>]) (?=[\d.]+$)", expression)
    assert compared
    assert float(threshold) >= 0
    return vector


def expressions(namespace: str) -> dict[str, str]:
    """Every expression as Prometheus is asked it, a panel's as by Grafana, by what it is of."""
    found = {f"alert {name}": without_threshold(rule["expr"]) for name, rule in alerts().items()}
    filled = {"$namespace": namespace, "$__rate_interval": "1m", "$__range": "5m"}
    for panel in panels():
        for target in panel["targets"]:
            expression = target["expr"]
            for variable, value in filled.items():
                expression = expression.replace(variable, value)
            assert "$" not in expression
            found[f"panel {panel['title']}, {target['refId']}"] = expression
    return found


def metrics_in(text: str) -> set[str]:
    """Return the metrics that are named, without what a histogram's samples have behind them."""
    return {
        re.sub(r"_(bucket|count|sum)$", "", name)
        for name in re.findall(r"\buserpods_[a-z_]+", text)
    }
