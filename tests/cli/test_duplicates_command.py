"""`avis-data duplicates`: a copy is told in text, JSON, CSV and on the page; clips without a fingerprint are named."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from avis_data.cli.main import main
from support.fake_workspace import FakeClip, make_workspace

CLIPS = [
    FakeClip(clip_id="a", video_id="v_a", num_seconds=6),
    FakeClip(clip_id="b", video_id="v_b", num_seconds=6, copy_of="a"),
    FakeClip(clip_id="c", video_id="v_c", num_seconds=6),
]


def test_a_copy_is_told_in_every_form(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = make_workspace(tmp_path / "ws", CLIPS)
    monkeypatch.chdir(workspace.root)
    assert main(["duplicates"]) == 3
    said = capsys.readouterr().err
    assert "3 of 3 clip(s)" in said and "avis-data fingerprint" in said
    assert main(["fingerprint", "--workers", "1"]) == 0
    capsys.readouterr()
    assert main(["duplicates", "--csv", "found.csv", "--html", "found.html"]) == 0
    assert "3 clip(s), 2 of them in 1 group(s)" in capsys.readouterr().out
    assert main(["duplicates", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["clips"] == 3 and found["groups"] == [["a", "b"]]
    assert [(link["first"], link["second"], link["by"]) for link in found["links"]] == [
        ("a", "b", by) for by in ("picture", "sound")
    ]
    rows = list(csv.DictReader(Path("found.csv").open(newline="")))
    assert [(row["group"], row["first"], row["second"], row["by"]) for row in rows] == [
        ("0", "a", "b", by) for by in ("picture", "sound")
    ]
    page = Path("found.html").read_text()
    assert page.count("<img ") == 2 * 2 * 4 and "a and b" in page
