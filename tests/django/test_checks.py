"""Invalid settings: an id, the place, the remedy, and never a traceback."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

import pytest
from django.core import checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError

from django_userpods.checks import SETTING_IDS
from django_userpods.conf import Conf
from tests.django.support import template_with

if TYPE_CHECKING:
    from pathlib import Path


def found() -> list[checks.CheckMessage]:
    return checks.run_checks(tags=["userpods"])


def test_the_test_project_is_clean() -> None:
    assert found() == []


@pytest.mark.django_db  # Django asks SQLite whether it has JSON
def test_the_checks_are_bound(settings: Any) -> None:
    settings.USERPODS_PORT = 0
    with pytest.raises(SystemCheckError, match=r"userpods\.E002"):
        call_command("check")


def test_every_setting_has_an_id_and_no_id_has_two() -> None:
    names = {name for name, value in vars(Conf).items() if isinstance(value, property)}
    assert names == set(SETTING_IDS)
    assert len(set(SETTING_IDS.values())) == len(SETTING_IDS)


@pytest.mark.parametrize(
    ("name", "value", "id_"),
    [
        ("IMAGE", None, "E001"),
        ("IMAGE", "", "E001"),
        ("IMAGE", " app:1", "E001"),
        ("IMAGE", 7, "E001"),
        ("PORT", "8000", "E002"),
        ("PORT", 0, "E002"),
        ("PORT", 65536, "E002"),
        ("PORT", True, "E002"),
        ("ENV", [], "E003"),
        ("ENV", {"A": 1}, "E003"),
        ("ENV", {1: "a"}, "E003"),
        ("RESOURCES", "small", "E004"),
        ("RESOURCES", {"limit": {}}, "E004"),
        ("TEMPLATE", "no.such.callable", "E005"),
        ("TEMPLATE", "/no/such/file.yaml", "E005"),
        ("TEMPLATE", 7, "E005"),
        ("CUSTOMIZE", "no.such.callable", "E006"),
        ("CUSTOMIZE", "django.VERSION", "E006"),
        ("CUSTOMIZE", 7, "E006"),
        ("SELECT", "no.such.callable", "E007"),
        ("NAMESPACE", "Not Valid", "E008"),
        ("NAMESPACE", "", "E008"),
        ("NAMESPACE", None, "E008"),
        ("NAMESPACE", "no.such.callable", "E008"),
        ("NAME_PREFIX", "User-", "E009"),
        ("NAME_PREFIX", "", "E009"),
        ("NAME_PREFIX", "a--", "E009"),
        ("NAME_PREFIX", "x" * 25, "E009"),
        ("NAME_PREFIX", None, "E009"),
        ("INSTANCE", "", "E010"),
        ("INSTANCE", "a b", "E010"),
        ("INSTANCE", None, "E010"),
        ("CLUSTER", None, "E011"),
        ("CLUSTER", "kubernetes", "E011"),
        ("CLUSTER", {"BACKEND": "no.such.Cluster"}, "E011"),
        ("CLUSTER", {"BACKEND": "django.VERSION"}, "E011"),
        ("CLUSTER", {"BACKEND": "x.Y", "OPTION": {}}, "E011"),
        ("CLUSTER", {"BACKEND": "x.Y", "OPTIONS": []}, "E011"),
        ("AUTHENTICATORS", [], "E012"),
        ("AUTHENTICATORS", "x", "E012"),
        ("AUTHENTICATORS", 7, "E012"),
        ("AUTHENTICATORS", ["no.such.Class"], "E012"),
        ("AUTHENTICATORS", ["os.getcwd"], "E012"),
        ("TOKEN_COOKIE", "", "E013"),
        ("TOKEN_COOKIE", 7, "E013"),
        ("TOKEN_COOKIE", "a b", "E013"),
        ("TOKEN_COOKIE", "a=b", "E013"),
        ("TOKEN_COOKIE", "a;b", "E013"),
        ("URL", 7, "E030"),
        ("URL", "https://{pod}.example.org", "E030"),
        ("SITE_URL", 7, "E031"),
        ("SITE_URL", "https://www.example.org/site/", "E031"),
        ("INLINE_TIMEOUT", -1, "E015"),
        ("INLINE_TIMEOUT", "soon", "E015"),
        ("INLINE_TIMEOUT", float("nan"), "E015"),
        ("IDLE_TIMEOUT", -1, "E016"),
        ("IDLE_TIMEOUT", "never", "E016"),
        ("MAX_PODS", 0, "E021"),
        ("MAX_PODS", True, "E021"),
        ("MAX_PODS", "no.such.callable", "E021"),
        ("CONTROLLER", 1, "E023"),
        ("CONTROLLER", "yes", "E023"),
        ("CONTROLLER", None, "E023"),
        ("SELF_SERVICE", "start", "E025"),
        ("SELF_SERVICE", ["start", "recreate"], "E025"),
        ("PROFILES", ["small"], "E028"),
        ("PROFILES", {"Small": {}}, "E028"),
        ("PROFILES", {"small": {"IMAGE": ""}}, "E028"),
        ("PROFILES", {"small": {"COLOUR": "red"}}, "E028"),
        ("RETAIN", "PersistentVolumeClaim", "E017"),
        ("RETAIN", [7], "E017"),
        ("RETAIN", 7, "E017"),
        ("ROUTERS", "http://router:8081", "E018"),
        ("ROUTERS", ["router:8081"], "E018"),
        ("ROUTERS", [7], "E018"),
        ("ROUTERS", 7, "E018"),
        ("CACHE", "nowhere", "E019"),
        ("CACHE", ["default"], "E019"),
    ],
)
def test_an_invalid_setting_is_an_error_with_its_id(
    settings: Any, name: str, value: Any, id_: str
) -> None:
    setattr(settings, f"USERPODS_{name}", value)
    messages = found()
    assert {message.id for message in messages} == {f"userpods.{id_}"}
    assert messages[0].is_serious()
    assert f"USERPODS_{name}" in messages[0].msg
    assert messages[0].hint


@pytest.mark.parametrize(
    ("profile", "where"),
    [
        ({"TEMPLATE": [{"kind": "Pod"}]}, "Pod.apiVersion"),
        ({"TEMPLATE": "/no/such.yaml"}, "/no/such.yaml"),
        ({"RESOURCES": {"requests": {"memory": "1Gi"}}}, "containers[0].resources.requests.memory"),
    ],
)
def test_a_profile_that_cannot_be_used_says_where(
    settings: Any, profile: dict[str, Any], where: str
) -> None:
    settings.USERPODS_PROFILES = {"small": {}, "broken": profile}
    (message,) = found()
    assert (message.id, message.is_serious()) == ("userpods.E029", True)
    assert message.msg.startswith("The profile 'broken' is invalid: ")
    assert where in message.msg
    assert "USERPODS_PROFILES" in (message.hint or "")


def test_a_template_that_cannot_be_imported_is_said_once(settings: Any) -> None:
    settings.USERPODS_TEMPLATE = "no.such.callable"
    assert [message.id for message in found()] == ["userpods.E005"]


@pytest.mark.parametrize(
    "options", [{"nonsense": 1}, {"timeout": "soon"}, {"concurrency": 0}, {"qps": -1}]
)
@pytest.mark.parametrize(
    "backend", ["clusters.kubernetes.KubernetesCluster", "testing.MemoryCluster"]
)
def test_invalid_options_are_refused(settings: Any, backend: str, options: dict[str, Any]) -> None:
    settings.USERPODS_CLUSTER = {
        "BACKEND": f"django_userpods.{backend}",
        "OPTIONS": options,
    }
    (message,) = found()
    assert message.id == "userpods.E011"
    assert next(iter(options)) in message.msg


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ([], "no manifests"),
        (template_with()[:1], "no Service"),
        (template_with({"kind": "Secret"}), "Secret.apiVersion: is missing"),
        (
            template_with(
                {
                    "apiVersion": "v1",
                    "kind": "ConfigMap",
                    "metadata": {"name": "{name}"},
                    "data": {"a": "{user}"},
                }
            ),
            "ConfigMap.data.a: unknown placeholder {user}",
        ),
        (
            template_with(
                {
                    "apiVersion": "v1",
                    "kind": "ConfigMap",
                    "metadata": {"name": "{name}"},
                    "data": {"a": datetime.date(2026, 1, 1)},
                }
            ),
            "ConfigMap.data.a: a value of type date",
        ),
        (
            template_with(
                {
                    "apiVersion": "v1",
                    "kind": "ConfigMap",
                    "metadata": {
                        "name": "{name}",
                        "labels": {"django-userpods/instance": "x"},
                    },
                }
            ),
            "django-userpods/instance: is reserved",
        ),
    ],
)
def test_an_invalid_template_is_an_error_with_its_place(
    settings: Any, template: Any, words: str
) -> None:
    settings.USERPODS_TEMPLATE = template
    (message,) = found()
    assert message.id == "userpods.E020"
    assert words in message.msg
    assert message.hint


def test_yaml_that_does_not_parse_is_named_with_its_line(settings: Any, tmp_path: Path) -> None:
    path = tmp_path / "pod.yaml"
    path.write_text("kind: Deployment\nmetadata: {name\n")
    settings.USERPODS_TEMPLATE = str(path)
    (message,) = found()
    assert message.id == "userpods.E020"
    assert f"{path}, line 3, column 1: is not YAML" in message.msg
    # Corrected in place, it is read anew.
    import os

    import yaml

    path.write_text(yaml.safe_dump_all(template_with()))
    os.utime(path, (1, 1))
    assert found() == []


def test_an_unknown_placeholder_in_a_setting_is_refused_at_its_place(settings: Any) -> None:
    settings.USERPODS_ENV = {"HOME_URL": "https://{domain}/"}
    (message,) = found()
    assert message.id == "userpods.E020"
    assert "env[2].value: unknown placeholder {domain}" in message.msg


def test_an_image_is_not_needed_with_a_template_of_ones_own(settings: Any) -> None:
    settings.USERPODS_IMAGE = None
    settings.USERPODS_TEMPLATE = template_with()
    assert found() == []


def test_a_callable_template_is_not_called(settings: Any) -> None:
    settings.USERPODS_TEMPLATE = lambda user: 1 / 0
    assert found() == []


def test_a_setting_that_is_none_of_ours_is_warned_of(settings: Any) -> None:
    settings.USERPODS_NAMESPACES = "x"
    (message,) = found()
    assert message.id == "userpods.W001"
    assert "USERPODS_NAMESPACES" in message.msg
    assert "USERPODS_NAMESPACE" in str(message.hint)


@pytest.mark.parametrize(
    ("name", "meant"),
    [("USERPODS_IMGE", "USERPODS_IMAGE"), ("USERPODS_SITEURL", "USERPODS_SITE_URL")],
)
def test_a_mistyped_setting_is_asked_about_by_the_nearest(
    settings: Any, name: str, meant: str
) -> None:
    setattr(settings, name, "x")
    (message,) = found()
    assert message.hint == f"Did you mean {meant}?"


def test_a_setting_like_none_of_ours_is_told_of_all(settings: Any) -> None:
    settings.USERPODS_ZZZZZZZZZZZZZZZZ = "x"
    (message,) = found()
    assert "USERPODS_IMAGE, USERPODS_INLINE_TIMEOUT" in str(message.hint)


def test_a_mistyped_option_of_the_cluster_is_named_as_the_settings(settings: Any) -> None:
    backend = "django_userpods.clusters.kubernetes.KubernetesCluster"
    settings.USERPODS_CLUSTER = {"BACKEND": backend, "OPTIONS": {"contxt": "x"}}
    (message,) = found()
    assert message.id == "userpods.E011"
    assert f"USERPODS_CLUSTER: OPTIONS: 'contxt' is not an option of {backend}" in message.msg
    assert "__init__" not in message.msg
    assert str(message.hint).startswith("Did you mean context? It has context, kubeconfig,")


def test_all_that_is_wrong_is_said_at_once(settings: Any) -> None:
    settings.USERPODS_PORT = 0
    settings.USERPODS_INSTANCE = ""
    settings.USERPODS_NAMESPACE = "A"
    assert [message.id for message in found()] == [
        "userpods.E002",
        "userpods.E008",
        "userpods.E010",
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NAMESPACE", "apps"),
        ("NAMESPACE", "tests.django.test_owners.by_letter"),
        ("NAMESPACE", lambda user: "x"),
        ("SELECT", "django_userpods.conf.is_active"),
        ("SELECT", lambda user: True),
        ("CUSTOMIZE", lambda manifests, user: manifests),
        ("SELF_SERVICE", ("stop", "tokens")),
        ("PROFILES", {}),
        ("PROFILES", {"small": {"NAME": "Small", "RESOURCES": {"limits": {"memory": "1Gi"}}}}),
        ("RETAIN", []),
        ("RETAIN", ("Secret",)),
        ("ROUTERS", ["http://router:8081"]),
        ("IDLE_TIMEOUT", None),
        ("CONTROLLER", True),
        ("CONTROLLER", False),
        ("IDLE_TIMEOUT", 60),
        ("INLINE_TIMEOUT", 0),
        ("CACHE", "default"),
        ("RESOURCES", {}),
        ("LOGIN_URL", "login"),
    ],
)
def test_valid_settings_are_clean(settings: Any, name: str, value: Any) -> None:
    setattr(settings, f"USERPODS_{name}", value)
    assert found() == []
