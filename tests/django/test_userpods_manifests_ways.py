"""``userpods_manifests`` for each of the ways in which pods are found."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from django.core.management import CommandError

from django_userpods.deploy import shipped
from tests.django.asking_manifests import objects, project, run, values_of

if TYPE_CHECKING:
    from pytest_django.fixtures import Settings

__all__ = ["project"]
pytestmark = pytest.mark.django_db

EACH, ONE, PATHS = "https://{pod}.pods.acme.test/", "https://app.acme.test/", "/pods/{pod}/"


def apart(settings: Settings, url: str) -> None:
    settings.USERPODS_URL = url
    settings.USERPODS_SITE_URL = "https://www.acme.test/"


def rules(found: dict[str, dict[str, Any]], name: str) -> list[tuple[str, str, str]]:
    """(host, path, Service) of an Ingress; it has a certificate for each host."""
    spec = found[f"Ingress {name}"]["spec"]
    assert [host for tls in spec["tls"] for host in tls["hosts"]] == [
        rule["host"] for rule in spec["rules"]
    ]
    return [
        (rule["host"], path["path"], path["backend"]["service"]["name"])
        for rule in spec["rules"]
        for path in rule["http"]["paths"]
    ]


def secret_of(found: dict[str, dict[str, Any]], name: str) -> str:
    return str(found[f"Ingress {name}"]["spec"]["tls"][0]["secretName"])


@pytest.mark.parametrize(
    ("url", "host", "path", "secret"),
    [
        (EACH, "*.pods.acme.test", "/", "userpods-pods-tls"),
        (ONE, "app.acme.test", "/", "userpods-pods-tls"),
        (PATHS, "www.acme.test", "/pods/", "userpods-tls"),
    ],
)
def test_the_sites_host_leads_to_django_and_pods_addresses_to_the_router(
    project: Settings, url: str, host: str, path: str, secret: str
) -> None:
    apart(project, url)
    out, err = run("--only", "ingress,gateway,router,ingress-nginx")
    found = objects(out)
    assert rules(found, "userpods") == [(host, path, "userpods-router")]
    assert secret_of(found, "userpods") == secret
    routes = {
        name: (
            found[f"HTTPRoute {name}"]["spec"]["hostnames"],
            found[f"HTTPRoute {name}"]["spec"]["rules"][0]["matches"][0]["path"]["value"],
            found[f"HTTPRoute {name}"]["spec"]["rules"][0]["backendRefs"],
        )
        for name in ("userpods-site", "userpods")
    }
    assert routes == {
        "userpods-site": (["www.acme.test"], "/", [{"name": "django", "port": 80}]),
        "userpods": ([host], path, [{"name": "userpods-router", "port": 80}]),
    }
    gateway = found["Gateway userpods"]["spec"]["listeners"]
    listeners = {one["name"]: one["hostname"] for one in gateway}
    assert listeners["https"] == "www.acme.test"
    attached = found["HTTPRoute userpods"]["spec"]["parentRefs"][0]["sectionName"]
    assert listeners[attached] == host
    assert {
        one["sectionName"] for one in found["HTTPRoute userpods-to-https"]["spec"]["parentRefs"]
    } == {name for name in listeners if name.endswith("http")}
    # Nothing of the site is left to the router.
    settings = found["ConfigMap userpods-router-settings"]["data"]
    assert "location" not in re.sub(r"#.*", "", settings["public.conf"])
    assert f'pods_url = "{url}",' in settings["settings.lua"]
    assert 'site_url = "https://www.acme.test/",' in settings["settings.lua"]
    assert "default www.acme.test;" in settings["http.conf"]
    assert err == ""


def test_the_sites_own_ingress_is_written_once(project: Settings) -> None:
    """Both ways in have one of this name; which is applied is the operator's choice."""
    apart(project, EACH)
    for group in ("ingress", "ingress-nginx"):
        found = objects(run("--only", group)[0])
        assert rules(found, "userpods-site") == [("www.acme.test", "/", "django")]
        assert secret_of(found, "userpods-site") == "userpods-tls"


@pytest.mark.parametrize(
    ("url", "hosts", "reserved"),
    [
        (EACH, "*.pods.acme.test", True),
        (ONE, "app.acme.test", True),
        (PATHS, "www.acme.test", False),
        (None, "www.acme.test", False),
    ],
)
def test_ingress_nginx_follows_as_the_router_does(
    project: Settings, url: str | None, hosts: str, reserved: bool
) -> None:
    project.ALLOWED_HOSTS = ["www.acme.test"]
    if url:
        apart(project, url)
    found = objects(run("--only", "ingress-nginx", "--django-namespace", "acme")[0])
    path = "/pods/" if url == PATHS else "/"
    assert rules(found, "userpods-pods") == [(hosts, path, "userpods-pods")]
    assert ("Ingress userpods-reserved" in found) is reserved
    assert ("Service userpods-reserved" in found) is reserved
    if reserved:
        assert rules(found, "userpods-reserved") == [(hosts, "/.userpods/", "userpods-reserved")]
    prefix = "nginx.ingress.kubernetes.io/"
    annotations = found["Ingress userpods-pods"]["metadata"]["annotations"]
    assert annotations[f"{prefix}auth-proxy-set-headers"] == "acme/userpods-whoami"
    assert annotations[f"{prefix}auth-signin"] == (
        "https://$http_host/.userpods/sign-in?next=$escaped_request_uri"
        if reserved
        else "https://www.acme.test/welcome/in/?next=$escaped_request_uri"
    )
    snippet = found["ConfigMap ingress-nginx-controller"]["data"]["server-snippet"]
    assert snippet.count(f'local HOST = "{hosts}"') == 2
    assert f'local PATH = "{path}"' in snippet
    waiting = "/.userpods/waiting/" if reserved else "/userpods/waiting/"
    assert f'local WAITING = "{waiting}"' in snippet
    session = "__Host-userpods" if reserved else "acme_session"
    names = f'{{ ["{session}"] = true, ["userpods_token"] = true }}'
    assert f"local CREDENTIALS = {names}" in snippet


def test_without_an_address_of_their_own_pods_are_behind_the_router_with_the_site(
    project: Settings,
) -> None:
    project.USERPODS_URL = None
    found = objects(run("--only", "ingress,gateway,router")[0])
    assert rules(found, "userpods") == [("pods.acme.test", "/", "userpods-router")]
    assert secret_of(found, "userpods") == "userpods-tls"
    assert "Ingress userpods-site" not in found
    assert "HTTPRoute userpods-site" not in found
    assert [one["name"] for one in found["Gateway userpods"]["spec"]["listeners"]] == [
        "http",
        "https",
    ]
    public = found["ConfigMap userpods-router-settings"]["data"]["public.conf"]
    paths = [*shipped.SITE_PATHS, "/welcome/"]
    assert re.findall(r"^location (\S+) +\{ include site.conf; \}$", public, re.MULTILINE) == paths


@pytest.mark.parametrize(
    ("url", "domain", "cookies", "credentials"),
    [
        (EACH, None, [], ["__Host-userpods"]),
        (EACH.replace("https", "http"), None, [], ["userpods"]),
        (EACH, "acme.test", ["acme_session", "messages"], ["__Host-userpods", "acme_session"]),
        (EACH, "www.acme.test", [], ["__Host-userpods"]),
        (ONE, ".acme.test", ["acme_session", "messages"], ["__Host-userpods", "acme_session"]),
        (PATHS, None, ["acme_session", "acme_csrf", "messages"], ["acme_session"]),
    ],
)
def test_the_sites_cookies_are_named_where_pods_get_them(
    project: Settings, url: str, domain: str | None, cookies: list[str], credentials: list[str]
) -> None:
    apart(project, url)
    project.SESSION_COOKIE_DOMAIN = domain
    lua = values_of().lua
    assert lua["cookies"] == [*cookies, "userpods_token"]
    assert lua["credential_cookies"] == [*credentials, "userpods_token"]


def test_the_example_is_told_where_pods_are_found(project: Settings) -> None:
    apart(project, EACH)
    config = objects(run("--only", "example")[0])["ConfigMap django"]["data"]
    assert config["USERPODS_URL"] == EACH
    assert config["USERPODS_SITE_URL"] == "https://www.acme.test/"
    # No pod's host is the site's.
    assert config["ALLOWED_HOSTS"] == "www.acme.test,localhost"


def test_only_the_gateways_namespace_brings_requests_in(project: Settings) -> None:
    apart(project, EACH)
    out, _ = run("--only", "example,router", "--gateway-namespace", "traefik")
    found = objects(out)
    for name, rule in (("django", 1), ("userpods-router", 0)):
        ingress = found[f"NetworkPolicy {name}"]["spec"]["ingress"][rule]
        assert ingress == {
            "from": [
                {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "traefik"}}}
            ],
            "ports": [{"protocol": "TCP", "port": 8080}],
        }


@pytest.mark.parametrize(
    ("settings_", "options", "words"),
    [
        ({}, ("--host", "other.acme.test"), "--host is other.acme.test, and USERPODS_SITE_URL"),
        ({}, ("--site-path", "/shop/"), "--site-path is for pods at / of the site's own host"),
        ({"USERPODS_SITE_URL": None}, (), "USERPODS_SITE_URL: is not set"),
        ({"USERPODS_SITE_URL": "https://x.pods.acme.test/"}, (), "leads to the site's own host"),
        ({"USERPODS_URL": "http://{pod}.pods.acme.test/"}, (), "USERPODS_URL: begins with http://"),
        ({"USERPODS_SITE_URL": "http://www.acme.test/"}, (), "USERPODS_SITE_URL: begins with http"),
        ({"USERPODS_URL": "https://pods.{pod}/"}, (), "USERPODS_URL: is"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(
    project: Settings, settings_: dict[str, Any], options: tuple[str, ...], words: str
) -> None:
    apart(project, EACH)
    for name, value in settings_.items():
        setattr(project, name, value)
    with pytest.raises(CommandError) as caught:
        run(*options)
    assert words in str(caught.value)


def test_a_port_is_the_gateways_to_listen_on(project: Settings) -> None:
    apart(project, "https://{pod}.pods.acme.test:8443/")
    assert "USERPODS_URL names port 8443" in run("--only", "ingress")[1]
    assert run("--only", "router")[1] == ""


def test_a_pods_host_is_not_taken_for_the_sites(project: Settings) -> None:
    project.USERPODS_URL = PATHS
    project.USERPODS_SITE_URL = None
    project.ALLOWED_HOSTS = ["www.acme.test"]
    assert rules(objects(run("--only", "ingress")[0]), "userpods")[0][0] == "www.acme.test"
