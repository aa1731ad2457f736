"""Everything that people read is marked for translation: in modules, and in templates."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(__file__).parents[2] / "src" / "django_userpods"
#: Rooms that speak to people and to nobody else. The JSON API and the log speak English.
ROOMS = ("management", "doctor", "admin", "sentences.py", "reconcile/adopt.py", "deploy/project.py")
GETTEXT = re.compile(r"_|[np]{0,2}gettext(_lazy|_noop)?")
#: Words one after the other, or a sentence's end.
WORDS = re.compile(r"[A-Za-z]{2,}[,;:]? [A-Za-z(%{'`]|[a-z]\.$|[a-z]: ?$|^ ?(is|are|of|to) ")
#: What looks like words and is not: HTML, and the names of URLs.
NO_WORDS = re.compile(r"</|^admin:")
TAGS = re.compile(
    r"{% blocktranslate.*?{% endblocktranslate %}|{% comment.*?{% endcomment %}|{#.*?#}|{%.*?%}"
    r"|{{.*?}}|<(?:\"[^\"]*\"|[^>\"])*>",
    re.DOTALL,
)
#: Of attributes, where a tag of Django's is within one of HTML's, and of the header of a token.
NAMES = re.compile(r"app-|model-|data-\w+|Authorization|Bearer")


def unmarked(source: str) -> Iterator[str]:
    """Yield texts of a module that are neither gettext's nor a log's, nor docstrings."""
    tree, spared = ast.parse(source), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            spared.add(id(node.value))
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            owner = getattr(getattr(node.func, "value", None), "id", "")
            if GETTEXT.fullmatch(name) or owner == "logger":
                spared.update(map(id, ast.walk(node)))
    for node in ast.walk(tree):
        text = node.value if isinstance(node, ast.Constant) and id(node) not in spared else None
        if isinstance(text, str) and WORDS.search(text) and not NO_WORDS.search(text):
            yield text


@pytest.mark.parametrize("room", ROOMS)
def test_texts_go_through_gettext(room: str) -> None:
    place = PACKAGE / room
    modules = sorted(place.rglob("*.py")) if place.is_dir() else [place]
    assert modules
    found = {str(module): list(unmarked(module.read_text())) for module in modules}
    assert {module: texts for module, texts in found.items() if texts} == {}


@pytest.mark.parametrize(
    ("source", "texts"),
    [
        ('self.say("Nothing to do.")', ["Nothing to do."]),
        ('self.say(f"{count} pods were deleted")', [" pods were deleted"]),
        ('x = add_argument("--all", help="all of them", metavar="NAME")', ["all of them"]),
        ('self.say(_("Nothing to do.") % {"a": gettext("one two")})', []),
        ('logger.info("begun with %s", "a b")', []),
        ('"""A docstring."""', []),
    ],
)
def test_what_is_not_marked_is_found(source: str, texts: list[str]) -> None:
    assert list(unmarked(source)) == texts


def words_of(template: str) -> list[str]:
    """Return the words of a template that are in no tag, and name no class, attribute or header."""
    text = re.sub(r"&\w+;", "", TAGS.sub(" ", template))
    return [word for word in re.findall(r"[A-Za-z][\w-]+", text) if not NAMES.fullmatch(word)]


def test_templates_have_no_words_outside_of_their_tags() -> None:
    found = {
        str(path): words
        for path in sorted(PACKAGE.rglob("templates/**/*.html"))
        if (words := words_of(path.read_text()))
    }
    assert found == {}
    assert words_of("<p title='a'>{% translate 'One' %} Two {{ three }}</p>") == ["Two"]
