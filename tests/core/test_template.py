"""Pod templates: what is checked, what is added, in which order."""

from __future__ import annotations

import base64
import copy
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from django_userpods.core import builtin, naming
from django_userpods.core.objects import DEPLOYMENT, SERVICE
from django_userpods.core.template import (
    Template,
    compile_template,
    personal,
    values_for,
)
from django_userpods.core.yamlfile import read_yaml
from django_userpods.exceptions import TemplateError

if TYPE_CHECKING:
    from pathlib import Path

VALUES = values_for(name="user-alice", namespace="apps", user_pk="7", username="alice")


def pair(**deployment: Any) -> list[dict[str, Any]]:
    return [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "{name}"},
            "spec": {"template": {"spec": {"containers": [{"name": "app", "image": "a:1"}]}}},
            **deployment,
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "{name}"},
            "spec": {"ports": [{"port": 80}]},
        },
    ]


def extra(kind: str, name: str = "{name}", api_version: str = "v1", **rest: Any) -> dict[str, Any]:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, **rest}


def compiled(manifests: Any) -> Template:
    return compile_template(manifests, instance="blue")


def filled(manifests: Any, **values: Any) -> dict[str, dict[str, Any]]:
    return {m["kind"]: m for m in compiled(manifests).fill({**VALUES, **values})}


def changed(change: Any) -> list[dict[str, Any]]:
    manifests = pair()
    change(manifests[0], manifests[1])
    return manifests


# --- what is added


def test_what_we_promise_is_added_to_every_object() -> None:
    objects = filled([*pair(), extra("Secret", "{name}-key"), extra("ConfigMap")])
    assert len(objects) == 4
    for manifest in objects.values():
        metadata = manifest["metadata"]
        assert metadata["namespace"] == "apps"
        assert naming.labels_for("7", instance="blue").items() <= metadata["labels"].items()
        assert metadata["annotations"]["django-userpods/username"] == "alice"
        assert len(metadata["annotations"]["django-userpods/template-hash"]) == 16
    assert objects["Secret"]["metadata"]["name"] == "user-alice-key"


def test_selectors_are_app_alone_and_pods_carry_our_labels() -> None:
    objects = filled(pair())
    spec = objects["Deployment"]["spec"]
    assert spec["selector"] == {"matchLabels": {"app": "user-alice"}}
    labels = spec["template"]["metadata"]["labels"]
    assert labels == {"app": "user-alice", **naming.labels_for("7", instance="blue")}
    assert objects["Service"]["spec"]["selector"] == {"app": "user-alice"}


def test_a_stopped_pod_has_no_replicas() -> None:
    assert filled(pair())["Deployment"]["spec"]["replicas"] == 1
    assert filled(pair(), stopped=True)["Deployment"]["spec"]["replicas"] == 0
    manifests = changed(lambda d, s: d["spec"].update(replicas=None))
    assert filled(manifests)["Deployment"]["spec"]["replicas"] == 1
    manifests = changed(lambda d, s: d["spec"].update(replicas=3))
    assert filled(manifests)["Deployment"]["spec"]["replicas"] == 3


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
        extra("PersistentVolumeClaim", "{name}-data"),
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


def test_find_and_kinds() -> None:
    template = compiled(pair())
    assert template.kinds == {DEPLOYMENT, SERVICE}
    assert template.find(SERVICE, "user-alice", VALUES) is not None
    assert template.find(SERVICE, "user-bob", VALUES) is None


def test_the_digest_tells_templates_apart_and_users_not() -> None:
    first = compiled(pair())
    assert compiled(pair()).digest == first.digest
    assert compile_template(pair(), instance="green").digest != first.digest
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
    assert list(item.manifest.differences(stored, VALUES)) == [".data.a"]


def test_an_unknown_placeholder_in_a_secret() -> None:
    with pytest.raises(TemplateError, match=r"Secret\.stringData\.a: unknown placeholder \{x\}"):
        compiled([*pair(), extra("Secret", stringData={"a": "{x}"})])


# --- what is refused, where, and what to do


@pytest.mark.parametrize(
    ("manifests", "where", "words"),
    [
        ([], "", "no manifests"),
        (["text"], "manifest 1", "is str, not a mapping"),
        ([*pair(), None], "manifest 3", "is NoneType"),
        ([{"kind": "Deployment"}], "Deployment.apiVersion", "is missing"),
        ([{"apiVersion": "v1"}], "manifest.kind", "is missing"),
        (pair()[:1], "", "no Service (v1)"),
        (pair()[1:], "Service.spec.selector", "matches no pods"),
        ([*pair(), *pair()[1:]], "Service {name}", "twice"),
        ([*pair(), extra("Namespace")], "Namespace", "create it once, by hand"),
        ([*pair(), extra("ClusterRole")], "ClusterRole", "belongs to no namespace"),
        ([*pair(), extra("PersistentVolume")], "PersistentVolume", "belongs to no namespace"),
        ([*pair(), extra("Secret", "shared")], "Secret.metadata.name", 'begin with "{name}-"'),
        ([*pair(), extra("Secret", "{name}x")], "Secret.metadata.name", "share an object"),
        ([*pair(), extra("Secret", "x-{name}")], "Secret.metadata.name", "share an object"),
        (
            [*pair(), {"apiVersion": "v1", "kind": "Secret", "metadata": "x"}],
            "Secret.metadata",
            "is not a mapping",
        ),
        ([*pair(), {"apiVersion": "v1", "kind": "Secret"}], "Secret.metadata.name", "is None"),
        (
            changed(lambda d, s: d["metadata"].update(namespace="prod")),
            "Deployment.metadata.namespace",
            "USERPODS_NAMESPACE",
        ),
        (
            changed(lambda d, s: d["metadata"].update(labels={"django-userpods/user-id": "1"})),
            "Deployment.metadata.labels.django-userpods/user-id",
            "reserved",
        ),
        (
            changed(lambda d, s: s["metadata"].update(labels={naming.MANAGED_BY_LABEL: "helm"})),
            "Service.metadata.labels.app.kubernetes.io/managed-by",
            "reserved",
        ),
        (
            changed(
                lambda d, s: d["spec"]["template"].update(
                    metadata={"labels": {"django-userpods/instance": "x"}}
                )
            ),
            "Deployment.spec.template.metadata.labels.django-userpods/instance",
            "reserved",
        ),
        (
            changed(
                lambda d, s: d["metadata"].update(annotations={"django-userpods/username": "x"})
            ),
            "Deployment.metadata.annotations.django-userpods/username",
            "leave it out",
        ),
        (
            changed(lambda d, s: d["spec"].update(selector={"matchLabels": {"app": "web"}})),
            "Deployment.spec.selector",
            'must be "app: {name}" alone',
        ),
        (
            changed(lambda d, s: d["spec"].update(selector={"matchLabels": {"tier": "web"}})),
            "Deployment.spec.selector",
            "selectors cannot be changed later",
        ),
        (
            changed(lambda d, s: d["spec"].update(selector={"matchExpressions": []})),
            "Deployment.spec.selector",
            "alone",
        ),
        (
            changed(lambda d, s: d["spec"]["template"].update(metadata={"labels": {"app": "web"}})),
            "Deployment.spec.template.metadata.labels",
            "does not match the pods' label",
        ),
        (
            changed(lambda d, s: d["spec"]["template"]["spec"].update(containers=[])),
            "Deployment.spec.template.spec.containers",
            "at least one container",
        ),
        (
            changed(lambda d, s: d.update(spec=None)),
            "Deployment.spec.template.spec.containers",
            "at least one container",
        ),
        (changed(lambda d, s: d.update(spec=[])), "Deployment.spec", "is not a mapping"),
        (
            changed(lambda d, s: s["spec"].update(selector={"app": "web"})),
            "Service.spec.selector",
            "matches no pods of this template",
        ),
        (changed(lambda d, s: s["spec"].update(ports=[])), "Service.spec.ports", "at least one"),
        (changed(lambda d, s: s["spec"].pop("ports")), "Service.spec.ports", "at least one"),
        (
            changed(lambda d, s: d["metadata"].update(annotations={"a": "x", True: "b"})),
            "Deployment.metadata.annotations",
            "put it in quotes",
        ),
        (
            changed(lambda d, s: d["spec"].update(replicas="{count}")),
            "Deployment.spec.replicas",
            "unknown placeholder",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(manifests: Any, where: str, words: str) -> None:
    with pytest.raises(TemplateError) as caught:
        compiled(manifests)
    assert caught.value.where == where
    assert words in str(caught.value)
    assert str(caught.value).startswith(where)


def test_a_workload_beside_the_deployment_can_have_its_own_service() -> None:
    worker = pair()[0]
    worker["metadata"] = {"name": "{name}-db"}
    service = extra("Service", "{name}-db", spec={"ports": [{"port": 5432}]})
    objects = compiled([*pair(), {**worker, "kind": "StatefulSet"}, service]).fill(VALUES)
    selectors = [m["spec"]["selector"] for m in objects if m["kind"] == "Service"]
    assert selectors == [{"app": "user-alice"}, {"app": "user-alice-db"}]


# --- YAML


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "pod.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_yaml_file_of_several_documents(tmp_path: Path) -> None:
    text = "---\n" + yaml.safe_dump_all(pair()) + "\n---\n# nothing\n---\n"
    assert read_yaml(write(tmp_path, text)) == pair()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [1, 2\nb: 3\n", "line 2, column 2"),
        ("a: b: c\n", "line 1, column 5"),
        ("a: {b\n", "line 2, column 1"),
        ("!!python/object/apply:os.getcwd []\n", "line 1, column 1"),
        (b"a: \xff\xfe\n", "is not YAML"),
        ("a: \t\x07\n", "is not YAML"),
    ],
)
def test_yaml_that_does_not_parse_says_where(tmp_path: Path, text: str | bytes, words: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(TemplateError) as caught:
        read_yaml(path)
    assert words in str(caught.value)
    assert "is not YAML" in str(caught.value)
    assert str(path) in caught.value.where


def test_a_yaml_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match="cannot be read: No such file"):
        read_yaml(tmp_path / "none.yaml")


# --- one user's own


def own(change: Any = None, values: Any = VALUES) -> Template:
    manifests = copy.deepcopy(compiled(pair()).fill(VALUES))
    if change is not None:
        change(manifests)
    return personal(manifests, name="user-alice", instance="blue", values=values)


def test_personal_manifests_may_be_changed() -> None:
    def change(manifests: Any) -> None:
        manifests[0]["spec"]["template"]["spec"]["containers"][0]["args"] = ["{oops}", "{name}"]
        manifests.append(extra("ConfigMap", "user-alice-extra", data={"a": "{{name}}"}))

    objects = {m["kind"]: m for m in own(change).fill(VALUES)}
    container = objects["Deployment"]["spec"]["template"]["spec"]["containers"][0]
    # Nothing in them is a placeholder any more: a username may have put it there.
    assert container["args"] == ["{oops}", "{name}"]
    assert objects["ConfigMap"]["data"] == {"a": "{{name}}"}
    assert objects["ConfigMap"]["metadata"]["labels"] == naming.labels_for("7", instance="blue")


def test_personal_manifests_still_stop_and_restart() -> None:
    template = own()
    stopped = template.fill({**VALUES, "stopped": True, "restarted_at": "now"})[0]
    assert stopped["spec"]["replicas"] == 0
    assert stopped["spec"]["template"]["metadata"]["annotations"] == {
        "django-userpods/restarted-at": "now"
    }


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (
            lambda m: m[0]["metadata"]["labels"].update({"django-userpods/user-id": "8"}),
            "Deployment.metadata.labels.django-userpods/user-id",
        ),
        (
            lambda m: m[1]["metadata"]["annotations"].update({"django-userpods/username": "bob"}),
            "Service.metadata.annotations.django-userpods/username",
        ),
        (
            lambda m: m[0]["spec"]["template"]["metadata"]["labels"].update(
                {"django-userpods/instance": "green"}
            ),
            "pod Deployment.metadata.labels.django-userpods/instance",
        ),
        (lambda m: m[0]["metadata"].update(name="user-bob"), "Deployment.metadata.name"),
        (lambda m: m[0]["metadata"].update(namespace="kube"), "Deployment.metadata.namespace"),
        (lambda m: m[0].update(metadata="x"), "Deployment.metadata"),
        (lambda m: m[0].update(spec=None), "Deployment.spec.template.spec.containers"),
        (lambda m: m[0].update(spec=["x"]), "Deployment.spec"),
        (lambda m: m[0]["spec"].update(template=["x"]), "Deployment.spec.template"),
        (
            lambda m: m[0]["spec"]["template"].update(metadata=["x"]),
            "Deployment.spec.template.metadata",
        ),
        (lambda m: m.append(7), "manifest 3"),
        (lambda m: m.clear(), ""),
    ],
)
def test_personal_manifests_that_break_a_promise(change: Any, where: str) -> None:
    with pytest.raises(TemplateError) as caught:
        own(change)
    assert caught.value.where == where


# --- the built-in template


def builtin_pair() -> dict[str, dict[str, Any]]:
    manifests = builtin.manifests(
        image="example.org/app:1", port=8080, env={"A": "{user_id}"}, resources=builtin.RESOURCES
    )
    return {m["kind"]: m for m in compiled(manifests).fill(VALUES)}


def test_the_built_in_template_is_hardened() -> None:
    pod = builtin_pair()["Deployment"]["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    # Pod Security Standard "restricted".
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    (container,) = pod["containers"]
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert set(container["resources"]) == {"requests", "limits"}
    assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container)


def test_the_built_in_template_tells_the_app_its_port_and_user() -> None:
    objects = builtin_pair()
    (container,) = objects["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert container["env"] == [
        {"name": "PORT", "value": "8080"},
        {"name": "USERPODS_USER", "value": "alice"},
        {"name": "A", "value": "7"},
    ]
    assert container["ports"] == [{"name": "http", "containerPort": 8080}]
    assert objects["Service"]["spec"]["ports"] == [
        {"name": "http", "port": 8080, "targetPort": "http"}
    ]


def test_own_variables_win() -> None:
    manifests = builtin.manifests(image="a", port=80, env={"PORT": "9"}, resources={})
    env = manifests[0]["spec"]["template"]["spec"]["containers"][0]["env"]
    assert {"name": "PORT", "value": "9"} in env
    assert len([item for item in env if item["name"] == "PORT"]) == 1
