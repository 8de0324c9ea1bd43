"""`avis-data figures`: of a workspace with rounds of labels, of an export, and of one that has nothing yet."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from avis_data.cli.main import main
from avis_data.ledger import Ledger
from avis_data.pipelines.kept_video_list import CLIP_ROW
from avis_data.records import Span
from avis_data.report.figures import drawing, writing
from avis_data.versions.media_prints import VIDEO_LIST
from avis_data.video_list import ClipRow, read_video_list
from support.full_workspace import CLIPS, full_workspace


@pytest.fixture
def drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures take time; what the tables say is the same without them."""
    monkeypatch.setattr(writing, "draw", lambda figure: {"svg": drawing.draw(figure, ["svg"])["svg"]})


def rows(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / f"{name}.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def say_scenarios(root: Path) -> None:
    """The list says of two clips what they are about, of one more than one thing."""
    about = {
        clip_id: said for clip_id, said in zip(CLIPS.values(), [("music", "machine"), ("music",), ()], strict=True)
    }
    with Ledger(root / "ledger.sqlite") as ledger:
        wanted = [
            (clip, CLIP_ROW.dump_json(ClipRow(Span(clip_id=clip, video_id=video), scenarios=about[clip])).decode())
            for video, clip in CLIPS.items()
        ]
        ledger.replace_wanted(CLIPS, wanted)


@pytest.mark.usefixtures("drawn_once")
def test_a_workspace_shows_what_its_list_and_its_rounds_say(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = full_workspace(tmp_path / "ws")
    say_scenarios(workspace.root)
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    assert main(["figures", "ws", "--out", "out", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir()) == sorted([*told["files"], "figures.json"])
    scenarios = {row["scenario"]: int(row["videos"]) for row in rows(out, "scenarios")}
    assert scenarios["machine"] == 1 and scenarios["music"] == 2
    assert sum(int(row["videos"]) for row in rows(out, "lengths")) == len(CLIPS)
    work = rows(out, "labour")
    assert work and all(int(row["people"]) and int(row["tasks"]) for row in work)
    assert "labour" not in told["empty"]


@pytest.mark.usefixtures("drawn_once")
def test_an_export_without_media_and_an_empty_workspace_have_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["-C", str(tmp_path / "new"), "init"]) == 0
    capsys.readouterr()
    assert main(["-C", str(tmp_path / "new"), "figures", "--out", "figures", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {"sources", "lengths", "labour", "agreement"} <= set(told["empty"])
    truth = {"videos": [], "annotations": [], "categories": [{"id": 1, "name": "dog"}]}
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "train.json").write_text(json.dumps(truth))
    (tmp_path / "set" / "videos.csv").write_text("name,who\na,b\n")  # a file of theirs that is no list of ours
    assert main(["figures", str(tmp_path / "set"), "--out", str(tmp_path / "figures")]) == 0
    assert "videos.csv" in capsys.readouterr().err


def test_a_folder_of_others_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "paper").mkdir()
    (tmp_path / "paper" / "thesis.tex").write_text("mine")
    (tmp_path / "train.json").write_text(json.dumps({"videos": [], "annotations": [], "categories": []}))
    assert main(["figures", str(tmp_path / "train.json"), "--out", str(tmp_path / "paper")]) == 3
    assert "something else than figures" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "paper").iterdir()] == ["thesis.tex"]


def test_an_export_carries_the_scenarios_of_its_list_only_where_there_are_some(tmp_path: Path) -> None:
    workspace = full_workspace(tmp_path / "ws")
    export = [
        "-C",
        str(workspace.root),
        "export",
        "--split",
        "1/1/1",
        "--without-media",
        "--without-features",
        "--name",
    ]
    rows_before = [f"https://example.org/{clip_id}.mp4,{clip_id}" for clip_id in CLIPS.values()]
    workspace.video_list.write_text("\n".join(["url,video_id", *rows_before]))
    assert main([*export, "before"]) == 0
    said = [f"{row},{about}" for row, about in zip(rows_before, ["machine;music", "", "speaking"], strict=True)]
    workspace.video_list.write_text("\n".join(["url,video_id,scenario", *said]))
    assert main([*export, "after"]) == 0
    before, after = (workspace.exports / name / VIDEO_LIST for name in ("before", "after"))
    assert "scenario" not in before.read_text()
    old, new = read_video_list(before).clips, read_video_list(after).clips
    assert [row.span for row in old] == [row.span for row in new]
    found = {row.span.video_id: row.scenarios for row in new}
    assert found == dict(zip(CLIPS, [("music", "machine"), (), ("speaking",)], strict=True))
