"""Templates that a cluster takes, and that then fail at the first change or never work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from django_userpods.exceptions import TemplateError
from tests.core.templates import changed, compiled, extra, pair

if TYPE_CHECKING:
    from collections.abc import Callable


def in_pod(**fields: Any) -> list[dict[str, Any]]:
    return changed(lambda d, s: d["spec"]["template"]["spec"].update(fields))


def in_container(**fields: Any) -> list[dict[str, Any]]:
    return changed(lambda d, s: d["spec"]["template"]["spec"]["containers"][0].update(fields))


def in_service(**fields: Any) -> list[dict[str, Any]]:
    return changed(lambda d, s: s["spec"].update(fields))


POD = "Deployment.spec.template.spec"
APP = f"{POD}.containers[0]"


@pytest.mark.parametrize(
    ("manifests", "where", "words"),
    [
        (in_container(env=[{"name": "A", "value": "1"}] * 2), f"{APP}.env", "has name: A twice"),
        (
            in_container(env=[{"name": "A", "value": "1"}, {"name": "A", "value": "{name}"}]),
            f"{APP}.env",
            "leave one out",
        ),
        (
            in_container(ports=[{"containerPort": 80}, {"containerPort": 80, "protocol": "TCP"}]),
            f"{APP}.ports",
            "has containerPort: 80 protocol: TCP twice",
        ),
        (
            in_container(volumeMounts=[{"name": n, "mountPath": "/a"} for n in "xy"]),
            f"{APP}.volumeMounts",
            "mountPath: /a twice",
        ),
        (in_pod(volumes=[{"name": "x"}] * 2), f"{POD}.volumes", "has name: x twice"),
        (
            in_pod(initContainers=[{"name": "i", "env": [{"name": "A"}, {"name": "A"}]}]),
            f"{POD}.initContainers[0].env",
            "has name: A twice",
        ),
        (
            in_service(ports=[{"port": 80, "name": "a"}, {"port": 80, "name": "b"}]),
            "Service.spec.ports",
            "has port: 80 protocol: TCP twice",
        ),
        (
            [
                *pair(),
                extra(
                    "CronJob",
                    "{name}--tick",
                    "batch/v1",
                    spec={
                        "jobTemplate": {
                            "spec": {"template": {"spec": {"volumes": [{"name": "x"}] * 2}}}
                        }
                    },
                ),
            ],
            "CronJob.spec.jobTemplate.spec.template.spec.volumes",
            "has name: x twice",
        ),
    ],
)
def test_two_of_one_key_are_refused(manifests: Any, where: str, words: str) -> None:
    with pytest.raises(TemplateError) as caught:
        compiled(manifests)
    assert caught.value.where == where
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "manifests",
    [
        in_container(env=[{"name": "A"}, {"name": "a"}]),
        in_container(ports=[{"containerPort": 80}, {"containerPort": 80, "protocol": "UDP"}]),
        in_service(ports=[{"port": 80}, {"port": 81}]),
        in_container(args=["a", "a"], command=["x", "x"]),
        [*pair(), extra("Widget", "{name}", "example.org/v1", spec={"env": [{"name": "A"}] * 2})],
    ],
)
def test_what_only_looks_alike_is_taken(manifests: Any) -> None:
    assert compiled(manifests).objects


def headless(_: dict[str, Any], service: dict[str, Any]) -> None:
    service["spec"]["clusterIP"] = "None"


def external(_: dict[str, Any], service: dict[str, Any]) -> None:
    service["spec"] |= {"type": "ExternalName", "externalName": "example.org"}


def of_another_tier(_: dict[str, Any], service: dict[str, Any]) -> None:
    service["spec"]["selector"] = {"app": "{name}", "tier": "web"}


def over_udp(_: dict[str, Any], service: dict[str, Any]) -> None:
    service["spec"]["ports"] = [{"port": 53, "protocol": "UDP"}, {"port": 80}]


def to_a_port_of_nobody(deployment: dict[str, Any], service: dict[str, Any]) -> None:
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    container["ports"] = [{"name": "http", "containerPort": 80}]
    service["spec"]["ports"] = [{"port": 80, "targetPort": "web"}]


def to_a_port_over_udp(deployment: dict[str, Any], service: dict[str, Any]) -> None:
    to_a_port_of_nobody(deployment, service)
    ports = [{"name": "web", "containerPort": 80, "protocol": "UDP"}]
    deployment["spec"]["template"]["spec"]["containers"][0]["ports"] = ports


def without_a_number(_: dict[str, Any], service: dict[str, Any]) -> None:
    service["spec"]["ports"] = [{"name": "http"}]


@pytest.mark.parametrize(
    ("change", "where", "words"),
    [
        (headless, "Service.spec.clusterIP", "no address for the router"),
        (external, "Service.spec.type", "leave type out"),
        (of_another_tier, "Service.spec.selector", 'whose labels are "app: {name}"'),
        (over_udp, "Service.spec.ports[0].protocol", "put the app's TCP port first"),
        (to_a_port_of_nobody, "Service.spec.ports[0].targetPort", "they have http"),
        (to_a_port_over_udp, "Service.spec.ports[0].targetPort", "they have none"),
        (without_a_number, "Service.spec.ports[0]", "has no port"),
    ],
)
def test_a_service_through_which_nobody_gets_to_the_pod_is_refused(
    change: Callable[..., None], where: str, words: str
) -> None:
    with pytest.raises(TemplateError) as caught:
        compiled(changed(change))
    assert caught.value.where == where
    assert words in str(caught.value)


def test_a_service_that_selects_another_workload_is_refused() -> None:
    other = extra("Deployment", "{name}--db", "apps/v1")
    other["spec"] = {"template": {"spec": {"containers": [{"name": "db", "image": "b:1"}]}}}
    manifests = in_service(selector={"app": "{name}--db"})
    with pytest.raises(TemplateError, match="does not select the pods of the Deployment"):
        compiled([*manifests, other])


def test_a_further_service_may_be_headless() -> None:
    further = extra("Service", "{name}--peers")
    further["spec"] = {"clusterIP": "None", "selector": {"app": "{name}"}, "ports": [{"port": 1}]}
    assert len(compiled([*pair(), further]).objects) == 3


def test_a_port_may_go_to_a_named_port_or_a_number() -> None:
    def named(deployment: dict[str, Any], service: dict[str, Any]) -> None:
        to_a_port_of_nobody(deployment, service)
        service["spec"]["ports"][0]["targetPort"] = "http"

    assert compiled(changed(named)).objects

    def of_a_sidecar(deployment: dict[str, Any], service: dict[str, Any]) -> None:
        to_a_port_of_nobody(deployment, service)
        ports = [{"name": "web", "containerPort": 81}]
        sidecar = {"name": "proxy", "image": "p:1", "ports": ports, "restartPolicy": "Always"}
        deployment["spec"]["template"]["spec"]["initContainers"] = [sidecar]

    assert compiled(changed(of_a_sidecar)).objects

    def of_one_that_ends(deployment: dict[str, Any], service: dict[str, Any]) -> None:
        of_a_sidecar(deployment, service)
        del deployment["spec"]["template"]["spec"]["initContainers"][0]["restartPolicy"]

    with pytest.raises(TemplateError, match="the name of no TCP port"):
        compiled(changed(of_one_that_ends))
    assert compiled(in_service(ports=[{"port": 80, "targetPort": 8000}])).objects


@pytest.mark.parametrize(
    ("manifests", "where"),
    [
        (in_container(env=[{"name": "A"}, {"name": "B", "value": "a\0b"}]), f"{APP}.env[1].value"),
        (in_container(image="example.org/a\0b"), f"{APP}.image"),
        (in_container(command=["sh", "-c", "\0"]), f"{APP}.command[2]"),
        (in_pod(nodeSelector={"a\0b": "1"}), f"{POD}.nodeSelector"),
    ],
)
def test_a_nul_character_is_refused_with_its_place(manifests: Any, where: str) -> None:
    with pytest.raises(TemplateError, match="a NUL character") as caught:
        compiled(manifests)
    assert caught.value.where == where


def test_what_is_only_data_may_hold_any_character() -> None:
    data = {"a": "a\0b"}
    more = [extra(kind, f"{{name}}--{kind.lower()}", data=data) for kind in ("ConfigMap", "Secret")]
    assert len(compiled([*pair(), *more]).objects) == 4
