"""HTTP/2 and TLS end at a gateway in front of the router: everything still passes."""

from __future__ import annotations

import datetime
import json
import ssl
import subprocess
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from websockets.sync.client import connect

from tests.router.harness import Process, Router, eventually, is_open, nginx_binary
from tests.testcluster.processes import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.router.fake_django import FakeDjango

pytestmark = pytest.mark.router

CONFIGURATION = """
daemon off; pid run/nginx.pid; error_log stderr; worker_processes 1;
events {{ }}
http {{
    access_log off;
    client_body_temp_path run/a; proxy_temp_path run/b; fastcgi_temp_path run/c;
    scgi_temp_path run/d; uwsgi_temp_path run/e;
    map $http_upgrade $connection_upgrade {{ default upgrade; "" ""; }}
    upstream router {{ server 127.0.0.1:{router}; keepalive 8; }}
    server {{
        listen 127.0.0.1:{port} ssl http2;
        ssl_certificate cert.pem; ssl_certificate_key key.pem;
        client_max_body_size 0;
        location / {{
            proxy_pass http://router; proxy_http_version 1.1;
            proxy_request_buffering off; proxy_buffering off;
            proxy_set_header Host $host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto https;
        }}
    }}
}}
"""


@pytest.fixture(scope="module")
def running_router(folder: Path, running_django: FakeDjango) -> Iterator[Router]:
    """A router that believes loopback as its gateway."""
    with Router(folder / "nginx", running_django.port, gateway=True) as router:
        yield router


@pytest.fixture(scope="module")
def gateway(folder: Path, running_router: Router) -> Iterator[int]:
    """The gateway's port."""
    top = folder / "gateway"
    (top / "run").mkdir(parents=True)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "site.test")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (top / "cert.pem").write_bytes(certificate.public_bytes(pem))
    (top / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    port = free_port()
    (top / "nginx.conf").write_text(CONFIGURATION.format(router=running_router.port, port=port))
    command = [nginx_binary(), "-p", str(top), "-c", str(top / "nginx.conf")]
    with Process(command, top / "log"):
        eventually(lambda: is_open(port))
        yield port


def curl(port: int, path: str, *options: str, tmp: Path) -> tuple[str, bytes]:
    """Version and status, and the body, over HTTP/2."""
    body = tmp / "body"
    done = subprocess.run(
        [
            "curl",
            "-sk",
            "--http2",
            "--path-as-is",
            "-o",
            str(body),
            "-w",
            "%{http_version} %{http_code}",
            *options,
            "-H",
            "Cookie: sessionid=s-alice",
            f"https://127.0.0.1:{port}{path}",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout, body.read_bytes()


def test_http2_reaches_the_pod(gateway: int, router: Router, tmp_path: Path) -> None:
    said, body = curl(gateway, "/a%2Fb//c", tmp=tmp_path)
    assert said == "2 200"
    words = json.loads(body)
    assert (words["name"], words["target"]) == ("alice", "/a%2Fb//c")
    headers = {key.lower(): value for key, value in words["headers"]}
    assert headers["x-forwarded-proto"] == "https"
    assert headers["x-forwarded-for"] == "127.0.0.1, 127.0.0.1"
    assert headers["x-userpods-user"] == "alice"


def test_forged_headers_name_nobody_over_http2(
    gateway: int, router: Router, tmp_path: Path
) -> None:
    forged = ["-H", "X-Userpods-User: bob", "-H", "x-target-service: user-bob"]
    said, body = curl(gateway, "/", *forged, tmp=tmp_path)
    assert said == "2 200"
    words = json.loads(body)
    assert words["name"] == "alice"
    assert ["X-Userpods-User", "alice"] in words["headers"]
    assert not [key for key, _ in words["headers"] if key.lower().startswith("x-target")]


def test_a_large_upload_arrives_over_http2(gateway: int, router: Router, tmp_path: Path) -> None:
    file = tmp_path / "large"
    file.write_bytes(bytes(20_000_000))
    said, body = curl(gateway, "/upload", "-T", str(file), tmp=tmp_path)
    assert said == "2 200"
    assert json.loads(body)["body"] == 20_000_000


def test_a_websocket_reaches_its_users_pod_over_tls(gateway: int, router: Router) -> None:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with connect(
        f"wss://127.0.0.1:{gateway}/",
        ssl=context,
        additional_headers=[("Cookie", "sessionid=s-alice")],
        proxy=None,
    ) as websocket:
        assert websocket.recv(timeout=5) == "hello from alice"
        websocket.send("x")
        assert websocket.recv(timeout=5) == "alice: x"
