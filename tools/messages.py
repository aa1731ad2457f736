#!/usr/bin/env python3
"""Gather what is to be translated into each locale's django.po, and compile that to django.mo.

`make messages`. What is translated already stays; what is new is empty, which a test finds; what is
not said any more goes. It needs no program but Python with Django: texts are those of gettext's
functions in our modules, and of {% translate %} and {% blocktranslate %} in our templates.
"""

from __future__ import annotations

import ast
import re
import struct
import sys
from pathlib import Path
from typing import NamedTuple

TOP = Path(__file__).resolve().parents[1]
SOURCE = TOP / "src" / "django_userpods"
#: What has texts of its own, each with its folder ``locale``: the package, the example's pages.
SOURCES = (SOURCE, TOP / "example_project" / "example")
#: Which leading arguments of gettext's functions are texts: c(ontext), s(ingular), p(lural).
_FUNCTIONS = {
    **dict.fromkeys(("gettext", "gettext_lazy", "gettext_noop", "_", "said"), "s"),
    **dict.fromkeys(("ngettext", "ngettext_lazy"), "sp"),
    **dict.fromkeys(("pgettext", "pgettext_lazy"), "cs"),
    **dict.fromkeys(("npgettext", "npgettext_lazy"), "csp"),
}
_HEADER = """\
Project-Id-Version: django-userpods
Language: {language}
MIME-Version: 1.0
Content-Type: text/plain; charset=UTF-8
Content-Transfer-Encoding: 8bit
Plural-Forms: nplurals=1; plural=0;
"""


class Message(NamedTuple):
    """What is translated: the context ("" for none), the text, and its plural ("" for none)."""

    context: str
    text: str
    plural: str = ""


def extracted(source_folder: Path = SOURCE) -> dict[Message, str]:
    """Return all messages of modules and templates, with the file that says each first."""
    found: dict[Message, str] = {}
    for path in sorted(source_folder.rglob("*")):
        where = str(path.relative_to(source_folder))
        if path.suffix == ".py" and "migrations" not in path.parts:
            source = path.read_text(encoding="utf-8")
        elif path.suffix == ".html":
            source = _of_template(path)
        else:
            continue
        for message in _in_python(source):
            found.setdefault(message, where)
    return found


def _of_template(path: Path) -> str:
    """Return the gettext calls of a template as Python."""
    from django.conf import settings
    from django.utils.translation.template import templatize

    if not settings.configured:
        settings.configure()
    text = templatize(path.read_text(encoding="utf-8"), origin=str(path))
    # Everything else of the template is in there as well, but for its letters.
    calls = re.findall(
        r"\b(_|gettext|ngettext|pgettext|npgettext)\((u?[\"'].*?[\"'])(, ?count)?\)", text, re.S
    )
    return "\n".join(f"{name}({texts})" for name, texts, _count in calls)


def _in_python(source: str) -> list[Message]:
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        kinds = _FUNCTIONS.get(name, "")
        texts = [
            argument.value
            for argument in node.args[: len(kinds)]
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
        ]
        if not kinds or len(texts) < len(kinds):
            continue
        parts = dict(zip(kinds, texts, strict=True))
        found.append(Message(parts.get("c", ""), parts["s"], parts.get("p", "")))
    return found


# --- django.po


def read(path: Path) -> dict[Message, str]:
    """Return the translations of a django.po, "" for what is not translated; no fuzzy ones."""
    found: dict[Message, str] = {}
    fields: dict[str, str] = {}
    name = ""

    def end() -> None:
        if fields.get("msgid"):
            message = Message(
                fields.get("msgctxt", ""), fields["msgid"], fields.get("msgid_plural", "")
            )
            found[message] = fields.get("msgstr[0]", fields.get("msgstr", ""))
        fields.clear()

    for line in [*path.read_text(encoding="utf-8").splitlines(), ""]:
        if line.startswith("#,") and "fuzzy" in line:
            message = f"{path}: there is a fuzzy translation"
            raise ValueError(message)
        match = re.fullmatch(r'(?:(msg[\w\[\]]+) )?(".*")', line)
        if match is None:
            if not line.strip():
                end()
            continue
        name = match[1] or name
        fields[name] = fields.get(name, "") + str(ast.literal_eval(match[2]))
    return found


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def written(language: str, translations: dict[Message, str], places: dict[Message, str]) -> str:
    """Return the text of a django.po."""
    lines = [
        'msgid ""',
        'msgstr ""',
        *map(_quoted, _HEADER.format(language=language).splitlines(True)),
    ]
    for message, where in places.items():
        lines += ["", f"#: {where}"]
        if "%" in message.text or "%" in message.plural:
            lines.append("#, python-format")
        if message.context:
            lines.append(f"msgctxt {_quoted(message.context)}")
        lines.append(f"msgid {_quoted(message.text)}")
        if message.plural:
            lines.append(f"msgid_plural {_quoted(message.plural)}")
        name = "msgstr[0]" if message.plural else "msgstr"
        lines.append(f"{name} {_quoted(translations.get(message, ''))}")
    return "\n".join(lines) + "\n"


# --- django.mo


def compiled(language: str, translations: dict[Message, str]) -> bytes:
    """Return a django.mo: as the GNU gettext manual has it, "The Format of GNU MO Files"."""
    catalog = {"": _HEADER.format(language=language)}
    for message, text in translations.items():
        if text:
            key = f"{message.context}\4{message.text}" if message.context else message.text
            catalog[f"{key}\0{message.plural}" if message.plural else key] = text
    pairs = sorted((key.encode(), text.encode()) for key, text in catalog.items())
    start = 7 * 4
    offset = start + 16 * len(pairs)
    tables: list[list[int]] = [[], []]
    data = b""
    for side in (0, 1):
        for pair in pairs:
            tables[side] += [len(pair[side]), offset + len(data)]
            data += pair[side] + b"\0"
    head = struct.pack("<7I", 0x950412DE, 0, len(pairs), start, start + 8 * len(pairs), 0, offset)
    return head + b"".join(struct.pack(f"<{len(t)}I", *t) for t in tables) + data


def main() -> int:
    """Write the files of every locale, and say what is left to translate."""
    folders = [(of, folder) for of in SOURCES for folder in sorted((of / "locale").iterdir())]
    for source_folder, folder in folders:
        places = extracted(source_folder)
        path = folder / "LC_MESSAGES" / "django.po"
        known = read(path)
        translations = {message: known.get(message, "") for message in places}
        path.write_text(written(folder.name, translations, places), encoding="utf-8")
        path.with_suffix(".mo").write_bytes(compiled(folder.name, translations))
        left = sum(not text for text in translations.values())
        print(f"{path.relative_to(TOP)}: {len(places)} messages, {left} to translate")
    return 0


if __name__ == "__main__":
    sys.exit(main())
