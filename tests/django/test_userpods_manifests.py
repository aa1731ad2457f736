"""``userpods_manifests``: this project's settings in the shipped manifests."""

from __future__ import annotations

import re
import stat
from typing import TYPE_CHECKING, Any

import pytest
from django.core.management import CommandError

from django_userpods.deploy import kustomize, shipped
from django_userpods.management.commands.userpods_manifests import Command
from django_userpods.models import UserPod
from tests.django.asking_manifests import objects, project, run, values_of
from tests.django.test_namespaces import Nested
from tests.factories import UserFactory

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_django.fixtures import Settings

__all__ = ["project"]
pytestmark = pytest.mark.django_db

EXAMPLE = ("isolation", "rbac", "example")


# --- what is written


@pytest.mark.usefixtures("project")
def test_settings_and_options_are_filled_in() -> None:
    out, err = run(
        *("--only", "example,ingress,gateway", "--django-namespace", "acme"),
        *("--site-image", "registry.acme.test/site:3", "--gateway-class", "envoy"),
    )
    found = objects(out)
    assert found["Role userpods-django"]["metadata"]["namespace"] == "acme-pods"
    assert found["RoleBinding userpods-django"]["subjects"][0]["namespace"] == "acme"
    assert found["ServiceAccount userpods-django"]["metadata"]["namespace"] == "acme"
    assert set(found) >= {"Namespace acme", "Namespace acme-pods"}
    peer = found["NetworkPolicy user-pods-from-router"]["spec"]["ingress"][0]["from"][0]
    assert peer["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "acme"}
    assert found["Ingress userpods"]["spec"]["rules"][0]["host"] == "pods.acme.test"
    assert found["Gateway userpods"]["spec"]["gatewayClassName"] == "envoy"
    config = found["ConfigMap django"]["data"]
    assert config["K8S_NAMESPACE"] == "acme-pods"
    assert config["USERPODS_INSTANCE"] == "acme"
    assert config["USER_APP_IMAGE"].startswith("registry.acme.test:5000/app@sha256:000")
    assert config["USER_APP_PORT"] == "9000"
    assert config["ALLOWED_HOSTS"] == "pods.acme.test,localhost"
    pod = found["Deployment django"]["spec"]["template"]["spec"]
    images = {c["name"]: c["image"] for c in [*pod["containers"], *pod["initContainers"]]}
    assert images.pop("front") == "django-userpods-router:1"
    assert set(images.values()) == {"registry.acme.test/site:3"}
    # Nothing of the shipped values is left, but in names that are the same everywhere.
    values = re.sub(r"#.*", "", out)
    assert "example.org" not in values
    assert "userpods-users" not in values
    assert not re.search(r"namespace: userpods$", values, flags=re.MULTILINE)
    assert "# userpods:" not in out
    # Secrets cannot be made up anew at each run.
    assert found["Secret django"]["data"] == {"SECRET_KEY": ""}
    assert "SECRET_KEY and POSTGRES_PASSWORD are left empty" in err


def test_the_routers_settings_come_from_the_project(project: Settings) -> None:
    project.USERPODS_TOKEN_COOKIE = "acme_token"
    project.STATIC_URL = "/assets/"
    values = values_of()
    assert values.lua == {
        "pods_url": "",
        "site_url": "",
        "login_url": "/welcome/in/",
        "cookies": ["acme_session", "acme_csrf", "messages", "acme_token"],
        "credential_cookies": ["acme_session", "acme_token"],
        "session_cookie": "acme_session",
        "whoami_path": "/whoami",
        "waiting_path": "/userpods/waiting/",
    }
    assert values.text["cluster-domain"] == "acme.internal"
    assert list(values.site_paths) == [*shipped.SITE_PATHS, "/welcome/", "/assets/"]


def test_whoami_gets_every_bearer_where_an_authenticator_reads_them(project: Settings) -> None:
    assert "token_prefix" not in values_of().lua
    project.USERPODS_AUTHENTICATORS = ["tests.django.test_jwt.BySecret"]
    said: list[str] = []
    assert values_of(said.append).lua["token_prefix"] == ""
    assert "an authenticator reads Authorization" in said[0]
    assert 'token_prefix = ""' in run("--only", "router")[0]


def test_the_router_finds_urls_in_another_namespace(project: Settings) -> None:
    project.ROOT_URLCONF = Nested
    assert values_of().lua["whoami_path"] == "/apps/pods/whoami"
    assert values_of().lua["waiting_path"] == "/apps/pods/userpods/waiting/"


@pytest.mark.usefixtures("project")
def test_more_private_addresses_are_closed() -> None:
    out, _ = run(
        *("--only", "isolation", "--private", "203.0.113.7/32", "--private", "2001:db8::/32")
    )
    four, six = objects(out)["NetworkPolicy user-pods-to-internet"]["spec"]["egress"][0]["to"]
    assert {"203.0.113.7/32", "10.0.0.0/8"} <= set(four["ipBlock"]["except"])
    assert {"2001:db8::/32", "fc00::/7"} <= set(six["ipBlock"]["except"])
    assert "2001:db8::/32" not in four["ipBlock"]["except"]


def rules_of(text: str, kind: str = "Role") -> dict[str, list[str]]:
    return {
        rule["resources"][0]: rule["verbs"]
        for rule in objects(text)[f"{kind} userpods-django"]["rules"]
    }


def more(settings: Settings, *kinds: tuple[str, str]) -> None:
    from django_userpods.reconcile.wanted import base_manifests

    settings.USERPODS_TEMPLATE = [
        *base_manifests(),
        *(
            {"apiVersion": version, "kind": kind, "metadata": {"name": "{name}"}}
            for version, kind in kinds
        ),
    ]


def test_rights_follow_the_template(project: Settings) -> None:
    more(
        project,
        ("v1", "PersistentVolumeClaim"),
        ("networking.k8s.io/v1", "NetworkPolicy"),
        ("example.org/v1", "Gadgetry"),
        ("v1", "Secret"),
    )
    out, err = run("--only", "rbac")
    everything = ["create", "delete", "get", "list", "patch", "watch"]
    assert rules_of(out) == {
        "deployments": everything,
        "services": everything,
        "networkpolicies": everything,
        "gadgetries": everything,
        "secrets": everything,
        # Kept when a user goes, so never deleted.
        "persistentvolumeclaims": ["create", "get", "list", "patch", "watch"],
        "pods": ["list", "watch"],
    }
    assert "Guessed from the kind Gadgetry" in out
    assert "reads every Secret" in out
    assert "Django gets to read every Secret" in err


def test_what_an_earlier_template_made_can_still_be_deleted(project: Settings) -> None:
    user = UserFactory()
    UserPod.objects.create(
        owner=user, owner_pk=user.pk, name="u-x", kinds="v1/ConfigMap,v1/Service"
    )
    out, _ = run("--only", "rbac")
    assert rules_of(out)["configmaps"] == ["delete", "get", "list", "watch"]


def with_config_map(found: list[dict[str, Any]], user: Any) -> list[dict[str, Any]]:
    name = found[0]["metadata"]["name"]
    return [*found, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}]


def test_kinds_of_a_template_that_depends_on_the_user_are_learnt_from_users(
    project: Settings,
) -> None:
    project.USERPODS_CUSTOMIZE = with_config_map
    out, err = run("--only", "rbac", "--kind", "batch/v1/CronJob")
    assert "configmaps" not in rules_of(out)
    assert "cronjobs" in rules_of(out)
    assert "learnt from 0 users" in err
    UserFactory()
    out, err = run("--only", "rbac")
    assert "configmaps" in rules_of(out)
    assert "learnt from 1 users" in err


def test_a_namespace_for_each_user_needs_rights_in_all(project: Settings) -> None:
    project.USERPODS_NAMESPACE = lambda user: "anywhere"
    out, err = run("--only", "rbac,isolation,example")
    assert "deployments" in rules_of(out, "ClusterRole")
    assert not any(name.startswith(("Role ", "ResourceQuota ")) for name in objects(out))
    assert "chosen per user" in err


@pytest.mark.parametrize("namespace", ["default", "acme", "kube-system"])
def test_nothing_is_said_of_a_namespace_that_others_use(project: Settings, namespace: str) -> None:
    project.USERPODS_NAMESPACE = namespace
    out, err = run("--only", "isolation", "--django-namespace", "acme")
    assert set(objects(out)) == {
        "NetworkPolicy user-pods-from-router",
        "NetworkPolicy user-pods-to-internet",
        "NetworkPolicy user-pods-to-dns",
    }
    for policy in objects(out).values():
        assert policy["spec"]["podSelector"]["matchLabels"]
    assert "not for users' pods alone" in err


def test_the_database_need_not_be_there(project: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    from django.db import OperationalError

    def fail(*_: object, **__: object) -> None:
        raise OperationalError("no such host")

    monkeypatch.setattr("django.db.models.query.QuerySet.__iter__", fail)
    out, err = run("--only", "rbac")
    assert "deployments" in rules_of(out)
    assert "the database cannot be read" in err


# --- folders


@pytest.mark.usefixtures("project")
def test_folders_are_bases_with_secrets_of_their_own(tmp_path: Path) -> None:
    out, _ = run("--output", str(tmp_path), "--only", "example")
    assert "0 overwritten" in out
    kustomization = tmp_path / "example" / "kustomization.yaml"
    assert stat.S_IMODE(kustomization.stat().st_mode) == 0o600
    made = objects(kustomize.build([tmp_path / "example"]))
    secret, password = (
        made["Secret django"]["data"]["SECRET_KEY"],
        made["Secret postgres"]["data"]["POSTGRES_PASSWORD"],
    )
    assert len(secret) > 60 < len(password)
    assert secret != password
    assert "Role userpods-django" in made
    assert "Namespace acme-pods" in made
    # Again: nothing to do, and the same secrets.
    before = kustomization.read_text()
    out, _ = run("--output", str(tmp_path), "--only", "example")
    assert "0 files written, 0 overwritten" in out
    assert kustomization.read_text() == before


@pytest.mark.usefixtures("project")
def test_everything_goes_into_a_folder_and_what_fits_together_onto_the_screen(
    tmp_path: Path,
) -> None:
    run("--output", str(tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == set(shipped.available())
    out, _ = run()
    found = objects(out)
    assert set(found) >= {
        *("ResourceQuota user-pods", "Role userpods-django", "Ingress userpods"),
        *("Deployment userpods-router", "ConfigMap userpods-router-settings"),
    }
    # One way in, and nothing that is only an example.
    assert not set(found) & {"Gateway userpods", "Deployment django"}
    settings = found["ConfigMap userpods-router-settings"]["data"]
    assert "server django.userpods.svc.acme.internal:8000;" in settings["http.conf"]


def test_the_right_to_see_logs_is_written_where_it_is_asked_for(settings: Settings) -> None:
    for namespace, kind in (("acme-pods", "Role"), (lambda _: "x", "ClusterRole")):
        settings.USERPODS_NAMESPACE = namespace
        without, _ = run("--only", "rbac")
        more, _ = run("--only", "rbac", "--logs")
        added = set(objects(more)) - set(objects(without))
        assert added == {f"{kind} userpods-django-logs", f"{kind}Binding userpods-django-logs"}
        rules = objects(more)[f"{kind} userpods-django-logs"]["rules"]
        assert [rule["resources"] for rule in rules] == [["pods"], ["events"], ["pods/log"]]


def test_what_a_person_changed_is_not_overwritten(project: Settings, tmp_path: Path) -> None:
    run("--output", str(tmp_path), "--only", "rbac,example")
    role = tmp_path / "rbac" / "role.yaml"
    role.write_text("changed")
    (tmp_path / "rbac" / "rolebinding.yaml").unlink()
    with pytest.raises(CommandError, match=r"(?s)differ, so nothing was written:.*role\.yaml"):
        run("--output", str(tmp_path), "--only", "rbac")
    assert role.read_text() == "changed"
    assert not (tmp_path / "rbac" / "rolebinding.yaml").exists()
    secrets = (tmp_path / "example" / "kustomization.yaml").read_text()
    project.USERPODS_INSTANCE = "other"
    out, _ = run("--output", str(tmp_path), "--only", "rbac,example", "--force")
    assert "1 files written, 2 overwritten" in out
    assert "rules:" in role.read_text()
    now = (tmp_path / "example" / "kustomization.yaml").read_text()
    assert now == secrets.replace("USERPODS_INSTANCE=acme", "USERPODS_INSTANCE=other")


def test_a_folder_that_cannot_be_written_is_named(project: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CommandError, match="file"):
        run("--output", str(tmp_path / "file"), "--only", "rbac")


# --- what is invalid


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("USERPODS_IMAGE", None),
        ("USERPODS_IMAGE", 7),
        ("USERPODS_PORT", "http"),
        ("USERPODS_NAMESPACE", "No Namespace"),
        ("USERPODS_NAME_PREFIX", "--"),
        ("USERPODS_INSTANCE", "a b"),
        ("USERPODS_TEMPLATE", "/nowhere/template.yaml"),
        ("USERPODS_CUSTOMIZE", "no.such.module"),
        ("USERPODS_CLUSTER", {"BACKEND": "no.such.Cluster"}),
        (
            "USERPODS_CLUSTER",
            {
                "BACKEND": "django_userpods.clusters.kubernetes.KubernetesCluster",
                "OPTIONS": {"qsp": 3},
            },
        ),
        ("USERPODS_LOGIN_URL", "no-such-name"),
        ("USERPODS_TOKEN_COOKIE", ""),
    ],
)
def test_broken_settings_are_named_with_a_remedy(project: Settings, name: str, value: Any) -> None:
    setattr(project, name, value)
    with pytest.raises(CommandError) as caught:
        run("--only", "rbac")
    message = str(caught.value)
    assert message.startswith(name)
    # More than one sentence: the second says what to do.
    assert re.search(r"\. \w.*\.$", message, flags=re.DOTALL), message


def test_a_broken_template_is_named(project: Settings) -> None:
    project.USERPODS_TEMPLATE = [{"apiVersion": "v1", "kind": "Service", "metadata": {}}]
    with pytest.raises(CommandError, match=r"Service\.metadata\.name"):
        run("--only", "rbac")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--only", "rbac,roter"),
        ("--only", ""),
        ("--django-namespace", "Acme"),
        ("--host", "a_b"),
        ("--host", "https://a.test"),
        ("--site-image", "a b"),
        ("--site-path", "admin"),
        ("--site-path", "/a{}/"),
        ("--private", "10.0.0.1/8"),
        ("--kind", "ConfigMap"),
    ],
)
def test_invalid_options_are_refused(option: str, value: str) -> None:
    with pytest.raises(CommandError, match=option):
        run(f"{option}={value}")


def test_a_host_that_nobody_named_is_said(settings: Settings) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    settings.CSRF_TRUSTED_ORIGINS = []
    _, err = run("--only", "ingress")
    assert "userpods.example.org is written" in err
    settings.CSRF_TRUSTED_ORIGINS = ["https://acme.test:8443"]
    out, err = run("--only", "ingress")
    assert objects(out)["Ingress userpods"]["spec"]["rules"][0]["host"] == "acme.test"


def test_help_names_all_there_is() -> None:
    text = Command().create_parser("manage.py", "x").format_help()
    for group in shipped.GROUPS:
        assert f"  {group} " in text
    assert "kubectl apply -k" in text
