"""`avis-data export` as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from avis_data.cli.main import main
from avis_data.formats.ytvis import read_ytvis
from avis_data.masks.rle import decode
from support.fake_workspace import FakeClip, FakeTrack, make_workspace


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    clips = [
        FakeClip(clip_id=f"clip{index}", video_id=f"v{index // 2}", tracks=(FakeTrack(track_id="t0"),))
        for index in range(8)
    ]
    make_workspace(tmp_path / "ws", [*clips, FakeClip(clip_id="unlabelled", video_id="u")])
    monkeypatch.chdir(tmp_path / "ws")
    return tmp_path / "ws"


def test_a_table_for_people(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "--format", "ytvis", "--split", "4/2/2", "--seed", "3"]) == 0
    out = capsys.readouterr().out
    assert "exports/ytvis: written" in out and "split 4/2/2, seed 3" in out
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line.strip()}
    assert rows["train"][:5] == ["4", "2", "12", "4", "8"]
    assert rows["total"] == ["8", "4", "24", "8", "16", "8", "16", "0"]
    assert "1 clip(s) without accepted truth: left out" in out
    assert main(["export", "--split", "4/2/2", "--seed", "3"]) == 0
    assert "is already there" in capsys.readouterr().out


def test_one_json_object(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "--split", "4/2/2", "--json", "--name", "two", "--workers", "2"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["path"] == "exports/two" and report["already_done"] is False
    assert report["counts"]["val"]["clips"] == 2 and report["clips_without_truth"] == 1
    certificate = json.loads((folder / "exports" / "two" / "certificate.json").read_text())
    assert certificate["files"]["sha256"] == report["files_sha256"] and certificate["key"] == report["key"]


def test_masks_as_rle_are_the_same_masks(folder: Path) -> None:
    assert main(["export", "--split", "4/2/2", "--name", "outlines"]) == 0
    assert main(["export", "--split", "4/2/2", "--name", "runs", "--masks", "rle"]) == 0
    outlines, runs = folder / "exports" / "outlines" / "val.json", folder / "exports" / "runs" / "val.json"
    assert isinstance(json.loads(outlines.read_text())["annotations"][0]["segmentations"][0], list)
    assert isinstance(json.loads(runs.read_text())["annotations"][0]["segmentations"][0], dict)
    found, same = read_ytvis(outlines), read_ytvis(runs)
    assert found.videos == same.videos and len(found.tracks) == len(same.tracks) == 2
    for one, other in zip(found.tracks, same.tracks, strict=True):
        for mask, again in zip(one.masks, other.masks, strict=True):
            assert (mask is None) == (again is None)
            assert mask is None or (decode(mask) == decode(again)).all()
    assert json.loads((folder / "exports" / "runs" / "certificate.json").read_text())["masks"] == "rle"


def test_a_dry_run_says_what_it_would_do_and_touches_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert main(["export", "--split", "50/50", "--dry-run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["dry_run"] is True and plan["counts"]["train"]["clips"] == 4
    assert plan["bytes_written"] == 24 * (64_000 + 512)
    assert plan["bytes_linked"] == sum(path.stat().st_size for path in folder.glob("clips/clip*/frames/*.jpg"))
    assert main(["export", "--split", "50/50", "--dry-run"]) == 0
    assert "would write exports/ytvis" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--split", "616/105/205"], 2, "616/105/205 sums to 926, but there are 8 clips"),
        (["--split", "3/5"], 3, "the nearest that can be met: --split"),
        (["--split", "banana"], 2, "--split 75/25"),
        (["--split-file", "nowhere.csv"], 3, "nowhere.csv"),
        (["--format", "yolo"], 2, "'yolo' is not"),
        (["--workers", "0"], 2, "0 is not in the range"),
        (["--split", "4/4", "--name", "../out"], 3, "is no id"),
    ],
)
def test_what_cannot_be_done_is_told(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, words: str
) -> None:
    assert main(["export", *arguments]) == code
    captured = capsys.readouterr()
    assert words in captured.err and "Traceback" not in captured.err
    assert captured.out == "" and not (folder / "exports" / "ytvis").exists()


def test_a_folder_that_is_no_workspace_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["export", "--split", "75/25"]) == 2
    assert "no workspace" in capsys.readouterr().err and list(tmp_path.iterdir()) == []


def test_help_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "--help"]) == 0
    assert "avis-data export --format ytvis --split 616/105/205" in capsys.readouterr().out
