"""Whatever a person gives the Python door that cannot be used ends in one error that says what and what to do."""

from __future__ import annotations

import json
import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

import avis_data as avis
from avis_data.cli.main import main


@pytest.fixture
def export(example: Path, tmp_path: Path) -> Path:
    """A copy of the export that a test may spoil."""
    return Path(shutil.copytree(example / "exports" / "ytvis", tmp_path / "export"))


def test_a_path_that_does_not_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for use in (
        lambda: avis.open("exprots/ytvis"),
        lambda: avis.count("exprots/ytvis"),
        lambda: avis.validate("exprots/ytvis"),
        lambda: avis.read_ytvis("exprots/ytvis"),
        lambda: avis.train("exprots/ytvis", "run"),
        lambda: avis.load_model("exprots/ytvis"),
        lambda: avis.status("exprots/ytvis"),
    ):
        with pytest.raises(avis.DataError, match="exprots/ytvis: no such"):
            use()
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_nothing_of_ours(tmp_path: Path) -> None:
    for content in (None, "notes.txt"):
        if content:
            (tmp_path / content).write_text("a list of things")
        with pytest.raises(avis.DataError, match=r"holds no clips; it is (empty|neither)(.|\n)*recipe\.yaml"):
            avis.open(str(tmp_path))
    with pytest.raises(avis.ConfigError, match="no workspace"):
        avis.run_stage(str(tmp_path), "extract")
    with pytest.raises(avis.DataError, match="holds no run"):
        avis.load_model(str(tmp_path))


def test_a_file_that_is_no_truth_file(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("a list of things")
    with pytest.raises(avis.DataError, match=r"notes\.txt: not JSON"):
        len(avis.open(tmp_path / "notes.txt"))


def test_the_folder_of_a_run_says_what_opens_it(example: Path) -> None:
    with pytest.raises(avis.DataError, match=r"training run(.|\n)*load_model"):
        avis.open(example / "runs" / "tiny")


def test_an_export_or_a_workspace_of_another_format(example: Path, export: Path, tmp_path: Path) -> None:
    certificate = json.loads((export / "certificate.json").read_text())
    (export / "certificate.json").write_text(json.dumps(certificate | {"certificate": 99}))
    with pytest.raises(avis.DataError, match=r"format 99(.|\n)*upgrade"):
        avis.open(export)
    workspace = tmp_path / "old"
    workspace.mkdir()
    shutil.copy(example / "recipe.yaml", workspace)
    shutil.copy(example / "ledger.sqlite", workspace)
    with closing(sqlite3.connect(workspace / "ledger.sqlite")) as ledger:
        ledger.execute("PRAGMA user_version = 1")
    with pytest.raises(avis.DataError, match=r"older version(.|\n)*anew"):
        avis.open(workspace)


def test_a_clip_without_sound(export: Path) -> None:
    next((export / "val" / "WAVAudios").iterdir()).unlink()
    silent = next(clip for clip in avis.open(export).split("val") if not clip.has_sound)
    with pytest.raises(avis.DataError, match=rf"clip '{silent.clip_id}' has no sound(.|\n)*has_sound"):
        silent.sound()
    assert "no sound" in silent._repr_html_()
    assert avis.TorchClips(avis.open(export).filter(lambda clip: not clip.has_sound))[0].samples_S is None


def test_a_clip_without_embeddings(export: Path) -> None:
    shutil.rmtree(export / "val" / "FEATAudios")
    with pytest.raises(avis.DataError, match=r"no embeddings(.|\n)*avis-data embed"):
        avis.open(export).split("val")[0].embeddings()


def test_a_set_without_truth(export: Path) -> None:
    content = json.loads((export / "test.json").read_text())
    del content["annotations"]
    (export / "test.json").write_text(json.dumps(content))
    clips = avis.open(export).split("test")
    assert not clips[0].has_truth and len(clips.filter(lambda clip: clip.has_truth)) == 0
    with pytest.raises(avis.DataError, match=r"has no truth(.|\n)*has_truth"):
        _ = clips[0].tracks
    with pytest.raises(avis.DataError, match="without truth"):
        avis.TorchClips(clips)
    assert avis.draw_sheet(clips[0]).size


def test_a_still_that_is_gone_or_torn(export: Path) -> None:
    clip = avis.open(export)[0]
    clip.still_paths[0].write_bytes(b"no picture")
    clip.still_paths[1].unlink()
    for frame in (0, 1):
        with pytest.raises(avis.DataError, match="no picture"):
            clip.still(frame)


def test_names_that_there_are_not(clips: avis.ClipSet, example: Path) -> None:
    with pytest.raises(avis.ConfigError, match=r"no split 'dev'(.|\n)*train, val, test"):
        clips.split("dev")
    with pytest.raises(avis.ConfigError, match="in no split"):
        avis.open(example).split("test")
    with pytest.raises(avis.ConfigError, match="no clip 'synth'"):
        clips["synth"]
    with pytest.raises(IndexError):
        clips[99]
    with pytest.raises(avis.ConfigError, match="frames 0 to 3"):
        clips[0].still(4)
    with pytest.raises(avis.ConfigError, match="frames 0 to 3"):
        clips[0].tracks[0].mask(-1)
    with pytest.raises(avis.ConfigError, match=r"no stage 'extrakt'(.|\n)*extract"):
        avis.run_stage(example, "extrakt")
    with pytest.raises(avis.ConfigError, match=r"no mode 'AP'.* strict"):
        avis.evaluate(example / "results.json", clips.split("test"), mode="AP")  # type: ignore[arg-type]
    with pytest.raises(avis.ConfigError, match=r"no config .* avism_tiny"):
        avis.train(clips, "run", config="avism_tniy")


def test_predictions_of_several_splits_or_of_a_workspace(clips: avis.ClipSet, example: Path) -> None:
    with pytest.raises(avis.ConfigError, match=r"of one split(.|\n)*\.split\("):
        avis.evaluate(example / "results.json", clips)
    with pytest.raises(avis.ConfigError, match="to an export"):
        avis.open(example).with_predictions(example / "results.json")
    with pytest.raises(avis.ConfigError, match=r"avis\.export\("):
        avis.train(avis.open(example), "run")
    for part in (clips.split("train"), clips.filter(lambda clip: True), clips[:5]):
        with pytest.raises(avis.ConfigError, match="a part of one"):
            avis.train(part, "run")
    with pytest.raises(avis.ProblemsError, match="entries cannot be used"):
        clips.split("train")[:1].with_predictions(_for_video_99(example))


def _for_video_99(example: Path) -> Path:
    entries = json.loads((example / "results.json").read_text())
    entries[0]["video_id"] = 99
    path = example.parent / "other_results.json"
    path.write_text(json.dumps(entries))
    return path


def test_without_the_extra_train(monkeypatch: pytest.MonkeyPatch, clips: avis.ClipSet, example: Path) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    for use in (lambda: avis.train(clips, "run"), lambda: avis.load_model(example / "runs" / "tiny")):
        with pytest.raises(avis.ToolError, match=r"transformers(.|\n)*pip install 'avis-data\[train\]'"):
            use()


@pytest.mark.parametrize("command", ["train-baseline --data X", "predict --checkpoint X --data X", "benchmark-model"])
def test_commands_without_the_extra_train(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    assert main(command.split()) == 5
    assert "pip install 'avis-data[train]'" in capsys.readouterr().err
