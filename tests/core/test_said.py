"""Errors that the admin shows beside what somebody wrote keep what they were made of."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from django_userpods.texts import Said, said

CORE = Path(__file__).parents[2] / "src" / "django_userpods" / "core"
#: What says what is wrong with a profile or its template as it is saved.
MODULES = ("profile", "yamlfile", "documents", "refusals", "shape", "activity")
ERRORS = {"TemplateError", "InvalidProfile"}


def test_it_is_the_text_itself_and_knows_its_parts() -> None:
    text = said("is %(value)s", value=said("no %(what)s", what="number"))
    assert isinstance(text, Said)
    assert text == "is no number"
    assert (text.template, dict(text.values)) == ("is %(value)s", {"value": "no number"})
    assert said("50% of {it}") == "50% of {it}"


def unkept(tree: ast.AST) -> list[str]:
    """Return texts of errors that were put together otherwise."""
    kept = {
        id(one)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "said"
        for one in ast.walk(node)
    }
    found = []
    for node in ast.walk(tree):
        texts: list[ast.expr] = []
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ERRORS:
            texts = node.args if node.func.id == "TemplateError" else node.args[1:]  # type: ignore[attr-defined]
        elif isinstance(node, ast.Assign | ast.AugAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = {getattr(target, "id", "") for target in targets}
            texts = [node.value] if names & {"message", "hint"} else []
        found += [
            ast.unparse(text)
            for text in texts
            if id(text) not in kept and isinstance(text, ast.Constant | ast.JoinedStr)
        ]
    return found


@pytest.mark.parametrize("module", MODULES)
def test_no_error_of_theirs_is_english_for_good(module: str) -> None:
    tree = ast.parse((CORE / f"{module}.py").read_text())
    assert any(getattr(node, "id", "") == "said" for node in ast.walk(tree))
    assert unkept(tree) == []


@pytest.mark.parametrize(
    "source",
    [
        'raise TemplateError("is wrong")',
        'raise TemplateError(f"is {x}", where="a")',
        'raise InvalidProfile("NAME", said("a"), "Write a text.")',
        'message = f"is {x}"',
        'message += "and more"',
    ],
)
def test_one_that_is_would_be_found(source: str) -> None:
    assert unkept(ast.parse(source))
    assert not unkept(ast.parse('raise InvalidProfile("NAME", said("a"), said("b", c="d"))'))
