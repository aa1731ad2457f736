"""The start of ``run_userpods``: a database that is away is waited for, wrong settings are not."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from django.core.management import CommandError, call_command
from django.db import InterfaceError, OperationalError

from django_userpods.controller import start
from django_userpods.controller.start import Start
from django_userpods.exceptions import SettingError
from tests.controller.watching import until
from tests.real.controllers import ROOT, Controller

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SETTINGS = """
from tests.settings import *
DATABASES = {{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": "{folder}/db.sqlite3"}}}}
USERPODS_CONTROLLER = True
"""


class Made:
    """What is made in the end."""

    def __init__(self) -> None:
        self.ran = 0

    def run(self) -> bool:
        self.ran += 1
        return False

    def stop(self) -> None: ...

    def healthy(self) -> str:
        return "the election has ended"

    ready = healthy


def starting(*answers: Any) -> Start:
    """A start whose tries come to this, one after the other."""
    left = iter(answers)

    def make() -> Any:
        answer = next(left)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return Start(make)


def test_it_tries_until_the_database_answers(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(start, "_AGAIN", 0.0)
    away = OperationalError("connection refused")
    made = Made()
    begun = starting(away, away, InterfaceError("connection already closed"), made)
    assert (begun.healthy(), begun.ready()) == ("", "the database has not answered yet")
    assert begun.run() is False
    assert made.ran == 1
    assert begun.healthy() == begun.ready() == "the election has ended"
    assert caplog.text.count("connection refused") == 1, "not at each try"


def test_it_is_told_to_end_while_it_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "_AGAIN", 3600.0)
    begun = starting(OperationalError("connection refused"), Made())
    ended: list[bool] = []
    thread = threading.Thread(target=lambda: ended.append(begun.run()))
    thread.start()
    begun.stop()
    thread.join(30)
    assert ended == [True]


def test_what_is_wrong_with_settings_is_not_waited_for() -> None:
    wrong = SettingError("is a number", setting="USERPODS_INSTANCE")
    with pytest.raises(SettingError):
        starting(OperationalError("connection refused"), wrong).run()


def test_wrong_settings_end_the_command(settings: Any) -> None:
    settings.USERPODS_CLUSTER = {"BACKEND": "nowhere.Cluster"}
    with pytest.raises(CommandError, match="USERPODS_CLUSTER"):
        call_command("run_userpods", listen="127.0.0.1:0")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Of a site whose database is where there is no folder yet."""
    (tmp_path / "late_site.py").write_text(_SETTINGS.format(folder=tmp_path / "late"))
    path = os.pathsep.join([str(tmp_path), str(ROOT), *sys.path])
    return {
        **os.environ,
        "PYTHONPATH": path,
        "DJANGO_SETTINGS_MODULE": "late_site",
        "PYTHONUNBUFFERED": "1",
    }


@pytest.fixture
def process(tmp_path: Path, environment: dict[str, str]) -> Iterator[Controller]:
    made = Controller(tmp_path, 0, environment)
    yield made
    if made.process.poll() is None:
        made.process.kill()
        made.process.wait()


def test_a_process_whose_database_comes_later_leads_then(
    tmp_path: Path, process: Controller, environment: dict[str, str]
) -> None:
    until(lambda: "does not answer" in process.text, 60)
    assert process.get("/healthz") == (200, "ok\n")
    assert process.get("/readyz") == (503, "the database has not answered yet\n")
    (tmp_path / "late").mkdir()
    command = [sys.executable, "-m", "django", "migrate", "--verbosity=0"]
    subprocess.run(command, env=environment, check=True, cwd=tmp_path)
    until(lambda: process.get("/readyz") == (200, "ok\n"), 60)
    assert process.end() == 0, process.text
