"""Where pod templates come from: a YAML file, one user's own manifests, the built-in one."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from django_userpods.core import builtin, naming
from django_userpods.core.template import Template, personal
from django_userpods.core.yamlfile import read_yaml
from django_userpods.exceptions import TemplateError
from tests.core.templates import BLUE, SEVEN, VALUES, compiled, extra, pair

if TYPE_CHECKING:
    from pathlib import Path


# --- YAML


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "pod.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_yaml_file_of_several_documents_is_read_whole(tmp_path: Path) -> None:
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


def test_a_yaml_file_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match="cannot be read: No such file"):
        read_yaml(tmp_path / "none.yaml")


# --- one user's own


def own(change: Any = None, values: Any = VALUES) -> Template:
    manifests = copy.deepcopy(compiled(pair()).fill(VALUES))
    if change is not None:
        change(manifests)
    return personal(manifests, name="user-alice", installation=BLUE, values=values)


def test_personal_manifests_may_be_changed() -> None:
    def change(manifests: Any) -> None:
        manifests[0]["spec"]["template"]["spec"]["containers"][0]["args"] = ["{oops}", "{name}"]
        manifests.append(extra("ConfigMap", "user-alice--extra", data={"a": "{{name}}"}))

    objects = {m["kind"]: m for m in own(change).fill(VALUES)}
    container = objects["Deployment"]["spec"]["template"]["spec"]["containers"][0]
    # Nothing in them is a placeholder any more: a username may have put it there.
    assert container["args"] == ["{oops}", "{name}"]
    assert objects["ConfigMap"]["data"] == {"a": "{{name}}"}
    assert objects["ConfigMap"]["metadata"]["labels"] == naming.labels_for(SEVEN, installation=BLUE)


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
def test_personal_manifests_that_break_a_promise_are_refused_at_the_place(
    change: Any, where: str
) -> None:
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
