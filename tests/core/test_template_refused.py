"""Invalid pod templates: what is refused, where, and what to do."""

from __future__ import annotations

from typing import Any

import pytest

from django_userpods.core import naming
from django_userpods.exceptions import TemplateError
from tests.core.templates import changed, compiled, extra, pair


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
        (
            [*pair(), extra("ClusterRole", api_version="rbac.authorization.k8s.io/v1")],
            "ClusterRole",
            "belongs to no namespace",
        ),
        ([*pair(), extra("PersistentVolume")], "PersistentVolume", "belongs to no namespace"),
        ([*pair(), extra("Secret", "shared")], "Secret.metadata.name", "{name}--SUFFIX"),
        ([*pair(), extra("Secret", "{name}x")], "Secret.metadata.name", "another user's object"),
        ([*pair(), extra("Secret", "x-{name}")], "Secret.metadata.name", "another user's object"),
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
def test_invalid_manifests_are_refused(manifests: Any, where: str, words: str) -> None:
    with pytest.raises(TemplateError) as caught:
        compiled(manifests)
    assert caught.value.where == where
    assert words in str(caught.value)
    assert str(caught.value).startswith(where)
