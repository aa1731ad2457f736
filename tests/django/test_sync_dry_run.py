"""``sync_userpods --dry-run``: in what each object is not as it should be."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_userpods.core.objects import Kind, Ref
from django_userpods.models import UserPod
from tests.django.support import CONFIG, bulk, deployment, service, sync, template_with
from tests.factories import UserFactory

if TYPE_CHECKING:
    from django_userpods.testing import MemoryCluster

pytestmark = pytest.mark.django_db

SECRET = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "{name}--login"},
    "stringData": {"password": "of-the-template"},
    "data": {"key": "b2YtdGhlLXRlbXBsYXRl"},
}


def lines_after(out: str, first: str) -> list[str]:
    """Return the indented lines below a line, as they stand."""
    lines = iter(out.splitlines())
    assert any(line.startswith(first) for line in lines), out
    found = []
    for line in lines:
        if not line.startswith("    "):
            break
        found.append(line)
    return found


def test_it_shows_what_is_there_and_what_should_be(memory: MemoryCluster) -> None:
    bulk(2)
    sync()
    deployment(memory, "user-bulk000")["spec"]["replicas"] = 4
    service(memory, "user-bulk001")["spec"]["selector"] = {"app": "nobody"}
    _, out, _ = sync("--dry-run")
    assert lines_after(out, "Would update Deployment default/user-bulk000") == [
        "    .spec.replicas",
        "    - 4",
        "    + 1",
    ]
    assert "- is what is there now, + what should be" in out
    pod = UserPod.objects.get(name="user-bulk001")
    assert lines_after(out, "Would update Service default/user-bulk001") == [
        "    .spec.selector.app",
        "    - nobody",
        "    + user-bulk001",
        "    .spec.selector.django-userpods/pod",
        f"    + {pod.pk}",
    ]


def test_json_has_the_difference_of_each_object(memory: MemoryCluster, settings: Any) -> None:
    settings.USERPODS_TEMPLATE = template_with(CONFIG)
    bulk(1)
    sync()
    found = memory.objects[Ref(Kind("v1", "ConfigMap"), "default", "user-bulk000--config")]
    del found["data"]["who"]
    spec = deployment(memory, "user-bulk000")["spec"]["template"]["spec"]
    spec["containers"][0]["image"] = "b:2"
    actions = json.loads(sync("--dry-run", "--format", "json")[1])["actions"]
    assert {action["kind"]: action["diff"] for action in actions} == {
        "ConfigMap": [{"path": ".data.who", "should_be": "bulk000"}],
        "Deployment": [
            {
                "path": ".spec.template.spec.containers[app].image",
                "is": "b:2",
                "should_be": "a:1",
            }
        ],
    }


def test_objects_that_are_new_or_go_have_no_difference(memory: MemoryCluster) -> None:
    UserFactory(username="alice")
    actions = json.loads(sync("--dry-run", "--format", "json")[1])["actions"]
    assert [action["verb"] for action in actions] == ["create", "create"]
    assert not [action for action in actions if "diff" in action]


def test_a_run_keeps_and_tells_no_differences(memory: MemoryCluster) -> None:
    bulk(1)
    sync()
    deployment(memory, "user-bulk000")["spec"]["replicas"] = 4
    _, out, _ = sync()
    assert "Updated Deployment default/user-bulk000 (.spec.replicas)" in out
    assert "    .spec" not in out


def test_a_secrets_values_are_never_shown(memory: MemoryCluster, settings: Any) -> None:
    settings.USERPODS_TEMPLATE = template_with(SECRET)
    bulk(2)
    sync()
    kind = Kind("v1", "Secret")
    changed = memory.objects[Ref(kind, "default", "user-bulk000--login")]
    changed["data"] = {"key": "b3RoZXItdmFsdWU="}
    del memory.objects[Ref(kind, "default", "user-bulk001--login")]["data"]
    for how in ("text", "json"):
        status, out, err = sync("--dry-run", "--format", how)
        assert status == 0
        assert ".data" in out
        assert "********" in out
        for value in ("of-the-template", "b2YtdGhlLXRlbXBsYXRl", "b3RoZXItdmFsdWU", "other-value"):
            assert value not in out + err


def test_values_of_several_lines_are_told_line_by_line(
    memory: MemoryCluster, settings: Any
) -> None:
    text = "".join(f"line {number}\n" for number in range(100))
    config = {**CONFIG, "data": {"file": text}}
    settings.USERPODS_TEMPLATE = template_with(config)
    bulk(1)
    sync()
    found = memory.objects[Ref(Kind("v1", "ConfigMap"), "default", "user-bulk000--config")]
    found["data"]["file"] = text.replace("line 50\n", "another\n")
    _, out, _ = sync("--dry-run")
    assert lines_after(out, "Would update ConfigMap") == [
        "    .data.file",
        "      line 49",
        "    - another",
        "    + line 50",
        "      line 51",
    ]
    found["data"]["file"] = ""
    shown = lines_after(sync("--dry-run")[1], "Would update ConfigMap")
    assert shown[-1].strip() == "(61 more lines)"
    assert len(shown) == 42


LONG = "Élodie de la Fontaine du Bois-Guillaume et Fils"


def test_it_says_whose_pods_they_are_where_their_names_do_not(
    memory: MemoryCluster,
) -> None:
    for username in ("李雷", LONG, "alice"):
        UserFactory(username=username)
    _, out, _ = sync("--dry-run")
    created = [line for line in out.splitlines() if line.startswith("Would create Deployment")]
    ends = sorted(line.partition(" (")[2] for line in created)
    # One whose name says it is not named twice, and a long one is cut.
    assert ends == ["", f"{LONG[:39]}…)", "李雷)"]
    sync()
    changed = UserPod.objects.get(owner__username="李雷")
    deployment(memory, str(changed.name))["spec"]["replicas"] = 4
    _, out, _ = sync("--dry-run")
    assert f"Would update Deployment default/{changed.name} (李雷)" in out
    actions = json.loads(sync("--dry-run", "--format", "json")[1])["actions"]
    assert [action["username"] for action in actions] == ["李雷"]

    # Who is gone, or not known any more, is called as the objects say.
    owner = changed.owner
    assert owner is not None
    type(owner).objects.filter(pk=owner.pk).delete()
    for _ in range(2):
        assert f"Would delete Deployment default/{changed.name} (李雷)" in sync("--dry-run")[1]
        UserPod.objects.filter(pk=changed.pk).delete()


def test_the_names_of_users_are_not_asked_for_one_by_one(
    memory: MemoryCluster,
) -> None:
    counts = []
    for number in (2, 12):
        bulk(number, prefix=f"of{number}")
        with CaptureQueriesContext(connection) as queries:
            sync("--dry-run")
        counts.append(len(queries))
    assert counts[0] == counts[1]
