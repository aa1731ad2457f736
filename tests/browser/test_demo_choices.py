"""What ``make demo`` may be told: another way to pods, another command in them."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.chromium import chromium, sign_in, wait_for_text
from tests.browser.demos import end, start, started
from tests.testcluster.processes import free_port

if TYPE_CHECKING:
    from selenium.webdriver.chrome.webdriver import WebDriver

# What make, the shell, the pod template and the local cluster could all make something else of.
COMMAND = (
    'echo "it\'s $USERPODS_USER {name} $(echo run $$) at $USERPODS_URL below $USERPODS_PATH"'
    ' > index.html; ln -s . pods; ln -s . alice; exec python3 -m http.server -b 127.0.0.1 "$PORT"'
)
pytestmark = [pytest.mark.browser, pytest.mark.router]


@pytest.mark.parametrize(
    ("way", "url"),
    [
        ("host", "http://alice.localhost:{port}/"),
        ("one", "http://app.localhost:{port}/"),
        ("path", "http://localhost:{port}/pods/alice/"),
    ],
)
def test_any_command_runs_as_everybodys_pod_on_every_way(
    tmp_path: Path, way: str, url: str
) -> None:
    demo = started(tmp_path, DEMO_WAY=way, DEMO_COMMAND=COMMAND)
    try:
        pod = demo.pods["alice"]
        assert pod == url.format(port=demo.site.rpartition(":")[2])
        with chromium(tmp_path / "browser") as browser:
            browser.get(pod)
            sign_in(browser, "alice", demo.passwords["alice"])
            wait_for_text(browser, "body", f"at {pod} below {'/' + pod.split('/', 3)[3]}")
            assert browser.current_url == pod
            assert shown(browser).startswith("it's alice {name} run ")
    finally:
        end(demo)


def shown(browser: WebDriver) -> str:
    return str(browser.execute_script("return document.body.innerText"))


@pytest.mark.parametrize("by", ["command line", "environment"])
def test_make_hands_the_command_on_as_it_was_written(by: str) -> None:
    words, env = ["make", "-n", "demo"], dict(os.environ)
    if by == "environment":
        env["DEMO_COMMAND"] = COMMAND
    else:
        words.append(f"DEMO_COMMAND={COMMAND}")
    told = subprocess.run(
        words, cwd=Path(__file__).parents[2], env=env, capture_output=True, text=True, check=True
    )
    recipe = told.stdout[told.stdout.index("DEMO_COMMAND=") :]
    assert shlex.split(recipe)[0] == f"DEMO_COMMAND={COMMAND}"


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"DEMO_WAY": "moon"}, "DEMO_WAY is 'moon': it can be host, one, path"),
        ({"APP": "emacs"}, "there is no application 'emacs'. APP can be: "),
        ({"APP": "jupyterlab", "DEMO_COMMAND": "true"}, "APP and DEMO_COMMAND are both given"),
    ],
)
def test_what_is_no_choice_is_refused_in_words(
    tmp_path: Path, env: dict[str, str], words: str
) -> None:
    process = start(tmp_path, port=free_port(), **env)
    told, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert words in told
    assert "Traceback" not in told
