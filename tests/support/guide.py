"""The annotators' guide as data: each of its lines, with the keys and the words of the page that it names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

__all__ = ["Line", "guide_lines"]

_GUIDE = Path(__file__).parents[2] / "docs" / "annotator-guide.md"
_ITEM = re.compile(r"(?:\d+\.|\*) (?=\S)")
_KEYS = re.compile(r"(?:(?:Ctrl|Shift|Alt)\+)+(?:→|←|Enter|[A-Z]\b)|\bBackspace\b")
_PLAYWRIGHT = {"Ctrl": "Control", "→": "ArrowRight", "←": "ArrowLeft"}


@dataclass(frozen=True)
class Line:
    """A paragraph, an item of a list or a row of a table."""

    section: str
    text: str

    @cached_property
    def keys(self) -> list[str]:
        """The keys that it names, as Playwright does."""
        found = _KEYS.findall(self.text)
        return ["+".join(_PLAYWRIGHT.get(part, part) for part in keys.split("+")) for keys in found]

    @cached_property
    def said(self) -> list[str]:
        """What it names in italics: words of the page."""
        return re.findall(r"(?<!\*)\*([^*]+)\*(?!\*)", self.text)

    @cached_property
    def strong(self) -> list[str]:
        """What it names in bold."""
        return re.findall(r"\*\*([^*]+)\*\*", self.text)

    @cached_property
    def code(self) -> list[str]:
        """What it names between backticks."""
        return re.findall(r"`([^`]+)`", self.text)


def guide_lines() -> list[Line]:
    """All lines of the guide but headings, pictures and heads of tables, in their order."""
    found: list[Line] = []
    section = ""
    for block in _GUIDE.read_text(encoding="utf-8").split("\n\n"):
        rows = block.strip().splitlines()
        if rows[0].startswith("#"):
            section = rows[0].lstrip("# ")
        elif rows[0].startswith("|"):
            found += [Line(section, row.strip("| ")) for row in rows[2:]]
        elif not rows[0].startswith("!["):
            items: list[str] = []
            for row in rows:
                items = [*items, row] if _ITEM.match(row) or not items else [*items[:-1], f"{items[-1]} {row.strip()}"]
            found += [Line(section, _ITEM.sub("", item, count=1) if _ITEM.match(item) else item) for item in items]
    return found
