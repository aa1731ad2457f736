"""What docs/security.md promises is tested by the tests that it names, and they exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
SECURITY = (ROOT / "docs" / "security.md").read_text()
HOLES = (ROOT / "docs" / "published-holes.md").read_text()

#: Modules about how the router works and is run.
ORDINARY = {"test_lifecycle.py", "test_lua.py", "test_waiting_page.py"}

#: ``router/test_attacks.py::test_x``, below tests/; of a Lua test's names, the file alone.
_NAMED = re.compile(r"`([\w/]+\.(?:py|lua))(?:::(\w+))?`")
#: What a promise, a doubtful case and a published hole each are: a row of a table.
_ROW = re.compile(r"^\| (?!-|Promise|Case|What|Attack)(.+?) \|.*$", re.MULTILINE)


def section(title: str) -> str:
    return SECURITY.split(f"\n## {title}\n")[1].split("\n## ")[0]


def rows(text: str) -> dict[str, str]:
    return {match[1]: match[0] for match in _ROW.finditer(text)}


def named(text: str) -> set[tuple[str, str]]:
    return set(_NAMED.findall(text))


@cache
def names_in(path: str) -> frozenset[str]:
    """The names of a file's tests."""
    tree = ast.parse((TESTS / path).read_text())
    found = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
    return frozenset(node.name for node in found if node.name.startswith("test"))


PROMISES = rows(section("Promises"))
ATTACKS = rows(section("Attacks on pods' addresses"))
DOUBTFUL = rows(section("Doubtful cases"))
PUBLISHED = rows(HOLES)


def test_there_is_something_to_read() -> None:
    assert len(PROMISES) > 20
    assert len(ATTACKS) > 20
    assert len(DOUBTFUL) > 10
    assert len(PUBLISHED) > 20


@pytest.mark.parametrize(
    "row",
    [*PROMISES.values(), *ATTACKS.values(), *DOUBTFUL.values(), *PUBLISHED.values()],
)
def test_every_promise_names_its_tests(row: str) -> None:
    assert named(row), f"names no test: {row}"


@pytest.mark.parametrize(("path", "name"), sorted(named(SECURITY) | named(HOLES)))
def test_a_test_that_is_named_exists(path: str, name: str) -> None:
    assert (TESTS / path).is_file(), f"tests/{path} is not there"
    if name:
        assert name in names_in(path), f"tests/{path} has no {name}"


def test_every_module_of_the_routers_tests_belongs_to_a_promise() -> None:
    """What attacks the router protects something: docs/security.md says what."""
    modules = {path.name for path in (TESTS / "router").glob("test_*.py")} - ORDINARY
    missing = modules - {path.removeprefix("router/") for path, _ in named(SECURITY)}
    assert not missing, "name a promise for these, or count them among ORDINARY"


def test_no_advisory_is_listed_twice() -> None:
    found = re.findall(r"CVE-\d{4}-\d+|GHSA-\w{4}-\w{4}-\w{4}", HOLES)
    assert sorted(found) == sorted(set(found))
