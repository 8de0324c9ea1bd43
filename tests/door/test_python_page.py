"""The code of docs/python.md runs from top to bottom, and prints what the page says."""

from __future__ import annotations

import contextlib
import io
import re
import shutil
from pathlib import Path

import pytest

from support.places import ROOT

PAGE = ROOT / "docs" / "python.md"


def blocks(text: str) -> list[tuple[int, str, str | None]]:
    """Line, code, and what the block after it says that it prints; None where there is none."""
    fences = list(re.finditer(r"^```(\w*)\n(.*?)^```\n", text, flags=re.MULTILINE | re.DOTALL))
    found = []
    for number, fence in enumerate(fences):
        if fence[1] == "python":
            after = fences[number + 1] if number + 1 < len(fences) else None
            said = after is not None and after[1] == "text" and not text[fence.end() : after.start()].strip()
            found.append((text[: fence.start()].count("\n") + 1, fence[2], after[2] if said and after else None))
    return found


def test_the_page_is_true(example: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(example, tmp_path / "example")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    names: dict[str, object] = {"__name__": "page"}
    found = blocks(PAGE.read_text(encoding="utf-8"))
    assert len(found) > 8
    for line, code, said in found:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(compile("\n" * line + code, str(PAGE), "exec"), names)
        if said is not None:
            assert out.getvalue() == said, f"{PAGE.name}:{line}"
    for picture in ("still.png", "sheet.png", "clip.mp4", "categories.png"):
        assert (tmp_path / picture).stat().st_size > 500
