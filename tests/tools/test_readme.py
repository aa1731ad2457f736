"""How ``make fresh`` reads the README."""

from __future__ import annotations

import ast

import pytest

from django_userpods.deploy import shipped
from tests.fresh import readme

TITLE = "Add it to a project"


def test_the_snippets_are_complete_programs() -> None:
    """No name in them that neither they nor a new project's file brings."""
    found = readme.snippets(TITLE)
    assert list(found) == ["settings.py", "urls.py", "admin.py"]
    for text in found.values():
        ast.parse(text)


@pytest.mark.parametrize(
    ("snippet", "result"),
    [
        ("A = [\n    # ...\n    3,\n]\n", [1, 2, 3]),
        ("A = [\n    3,  # first\n    # ...\n]\n", [3, 1, 2]),
    ],
)
def test_the_dots_of_a_list_stand_for_what_it_had(snippet: str, result: list[int]) -> None:
    space: dict[str, object] = {}
    exec(readme.added_to("A = [1, 2]\n", snippet), space)  # noqa: S102 - made in the lines above
    assert space["A"] == result


def test_commands_are_the_indented_lines_outside_of_fences() -> None:
    lines = readme.commands(TITLE)
    assert lines[0] == "pip install './django-userpods[kubernetes]'"
    assert all(line.split()[0] in {"pip", "python", "kubectl"} for line in lines)


def test_users_pods_get_a_namespace_of_their_own() -> None:
    space: dict[str, object] = {}
    exec(readme.snippets(TITLE)["settings.py"], space)  # noqa: S102 - our own README
    assert space["USERPODS_NAMESPACE"] == shipped.DEFAULTS["users-namespace"]
    assert space["USERPODS_NAMESPACE"] != shipped.DEFAULTS["django-namespace"]


def test_a_section_that_is_not_there_is_an_error() -> None:
    with pytest.raises(IndexError):
        readme.section("Nowhere")
