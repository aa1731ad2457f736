"""All errors raised on purpose are in one module, drawn as they are."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import django_userpods
from django_userpods import exceptions

SOURCE = Path(django_userpods.__file__).parent
ERRORS = {
    name: value
    for name, value in vars(exceptions).items()
    if inspect.isclass(value) and issubclass(value, exceptions.UserpodsError)
}


def drawn() -> dict[str, str]:
    """Return each error's parent, read from the tree in the docstring."""
    parents: dict[str, str] = {}
    above: list[str] = []
    for line in (exceptions.__doc__ or "").splitlines():
        if found := re.fullmatch(r"    ([ │├└─]*)([A-Z]\w+).*", line):
            depth = len(found[1]) // 4
            above = [*above[:depth], found[2]]
            parents[found[2]] = above[-2] if depth else "Exception"
    return parents


def test_the_tree_in_the_docstring_is_the_tree_of_the_classes() -> None:
    assert drawn() == {name: value.__bases__[0].__name__ for name, value in ERRORS.items()}


def test_no_other_module_defines_a_public_error() -> None:
    known = {"Exception", *ERRORS}
    elsewhere = [
        f"{path.relative_to(SOURCE)}: {node.name}"
        for path in SOURCE.rglob("*.py")
        if path.name != "exceptions.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
        if known & {base.id for base in node.bases if isinstance(base, ast.Name)}
    ]
    assert elsewhere == []
