"""Manifests with blanks: filled in, and held against what is there."""

from __future__ import annotations

import copy
import random
from typing import TYPE_CHECKING, Any

import pytest

from django_userpods.clusters.local.workload import expand
from django_userpods.core.fields import Field
from django_userpods.core.shape import MISSING, Shape, compile_shape
from django_userpods.exceptions import TemplateError

if TYPE_CHECKING:
    from collections.abc import Callable

VALUES = {
    "name": "user-alice",
    "namespace": "apps",
    "user_id": "7",
    "username": "alice@example.org",
    "user_label": "7",
    "restarted_at": None,
}


def shape(value: Any, *, kind: str = "Deployment", type_name: str = "") -> Shape:
    """The shape of a value; ``type_name`` is the API's, where it is no whole object."""
    return compile_shape(value, where=kind, field=Field(type_name or kind))


def differences(
    declared: Any, observed: Any, *, kind: str = "Deployment", type_name: str = ""
) -> list[str]:
    compiled = shape(declared, kind=kind, type_name=type_name)
    found = [item.path for item in compiled.differences(observed, VALUES)]
    assert compiled.matches(observed, VALUES) is (not found)
    # A second time, when the first answer may have been remembered.
    assert compiled.matches(observed, VALUES) is (not found)
    return found


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("{name}", "user-alice"),
        ("{name}--data", "user-alice--data"),
        ("{namespace}/{name}", "apps/user-alice"),
        ("{user_id}{user_id}", "77"),
        ("https://{username}/", "https://alice@example.org/"),
        ("{{name}}", "{name}"),
        ("{{anything}} {name}", "{anything} user-alice"),
        ("{{name}}{name}{{name}}", "{name}user-alice{name}"),
        ("100% {name} %s", "100% user-alice %s"),
        ("{}", "{}"),
        ("{ name }", "{ name }"),
        ('{"json": 1}', '{"json": 1}'),
        ("${PATH:-x}", "${PATH:-x}"),
        ("plain", "plain"),
    ],
)
def test_placeholders_are_filled_in(text: str, filled: str) -> None:
    assert shape({"a": text}).fill(VALUES) == {"a": filled}


#: All the places of a container in which Kubernetes expands ``$(NAME)``.
EXPANDED = [
    lambda text: {"env": [{"name": "WHO", "value": text}]},
    lambda text: {"command": ["run", text]},
    lambda text: {"args": [text]},
    lambda text: {"volumeMounts": [{"name": "home", "mountPath": "/home", "subPathExpr": text}]},
    lambda text: {"livenessProbe": {"exec": {"command": ["test", text]}}},
    lambda text: {"readinessProbe": {"exec": {"command": ["test", text]}}},
    lambda text: {"startupProbe": {"exec": {"command": ["test", text]}}},
]


@pytest.mark.parametrize("containers", ["containers", "initContainers", "ephemeralContainers"])
@pytest.mark.parametrize("place", EXPANDED)
def test_kubernetes_expands_nothing_in_a_users_value(
    containers: str, place: Callable[[str], Any]
) -> None:
    compiled = shape({"spec": {"template": {"spec": {containers: [place("$(HOME)/{username}")]}}}})
    values = {**VALUES, "username": "$(PORT)"}
    filled = {"spec": {"template": {"spec": {containers: [place("$(HOME)/$$(PORT)")]}}}}
    assert compiled.fill(values) == filled
    assert compiled.matches(filled, values)
    expanded = {"spec": {"template": {"spec": {containers: [place("$(HOME)/$(PORT)")]}}}}
    assert not compiled.matches(expanded, values)


@pytest.mark.parametrize("text", ["{username}", "${username}", "$${username}", "a{username}$b"])
@pytest.mark.parametrize(
    "username", ["$(PORT)", "(PORT)", "$$(PORT)", "$", "$$", "a$b", "$(", "100%", "alice"]
)
def test_a_container_gets_the_username_itself(text: str, username: str) -> None:
    compiled = shape({"containers": [{"args": [text]}]})
    (argument,) = compiled.fill({**VALUES, "username": username})["containers"][0]["args"]
    written = text.replace("$${", "${").replace("{username}", username)
    assert expand(argument, {"PORT": "8000"}) == written


def test_a_dollar_sign_elsewhere_is_left_alone() -> None:
    texts = {"data": {"who": "{username}"}, "env": [{"name": "WHO", "value": "{username}"}]}
    values = {**VALUES, "username": "$(PORT)"}
    filled = {"data": {"who": "$(PORT)"}, "env": [{"name": "WHO", "value": "$(PORT)"}]}
    assert shape(texts, kind="ConfigMap").fill(values) == filled


@pytest.mark.parametrize("text", ["{user}", "{Name}", "$(x) {password}", "{name} {oops}"])
def test_an_unknown_placeholder_says_where_and_what_is_known(text: str) -> None:
    with pytest.raises(TemplateError) as caught:
        shape({"spec": {"containers": [{"name": "a", "env": [{"name": "A", "value": text}]}]}})
    message = str(caught.value)
    assert caught.value.where == "Deployment.spec.containers[0].env[0].value"
    assert "unknown placeholder" in message
    assert "{name}, {namespace}, {path}, {slot}, {url}, {user_id}, {username}" in message
    assert "{{" in message


@pytest.mark.parametrize(
    "username",
    [
        "{name}",
        "{{name}}",
        "{oops}",
        "%s%(x)d",
        "a: b\nc: d",
        "- x\n- y",
        "'\"\\",
        "!!python/object/apply:os.system [ls]",
        "&anchor *alias",
        "\x00\x1f",
        "🐙\u202e",
        "",
    ],
)
def test_a_hostile_username_stays_one_string(username: str) -> None:
    values = {**VALUES, "username": username}
    declared = {"a": "{username}", "b": ["<{username}>"], "{username}": "x"}
    assert shape(declared).fill(values) == {
        "a": username,
        "b": [f"<{username}>"],
        "{username}": "x",
    }


def test_literal_text_is_taken_as_it_is() -> None:
    compiled = compile_shape({"a": "{name} {oops} {{x}}"}, where="Pod", literal=True)
    assert compiled.fill(VALUES) == {"a": "{name} {oops} {{x}}"}


def test_values_that_json_cannot_say_are_refused() -> None:
    import datetime

    with pytest.raises(TemplateError, match=r"Deployment\.a: a value of type date .* quotes"):
        shape({"a": datetime.date(2026, 1, 1)})
    with pytest.raises(TemplateError, match=r"Deployment\.a: the key True is not text"):
        shape({"a": {True: 1}})


@pytest.mark.parametrize(
    ("declared", "observed", "paths"),
    [
        # Declared fields only.
        ({"a": 1}, {"a": 1, "b": 2}, []),
        ({"a": 1}, {"a": 2}, [".a"]),
        ({"a": 1}, {}, [".a"]),
        ({"a": {"b": {"c": "x"}}}, {"a": {"b": {"c": "y", "d": 1}}}, [".a.b.c"]),
        ({"a": {"b": 1}}, {"a": None}, [".a"]),
        ({"a": {"b": 1}}, {"a": []}, [".a"]),
        ({"a": "{name}"}, {"a": "user-alice"}, []),
        ({"a": "{name}"}, {"a": "user-bob"}, [".a"]),
        ({"a": "{name}"}, {}, [".a"]),
        # Unset, and zero values that are left out of answers.
        ({"a": None}, {}, []),
        ({"a": None}, {"a": "defaulted"}, []),
        ({"a": None}, {"a": {"defaulted": 1}}, []),
        ({"a": 0}, {}, []),
        ({"a": False}, {}, []),
        ({"a": ""}, {}, []),
        ({"a": False}, {"a": True}, [".a"]),
        ({"a": True}, {}, [".a"]),
        # Without facts, [] and {} are as good as nothing.
        ({"labels": {}}, {}, []),
        ({"a": {"b": {}, "c": []}}, {}, []),
        ({"a": {"b": {}, "c": [1]}}, {}, [".a"]),
        ({"ingress": []}, {}, []),
        ({"ingress": []}, {"ingress": None}, []),
        ({"ingress": []}, {"ingress": [{}]}, [".ingress"]),
        ({"ingress": ["a"]}, {}, [".ingress"]),
        ({"ingress": ["a"]}, {"ingress": "a"}, [".ingress"]),
        # Lists as a whole, and what is no quantity as it is.
        ({"args": ["a", "b"]}, {"args": ["b", "a"]}, [".args[0]", ".args[1]"]),
        ({"args": ["a"]}, {"args": ["a", "b"]}, [".args"]),
        ({"drop": ["ALL"]}, {"drop": ["ALL"]}, []),
        ({"tolerations": [{"key": "a"}]}, {"tolerations": [{"key": "a", "x": 1}]}, []),
        ({"value": "1000m"}, {"value": "1"}, [".value"]),
        ({"limits": {"cpu": "1000m"}}, {"limits": {"cpu": "1"}}, [".limits.cpu"]),
    ],
)
def test_differences_are_named_by_their_paths(
    declared: Any, observed: Any, paths: list[str]
) -> None:
    assert differences(declared, observed) == paths


def test_what_was_equal_once_is_not_taken_for_equal_for_ever() -> None:
    compiled = shape({"spec": {"a": [1, 2], "b": "{name}"}})
    good = {"spec": {"a": [1, 2], "b": "user-alice"}}
    assert compiled.matches(good, VALUES)
    assert not compiled.matches({"spec": {"a": [1, 3], "b": "user-alice"}}, VALUES)
    assert compiled.matches(good, VALUES)
    assert not compiled.matches(good, {**VALUES, "name": "user-bob"})


def test_missing_is_a_difference_for_anything_but_nothing() -> None:
    assert [item.path for item in shape({"a": 1}).differences(MISSING, VALUES)] == [""]


DECLARED: Any = {
    "metadata": {"name": "{name}", "labels": {"app": "{name}", "tier": "web"}, "annotations": {}},
    "spec": {
        "replicas": 1,
        "paused": False,
        "strategy": {"type": "Recreate"},
        "template": {
            "spec": {
                "containers": [
                    {
                        "name": "app",
                        "image": "a:1",
                        "args": ["--user", "{username}"],
                        "env": [{"name": "A", "value": "1"}, {"name": "U", "value": "{user_id}"}],
                        "resources": {"limits": {"cpu": "1", "memory": "512Mi"}},
                        "ports": [{"name": "http", "containerPort": 8000}],
                        "securityContext": {"capabilities": {"drop": ["ALL"]}},
                    },
                    {"name": "side", "image": "b:1"},
                ],
                "volumes": [{"name": "tmp", "emptyDir": {}}],
                "nodeSelector": None,
            }
        },
    },
}


def mutate(value: Any, chance: random.Random) -> Any:
    """Change something, somewhere: or nothing that matters."""
    if isinstance(value, dict) and value:
        key = chance.choice(list(value))
        match chance.randrange(6):
            case 0:
                del value[key]
            case 1:
                value[f"new{chance.randrange(9)}"] = chance.choice((1, "x", None, {}, []))
            case _:
                value[key] = mutate(value[key], chance)
        return value
    if isinstance(value, list) and value:
        match chance.randrange(6):
            case 0:
                value.pop(chance.randrange(len(value)))
            case 1:
                chance.shuffle(value)
            case 2:
                value.append(copy.deepcopy(chance.choice(value)))
            case _:
                index = chance.randrange(len(value))
                value[index] = mutate(value[index], chance)
        return value
    return chance.choice((value, value, None, 0, 1, "", "x", "1", "1000m", [], {}, False, True))


def test_matches_agrees_with_differences_on_random_changes() -> None:
    chance = random.Random(7)
    remembering = shape(DECLARED)
    good = remembering.fill(VALUES)
    verdicts = {True: 0, False: 0}
    for _ in range(2000):
        observed = copy.deepcopy(good)
        for _ in range(chance.randrange(4)):
            observed = mutate(observed, chance)
        found = list(shape(DECLARED).differences(observed, VALUES))
        assert remembering.matches(observed, VALUES) is (not found), (observed, found)
        verdicts[not found] += 1
    assert min(verdicts.values()) > 150


def test_filling_in_what_is_there_finds_no_difference() -> None:
    assert differences(DECLARED, shape(DECLARED).fill(VALUES)) == []
