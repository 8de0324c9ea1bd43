"""The command lines that documents show."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Shown", "commands_of"]


@dataclass(frozen=True)
class Shown:
    """One command line of a page, as a person would copy it."""

    place: str
    words: tuple[str, ...]


def blocks(page: Path) -> Iterator[tuple[int, str]]:
    """The command lines within fences, those that go on with a backslash joined, and their numbers.

    In a block with prompts (`$ `) the other lines are answers.
    """
    parts = re.split(r"^(```.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    number = 1
    for place, part in enumerate(parts):
        if place % 4 == 2:
            prompted = re.search(r"^\$ ", part, flags=re.MULTILINE) is not None
            joined = re.sub(r"\\\n", "  ", part)
            for line in joined.splitlines():
                if not prompted or line.startswith("$ "):
                    yield number, line.removeprefix("$ ")
                number += 1
        else:
            number += part.count("\n")


def commands_of(page: Path) -> Iterator[Shown]:
    """What is called in the fenced blocks: one entry for each side of `&&`."""
    for number, line in blocks(page):
        if not re.match(r"(avis-data|python|torchrun|PYTHONPATH=\S+) ", line):
            continue
        words: list[str] = []
        for word in [*shlex.split(line, comments=True), "&&"]:
            if word in ("&&", "|", ">"):
                yield Shown(f"{page.name}:{number}", tuple(words))
                words = []
            else:
                words.append(word)
