"""Everybody reaches their own pod, and nobody another's, through everything that was deployed."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from django_userpods.deploy import shipped
from tests.e2e.client import HOST, ORIGIN, POD_SESSION, SITE_SESSION, pods_host
from tests.e2e.site import DJANGO, USERS
from tests.testcluster.processes import wait_for

if TYPE_CHECKING:
    from tests.e2e.site import Site

pytestmark = [pytest.mark.node, pytest.mark.timeout(600, func_only=True)]


@pytest.mark.parametrize("name", ["alice", "bob"])
def test_a_session_leads_to_its_own_users_pod(site: Site, name: str) -> None:
    client = site.signed_in(name)
    # All of the host is the pod's: its paths, and none of the site's.
    for path in ("/", "/some/page?x=1", "/static/", "/admin/", "/api/login", "/userpods/status/"):
        said = client.get(path).json()
        assert (said["user"], said["path"]) == (name, path)
        assert said["hostname"].startswith(f"user-{name}-")
        assert said["host"] == pods_host(name)


def test_a_pod_hears_who_asks_but_nothing_of_the_session(site: Site) -> None:
    client = site.signed_in("alice")
    client.cookies["own"] = "kept"
    sent = client.get("/headers", X_Userpods_User="bob", X_Target_Service="user-bob").json()
    assert sent["X-Userpods-User"] == ["alice"]
    assert sent["Cookie"] == ["own=kept"]
    assert "user-bob" not in json.dumps(sent)


def test_without_a_session_a_browser_is_sent_to_the_login_and_a_script_refused(site: Site) -> None:
    client = site.client()
    client.host = pods_host("alice")
    answer = client.get("/deep/link", Accept="text/html")
    assert answer.status == 302
    assert answer.header("Location") == "/.userpods/sign-in?next=%2Fdeep%2Flink"
    url, page = client.open(f"https://{client.host}/deep/link")
    assert url.startswith(f"{ORIGIN}/accounts/login/?next=")
    assert page.status == 200
    answer = client.get("/", Accept="application/json")
    assert (answer.status, answer.json()["error"]) == (401, "no token")
    client.cookies[POD_SESSION] = "x" * 43
    assert client.get("/", Accept="application/json").status == 401


def test_the_sites_session_is_none_on_a_pods_host(site: Site) -> None:
    alice = site.signed_in("alice")
    session = alice.jars[HOST][SITE_SESSION]
    answer = alice.get("/", Cookie=f"{SITE_SESSION}={session}")
    assert (answer.status, answer.json()["error"]) == (401, "no token")
    # The application gets a cookie of this name as one of its own: it never was the site's here.
    both = f"{POD_SESSION}={alice.cookies[POD_SESSION]}; {SITE_SESSION}=theirs"
    assert alice.get("/headers", Cookie=both).json()["Cookie"] == [f"{SITE_SESSION}=theirs"]


def test_who_signs_out_of_the_site_is_out_of_the_pod(site: Site) -> None:
    alice = site.signed_in("alice")
    assert alice.get("/").status == 200
    answer = alice.request("POST", "/api/logout", host=HOST)
    assert answer.status == 200, answer.text
    # At once: the router was told.
    assert alice.get("/", Accept="application/json").status == 401


def test_a_wrong_password_is_refused(site: Site) -> None:
    client = site.client()
    assert client.api_login("alice", site.passwords["bob"]).status == 401
    assert SITE_SESSION not in client.cookies


def test_bobs_cookie_never_reaches_alices_pod(site: Site) -> None:
    bob = site.signed_in("bob")
    alice = site.get("service", "user-alice")["spec"]["clusterIP"]
    forged = {
        "X-Target-Service": "user-alice",
        "X-Target-Peer": f"{alice}:8000",
        "X-Target-Address": "user-alice.userpods-users.svc.cluster.local:8000",
        "X-Userpods-User": "alice",
        "X-Userpods-User-Id": "2",
        "X-Userpods-Host": pods_host("alice"),
        "X-Forwarded-Host": pods_host("alice"),
        "X-Remote-User": "alice",
    }
    for headers in (
        {},
        forged,
        {"Host": "user-alice.userpods-users"},
        {"Host": pods_host("alice")},
        {"Host": pods_host("alice"), **forged},
    ):
        for path in ("/", "/user-alice/", f"//{alice}:8000/", f"http://{alice}:8000/"):
            answer = bob.request("GET", path, headers=headers)
            assert b"user-alice-" not in answer.body, (headers, path)
    # At alice's host bob's own session is told that it is not his.
    there = bob.request("GET", "/", headers={"Host": pods_host("alice")})
    assert (there.status, there.json()["error"]) == (403, "no access")
    # Nor does a ticket lead him there.
    url, page = bob.open(f"https://{pods_host('alice')}/")
    assert url.startswith(f"{ORIGIN}/userpods/enter/")
    assert page.status == 403
    # Two sessions in one request: whoever it is taken for, no host shows another user's pod.
    sessions = {"alice": site.signed_in("alice").cookies[POD_SESSION]}
    sessions["bob"] = bob.cookies[POD_SESSION]
    for name, other in (("alice", "bob"), ("bob", "alice")):
        own, theirs = (f"{POD_SESSION}={sessions[one]}" for one in (name, other))
        for both in (f"{own}; {theirs}", f"{theirs}; {own}"):
            headers = {"Host": pods_host(name), "Cookie": both}
            answer = bob.request("GET", "/", headers=headers)
            assert f"user-{other}-" not in answer.text
            assert answer.status == 403 or answer.json()["user"] == name


def test_a_bearer_token_leads_to_its_users_pod(site: Site) -> None:
    admin = site.admin()
    page = admin.get("/admin/userpods/accesstoken/add/", Accept="text/html").text
    choice = re.search(r'<option value="(\d+)"[^>]*>alice</option>', page)
    user = choice[1] if choice else _pk(site, "alice")
    answer = admin.submit(
        "/admin/userpods/accesstoken/add/", user=user, label="a script", scope="reach"
    )
    page = answer.text if answer.status == 200 else admin.get(answer.header("Location")).text
    token = re.search(r"upt_[\w-]{20,}", page)
    assert token, page[-3000:]
    client = site.client()
    client.host = pods_host("alice")
    said = client.get("/", Authorization=f"Bearer {token[0]}")
    assert said.json()["user"] == "alice"
    refused = client.get("/", Authorization="Bearer upt_" + "x" * 43)
    assert (refused.status, refused.json()["error"]) == (403, "no access")
    # At bob's host it is refused, and an application's own bearer is nobody's.
    client.host = pods_host("bob")
    refused = client.get("/", Authorization=f"Bearer {token[0]}")
    assert (refused.status, refused.json()["error"]) == (403, "no access")
    assert client.get("/", Authorization="Bearer theirs").status == 401


def test_a_pod_has_its_name_in_dns(site: Site) -> None:
    address = site.get("service", "user-bob")["spec"]["clusterIP"]
    assert address in site.inside("user-alice", "resolve", "user-bob").stdout


def test_charlie_comes_and_goes(site: Site) -> None:
    site.add_user("charlie")
    charlie = site.signed_in("charlie")
    assert site.wait_for_pod(charlie)["user"] == "charlie"
    assert site.exists("deployment", "user-charlie")

    pk = _pk(site, "charlie")
    answer = site.admin().submit(f"/admin/auth/user/{pk}/delete/", post="yes")
    assert answer.status == 302, answer.text
    # At once: the router was told.
    assert charlie.get("/", Accept="application/json").status == 401
    for kind in ("deployment", "service"):
        site.gone(kind, "user-charlie")
    wait_for(lambda: not site.pods("app=user-charlie", namespace=USERS), "the pod", 90)
    assert site.client().api_login("charlie", site.passwords["charlie"]).status == 401


def test_django_is_nobody_but_its_service_account(site: Site) -> None:
    who = "system:serviceaccount:userpods:userpods-django"
    for allowed, words in (
        ("yes", ("create", "deployments", "-n", "userpods-users")),
        ("no", ("get", "secrets", "-n", "userpods-users")),
        ("no", ("create", "pods", "-n", "userpods-users")),
        ("no", ("list", "deployments", "-n", "userpods")),
        ("no", ("list", "nodes")),
    ):
        done = site.cluster.kubectl("auth", "can-i", *words, f"--as={who}", check=False)
        assert done.stdout.strip() == allowed, words
    for pod in site.pods("app.kubernetes.io/name=django"):
        assert pod["spec"]["serviceAccountName"] == "userpods-django"


def test_staff_see_what_a_pod_wrote_once_django_is_given_the_right(site: Site) -> None:
    site.wait_for_pod(site.signed_in("alice"))
    admin = site.admin()
    deployment = site.get("deployment", "user-alice")
    pk = deployment["metadata"]["labels"]["django-userpods/pod"]

    def page() -> str:
        answers = [admin.get(f"/admin/userpods/userpod/{pk}/{tab}/") for tab in ("events", "logs")]
        assert [answer.status for answer in answers] == [200, 200]
        return "".join(answer.text for answer in answers)

    refusal = "The cluster does not let this site see all of it."
    assert refusal in page()
    rights = shipped.source() / "rbac" / "logs"
    site.kubectl("apply", "-k", rights)
    try:
        wait_for(lambda: refusal not in page(), "the right to count")
        shown = page()
    finally:
        site.kubectl("delete", "-k", rights)
    # What the workload writes when it begins, and what the kubelet says of that.
    assert "listening on" in shown
    assert "Started" in shown


def test_everything_that_runs_is_hardened(site: Site) -> None:
    for namespace in (DJANGO, USERS):
        labels = site.cluster.get("namespace", namespace)["metadata"]["labels"]
        assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
        pods = site.cluster.get("pods", "-n", namespace)["items"]
        assert pods
        for pod in pods:
            for container in pod["spec"]["containers"]:
                security = container["securityContext"]
                # What users run may need to write; the site's own parts do not.
                if namespace == DJANGO:
                    assert security["readOnlyRootFilesystem"], pod["metadata"]["name"]
                assert security["capabilities"]["drop"] == ["ALL"]
    done = site.kubectl("exec", "-n", "userpods", "deployment/django", "--", "id", "-u")
    assert done.stdout.strip() == "10001"


def _pk(site: Site, name: str) -> str:
    labels = site.get("deployment", f"user-{name}")["metadata"]["labels"]
    pk: str = labels["django-userpods/user-id"]
    return pk
