"""The example project, each time in a process of its own: its settings are not the tests'."""

from __future__ import annotations

import http.client
import json
import os
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.processes
PROJECT = Path(__file__).parents[2] / "example_project"
PRODUCTION = {
    "DEBUG": "off",
    "SECRET_KEY": "long enough and with enough different characters 0123456789 !",
    "ALLOWED_HOSTS": "site.example",
    "CSRF_TRUSTED_ORIGINS": "https://site.example",
    "K8S_NAMESPACE": "user-pods",
    "USER_APP_IMAGE": "example.org/app:1",
}


def environment(data: Path, **more: str) -> dict[str, str]:
    keep = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
    return {
        **keep,
        "DATA_DIR": str(data),
        "STATIC_ROOT": str(data / "static"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONWARNINGS": "error",
        **more,
    }


def manage(*words: str, data: Path, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *words],
        cwd=PROJECT,
        env=environment(data, **more),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


class TestSettings:
    def test_nothing_set_is_a_site_for_development(self, tmp_path: Path) -> None:
        done = manage("check", data=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "no issues" in done.stdout

    def test_production_lacks_only_a_cluster_in_the_deployment_check(self, tmp_path: Path) -> None:
        """Production is in a pod; here no cluster is named, whatever kubeconfig this user has."""
        words = ("check", "--deploy", "--fail-level", "WARNING")
        done = manage(*words, data=tmp_path, **PRODUCTION, HOME=str(tmp_path))
        assert "(userpods.W002) User pods cannot be made from here" in done.stderr
        assert "identified 1 issue" in done.stderr

    def test_the_namespace_chooses_the_cluster(self, tmp_path: Path) -> None:
        show = (
            "from django.conf import settings as s; print(s.USERPODS_CLUSTER['BACKEND'], s.DEBUG)"
        )
        for more, words in (
            ({}, "LocalCluster True"),
            (PRODUCTION, "KubernetesCluster False"),
            ({**PRODUCTION, "USERPODS_CLUSTER": "local"}, "LocalCluster False"),
            ({"USERPODS_CLUSTER": "kubernetes"}, "KubernetesCluster True"),
        ):
            done = manage("shell", "--no-imports", "-c", show, data=tmp_path, **more)
            assert words in done.stdout, done.stderr

    def test_a_namespace_does_not_turn_debugging_on(self, tmp_path: Path) -> None:
        for more in ({}, {"SECRET_KEY": ""}):
            done = manage("check", data=tmp_path, K8S_NAMESPACE="user-pods", **more)
            assert done.returncode == 1
            assert "SECRET_KEY is not set" in done.stderr

    def test_over_tls_no_other_host_can_set_its_cookies(self, tmp_path: Path) -> None:
        show = (
            "from django.conf import settings as s;"
            "print(s.SESSION_COOKIE_NAME, s.CSRF_COOKIE_NAME, s.SESSION_COOKIE_DOMAIN)"
        )
        plain = {**PRODUCTION, "HTTPS": "off"}
        shared = {**PRODUCTION, "SESSION_COOKIE_DOMAIN": "example.org"}
        for more, words in (
            (PRODUCTION, "__Host-sessionid __Host-csrftoken None"),
            (plain, "sessionid csrftoken None"),
            # A cookie of a whole domain cannot have the prefix.
            (shared, "sessionid __Host-csrftoken example.org"),
        ):
            done = manage("shell", "--no-imports", "-c", show, data=tmp_path, **more)
            assert done.stdout.splitlines()[-1] == words, done.stderr

    def test_where_pods_are_found_comes_from_the_environment(self, tmp_path: Path) -> None:
        apart = {
            **PRODUCTION,
            "USERPODS_URL": "https://{pod}.pods.example/",
            "USERPODS_SITE_URL": "https://site.example/",
        }
        words = ("check", "--deploy", "--fail-level", "WARNING")
        done = manage(*words, data=tmp_path, **apart, HOME=str(tmp_path))
        assert "identified 1 issue" in done.stderr, done.stderr  # no cluster, as above
        apart["ALLOWED_HOSTS"] += ",.pods.example"
        done = manage(*words, data=tmp_path, **apart, HOME=str(tmp_path))
        assert "(userpods.W012)" in done.stderr

    def test_an_unknown_cluster_is_named(self, tmp_path: Path) -> None:
        done = manage("check", data=tmp_path, USERPODS_CLUSTER="docker")
        assert "it can be 'local' or 'kubernetes'" in done.stderr

    def test_the_demo_s_users_are_not_for_kubernetes(self, tmp_path: Path) -> None:
        done = manage("prepare_demo", data=tmp_path, **PRODUCTION)
        assert done.returncode == 1
        assert "for the local cluster alone" in done.stderr
        assert "Traceback" not in done.stderr


class Site:
    """The site under gunicorn, spoken to byte for byte."""

    def __init__(self, port: int, data: Path, passwords: dict[str, str]) -> None:
        self.port, self.data = port, data
        self.passwords = passwords

    def ask(
        self, method: str, path: str, body: str | bytes | None = None, **headers: str
    ) -> tuple[int, dict[str, str], str]:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)) as link:
            names = {name.replace("_", "-"): value for name, value in headers.items()}
            link.request(method, path, body, names)
            answer = link.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, found, answer.read().decode()

    def login(self, data: Any, **headers: str) -> tuple[int, dict[str, str], Any]:
        body = data if isinstance(data, bytes) else json.dumps(data)
        headers.setdefault("Content_Type", "application/json")
        status, found, text = self.ask("POST", "/api/login", body, **headers)
        return status, found, json.loads(text)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    data = tmp_path_factory.mktemp("site")
    more = {"DEBUG": "off", "HTTPS": "off", "ALLOWED_HOSTS": "127.0.0.1", "SECRET_KEY": "x" * 60}
    more["CLIENT_ADDRESS_HEADER"] = "HTTP_X_REAL_IP"
    done = manage("prepare_demo", data=data, **more)
    assert done.returncode == 0, done.stderr
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    log = data / "gunicorn.log"
    command = [sys.executable, "-m", "gunicorn", "--config", "gunicorn.conf.py"]
    with log.open("wb") as output:
        server = subprocess.Popen(
            [*command, "example.wsgi:application"],
            cwd=PROJECT,
            env=environment(data, BIND=f"127.0.0.1:{port}", WEB_CONCURRENCY="1", **more),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        found = Site(port, data, json.loads(done.stdout.splitlines()[-1]))
        deadline = time.monotonic() + 30
        while True:
            try:
                if found.ask("GET", "/healthz")[0] == 200:
                    break
            except OSError:
                assert time.monotonic() < deadline, log.read_text()
                assert server.poll() is None, log.read_text()
                time.sleep(0.1)
        yield found
    finally:
        server.terminate()
        server.wait(30)
        stop = ["-m", "django_userpods.clusters.local", "stop", str(data / "pods")]
        subprocess.run([sys.executable, *stop], check=True, timeout=60)


class TestApiLogin:
    def test_a_user_signs_in_is_routed_and_signs_out(self, site: Site) -> None:
        status, headers, told = site.login({"user": "alice", "pwd": site.passwords["alice"]})
        assert (status, told) == (200, {"user": "alice"})
        assert "no-store" in headers["cache-control"]
        cookie = headers["set-cookie"].partition(";")[0]
        assert "httponly" in headers["set-cookie"].lower()

        status, headers, text = site.ask("GET", "/whoami", Cookie=cookie)
        assert status == 200
        assert json.loads(text) == {"user": "alice", "service": "user-alice"}
        assert headers["x-target-address"].startswith("127.0.0.1:")
        assert headers["x-target-peer"] == headers["x-target-address"]

        status, _, text = site.ask("GET", "/accounts/", Cookie=cookie)
        assert status == 200
        assert "user-alice" in text

        status, _, text = site.ask(
            "POST", "/api/logout", "{}", Cookie=cookie, Content_Type="application/json"
        )
        assert (status, text) == (200, "{}")
        assert site.ask("GET", "/whoami", Cookie=cookie)[0] == 401

    @pytest.mark.parametrize(
        "data",
        [
            {"user": "alice", "pwd": "wrong"},
            {"user": "nobody", "pwd": "wrong"},
            {"user": "ali\0ce", "pwd": "wrong"},
            {"user": "\ud800", "pwd": "wrong"},
            {"user": "alice", "pwd": "\udfff"},
        ],
    )
    def test_wrong_credentials_are_refused(self, site: Site, data: dict[str, str]) -> None:
        status, headers, told = site.login(data)
        assert (status, told) == (401, {"error": "invalid credentials"})
        assert "set-cookie" not in headers

    @pytest.mark.parametrize(
        ("body", "words"),
        [
            (b"", "not JSON"),
            (b"{", "not JSON"),
            (b"\xff\xfe", "not JSON"),
            (b"[" * 5000, "not JSON"),
            (b"[]", "has to be a JSON object"),
            (b"null", "has to be a JSON object"),
            (b"{}", "'user' is missing"),
            (b'{"user": "alice"}', "'pwd' is missing"),
            (b'{"user": "", "pwd": "x"}', "'user' is missing"),
            (b'{"user": ["alice"], "pwd": "x"}', "'user' is missing or not a text"),
            (b'{"user": "alice", "pwd": 1}', "'pwd' is missing or not a text"),
        ],
    )
    def test_what_is_no_login_is_a_400_that_says_why(
        self, site: Site, body: bytes, words: str
    ) -> None:
        status, _, told = site.login(body)
        assert status == 400
        assert words in told["error"]

    def test_a_body_that_is_too_long_is_refused(self, site: Site) -> None:
        status, _, told = site.login({"user": "alice", "pwd": "x" * 20_000})
        assert status == 413
        assert "longer than" in told["error"]

    @pytest.mark.parametrize(
        "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
    )
    def test_a_client_without_a_page_needs_no_content_type(self, site: Site, kind: str) -> None:
        right = {"user": "alice", "pwd": site.passwords["alice"]}
        status, headers, _ = site.login(right, Content_Type=kind)
        assert status == 200
        assert "sessionid=" in headers["set-cookie"]
        assert site.ask("POST", "/api/logout", "", Content_Type=kind)[0] == 200

    @pytest.mark.parametrize(
        "said",
        [
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
            {"Origin": "http://127.0.0.1"},
            {"Origin": ""},
            {"Sec_Fetch_Site": "cross-site"},
            {"Sec_Fetch_Site": "same-site"},
            {"Origin": "https://evil.example", "Sec_Fetch_Site": "same-origin"},
        ],
    )
    def test_a_page_of_another_site_signs_nobody_in_or_out(
        self, site: Site, said: dict[str, str]
    ) -> None:
        right = {"user": "alice", "pwd": site.passwords["alice"]}
        for kind in ("text/plain", "application/json"):
            status, headers, told = site.login(right, Content_Type=kind, **said)
            assert status == 403
            assert "another site" in told["error"]
            assert "set-cookie" not in headers
        assert site.ask("POST", "/api/logout", "", **said)[0] == 403

    def test_a_page_of_the_site_itself_may_ask(self, site: Site) -> None:
        right = {"user": "alice", "pwd": site.passwords["alice"]}
        origin = f"http://127.0.0.1:{site.port}"
        assert site.login(right, Origin=origin, Sec_Fetch_Site="same-origin")[0] == 200

    def test_guesses_from_one_source_keep_nobody_out_from_elsewhere(self, site: Site) -> None:
        wrong = {"user": "bob", "pwd": "wrong"}
        attacker = {"X_Real_IP": "198.51.100.7"}
        statuses = [site.login(wrong, **attacker)[0] for _ in range(6)]
        assert statuses == [401, 401, 401, 401, 429, 429]
        right = {"user": "bob", "pwd": site.passwords["bob"]}
        status, headers, told = site.login(right, **attacker)
        assert status == 429
        assert 200 < int(headers["retry-after"]) <= 300
        assert told["error"] == "Too many failed attempts. Try again in 5 min."
        assert "set-cookie" not in headers
        # From elsewhere bob signs in, and the same source may try other accounts.
        assert site.login(right, X_Real_IP="198.51.100.8")[0] == 200
        assert site.login({"user": "alice", "pwd": site.passwords["alice"]}, **attacker)[0] == 200
        # bob's success elsewhere is not the attacker's.
        assert site.login(right, **attacker)[0] == 429

    def test_an_ipv6_network_is_one_source(self, site: Site) -> None:
        wrong = {"user": "bob", "pwd": "wrong"}
        statuses = [site.login(wrong, X_Real_IP=f"2001:db8::{last}")[0] for last in range(1, 7)]
        assert statuses[-1] == 429
        assert site.login(wrong, X_Real_IP="2001:db8:0:1::1")[0] == 401

    def test_the_login_page_says_it_to_people(self, site: Site) -> None:
        for path in ("/accounts/login/", "/admin/login/"):
            source = {"X_Real_IP": f"203.0.113.{len(path)}"}
            for _ in range(6):
                _, found, text = site.ask("GET", path)
                token = text.split('name="csrfmiddlewaretoken" value="')[1].split('"')[0]
                cookie = found["set-cookie"].partition(";")[0]
                form = urlencode(
                    {"csrfmiddlewaretoken": token, "username": "bob", "password": "wrong"}
                )
                status, found, text = site.ask(
                    "POST",
                    path,
                    form,
                    Cookie=cookie,
                    Content_Type="application/x-www-form-urlencoded",
                    **source,
                )
            assert status == 429
            assert int(found["retry-after"]) > 200
            assert "Try again in 5 min." in text

    def test_a_script_of_another_site_may_not_ask(self, site: Site) -> None:
        status, headers, _ = site.ask(
            "OPTIONS",
            "/api/login",
            Origin="https://evil.example",
            Access_Control_Request_Method="POST",
            Access_Control_Request_Headers="content-type",
        )
        assert status == 405
        assert not any(name.startswith("access-control") for name in headers)

    @pytest.mark.parametrize("path", ["/api/login", "/api/logout"])
    def test_other_methods_are_refused(self, site: Site, path: str) -> None:
        for method in ("GET", "PUT", "DELETE"):
            status, headers, _ = site.ask(method, path)
            assert status == 405
            assert headers["allow"] == "POST"


class TestPages:
    def test_login_page_takes_nothing_from_elsewhere(self, site: Site) -> None:
        status, _, text = site.ask("GET", "/accounts/login/?next=/x")
        assert status == 200
        assert 'name="next" value="/x"' in text
        assert "//" not in text.replace("<!doctype", "")

    def test_everything_else_asks_to_sign_in(self, site: Site) -> None:
        for path in ("/", "/accounts/", "/admin/"):
            status, headers, _ = site.ask("GET", path)
            assert status == 302
            assert "login" in headers["location"]

    def test_static_files_are_served(self, site: Site) -> None:
        _, _, text = site.ask("GET", "/admin/login/")
        path = next(word for word in text.split('"') if word.endswith(".css"))
        status, headers, _ = site.ask("GET", path)
        assert status == 200
        assert "immutable" in headers["cache-control"]

    def test_the_account_page_has_a_pod_looked_at_that_is_said_to_have_failed(
        self, site: Site
    ) -> None:
        right = {"user": "alice", "pwd": site.passwords["alice"]}
        cookie = site.login(right)[1]["set-cookie"].partition(";")[0]
        with closing(sqlite3.connect(site.data / "db.sqlite3", timeout=20)) as database, database:
            database.execute("UPDATE userpods_userpod SET state = 'failed', looked_at = NULL")
        deadline = time.monotonic() + 60
        while 'id="pod-state">running<' not in site.ask("GET", "/accounts/", Cookie=cookie)[2]:
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def test_health_is_answered(self, site: Site) -> None:
        assert site.ask("GET", "/healthz")[::2] == (200, "ok\n")
