"""Profiles of the database: edited in the admin, with versions, rolled out, and previewed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from django_userpods import lifecycle, profiles
from django_userpods.core.objects import Kind
from django_userpods.deploy import project
from django_userpods.models import Profile, UserPod
from django_userpods.reconcile import reconcile
from tests.core.templates import extra, pair
from tests.django.profiled import image_of
from tests.django.rollouts import turns
from tests.django.support import bulk, row
from tests.factories import UserFactory

if TYPE_CHECKING:
    from django.test import Client

    from django_userpods.testing import MemoryCluster

pytestmark = pytest.mark.django_db(transaction=True)

LIST = reverse("admin:userpods_profile_changelist")
ADD = reverse("admin:userpods_profile_add")
#: A form as it is sent.
SENT = {
    "slug": "gpu",
    "name": "GPU",
    "description": "",
    "enabled": "on",
    "at_once": "",
    "image": "example.org/gpu:1",
    "resources": "{}",
    "env": "{}",
    "template": "",
}


@pytest.fixture(autouse=True)
def _stored(settings: Any) -> None:
    settings.USERPODS_PROFILES = "database"
    settings.USERPODS_IMAGE = "example.org/standard:1"


@pytest.fixture
def boss(client: Client) -> Client:
    client.force_login(UserFactory(username="boss", is_staff=True, is_superuser=True))
    return client


@pytest.fixture
def gpu() -> Profile:
    profile = Profile(slug="gpu", name="GPU", image="example.org/gpu:1")
    profile.save(actor="first")
    return profile


def url(profile: Profile, what: str = "change") -> str:
    return reverse(f"admin:userpods_profile_{what}", args=(profile.pk,))


def template(*more: Any) -> str:
    return str(yaml.safe_dump_all([*pair(), *more]))


def errors(answer: Any) -> str:
    assert answer.status_code == 200
    return str(answer.context["adminform"].form.errors)


# --- where they are


@pytest.mark.parametrize("value", [None, {"small": {}}])
def test_with_the_settings_alone_there_is_nothing_of_them(
    boss: Client, gpu: Profile, settings: Any, value: Any
) -> None:
    settings.USERPODS_PROFILES = value
    assert LIST not in boss.get(reverse("admin:index")).text
    for address in (LIST, ADD, url(gpu)):
        assert boss.get(address).status_code == 403
    assert boss.post(url(gpu, "restore"), {"restore": "1"}).status_code == 403
    assert boss.post(url(gpu, "preview"), SENT).status_code == 403
    assert "gpu" not in profiles.known()


def test_they_need_djangos_own_permissions(client: Client, gpu: Profile) -> None:
    client.force_login(UserFactory(username="staff", is_staff=True))
    for address in (LIST, ADD, url(gpu)):
        assert client.get(address).status_code == 403
    assert client.post(url(gpu, "restore"), {"restore": "1"}).status_code == 403
    assert client.post(url(gpu, "preview"), SENT).status_code == 403


# --- saving


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("env", '{"A": "a\\u0000b"}'),
        ("env", '{"a\\u0000b": null}'),
        ("resources", '{"limits": {"a\\u0000b": "1"}}'),
    ],
)
def test_a_nul_character_is_refused_beside_its_field(boss: Client, field: str, text: str) -> None:
    """Which PostgreSQL does not keep, and no container is given."""
    answer = boss.post(ADD, {**SENT, field: text})
    assert answer.status_code == 200
    found = answer.context["adminform"].form.errors
    assert set(found) == {field}
    assert "has a NUL character" in str(found[field])
    assert not Profile.objects.exists()


def test_a_nul_character_in_a_template_is_refused_with_its_place(boss: Client) -> None:
    found = pair()
    found[0]["spec"]["template"]["spec"]["containers"][0]["command"] = ["a\0b"]
    said = errors(boss.post(ADD, {**SENT, "template": str(yaml.safe_dump_all(found))}))
    assert "containers[0].command[0]: has a NUL character" in said


def test_what_is_saved_can_be_chosen(boss: Client, memory: MemoryCluster) -> None:
    sent = {**SENT, "resources": '{"limits": {"memory": "2Gi"}}', "env": '{"A": "b"}'}
    assert boss.post(ADD, sent).status_code == 302
    user = UserFactory(username="alice")
    reconcile()
    lifecycle.choose_profile(UserPod.objects.filter(owner=user), "gpu")
    assert image_of(memory, "user-alice") == "example.org/gpu:1"


@pytest.mark.parametrize(
    ("change", "field", "says"),
    [
        ({"slug": "GPU x"}, "slug", "cannot be called"),
        ({"image": "a b"}, "image", "Name an image"),
        ({"at_once": "0"}, "at_once", "whole number from 1"),
        ({"resources": '{"limit": {}}'}, "resources", "requests"),
        ({"resources": "{"}, "resources", "valid JSON"),
        ({"env": '{"A": 1}'}, "env", 'is not text. Write {"A": "1"}.'),
        ({"resources": "[]"}, "resources", 'Write {"requests": {'),
        ({"template": "a: ["}, "template", "line 1, column"),
        ({"template": "kind: Pod"}, "__all__", "Pod.apiVersion: is missing"),
        (
            {"resources": '{"requests": {"cpu": "9"}}'},
            "__all__",
            "containers[0].resources.requests.cpu: is 9, more than the limit",
        ),
    ],
)
def test_what_cannot_be_is_said_where_it_is_written(
    boss: Client, change: dict[str, str], field: str, says: str
) -> None:
    answer = boss.post(ADD, {**SENT, **change})
    assert errors(answer)
    found = answer.context["adminform"].form.errors
    assert says in " ".join(found[field])
    assert not Profile.objects.exists()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"resources": '{"limits": {"cpu": "lots"}}'}, "limits.cpu 不能是 'lots'。请填写数量"),
        ({"image": "a b"}, "请填写镜像"),
        ({"template": "a: ["}, "第 5 列"),
        ({"template": "kind: Pod"}, "缺失"),
        ({"resources": '{"requests": {"cpu": "9"}}'}, "超过了上限 "),
    ],
)
def test_a_chinese_reader_is_told_in_chinese(
    boss: Client, settings: Any, change: dict[str, str], says: str
) -> None:
    settings.LANGUAGE_CODE = "zh-hans"
    answer = boss.post(ADD, {**SENT, **change})
    found = answer.context["adminform"].form.errors
    assert says in " ".join(text for texts in found.values() for text in texts)


def test_a_group_that_is_gone_does_not_open_it_to_everybody(boss: Client, gpu: Profile) -> None:
    gpu.groups = ["research"]
    gpu.save()
    assert "research (no such group)" in boss.get(url(gpu)).text
    assert boss.post(url(gpu), {**SENT, "groups": ["research"]}).status_code == 302
    gpu.refresh_from_db()
    assert gpu.groups == ["research"]
    assert profiles.offered_to(UserFactory(), profiles.known()) == []


def test_the_slug_stays(boss: Client, gpu: Profile) -> None:
    boss.post(url(gpu), {**SENT, "slug": "other", "name": "New"})
    gpu.refresh_from_db()
    assert (gpu.slug, gpu.name) == ("gpu", "New")


def test_one_that_nobody_validated_fails_its_own_pods_alone(
    memory: MemoryCluster, gpu: Profile
) -> None:
    users = bulk(2)
    reconcile()
    lifecycle.choose_profile(UserPod.objects.filter(owner=users[0]), "gpu")
    Profile.objects.update(template="a: [")
    report = reconcile()
    assert [failure.name for failure in report.failed] == [row(users[0]).name]
    assert row(users[1]).state == "running"


# --- versions


def test_each_change_is_a_version_with_who_made_it(boss: Client, gpu: Profile) -> None:
    boss.post(url(gpu), {**SENT, "image": "example.org/gpu:2"})
    boss.post(url(gpu), {**SENT, "image": "example.org/gpu:2"})
    found = list(gpu.versions.order_by("number").values_list("number", "actor", "content__image"))
    assert found == [(1, "first", "example.org/gpu:1"), (2, "boss", "example.org/gpu:2")]
    page = boss.get(url(gpu)).text
    assert "Restore version 1" in page
    assert "Restore version 2" not in page
    assert "current version" in page


def test_versions_are_shown_with_by_whom_and_what_was_changed(boss: Client, gpu: Profile) -> None:
    sent = {**SENT, "name": "GPUs", "image": "example.org/gpu:2", "env": '{"A": "b"}'}
    boss.post(url(gpu), sent)
    boss.post(url(gpu), {**sent, "enabled": ""})
    table = boss.get(url(gpu)).text.partition('id="userpods-versions"')[2]
    cells = r"<tr>\s*<td>(.*?)</td>\s*<td>.*?</td>\s*<td>(.*?)</td>\s*<td>(.*?)</td>"
    assert re.findall(cells, table) == [
        ("3", "boss", "enabled"),
        ("2", "boss", "name, image, environment variables"),
        ("1", "first", "everything"),
    ]


def test_going_back_is_a_version_too_and_reaches_the_pods(
    boss: Client, gpu: Profile, memory: MemoryCluster
) -> None:
    bulk(2)
    reconcile()
    lifecycle.choose_profile(UserPod.objects.all(), "gpu")
    boss.post(url(gpu), {**SENT, "image": "example.org/gpu:2"})
    assert {image_of(memory, f"user-bulk00{n}") for n in range(2)} == {"example.org/gpu:2"}
    sent = {"restore": "1", "post": "yes", "count": UserPod.objects.count()}
    answer = boss.post(url(gpu, "restore"), sent, follow=True)
    assert "Restored to version 1." in answer.text
    assert {image_of(memory, f"user-bulk00{n}") for n in range(2)} == {"example.org/gpu:1"}
    assert gpu.versions.count() == 3
    for number in ("9", "x", ""):
        assert boss.post(url(gpu, "restore"), {"restore": number}).status_code == 404
    assert boss.get(url(gpu, "restore")).status_code == 405


def test_a_version_that_is_invalid_by_now_is_not_gone_back_to(boss: Client, gpu: Profile) -> None:
    gpu.versions.update(content={**gpu.content, "image": "a b"})
    gpu.name = "New"
    gpu.save()
    answer = boss.post(url(gpu, "restore"), {"restore": "1"}, follow=True)
    assert "Nothing was changed: version 1 is no longer valid" in answer.text
    gpu.refresh_from_db()
    assert gpu.image == "example.org/gpu:1"


def test_a_change_is_rolled_out_by_the_rules(
    boss: Client, gpu: Profile, memory: MemoryCluster, settings: Any
) -> None:
    bulk(3)
    reconcile()
    lifecycle.choose_profile(
        UserPod.objects.filter(name__in=["user-bulk001", "user-bulk002"]), "gpu"
    )
    reconcile()
    settings.USERPODS_ROLLOUT = {"MAX_UNREADY": 1}
    answer = boss.post(url(gpu), {**SENT, "image": "example.org/gpu:2"}, follow=True)
    assert "2 pods use this profile" in answer.text
    images = [image_of(memory, f"user-bulk00{n}") for n in range(3)]
    assert sorted(images) == ["example.org/gpu:1", "example.org/gpu:2", "example.org/standard:1"]
    assert turns() == {"updating": 1, "waiting": 1}


def test_what_changes_nothing_asks_nothing_of_the_cluster(
    boss: Client, gpu: Profile, memory: MemoryCluster
) -> None:
    bulk(1)
    reconcile()
    lifecycle.choose_profile(UserPod.objects.all(), "gpu")
    memory.calls.clear()
    boss.post(url(gpu), SENT)
    assert not memory.calls


# --- deleting


def test_one_that_pods_have_is_not_deleted(
    boss: Client, gpu: Profile, memory: MemoryCluster
) -> None:
    bulk(1)
    reconcile()
    lifecycle.choose_profile(UserPod.objects.all(), "gpu")
    delete = url(gpu, "delete")
    assert "user-bulk000" in boss.get(delete).text
    boss.post(delete, {"post": "yes"})
    assert Profile.objects.exists()
    lifecycle.choose_profile(UserPod.objects.all(), "")
    boss.post(delete, {"post": "yes"})
    assert not Profile.objects.exists()


def test_staff_with_the_permission_can_delete_one(client: Client, gpu: Profile) -> None:
    from tests.django.http_api import boss as with_permissions

    staff = with_permissions("view_profile", "delete_profile")
    staff.post(url(gpu, "delete"), {"post": "yes"})
    assert not Profile.objects.exists()


# --- the preview


def test_the_preview_shows_what_is_in_the_form_for_a_user(
    boss: Client, gpu: Profile, memory: MemoryCluster
) -> None:
    UserFactory(username="alice")
    secret = extra("Secret", "{name}--key", stringData={"key": "hunter2"})
    sent = {
        **SENT,
        "image": "example.org/unsaved:1",
        "template": template(secret),
        "preview_user": "alice",
    }
    for address in (url(gpu, "preview"), reverse("admin:userpods_profile_add_preview")):
        answer = boss.post(address, {**sent, "slug": "new"})
        found = list(yaml.safe_load_all(answer.context["text"]))
        assert {one["metadata"]["name"] for one in found} == {"user-alice", "user-alice--key"}
        assert "example.org/unsaved:1" in answer.text
        assert "hunter2" not in answer.text
        assert "aHVudGVyMg" not in answer.text
    gpu.refresh_from_db()
    assert (gpu.image, gpu.versions.count()) == ("example.org/gpu:1", 1)


def test_the_preview_says_what_is_wrong(boss: Client, gpu: Profile) -> None:
    answer = boss.post(url(gpu, "preview"), {**SENT, "image": "a b", "preview_user": "boss"})
    # By the name that the form has for it.
    assert "<li>Image: " in answer.text
    assert "Name an image" in answer.text
    answer = boss.post(url(gpu, "preview"), {**SENT, "preview_user": "nobody"})
    assert "There is no user with this name." in answer.text


# --- rights and costs


def test_the_kinds_of_stored_templates_are_among_the_rights(gpu: Profile) -> None:
    gpu.template = template(extra("ConfigMap", "{name}--notes"))
    gpu.save()
    assert Kind("v1", "ConfigMap") in project.rules((), lambda _text: None)
    Profile.objects.update(template="a: [")
    said: list[str] = []
    project.rules((), said.append)
    assert "'gpu' is invalid" in said[0]


def test_the_list_s_queries_do_not_grow_with_it(boss: Client) -> None:
    counts = []
    for count in (0, 1, 120):
        Profile.objects.bulk_create(
            Profile(slug=f"p{count}-{number}", name=str(number), image="x:1", groups=["research"])
            for number in range(count)
        )
        with CaptureQueriesContext(connection) as queries:
            assert boss.get(LIST).status_code == 200
        counts.append(len(queries))
    assert counts[0] <= counts[1] == counts[2]


def test_a_sync_reads_all_profiles_with_one_query(memory: MemoryCluster, gpu: Profile) -> None:
    for number in range(5):
        Profile(slug=f"p{number}", name=str(number), image="x:1").save()
    bulk(6)
    reconcile()
    reconcile()
    counts = []
    for slugs in ((), ("gpu",), ("gpu", "p0", "p1", "p2", "p3", "p4")):
        for pod, slug in zip(UserPod.objects.order_by("pk"), slugs, strict=False):
            lifecycle.choose_profile(UserPod.objects.filter(pk=pod.pk), slug)
        reconcile()
        with CaptureQueriesContext(connection) as queries:
            assert reconcile().done == []
        counts.append(len(queries))
    assert counts == [counts[0], counts[0] + 1, counts[0] + 1]
