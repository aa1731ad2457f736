"""What we say leads to what somebody who has installed the package can reach."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from django_userpods.version import DOCUMENTATION

if TYPE_CHECKING:
    from collections.abc import Iterator

TOP = Path(__file__).parents[2]
SOURCES = sorted((TOP / "src").rglob("*.py"))
#: What is applied to a cluster, and written into a project by ``userpods_manifests``.
MANIFESTS = sorted((TOP / "manifests").rglob("*.yaml"))


def texts(source: Path) -> Iterator[str]:
    """Yield the texts of a module that are no docstrings, those around values one by one."""
    tree = ast.parse(source.read_text())
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in docstrings:
            yield str(node.value)


def test_no_message_names_a_file_that_an_installed_package_has_not() -> None:
    for source in SOURCES:
        for text in texts(source):
            # What follows the address of the documentation is a page of it.
            others = re.sub(r"^/[a-z-]+\.md", "", text)
            assert not re.search(r"\bdocs/|README|\.md\b", others), f"{source}: {text}"


def test_the_documentation_is_where_the_package_says() -> None:
    project = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]
    assert project["urls"]["Documentation"] == DOCUMENTATION


@pytest.mark.parametrize("folder", ["src", "manifests"])
def test_each_page_and_section_that_is_named_is_there(folder: str) -> None:
    files = SOURCES if folder == "src" else MANIFESTS
    start = r"\{DOCUMENTATION\}" if folder == "src" else re.escape(DOCUMENTATION)
    found = {
        link
        for file in files
        for link in re.findall(rf"{start}/([a-z-]+\.md)(?:#([a-z-]+))?", file.read_text())
    }
    assert found
    for page, section in found:
        headings = re.findall(r"^#+ (.+)$", (TOP / "docs" / page).read_text(), re.MULTILINE)
        anchors = {re.sub(r"[^a-z0-9 -]", "", text.lower()).replace(" ", "-") for text in headings}
        assert not section or section in anchors, f"{page}#{section}"


def test_manifests_name_no_file_that_they_do_not_come_with() -> None:
    for file in MANIFESTS:
        text = re.sub(rf"{re.escape(DOCUMENTATION)}\S*", "", file.read_text())
        assert not re.search(r"\bdocs/", text), file
        for name in re.findall(r"\b[\w-]+\.md\b", text):
            assert (file.parent / name).exists(), f"{file}: {name}"
