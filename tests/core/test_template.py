"""Pod templates: what is added to them, in which order, and what becomes of Secrets."""

from __future__ import annotations

import base64
import copy
from typing import Any

import pytest

from django_userpods.core import naming
from django_userpods.core.objects import DEPLOYMENT, SERVICE
from django_userpods.core.template import compile_template
from django_userpods.exceptions import TemplateError
from tests.core.templates import BLUE, GREEN, SEVEN, VALUES, changed, compiled, extra, pair


def filled(manifests: Any, **values: Any) -> dict[str, dict[str, Any]]:
    return {m["kind"]: m for m in compiled(manifests).fill({**VALUES, **values})}


# --- what is added


def test_what_we_promise_is_added_to_every_object() -> None:
    objects = filled([*pair(), extra("Secret", "{name}--key"), extra("ConfigMap")])
    assert len(objects) == 4
    for manifest in objects.values():
        metadata = manifest["metadata"]
        assert metadata["namespace"] == "apps"
        assert naming.labels_for(SEVEN, installation=BLUE).items() <= metadata["labels"].items()
        assert metadata["annotations"]["django-userpods/username"] == "alice"
        assert len(metadata["annotations"]["django-userpods/template-hash"]) == 16
    assert objects["Secret"]["metadata"]["name"] == "user-alice--key"


def test_selectors_are_app_and_the_pods_id_and_pods_carry_our_labels() -> None:
    objects = filled(pair())
    spec = objects["Deployment"]["spec"]
    assert spec["selector"] == {"matchLabels": {"app": "user-alice", naming.POD_LABEL: "p0d7"}}
    labels = spec["template"]["metadata"]["labels"]
    assert labels == {"app": "user-alice", **naming.labels_for(SEVEN, installation=BLUE)}
    assert objects["Service"]["spec"]["selector"] == {
        "app": "user-alice",
        naming.POD_LABEL: "p0d7",
    }


def test_a_stopped_pod_has_no_replicas() -> None:
    for left_out in (pair(), changed(lambda d, s: d["spec"].update(replicas=None))):
        assert "replicas" not in filled(left_out)["Deployment"]["spec"]
        assert filled(left_out, stopped=True)["Deployment"]["spec"]["replicas"] == 0
    manifests = changed(lambda d, s: d["spec"].update(replicas=3))
    assert filled(manifests)["Deployment"]["spec"]["replicas"] == 3
    assert filled(manifests, stopped=True)["Deployment"]["spec"]["replicas"] == 0


@pytest.mark.parametrize("replicas", [0, 1, 5])
def test_replicas_that_are_left_out_are_anothers_to_set(replicas: int) -> None:
    item = compiled(pair()).objects[0]
    running, stopped = VALUES, {**VALUES, "stopped": True}
    found = item.manifest.fill(running)
    found["spec"]["replicas"] = replicas
    assert item.matches(found, running)
    assert item.matches(found, stopped) is False
    found = item.manifest.fill(stopped)
    assert item.matches(found, stopped)
    # What was stopped by its user is no autoscaler's doing: starting changes it.
    assert [found.path for found in item.manifest.differences(found, running)] == [
        ".metadata.annotations.django-userpods/stopped"
    ]


def test_a_restart_is_an_annotation_on_the_pods_alone() -> None:
    quiet = filled(pair())["Deployment"]["spec"]["template"]["metadata"]
    assert "annotations" not in quiet or not quiet["annotations"]
    when = "2026-11-24T10:00:00+00:00"
    restarted = filled(pair(), restarted_at=when)["Deployment"]
    assert restarted["spec"]["template"]["metadata"]["annotations"] == {
        "django-userpods/restarted-at": when
    }
    assert "django-userpods/restarted-at" not in restarted["metadata"]["annotations"]


def test_what_others_need_comes_first() -> None:
    manifests = [
        *pair()[::-1],
        extra("PersistentVolumeClaim", "{name}--data"),
        extra("ConfigMap"),
        extra("Widget", api_version="example.org/v1"),
        extra("Secret"),
        extra("NetworkPolicy", api_version="networking.k8s.io/v1"),
        extra("ServiceAccount"),
        extra("RoleBinding", api_version="rbac.authorization.k8s.io/v1"),
        extra("Role", api_version="rbac.authorization.k8s.io/v1"),
    ]
    assert [item.kind.kind for item in compiled(manifests).objects] == [
        "ServiceAccount",
        "NetworkPolicy",
        "Secret",
        "ConfigMap",
        "PersistentVolumeClaim",
        "Role",
        "RoleBinding",
        "Widget",
        "Deployment",
        "Service",
    ]


def test_a_template_knows_its_kinds_and_finds_its_objects() -> None:
    template = compiled(pair())
    assert template.kinds == {DEPLOYMENT, SERVICE}
    assert template.find(SERVICE, "user-alice", VALUES) is not None
    assert template.find(SERVICE, "user-bob", VALUES) is None


def test_the_digest_tells_templates_apart_and_users_not() -> None:
    first = compiled(pair())
    assert compiled(pair()).digest == first.digest
    assert compile_template(pair(), installation=GREEN).digest != first.digest
    assert compiled(changed(lambda d, s: d["spec"].update(replicas=2))).digest != first.digest
    secret = [*pair(), extra("Secret", stringData={"a": "{name}"})]
    other = [*pair(), extra("Secret", stringData={"a": "{username}"})]
    assert compiled(secret).digest != compiled(other).digest


def test_the_template_given_is_not_changed() -> None:
    manifests = [*pair(), extra("Secret", stringData={"a": "b"})]
    before = copy.deepcopy(manifests)
    compiled(manifests)
    assert manifests == before


def test_two_users_share_nothing_that_matters() -> None:
    template = compiled(pair())
    alice = template.fill(VALUES)
    bob = template.fill({**VALUES, "name": "user-bob", "username": "bob", "user_label": "8"})
    assert "user-bob" not in str(alice)
    assert "user-alice" not in str(bob)


def test_a_list_is_taken_apart() -> None:
    listed = [{"apiVersion": "v1", "kind": "List", "items": pair()}]
    assert compiled(listed).digest == compiled(pair()).digest


def test_a_workload_beside_the_deployment_can_have_its_own_service() -> None:
    worker = pair()[0]
    worker["metadata"] = {"name": "{name}--db"}
    service = extra("Service", "{name}--db", spec={"ports": [{"port": 5432}]})
    objects = compiled([*pair(), {**worker, "kind": "StatefulSet"}, service]).fill(VALUES)
    selectors = [m["spec"]["selector"] for m in objects if m["kind"] == "Service"]
    assert selectors == [
        {"app": "user-alice", naming.POD_LABEL: "p0d7"},
        {"app": "user-alice--db", naming.POD_LABEL: "p0d7"},
    ]


# --- Secrets


def test_string_data_becomes_data_as_the_api_server_answers_it() -> None:
    manifests = [*pair(), extra("Secret", stringData={"who": "{username}", "plain": "ü"})]
    secret = filled(manifests)["Secret"]
    assert "stringData" not in secret
    assert {key: base64.b64decode(text).decode() for key, text in secret["data"].items()} == {
        "who": "alice",
        "plain": "ü",
    }


def test_string_data_wins_over_data_and_is_compared() -> None:
    manifests = [*pair(), extra("Secret", data={"a": "b2xk"}, stringData={"a": "new"})]
    template = compiled(manifests)
    item = next(item for item in template.objects if item.kind.kind == "Secret")
    stored = item.manifest.fill(VALUES)
    assert stored["data"] == {"a": base64.b64encode(b"new").decode()}
    assert list(item.manifest.differences(stored, VALUES)) == []
    stored["data"]["a"] = "b2xk"
    assert [found.path for found in item.manifest.differences(stored, VALUES)] == [".data.a"]


def test_an_unknown_placeholder_in_a_secret_is_refused_at_its_place() -> None:
    with pytest.raises(TemplateError, match=r"Secret\.stringData\.a: unknown placeholder \{x\}"):
        compiled([*pair(), extra("Secret", stringData={"a": "{x}"})])
