"""The datasheet: every number is the workspace's, and what it cannot know is left to the authors, visibly."""

from __future__ import annotations

from pathlib import Path

import pytest

from avis_data.cli.main import main
from avis_data.report.datasheet import AUTHORS
from support.fake_workspace import FakeClip, FakeTrack, make_workspace

CLIPS = [
    FakeClip(
        clip_id="a", video_id="va", tracks=(FakeTrack(track_id="t", category="dog", sounding=(0, 1)),), license="CC BY"
    ),
    FakeClip(
        clip_id="b",
        video_id="vb",
        tracks=(
            FakeTrack(track_id="t", category="dog", sounding=(0,)),
            FakeTrack(track_id="u", category="cat", sounding=(0, 1, 2)),
        ),
    ),
    FakeClip(clip_id="c", video_id="vc", num_seconds=5, imported_silent=True),
    FakeClip(clip_id="d", video_id="vd"),
]


def datasheet(tmp_path: Path, *options: str) -> str:
    make_workspace(tmp_path / "ws", CLIPS)
    command = ["-C", str(tmp_path / "ws"), "datasheet", "--split", "2/1", "--out", str(tmp_path / "d.md")]
    assert main([*command, *options]) == 0
    return (tmp_path / "d.md").read_text()


@pytest.fixture(autouse=True)
def _stay(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def test_numbers_are_those_of_the_workspace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = datasheet(tmp_path, "--contact", "avis@example.org")
    assert "There are 3 clips of 3 sources, 11 seconds, 3 objects and 6 masks. Clips last 3 to 5 seconds" in page
    assert "| cat | 1 | 1 | 3 |\n| dog | 2 | 2 | 3 |" in page
    assert "| CC BY | 1 |" in page and "| not known | 2 |" in page
    assert "1 clips of the workspace have no accepted labels" in page
    assert "Nothing sounds in 54.5 % of the time, one object in 36.4 %, several in 9.1 %." in page
    assert "Divided 2/1, seed 0" in page and "No source is on two sides." in page
    assert "Write to avis@example.org to have a video removed" in page
    assert "Agreement between annotators is not known" in page
    marks = page.count(AUTHORS)
    assert marks >= 5
    assert f"{marks} places are left to the authors" in capsys.readouterr().out


def test_without_a_contact_the_authors_are_asked(tmp_path: Path) -> None:
    assert f"{AUTHORS}: the address to write to." in datasheet(tmp_path)


def test_words_of_strangers_open_nothing(tmp_path: Path) -> None:
    page = tmp_path / "d.html"
    text = datasheet(tmp_path, "--contact", "<script>alert(1)</script>[x](javascript:y)", "--html", str(page))
    assert "<script" not in text and "[x](" not in text
    assert "<script" not in page.read_text()
    assert "Known limits" in page.read_text()


def test_a_workspace_without_truth_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_workspace(tmp_path / "empty", [FakeClip(clip_id="a", video_id="va")])
    assert main(["-C", str(tmp_path / "empty"), "datasheet"]) in (2, 3)
    assert "Traceback" not in capsys.readouterr().err
    assert not (tmp_path / "datasheet.md").exists()
