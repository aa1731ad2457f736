"""A real Prometheus scrapes a running controller: every alert and every panel has something to say.

That alerts fire when they are to, and only then, is tried with ``promtool`` on series of its own.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import textwrap
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from django.contrib.auth.models import User

from django_userpods.deploy import shipped
from tests import faults
from tests.faultproxy import FaultProxy
from tests.manifests import monitoring
from tests.real.controllers import site, until
from tests.testcluster.fixtures import restricted_namespace
from tests.testcluster.processes import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.testcluster.cluster import Cluster

pytestmark = pytest.mark.cluster

LONG = 60.0
NAMESPACE = "userpods"


def documented_scrape(target: str) -> dict[str, Any]:
    """Return the documentation's scrape of pods, with a target in place of a look for them.

    (Debian's Prometheus is built without Kubernetes.) It has what such a look would find of a pod
    of the shipped Deployment.
    """
    text = (Path(__file__).parents[2] / "docs" / "monitoring.md").read_text()
    block = textwrap.dedent(text.partition("```yaml\n")[2].partition("```")[0])
    scrape: dict[str, Any] = yaml.safe_load(block)["scrape_configs"][0]
    assert scrape.pop("kubernetes_sd_configs")[0]["role"] == "pod"
    manifest = (shipped.source() / "controller" / "deployment.yaml").read_text()
    pod = yaml.safe_load(manifest)["spec"]["template"]
    (port,) = pod["spec"]["containers"][0]["ports"]
    found = {
        "namespace": NAMESPACE,
        "pod_name": "userpods-controller-one",
        "pod_label_app_kubernetes_io_name": pod["metadata"]["labels"]["app.kubernetes.io/name"],
        "pod_container_port_name": port["name"],
    }
    labels = {f"__meta_kubernetes_{name}": value for name, value in found.items()}
    return scrape | {"static_configs": [{"targets": [target], "labels": labels}]}


class Prometheus:
    """A Prometheus that scrapes one target twice a second, and has our rules."""

    def __init__(self, folder: Path, target: str) -> None:
        config = {
            "global": {"scrape_interval": "500ms", "evaluation_interval": "500ms"},
            "rule_files": [str(monitoring.RULES)],
            "scrape_configs": [documented_scrape(target)],
        }
        (folder / "prometheus.yml").write_text(json.dumps(config))
        self.log = folder / "prometheus.log"
        port = free_port()
        self._url = f"http://127.0.0.1:{port}"
        with self.log.open("w") as out:
            self._process = subprocess.Popen(
                [
                    "prometheus",
                    f"--config.file={folder / 'prometheus.yml'}",
                    f"--storage.tsdb.path={folder / 'data'}",
                    f"--web.listen-address=127.0.0.1:{port}",
                ],
                cwd=folder,
                stdout=out,
                stderr=out,
            )

    def get(self, path: str, **query: str) -> tuple[int, Any]:
        """Return status and JSON (of an error the text) of an answer; status 0 where none came."""
        if self._process.poll() is not None:
            pytest.fail(self.log.read_text()[-2000:])
        url = f"{self._url}{path}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(url, timeout=20) as answer:  # noqa: S310 - our own
                said = answer.read()
                is_json = answer.headers.get_content_type() == "application/json"
                return answer.status, json.loads(said) if is_json else said
        except urllib.error.HTTPError as error:
            return error.code, error.read()
        except OSError:
            return 0, None

    def series(self, expression: str) -> list[dict[str, Any]]:
        """Return what an expression gives now; fails where Prometheus does not understand it."""
        status, said = self.get("/api/v1/query", query=expression)
        assert status == 200, f"{expression}: {said}"
        found: list[dict[str, Any]] = said["data"]["result"]
        return found

    def end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)


@pytest.fixture(scope="module")
def prometheus(
    tmp_path_factory: Any, cluster: Cluster, django_db_setup: None, django_db_blocker: Any
) -> Iterator[Prometheus]:
    """It scrapes a controller that leads, has started a pod, and has seen some bad moments."""
    namespace = f"test-{secrets.token_hex(5)}"
    cluster.create(restricted_namespace(namespace))
    folder = tmp_path_factory.mktemp("monitoring")
    with (
        FaultProxy(cluster.kubeconfig) as proxy,
        django_db_blocker.unblock(),
        site(folder, cluster.kubeconfig, namespace) as made,
    ):
        # The first watches are refused, once each.
        proxy.on(faults.status(503), query="watch=true", times=1)
        proxy.on(faults.status(403), query="watch=true", times=1)
        controller = made.start(proxy.kubeconfig)
        until(lambda: controller.is_synced, LONG, "a leader")
        User.objects.create(username="alice")
        until(made.is_settled, LONG, "a pod that runs")

        def has_seen_all() -> bool:
            text = controller.get("/metrics")[1]
            return all(f'code="{code}"' in text for code in ("403", "503"))

        until(has_seen_all, LONG, "refusals")
        started = Prometheus(folder, controller.url.removeprefix("http://"))
        try:
            until(lambda: started.get("/-/ready")[0] == 200, LONG, "Prometheus")
            yield started
        finally:
            started.end()
        assert controller.end() == 0, controller.text
    cluster.kubectl("delete", "namespace", namespace, "--wait=false")


def test_every_alert_and_every_panel_has_series(prometheus: Prometheus) -> None:
    left = monitoring.expressions(NAMESPACE)
    assert len(left) > 25

    def none_is_left() -> bool:
        for name in [name for name, expression in left.items() if prometheus.series(expression)]:
            del left[name]
        return not left

    deadline = time.monotonic() + LONG * 2
    while not none_is_left():
        assert time.monotonic() < deadline, left
        time.sleep(0.25)
    leaders = monitoring.expressions(NAMESPACE)["panel Leaders, A"]
    assert [found["value"][1] for found in prometheus.series(leaders)] == ["1"]
    (leads,) = prometheus.series("userpods_leading")
    assert leads["metric"]["pod"] == "userpods-controller-one"


def test_prometheus_evaluates_every_rule(prometheus: Prometheus) -> None:
    rules: dict[str, dict[str, Any]] = {}

    def all_were_evaluated() -> bool:
        status, said = prometheus.get("/api/v1/rules")
        for group in said["data"]["groups"] if status == 200 else []:
            rules.update((rule["name"], rule) for rule in group["rules"])
        return bool(rules) and all(rule["health"] != "unknown" for rule in rules.values())

    until(all_were_evaluated, LONG, "an evaluation of all rules")
    assert set(rules) == set(monitoring.alerts())
    for name, rule in rules.items():
        assert (rule["health"], rule.get("lastError", "")) == ("ok", ""), name


def test_promtool_finds_nothing_wrong_with_the_rules() -> None:
    checked = subprocess.run(
        ["promtool", "check", "rules", "--lint=all", "--lint-fatal", str(monitoring.RULES)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(monitoring.alerts())} rules found" in checked.stdout


#: Of each minute for two hours, as promtool writes series: a start, what is added, and how often.
GOOD_DAY = {
    'userpods_leading{namespace="a",pod="one"}': "1x120",
    'userpods_leading{namespace="a",pod="two"}': "0x120",
    'userpods_queue_lag_seconds{namespace="a",pod="one"}': "0.1x120",
    'userpods_reconcile_seconds_count{namespace="a",what="everything",result="ok"}': "0+1x120",
    'userpods_reconcile_seconds_count{namespace="a",what="everything",result="error"}': "0x120",
    'userpods_reconcile_seconds_count{namespace="a",what="pods",result="ok"}': "0+10x120",
    'userpods_reconcile_seconds_count{namespace="a",what="pods",result="failed"}': "0x120",
    'userpods_pods{namespace="a",pod="one",state="running"}': "50x120",
    'userpods_pods{namespace="a",pod="two",state="running"}': "50x120",
    'userpods_pods{namespace="a",pod="one",state="failed"}': "1x120",
    'userpods_asked_to_settled_seconds_bucket{namespace="a",state="running",le="10"}': "0+1x120",
    'userpods_asked_to_settled_seconds_bucket{namespace="a",state="running",le="300"}': "0+1x120",
    'userpods_asked_to_settled_seconds_bucket{namespace="a",state="running",le="+Inf"}': "0+1x120",
    'userpods_api_calls_total{namespace="a",code="200"}': "0+100x120",
    'userpods_api_calls_total{namespace="a",code="503"}': "0+1x120",
    'userpods_api_calls_total{namespace="a",code="403"}': "0x120",
    'userpods_watch_restarts_total{namespace="a",kind="Pod",reason="Expired"}': "0x60 1x60",
    'userpods_rollout_stopped{namespace="a",pod="one"}': "0x120",
}
#: What is otherwise for each alert to fire; None: these series are not there.
BAD_DAYS: dict[str, dict[str, str | None]] = {
    "UserpodsControllerAbsent": {'_leading{namespace="a",pod="one"}': None, 'pod="two"': None},
    "UserpodsNobodyLeads": {'_leading{namespace="a",pod="one"}': "0x120"},
    "UserpodsTwoLead": {'_leading{namespace="a",pod="two"}': "1x120"},
    "UserpodsLeaderChanges": {'_leading{namespace="a",pod="two"}': "0 1 " * 60},
    "UserpodsQueueLag": {"queue_lag": "90x120"},
    "UserpodsNothingIsLookedAt": {'what="everything",result="ok"': "9x120"},
    "UserpodsReconcileErrors": {'result="error"': "0+20x120"},
    "UserpodsReconcileFailures": {'result="failed"': "0+20x120"},
    "UserpodsPodsFailed": {'state="failed"': "8x120"},
    "UserpodsSlowStarts": {'le="10"': "0x120"},
    "UserpodsApiErrors": {'code="503"': "0+50x120"},
    "UserpodsForbidden": {'code="403"': "0+1x120"},
    "UserpodsWatchesBreak": {"watch_restarts": "0+2x120"},
    "UserpodsRolloutStopped": {"rollout_stopped": "1x120"},
}


def on_a_day(changes: dict[str, str | None]) -> list[dict[str, str]]:
    """Return the series of a good day with some changed."""
    series: dict[str, str | None] = dict(GOOD_DAY)
    for part, values in changes.items():
        matching = [name for name in series if part in name]
        assert matching, part
        series |= dict.fromkeys(matching, values)
    return [{"series": name, "values": values} for name, values in series.items() if values]


def test_each_alert_fires_on_its_bad_day_and_none_on_a_good_one(tmp_path: Path) -> None:
    assert set(BAD_DAYS) == set(monitoring.alerts())
    days: dict[str, dict[str, str | None]] = {"a good day": {}, **BAD_DAYS}
    asked = 'count by (alertname) (ALERTS{alertstate="firing"})'
    tests = [
        {
            "interval": "1m",
            "name": day,
            "input_series": on_a_day(changes),
            "promql_expr_test": [
                {
                    "expr": asked,
                    "eval_time": "100m",
                    "exp_samples": [{"labels": f'{{alertname="{day}"}}', "value": 1}]
                    if changes
                    else [],
                }
            ],
        }
        for day, changes in days.items()
    ]
    file = tmp_path / "days.yml"
    file.write_text(
        json.dumps({"rule_files": [str(monitoring.RULES)], "tests": tests}),
    )
    done = subprocess.run(
        ["promtool", "test", "rules", str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
