"""The Lua modules by themselves: one test here for each test function in ``lua/test_*.lua``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.router.harness import (
    ROUTER,
    Process,
    eventually,
    is_open,
    load_modules,
    nginx_binary,
    raw,
)
from tests.testcluster.processes import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.router

FILES = sorted((Path(__file__).parent / "lua").glob("test_*.lua"))
FUNCTIONS = [
    (file.stem, name)
    for file in FILES
    for name in re.findall(r"^function tests\.(\w+)\(", file.read_text(), re.MULTILINE)
]

CONFIGURATION = """
{modules}
daemon off; pid run/nginx.pid; error_log stderr; worker_processes 1;
events {{ }}
http {{
    access_log off; client_body_temp_path run/a; proxy_temp_path run/b; fastcgi_temp_path run/c;
    scgi_temp_path run/d; uwsgi_temp_path run/e;
    lua_package_path "{router}/lua/?.lua;{tests}/?.lua;;";
    lua_shared_dict userpods_answers 1m;
    lua_shared_dict userpods_purges 1m;
    lua_shared_dict userpods_activity 1m;
    lua_shared_dict userpods_memory 12k;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            content_by_lua_block {{
                local file, name = ngx.var.uri:match("^/([%w_]+)/([%w_]+)$")
                local ok, problem = xpcall(require(file)[name], debug.traceback)
                ngx.status = ok and 200 or 500
                ngx.say(ok and "ok" or problem)
            }}
        }}
    }}
}}
"""


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of an nginx that runs test functions."""
    folder = tmp_path_factory.mktemp("lua")
    (folder / "run").mkdir()
    port = free_port()
    tests = Path(__file__).parent / "lua"
    text = CONFIGURATION.format(modules=load_modules(), router=ROUTER, tests=tests, port=port)
    (folder / "nginx.conf").write_text(text)
    command = [nginx_binary(), "-p", str(folder), "-c", str(folder / "nginx.conf"), "-g"]
    with Process([*command, "user root;"], folder / "log"):
        eventually(lambda: is_open(port))
        yield port


def test_there_are_tests() -> None:
    assert len(FUNCTIONS) > 20


@pytest.mark.parametrize(("file", "name"), FUNCTIONS)
def test_the_lua_passes_its_own_tests(runner: int, file: str, name: str) -> None:
    answer = raw(runner, f"GET /{file}/{name} HTTP/1.0\r\n\r\n".encode())
    assert answer.body.decode().strip() == "ok"
