"""What ``README.md`` tells people to type, word for word."""

from __future__ import annotations

import re
from pathlib import Path

TEXT = (Path(__file__).resolve().parents[2] / "README.md").read_text()


def section(title: str) -> str:
    """The text below a heading, up to the next of its level. Raises ``IndexError``."""
    return re.split(r"^## ", TEXT.split(f"\n## {title}\n")[1], flags=re.MULTILINE)[0]


def commands(title: str) -> list[str]:
    """The command lines of a section: what is indented by four and not in a fence."""
    unfenced = re.sub(r"^```.*?^```$", "", section(title), flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"^ {4}(\S.*)$", unfenced, re.MULTILINE)


def snippets(title: str) -> dict[str, str]:
    """The Python of a section by the name of the file that each snippet's first line gives."""
    found = re.findall(r"^```python\n# (\w+\.py).*?\n(.*?)^```$", section(title), re.M | re.S)
    return dict(found)


def added_to(existing: str, snippet: str) -> str:
    """A file with a snippet at its end; ``# ...`` in a list stands for what the list has."""
    rest = r"^(\w+)( = \[\n(?: .*\n)*? +)# \.\.\.$"
    filled = re.sub(rest, r"\1\2*\1,", snippet, flags=re.MULTILINE)
    return f"{existing}\n\n{filled}"
