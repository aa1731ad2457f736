"""What our commands have in common: one JSON document whatever happens, colours, interruptions."""

from __future__ import annotations

import json
import os
import signal
from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest
from django.core import checks
from django.core.management import call_command
from django.db import connections

from django_userpods.exceptions import ClusterUnavailable
from django_userpods.management import base
from django_userpods.management.commands import sync_userpods
from tests.django.support import bulk, deployment, sync

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django_userpods.testing import MemoryCluster

pytestmark = pytest.mark.django_db


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run the command as a process would; return exit status, stdout and stderr."""
    monkeypatch.setattr(connections, "close_all", lambda: None)

    def run(*arguments: str) -> tuple[int, str, str]:
        status = 0
        try:
            sync_userpods.Command().run_from_argv(["manage.py", "sync_userpods", *arguments])
        except SystemExit as error:
            status = int(str(error.code))
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


def document(out: str) -> Any:
    """Return what stdout holds: one document, and nothing beside it."""
    return json.loads(out)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--format", "json", "--nonsense"], "unrecognized arguments: --nonsense"),
        (["--wait", "soon", "--format=json"], "'soon' is not a number of seconds"),
        (["--user", "--form", "json"], "expected one argument"),
    ],
)
def test_wrong_arguments_are_json(shell: Any, arguments: list[str], said: str) -> None:
    status, out, err = shell(*arguments)
    assert status == 2
    found = document(out)
    assert found["ok"] is False
    assert said in found["error"]
    assert "usage:" in err


def test_without_json_wrong_arguments_are_told_as_ever(shell: Any) -> None:
    status, out, err = shell("--nonsense")
    assert (status, out) == (2, "")
    assert "unrecognized arguments" in err


def test_a_failed_system_check_is_json(shell: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = checks.Error("USERPODS_PORT is 'x'", hint="Give a number.", id="userpods.E002")
    monkeypatch.setattr(checks, "run_checks", lambda **_: [wrong])
    status, out, _ = shell("--format", "json")
    assert status == 1
    found = document(out)
    assert "USERPODS_PORT is 'x'" in found["error"]
    assert "Give a number." in found["error"]
    assert "\033" not in out


def test_invalid_settings_are_json(memory: MemoryCluster, settings: Any) -> None:
    settings.USERPODS_IMAGE = None
    status, out, _ = sync("--format", "json")
    assert status == 1
    assert "USERPODS_IMAGE: is not set" in document(out)["error"]


def test_what_nobody_expected_is_json_and_its_trace_is_not_lost(
    memory: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> list[str]:
        message = "a fault of ours"
        raise RuntimeError(message)

    monkeypatch.setattr(sync_userpods, "namesakes", broken)
    status, out, err = sync("--format", "json")
    assert status == 1
    assert document(out) == {"ok": False, "error": "RuntimeError: a fault of ours"}
    assert "Traceback" in err
    with pytest.raises(RuntimeError):
        sync()


@pytest.fixture
def _interruptible() -> Iterator[None]:
    """Have SIGINT do what it does: shells have it ignored by what they start in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_interruptible")
@pytest.mark.parametrize(("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("how", ["text", "json"])
def test_an_interruption_is_told_without_a_traceback(
    memory: MemoryCluster,
    shell: Any,
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
    expected: int,
    how: str,
) -> None:
    bulk(1)
    monkeypatch.setattr(sync_userpods, "namesakes", lambda: os.kill(os.getpid(), number))
    before = signal.getsignal(signal.SIGTERM)
    status, out, err = shell("--skip-checks", "--format", how)
    assert status == expected
    assert "Traceback" not in err
    if how == "json":
        assert document(out)["error"].startswith("interrupted")
    else:
        assert "Interrupted: what was done is recorded" in err
    assert len(memory.objects) == 2
    assert signal.getsignal(signal.SIGTERM) is before


def test_an_interruption_reaches_whoever_calls_the_command_in_python(
    memory: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sync_userpods, "namesakes", interrupted)
    with pytest.raises(KeyboardInterrupt):
        call_command("sync_userpods", stdout=StringIO(), stderr=StringIO())


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--format", "json"], True),
        (["--format=json"], True),
        (["--forma", "json"], True),
        (["--user", "json"], False),
        (["--format", "text", "json"], False),
        (["--format"], False),
        ([], False),
    ],
)
def test_whether_json_is_asked_for_is_known_before_arguments_are_read(
    arguments: list[str], expected: bool
) -> None:
    assert base.asks_for_json(arguments) is expected


def coloured(*, force: bool = True) -> tuple[str, str]:
    """Return what a terminal sees on stdout and stderr."""
    out, err = Terminal(), Terminal()
    options = {"force_color": True} if force else {}
    call_command("sync_userpods", "--dry-run", stdout=out, stderr=err, **options)
    return out.getvalue(), err.getvalue()


RED = "\033[31"


def test_progress_is_not_red(memory: MemoryCluster) -> None:
    bulk(2)
    _, err = coloured()
    assert "Reading users" in err
    assert RED not in err


def test_differences_are_red_and_green_on_a_terminal(memory: MemoryCluster) -> None:
    bulk(1)
    sync()
    deployment(memory, "user-bulk000")["spec"]["replicas"] = 4
    out, _ = coloured()
    assert f"{RED};1m    - 4" in out
    assert "\033[32;1m    + 1" in out
    assert "\033" not in sync("--dry-run", "--force-color")[1]


def test_no_color_is_heeded(memory: MemoryCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django.core.management.color.supports_color", lambda: True)
    bulk(1)
    sync()
    deployment(memory, "user-bulk000")["spec"]["replicas"] = 4
    assert RED in "".join(coloured(force=False))
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\033[3" not in "".join(coloured(force=False))
    # Who asks for colours gets them.
    assert RED in "".join(coloured(force=True))
    # An empty one says nothing.
    monkeypatch.setenv("NO_COLOR", "")
    assert RED in "".join(coloured(force=False))


def test_a_cluster_that_is_down_leaves_one_document(memory: MemoryCluster) -> None:
    bulk(1)
    memory.fail_with(ClusterUnavailable("down"))
    assert document(sync("--format", "json")[1])["error"] == "down"
