"""Commands speak to people in the language of the settings, and to programs in English."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest
from django.core.management import CommandError, call_command, load_command_class
from django.db import OperationalError, connections
from django.utils.translation import get_language, override

from django_userpods.exceptions import ClusterUnavailable
from django_userpods.management.commands import sync_userpods
from tests.django.support import bulk, examine_here, sync

if TYPE_CHECKING:
    from django_userpods.testing import MemoryCluster

pytestmark = pytest.mark.django_db

COMMANDS = (
    "run_userpods",
    "sync_userpods",
    "uninstall_userpods",
    "userpods_doctor",
    "userpods_manifests",
    "userpods_status",
)
CHINESE = re.compile(r"[\u4e00-\u9fff]")


@pytest.fixture
def chinese(settings: Any) -> None:
    """Have the settings say Chinese; nothing is activated, as in a process of manage.py."""
    settings.LANGUAGE_CODE = "zh-hans"


def help_of(name: str) -> str:
    return (
        load_command_class("django_userpods", name).create_parser("manage.py", name).format_help()
    )


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.usefixtures("chinese")
def test_help_is_in_the_language_of_the_settings(name: str) -> None:
    command = load_command_class("django_userpods", name)
    parser = command.create_parser("manage.py", name)
    assert CHINESE.search(parser.description or "")
    mine = [
        action
        for action in parser._actions
        if action.dest not in {*command.base_stealth_options, "help", "version", "verbosity"}
        and not {"--settings", "--traceback", "--no-color", "--skip-checks"}
        & {*action.option_strings}
        and action.dest not in {"pythonpath", "force_color"}
    ]
    assert mine
    for action in mine:
        assert CHINESE.search(action.help or ""), action.dest
    # Its own defaults are filled in.
    assert parser.format_help()


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_english_where_the_settings_say_nothing(name: str) -> None:
    assert not CHINESE.search(help_of(name))


@pytest.mark.usefixtures("chinese")
def test_a_sync_and_its_refusals_are_told_in_chinese(memory: MemoryCluster) -> None:
    bulk(3)
    status, out, err = sync()
    assert (status, err) == (0, "")
    assert "已创建 Deployment default/user-bulk000" in out
    assert "3 个用户" in out
    assert not re.search(r"Created|[Nn]amespace|Cluster:| users\b", out)
    status, _, err = sync("--user", "nobody")
    assert status == 1
    assert "没有用户 'nobody'" in err


@pytest.mark.usefixtures("chinese")
def test_json_is_english_whatever_the_settings_say(
    memory: MemoryCluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    examine_here(monkeypatch)
    bulk(1)
    _, english, _ = sync("--format", "json", "--dry-run")
    assert json.loads(english)["ok"] is True
    assert not CHINESE.search(english)
    for name in ("userpods_status", "userpods_doctor"):
        out = StringIO()
        with suppress(SystemExit):  # the doctor finds something to do
            call_command(name, "--format", "json", stdout=out)
        assert json.loads(out.getvalue())
        assert not CHINESE.search(out.getvalue()), name
    monkeypatch.setattr(connections, "close_all", lambda: None)
    for arguments in (["--wait", "soon"], ["--user", "nobody"]):
        with pytest.raises(SystemExit):
            sync_userpods.Command().run_from_argv(
                ["manage.py", "sync_userpods", "--format", "json", *arguments]
            )
        said = capsys.readouterr().out
        assert json.loads(said)["ok"] is False
        assert not CHINESE.search(said), said


@pytest.mark.usefixtures("chinese")
def test_a_database_that_does_not_answer_is_told_in_chinese(
    memory: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object, **_options: object) -> None:
        message = "no connection"
        raise OperationalError(message)

    monkeypatch.setattr(sync_userpods, "reconcile", fail)
    status, _, err = sync()
    assert status == 1
    assert "数据库无法读写" in err
    status, out, _ = sync("--format", "json")
    assert status == 1
    assert json.loads(out)["error"].startswith("the database cannot be read or written")


def test_a_caller_keeps_its_language(memory: MemoryCluster) -> None:
    """Called from a request or a test in another language than the settings'."""
    bulk(1)
    with override("zh-hans"):
        assert "个用户" in sync("--dry-run")[1]
        sync("--dry-run", "--format", "json")
        assert get_language() == "zh-hans"
        memory.fail_with(ClusterUnavailable("down"))
        sync("--dry-run", "--format", "json")
        assert get_language() == "zh-hans"


@pytest.mark.usefixtures("chinese")
def test_manifests_are_the_same_and_notes_are_chinese(settings: Any) -> None:
    settings.USERPODS_NAMESPACE = "userpods-users"

    def run() -> tuple[str, str]:
        out, err = StringIO(), StringIO()
        call_command("userpods_manifests", "--only", "router", stdout=out, stderr=err)
        return out.getvalue(), err.getvalue()

    chinese, notes = run()
    assert "注意" in notes
    settings.LANGUAGE_CODE = "en-us"
    english, plain = run()
    assert "Note: " in plain
    assert chinese == english


@pytest.mark.usefixtures("chinese")
def test_what_arguments_may_not_say_is_told_in_chinese() -> None:
    with pytest.raises(CommandError, match="不是 DNS 名称"):
        call_command("userpods_manifests", "--host", "a b")
    with pytest.raises(CommandError, match="不是 HOST:PORT"):
        call_command("run_userpods", "--listen", "nowhere")
