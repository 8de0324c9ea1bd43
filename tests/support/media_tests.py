"""Which test modules depend on the programs for media that a machine has or lacks."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from support.places import TESTS

__all__ = ["touches_media"]

_PROGRAMS = re.compile(r"ffmpeg|ffprobe|chromium", re.IGNORECASE)
_HELPERS = re.compile(r"^\s*from support(?:\.(\w+))? import (.+)", re.MULTILINE)


@cache
def touches_media(path: Path) -> bool:
    """Whether a test module, a `conftest.py` beside or above it, or a helper of one of them names such a program."""
    beside = [folder / "conftest.py" for folder in path.parents if TESTS in folder.parents]
    return any(_names_one(file) for file in [path, *beside] if file.is_file())


@cache
def _names_one(path: Path) -> bool:
    text = path.read_text(encoding="utf-8")
    return _PROGRAMS.search(text) is not None or any(_names_one(helper) for helper in _helpers(text))


def _helpers(text: str) -> list[Path]:
    names = [name for module, rest in _HELPERS.findall(text) for name in ([module] if module else rest.split(", "))]
    paths = [TESTS / "support" / f"{name.partition(' ')[0]}.py" for name in names]
    return [path for path in paths if path.is_file()]
