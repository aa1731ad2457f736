"""A cluster that changes what is sent to it, every time, is told of once and not fought."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.models import User

from django_userpods import lifecycle
from django_userpods.models import UserPod
from django_userpods.reconcile import reconcile
from tests.django.support import template_with
from tests.real.project import deployment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_django.fixtures import Settings

    from tests.testcluster.cluster import Cluster

pytestmark = [pytest.mark.cluster, pytest.mark.django_db(transaction=True)]

IMAGE = "/spec/template/spec/containers/0/image"
MIRROR = (
    f'[JSONPatch{{op: "replace", path: "{IMAGE}", '
    'value: "mirror.example/" + object.spec.template.spec.containers[0].image}]'
)
#: As a real one does it: once.
MIRROR_ONCE = (
    'object.spec.template.spec.containers[0].image.startsWith("mirror.example/") ? [] : ' + MIRROR
)
SIDECAR = (
    '[JSONPatch{op: "add", path: "/spec/template/spec/containers/-", '
    'value: Object.spec.template.spec.containers{name: "mesh", image: "mesh:1"}}]'
)
HIDDEN = '[JSONPatch{op: "replace", path: "/data/key", value: "c2VhbGVk"}]'


@pytest.fixture
def policy(real: str, cluster: Cluster) -> Iterator[Callable[..., None]]:
    """Put a mutating policy in force in the test's namespace alone."""

    def kubectl(*arguments: str, **manifest: Any) -> None:
        text = json.dumps(manifest) if manifest else None
        cluster.kubectl(*arguments, *(["-f", "-"] if text else []), input=text)

    def put(expression: str, resource: str = "deployments", group: str = "apps") -> None:
        api = {"apiVersion": "admissionregistration.k8s.io/v1", "metadata": {"name": real}}
        rule = {
            "apiGroups": [group],
            "apiVersions": ["v1"],
            "operations": ["CREATE", "UPDATE"],
            "resources": [resource],
        }
        here = {"matchLabels": {"kubernetes.io/metadata.name": real}}
        spec = {
            "matchConstraints": {"resourceRules": [rule], "namespaceSelector": here},
            "reinvocationPolicy": "Never",
            "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": expression}}],
        }
        kubectl("apply", kind="MutatingAdmissionPolicy", spec=spec, **api)
        kubectl("apply", kind="MutatingAdmissionPolicyBinding", spec={"policyName": real}, **api)
        wait_until_in_force(cluster, real, resource)

    yield put
    kinds = "mutatingadmissionpolicybinding,mutatingadmissionpolicy"
    cluster.kubectl("delete", kinds, real, "--ignore-not-found")


def wait_until_in_force(cluster: Cluster, namespace: str, resource: str) -> None:
    """Wait until the API server applies the policy: it reads them once in a while."""
    containers = [{"name": "app", "image": "probe"}]
    labels = {"app": "probe"}
    probes: dict[str, dict[str, Any]] = {
        "deployments": {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "probe", "namespace": namespace},
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}},
            },
        },
        "secrets": {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "probe", "namespace": namespace},
            "data": {"key": "cGxhaW4="},
        },
    }
    sent = probes[resource]
    for _ in range(100):
        answer = cluster.kubectl(
            "create", "--dry-run=server", "-o", "json", "-f", "-", input=json.dumps(sent)
        )
        made = json.loads(answer.stdout)
        if resource == "secrets":
            if made["data"] != sent["data"]:
                return
        elif made["spec"]["template"]["spec"]["containers"][0].get("image") != "probe" or (
            len(made["spec"]["template"]["spec"]["containers"]) > 1
        ):
            return
        time.sleep(0.1)
    message = "the policy did not come into force"
    raise AssertionError(message)


def quiet(times: int = 2) -> bool:
    """Sync a few times; tell whether there was nothing to do."""
    reports = [reconcile() for _ in range(times)]
    assert all(report.ok for report in reports)
    return not any(report.done for report in reports)


def image(found: dict[str, Any]) -> str:
    return str(found["spec"]["template"]["spec"]["containers"][0]["image"])


@pytest.mark.parametrize("expression", [MIRROR, MIRROR_ONCE], ids=["always", "once"])
def test_an_image_that_a_policy_rewrites_is_said_once_and_not_written_again(
    real: str,
    cluster: Cluster,
    settings: Settings,
    policy: Callable[..., None],
    expression: str,
) -> None:
    settings.USERPODS_TEMPLATE = template_with()
    policy(expression)
    User.objects.create_user("ann")
    made = deployment(cluster, real, "user-ann")
    assert image(made) == "mirror.example/a:1"
    assert quiet()
    after = deployment(cluster, real, "user-ann")
    assert after["metadata"]["generation"] == made["metadata"]["generation"]
    pod = UserPod.objects.get()
    assert "containers[app].image is 'mirror.example/a:1' instead of 'a:1'" in pod.message


def test_the_row_tells_the_pods_own_health_beside_it(
    real: str, cluster: Cluster, settings: Settings, policy: Callable[..., None]
) -> None:
    settings.USERPODS_TEMPLATE = None
    settings.USERPODS_IMAGE = "a:1"
    policy(MIRROR_ONCE)
    User.objects.create_user("ann")
    for _ in range(50):
        reconcile()
        if UserPod.objects.get().state == "running":
            break
        time.sleep(0.2)
    pod = UserPod.objects.get()
    assert pod.state == "running"
    assert "mirror.example" in pod.message
    lifecycle.stop(UserPod.objects.all())
    assert deployment(cluster, real, "user-ann")["spec"]["replicas"] == 0
    assert quiet()


def test_a_policy_that_comes_later_gets_one_write_and_no_more(
    real: str, cluster: Cluster, settings: Settings, policy: Callable[..., None]
) -> None:
    settings.USERPODS_TEMPLATE = template_with()
    User.objects.create_user("ann")
    policy(MIRROR_ONCE)
    cluster.kubectl("-n", real, "set", "image", "deployment/user-ann", "app=evil:1")
    assert image(deployment(cluster, real, "user-ann")) == "mirror.example/evil:1"
    report = reconcile()
    assert [str(action.verb) for action in report.done] == ["update"]
    assert image(deployment(cluster, real, "user-ann")) == "mirror.example/a:1"
    assert quiet()


def test_a_changed_template_and_a_change_by_hand_are_written_all_the_same(
    real: str, cluster: Cluster, settings: Settings, policy: Callable[..., None]
) -> None:
    settings.USERPODS_TEMPLATE = template_with()
    policy(MIRROR_ONCE)
    User.objects.create_user("ann")
    changed = template_with()
    changed[0]["spec"]["template"]["spec"]["containers"][0]["image"] = "a:2"
    settings.USERPODS_TEMPLATE = changed
    assert len(reconcile().done) > 0
    assert image(deployment(cluster, real, "user-ann")) == "mirror.example/a:2"
    assert quiet()
    cluster.kubectl("-n", real, "set", "image", "deployment/user-ann", "app=evil:1")
    assert len(reconcile().done) == 1
    assert image(deployment(cluster, real, "user-ann")) == "mirror.example/a:2"
    assert quiet()


def test_a_policy_that_is_taken_back_leaves_no_word_behind(
    real: str, cluster: Cluster, settings: Settings, policy: Callable[..., None]
) -> None:
    settings.USERPODS_TEMPLATE = template_with()
    policy(MIRROR_ONCE)
    User.objects.create_user("ann")
    cluster.kubectl("delete", "mutatingadmissionpolicybinding", real)
    settings.USERPODS_TEMPLATE = None
    settings.USERPODS_IMAGE = "b:1"
    for _ in range(50):
        cluster.kubectl("-n", real, "set", "image", "deployment/user-ann", "app=evil:1")
        reconcile()
        if image(deployment(cluster, real, "user-ann")) == "b:1":
            break
        time.sleep(0.1)
    assert image(deployment(cluster, real, "user-ann")) == "b:1"
    pod = UserPod.objects.get()
    assert (pod.overruled, "mirror.example" in pod.message) == ("", False)


def test_an_injected_sidecar_is_no_difference(
    real: str, cluster: Cluster, settings: Settings, policy: Callable[..., None]
) -> None:
    settings.USERPODS_TEMPLATE = template_with()
    policy(SIDECAR)
    User.objects.create_user("ann")
    containers = deployment(cluster, real, "user-ann")["spec"]["template"]["spec"]["containers"]
    assert [container["name"] for container in containers] == ["app", "mesh"]
    assert quiet()
    assert UserPod.objects.get().overruled == ""


def test_a_rewritten_secret_is_told_of_without_its_value(
    real: str, cluster: Cluster, settings: Settings, policy: Callable[..., None]
) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "{name}--key"}}
    settings.USERPODS_TEMPLATE = template_with({**secret, "data": {"key": "cGxhaW4="}})
    policy(HIDDEN, "secrets", "")
    User.objects.create_user("ann")
    assert quiet()
    message = UserPod.objects.get().message
    assert "data.key is another" in message
    assert "c2VhbGVk" not in message
    assert "cGxhaW4" not in message
