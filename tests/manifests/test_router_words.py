"""What the router says of itself, all of it in each language of its pages."""

from __future__ import annotations

import re

from django_userpods.deploy import shipped

LUA = shipped.source() / "router" / "lua" / "userpods"
TEXT = r'"(?:[^"\\]|\\.)*"(?:\s*\.\.\s*"(?:[^"\\]|\\.)*")*'


def joined(lua: str) -> str:
    """Return the text of a literal of Lua, in one or several parts."""
    return "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', lua))


def said() -> set[str]:
    """Return every title and text that a page may be made of."""
    found: set[str] = set()
    for path in LUA.glob("*.lua"):
        source = path.read_text(encoding="utf-8")
        for call in re.finditer(rf"\.say\(\d+, ({TEXT}),\s*({TEXT})?", source):
            found.update(joined(text) for text in call.groups() if text)
        for place in re.findall(rf"\btext = ({TEXT})", source):
            found.add(joined(place))
    return found


def translated() -> dict[str, str]:
    """Return the Chinese of each text."""
    source = (LUA / "words.lua").read_text(encoding="utf-8")
    pairs = re.findall(rf"^    \[({TEXT})\] =\s+({TEXT}),$", source, re.MULTILINE)
    return {joined(english): joined(chinese) for english, chinese in pairs}


def test_every_text_of_the_router_is_translated_and_no_other() -> None:
    texts = translated()
    assert len(texts) > 20
    assert set(texts) == said()
    for english, chinese in texts.items():
        assert re.search(r"[\u4e00-\u9fff]", chinese), english
        assert not re.search(r"[,.!?:;()]", chinese), (
            "punctuation of Chinese is as wide as its signs"
        )
        assert english.endswith(".") == chinese.endswith("\u3002"), english
