"""Translations: none is missing, none is of another shape, and what is compiled is current."""

from __future__ import annotations

import gettext
import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest
from django.template import Context, Template
from django.utils.translation import gettext as translated
from django.utils.translation import ngettext, override, pgettext

TOP = Path(__file__).resolve().parents[2]
CATALOG = Path("locale") / "zh_Hans" / "LC_MESSAGES"
LOCALE = TOP / "src" / "django_userpods" / CATALOG
#: A placeholder of Python's or of Django's.
PLACEHOLDER = re.compile(r"%(?:\(\w+\))?[a-z]|\{\w*\}|%%|<[^>]+>|USERPODS_\w+|--[a-z-]+|manage\.py")


@pytest.fixture(scope="module")
def tool() -> Any:
    spec = importlib.util.spec_from_file_location("messages", TOP / "tools" / "messages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def translations(tool: Any) -> dict[Any, str]:
    found: dict[Any, str] = tool.read(LOCALE / "django.po")
    return found


def test_every_message_is_translated_and_nothing_else(
    tool: Any, translations: dict[Any, str]
) -> None:
    """``make messages`` and the translations that it leaves empty are what is left to do."""
    said = tool.extracted()
    assert len(said) > 300
    assert [message for message in said if not translations.get(message)] == []
    assert [message for message in translations if message not in said] == []


def test_placeholders_are_the_same(translations: dict[Any, str]) -> None:
    for message, text in translations.items():
        wanted = sorted(PLACEHOLDER.findall(message.text))
        if message.plural and len(PLACEHOLDER.findall(message.plural)) > len(wanted):
            wanted = sorted(PLACEHOLDER.findall(message.plural))
        assert sorted(PLACEHOLDER.findall(text)) == wanted, message


def test_translations_are_chinese_and_end_as_the_text_does(translations: dict[Any, str]) -> None:
    same = {"pod", "pods", "Pods", "DNS", "en", "%(pod)s: %(page)s"}
    # Between two sentences, and after a place.
    same |= {"%(problem)s. %(hint)s", "%(where)s: %(problem)s"}
    for message, text in translations.items():
        if message.text not in same:
            assert re.search(r"[\u4e00-\u9fff]", text), message
        assert text.endswith("\uff1f") == message.text.endswith("?"), message
        assert text.startswith("\n") == message.text.startswith("\n"), message


def test_the_compiled_catalog_is_current(tool: Any, translations: dict[Any, str]) -> None:
    stored = (LOCALE / "django.mo").read_bytes()
    assert stored == tool.compiled("zh_Hans", translations), "run make messages"
    with (LOCALE / "django.mo").open("rb") as file:
        catalog = gettext.GNUTranslations(file)
    for message, text in translations.items():
        if message.plural:
            assert catalog.ngettext(message.text, message.plural, 2) == text
        elif message.context:
            assert catalog.pgettext(message.context, message.text) == text
        else:
            assert catalog.gettext(message.text) == text


def test_django_speaks_chinese_with_it() -> None:
    with override("zh-hans"):
        assert translated("Your workspace is starting") == "您的工作区正在启动"
        assert ngettext("Stop %(count)s pod", "Stop %(count)s pods", 2) == "停止 %(count)s 个 pod"
        assert pgettext("an action on pods", "Restart") == "重启"
        page = "{% load i18n %}{% blocktranslate with time='5' %}Used {{ time }} ago."
        page += "{% endblocktranslate %}"
        assert Template(page).render(Context()) == "5前使用过。"


def test_the_tool_finds_texts_in_modules_and_templates(tool: Any, tmp_path: Path) -> None:
    source = 'a = _("One"); b = ngettext("%(n)s pod", "%(n)s pods", 2); c = pgettext("x", "Two")'
    assert set(tool._in_python(source)) == {
        tool.Message("", "One"),
        tool.Message("", "%(n)s pod", "%(n)s pods"),
        tool.Message("x", "Two"),
    }
    page = tmp_path / "page.html"
    page.write_text(
        "{% translate 'It is \"so\"' %} {% translate 'Go' context 'verb' %}"
        "{% blocktranslate trimmed count n=2 %}\n {{ n }} pod\n{% plural %}\n {{ n }} pods\n"
        "{% endblocktranslate %}"
    )
    assert set(tool._in_python(tool._of_template(page))) == {
        tool.Message("", 'It is "so"'),
        tool.Message("verb", "Go"),
        tool.Message("", "%(n)s pod", "%(n)s pods"),
    }


# --- the READMEs


def _outline(text: str) -> dict[str, list[str]]:
    """Return what is the same in every language: code without its comments, links, headings."""
    fenced = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    prose = re.sub(r"^```\w*\n.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    indented = re.findall(r"^    \S.*$", prose, re.MULTILINE)
    lines = [re.sub(r"\s*#.*", "", line) for code in fenced for line in code.splitlines()]
    return {
        "headings": [heading.split()[0] for heading in re.findall(r"^#+ .*$", prose, re.MULTILINE)],
        "code": [line for line in lines if line],
        "commands": [re.sub(r"\s+#.*", "", line) for line in indented],
        "points": re.findall(r"^- ", prose, re.MULTILINE),
    }


def test_the_chinese_readme_has_all_that_the_english_one_has() -> None:
    english = (TOP / "README.md").read_text(encoding="utf-8")
    chinese = (TOP / "README.zh-Hans.md").read_text(encoding="utf-8")
    outline = _outline(english)
    assert all(len(found) > 4 for found in outline.values())
    assert _outline(chinese) == outline
    pictures = "docs/pictures/"  # of each language its own
    links = [set(re.findall(rf"\]\((?!{pictures})([^)]+)\)", text)) for text in (english, chinese)]
    assert links[0] - {"README.zh-Hans.md"} == links[1] - {"README.md"}
    for target in links[1]:
        assert (TOP / target.partition("#")[0]).exists(), target


def test_the_pages_of_the_example_are_translated(tool: Any) -> None:
    package, example = tool.SOURCES
    assert package / CATALOG == LOCALE
    translations = tool.read(example / CATALOG / "django.po")
    assert translations.keys() == tool.extracted(example).keys()
    test_placeholders_are_the_same(translations)
    test_translations_are_chinese_and_end_as_the_text_does(translations)
    stored = (example / CATALOG / "django.mo").read_bytes()
    assert stored == tool.compiled("zh_Hans", translations), "run make messages"
