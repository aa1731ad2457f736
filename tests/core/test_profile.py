"""Profiles as people write them, and what they make of a template."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from django_userpods.core.builtin import manifests
from django_userpods.core.profile import InvalidProfile, merged, parse
from django_userpods.exceptions import TemplateError

RESOURCES = {"requests": {"cpu": "50m"}, "limits": {"cpu": "1", "memory": "512Mi"}}


def template() -> list[dict[str, Any]]:
    return manifests(image="app:1", port=8000, env={"A": "1", "B": "2"}, resources=RESOURCES)


def container(found: list[dict[str, Any]]) -> dict[str, Any]:
    return found[0]["spec"]["template"]["spec"]["containers"][0]  # type: ignore[no-any-return]


def after(value: dict[str, Any], before: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    return container(merged(before or template(), parse("gpu", value)))


def test_what_is_written_is_read() -> None:
    found = parse(
        "gpu",
        {
            "NAME": "GPU",
            "DESCRIPTION": "Fast.",
            "TEMPLATE": "gpu.yaml",
            "IMAGE": "gpu:1",
            "RESOURCES": {"limits": {"nvidia.com/gpu": 1}},
            "ENV": {"A": None},
            "GROUPS": ["research"],
            "AT_ONCE": 2,
            "ENABLED": False,
        },
    )
    assert (found.name, found.description, found.template) == ("GPU", "Fast.", Path("gpu.yaml"))
    assert (found.groups, found.at_once, found.enabled) == (frozenset({"research"}), 2, False)


def test_a_profile_is_called_by_its_slug_and_is_for_everybody_unless_it_says_so() -> None:
    found = parse("small", {})
    assert (found.name, found.groups, found.at_once, found.enabled) == (
        "small",
        frozenset(),
        None,
        True,
    )


@pytest.mark.parametrize(
    ("value", "key"),
    [
        ([], ""),
        ({"Image": "x"}, ""),
        ({"NAME": ""}, "NAME"),
        ({"NAME": 7}, "NAME"),
        ({"NAME": "x" * 101}, "NAME"),
        ({"DESCRIPTION": ["x"]}, "DESCRIPTION"),
        ({"TEMPLATE": 7}, "TEMPLATE"),
        ({"IMAGE": ""}, "IMAGE"),
        ({"IMAGE": "a b"}, "IMAGE"),
        ({"IMAGE": None}, "IMAGE"),
        ({"RESOURCES": {"limit": {}}}, "RESOURCES"),
        ({"RESOURCES": {"limits": "1"}}, "RESOURCES"),
        ({"RESOURCES": {"limits": {"cpu": "much"}}}, "RESOURCES"),
        ({"RESOURCES": {"limits": {"cpu": True}}}, "RESOURCES"),
        ({"ENV": ["A"]}, "ENV"),
        ({"ENV": {"A": 1}}, "ENV"),
        ({"ENV": {1: "A"}}, "ENV"),
        ({"GROUPS": "research"}, "GROUPS"),
        ({"GROUPS": [7]}, "GROUPS"),
        ({"AT_ONCE": 0}, "AT_ONCE"),
        ({"AT_ONCE": True}, "AT_ONCE"),
        ({"ENABLED": "yes"}, "ENABLED"),
        ({"NAME": "a\0b"}, "NAME"),
        ({"DESCRIPTION": "a\0b"}, "DESCRIPTION"),
        ({"IMAGE": "example.org/a\0b:1"}, "IMAGE"),
        ({"RESOURCES": {"limits": {"a\0b": "1"}}}, "RESOURCES"),
        ({"ENV": {"A": "a\0b"}}, "ENV has a NUL character in .A"),
        ({"ENV": {"a\0b": None}}, "ENV"),
        ({"GROUPS": ["a\0b"]}, "GROUPS"),
    ],
)
def test_what_cannot_be_says_where_and_what_to_write(value: Any, key: str) -> None:
    with pytest.raises(InvalidProfile) as caught:
        parse("gpu", value)
    assert caught.value.key == key.partition(" ")[0]
    assert caught.value.hint
    assert str(caught.value).startswith(key)


@pytest.mark.parametrize("slug", ["", "GPU", "-a", "a_b", "x" * 64, 7])
def test_a_slug_is_a_label(slug: Any) -> None:
    with pytest.raises(InvalidProfile, match="cannot be called"):
        parse(slug, {})


def test_without_overrides_the_template_stays_as_it_is() -> None:
    assert merged(template(), parse("small", {"NAME": "Small"})) == template()


def test_what_is_overridden_is_the_main_container_of_a_copy() -> None:
    before = template()
    before[0]["spec"]["template"]["spec"]["containers"].append({"name": "aside", "image": "b:1"})
    kept = copy.deepcopy(before)
    found = merged(before, parse("gpu", {"IMAGE": "gpu:1"}))
    assert before == kept
    images = [one["image"] for one in found[0]["spec"]["template"]["spec"]["containers"]]
    assert images == ["gpu:1", "b:1"]
    assert found[1] == kept[1]


def test_another_deployment_of_the_template_is_left_alone() -> None:
    worker = copy.deepcopy(template()[0])
    worker["metadata"]["name"] = "{name}--worker"
    found = merged([worker, *template()], parse("gpu", {"IMAGE": "gpu:1"}))
    assert container(found)["image"] == "app:1"


def test_variables_keep_their_places_and_new_ones_come_last() -> None:
    before = {entry["name"]: entry.get("value") for entry in container(template())["env"]}
    found = after({"ENV": {"C": "{username}", "A": "one", "B": None}})["env"]
    assert [entry["name"] for entry in found] == [*(n for n in before if n != "B"), "C"]
    values = {entry["name"]: entry["value"] for entry in found}
    del before["B"]
    assert values == {**before, "A": "one", "C": "{username}"}


def test_a_variable_from_a_secret_is_replaced_as_a_whole() -> None:
    before = template()
    source = {"secretKeyRef": {"name": "s", "key": "k"}}
    container(before)["env"] = [{"name": "A", "valueFrom": source}]
    assert after({"ENV": {"A": "x"}}, before)["env"] == [{"name": "A", "value": "x"}]


def test_resources_are_merged_amount_by_amount() -> None:
    found = after({"RESOURCES": {"requests": {"cpu": "500m"}, "limits": {"memory": None}}})
    assert found["resources"] == {"requests": {"cpu": "500m"}, "limits": {"cpu": "1"}}


def test_a_request_beyond_its_limit_is_refused_with_its_place() -> None:
    with pytest.raises(TemplateError, match="raise the limit, too") as caught:
        after({"RESOURCES": {"requests": {"cpu": "1500m"}}})
    assert caught.value.where.endswith("containers[0].resources.requests.cpu")
    assert after({"RESOURCES": {"requests": {"cpu": "2"}, "limits": {"cpu": "2"}}})


@pytest.mark.parametrize("broken", [[], [{}], [{"kind": "Deployment"}], [None]])
def test_a_template_that_makes_no_sense_is_for_the_compiler_to_refuse(broken: list[Any]) -> None:
    profile = parse("gpu", {"IMAGE": "x:1"})
    if broken == [None]:
        with pytest.raises(TemplateError):
            merged(broken, profile)
    else:
        assert merged(broken, profile) == broken
