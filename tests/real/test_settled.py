"""A template that has been applied is settled: the next sync has nothing to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.models import User

from django_userpods import lifecycle
from django_userpods.models import UserPod
from django_userpods.reconcile import reconcile
from tests.real.project import deployment

if TYPE_CHECKING:
    from pytest_django.fixtures import Settings

    from tests.testcluster.cluster import Cluster

pytestmark = [pytest.mark.cluster, pytest.mark.django_db(transaction=True)]


def template(*more: dict[str, Any], **of_service: Any) -> list[dict[str, Any]]:
    container = {
        "name": "app",
        "image": "example.org/app:1",
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    pod = {
        "containers": [container],
        "securityContext": {
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    return [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "{name}"},
            "spec": {"template": {"spec": pod}},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "{name}"},
            "spec": {"ports": [{"port": 8000}], **of_service},
        },
        *more,
    ]


def of(kind: str, api_version: str = "v1", **fields: Any) -> dict[str, Any]:
    metadata = {"name": "{name}--more"}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **fields}


def in_pod(**fields: Any) -> list[dict[str, Any]]:
    manifests = template()
    manifests[0]["spec"]["template"]["spec"] |= fields
    return manifests


def in_container(**fields: Any) -> list[dict[str, Any]]:
    manifests = template()
    manifests[0]["spec"]["template"]["spec"]["containers"][0] |= fields
    return manifests


LONG = "aSBhbSBsb25nIGVub3VnaCB0byBiZSBmb2xkZWQgaW50\nbyBsaW5lcyBieSBiYXNlNjQgaXRzZWxm\n"
LIMIT = {
    "type": "Container",
    "max": {"cpu": "4000m", "memory": "4096Mi"},
    "min": {"cpu": "0.01"},
    "default": {"cpu": "1000m"},
    "defaultRequest": {"memory": 1073741824},
    "maxLimitRequestRatio": {"cpu": "100.0"},
}
TARGET = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "{name}"}


def autoscaler(*metrics: dict[str, Any], **fields: Any) -> dict[str, Any]:
    spec = {"scaleTargetRef": TARGET, "maxReplicas": 2, "metrics": list(metrics), **fields}
    return of("HorizontalPodAutoscaler", "autoscaling/v2", spec=spec)


MEMORY = {
    "type": "Resource",
    "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1024Mi"}},
}
QUEUE = {
    "type": "External",
    "external": {"metric": {"name": "queue"}, "target": {"type": "Value", "value": "1000m"}},
}

SETTLED = {
    "base64-with-line-breaks": template(of("Secret", data={"a": LONG, "b": "eA=="})),
    "binary-data-with-line-breaks": template(of("ConfigMap", binaryData={"a": LONG})),
    "limits": template(of("LimitRange", spec={"limits": [LIMIT]})),
    "limits-by-maximum": template(
        of("LimitRange", spec={"limits": [{"type": "Container", "max": {"cpu": "2000m"}}]})
    ),
    "quota": template(of("ResourceQuota", spec={"hard": {"limits.memory": "4096Mi"}})),
    "autoscaler": template(autoscaler(MEMORY, QUEUE)),
    "autoscaler-by-default": template(autoscaler(behavior={})),
    "storage": template(
        of(
            "PersistentVolumeClaim",
            spec={
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1024Mi"}},
                "volumeName": "",
            },
        )
    ),
    "size-of-a-volume": in_pod(volumes=[{"name": "a", "emptyDir": {"sizeLimit": "1024Mi"}}]),
    "empty-fields-of-a-service": template(
        clusterIP="",
        externalName="",
        sessionAffinity="",
        type="",
        externalIPs=[],
        ipFamilies=[],
        loadBalancerIP=None,
        ports=[{"name": "", "port": 8000, "targetPort": 0, "nodePort": 0, "protocol": ""}],
    ),
    "empty-fields-of-a-pod": in_pod(
        nodeName="",
        hostNetwork=False,
        dnsPolicy="",
        restartPolicy="",
        schedulerName="",
        serviceAccountName="",
        imagePullSecrets=[],
        nodeSelector={},
        tolerations=[],
        volumes=None,
        affinity={},
    ),
    "empty-fields-of-a-container": in_container(
        args=[],
        command=None,
        env=[{"name": "EMPTY", "value": ""}],
        envFrom=[],
        imagePullPolicy="",
        lifecycle={},
        resources={"limits": {}, "requests": {}},
        stdin=False,
        terminationMessagePath="",
        workingDir="",
        readinessProbe={"tcpSocket": {"port": 8000}, "periodSeconds": 0, "timeoutSeconds": 0},
    ),
}


@pytest.mark.parametrize("name", SETTLED)
def test_a_second_sync_has_nothing_to_do(real: str, settings: Settings, name: str) -> None:
    settings.USERPODS_TEMPLATE = SETTLED[name]
    User.objects.create_user("ann")
    reconcile()
    for _ in range(2):
        report = reconcile()
        assert report.ok, report.failed
        assert report.done == []


@pytest.mark.parametrize("name", SETTLED)
def test_a_change_still_goes_through(
    real: str, cluster: Cluster, settings: Settings, name: str
) -> None:
    settings.USERPODS_TEMPLATE = SETTLED[name]
    User.objects.create_user("ann")
    manifests = SETTLED[name]
    container = {**manifests[0]["spec"]["template"]["spec"]["containers"][0], "image": "x/app:2"}
    pod = {**manifests[0]["spec"]["template"]["spec"], "containers": [container]}
    changed = {**manifests[0], "spec": {"template": {"spec": pod}}}
    settings.USERPODS_TEMPLATE = [changed, *manifests[1:]]
    report = reconcile()
    assert report.ok, report.failed
    assert [str(action.ref.kind.kind) for action in report.done].count("Deployment") == 1
    report = reconcile()
    assert (report.ok, report.done) == (True, [])
    found = deployment(cluster, real, "user-ann")
    assert found["spec"]["template"]["spec"]["containers"][0]["image"] == "x/app:2"


def test_an_autoscaler_has_its_way_and_stop_and_start_have_theirs(
    real: str, cluster: Cluster, settings: Settings
) -> None:
    settings.USERPODS_TEMPLATE = template()
    User.objects.create_user("ann")

    def replicas() -> int:
        return int(deployment(cluster, real, "user-ann")["spec"]["replicas"])

    assert replicas() == 1
    for count in (3, 0, 2):
        cluster.kubectl("-n", real, "scale", "deployment/user-ann", f"--replicas={count}")
        report = reconcile()
        assert (report.ok, report.done, replicas()) == (True, [], count)
    rows = UserPod.objects.all()
    lifecycle.stop(rows)
    assert replicas() == 0
    assert reconcile().done == []
    lifecycle.start(rows)
    assert replicas() == 1
    assert reconcile().done == []
