"""Workspaces, exports and runs say the number of their format; another one is refused with what to run."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from avis_data.cli.main import main
from avis_data.errors import ConfigError, DataError
from avis_data.format_numbers import CERTIFICATE, EXPORT, RUN, RUN_FILE, WORKSPACE, check_export, check_run, what_is
from avis_data.ledger import Ledger
from avis_data.paths import Workspace
from avis_data.quality.dataset import validate
from avis_data.quality.stats import dataset_stats
from avis_data.recipe import create_workspace, load_recipe
from support.fake_workspace import FakeClip, FakeTrack, make_workspace

OTHERS = [
    pytest.param(None, "without a format number, written by an older version", id="none"),
    pytest.param(-1, "written by an older version", id="older"),
    pytest.param(+1, "written by a newer version", id="newer"),
]
"""What is added to the number of this version; None takes the number away."""
DOORS = [
    ("status",),
    ("run",),
    ("fetch", "--list", "videos.csv"),
    ("extract", "--dry-run"),
    ("export", "--format", "ytvis"),
    ("import", "--format", "ytvis", "truth.json"),
    ("review", "status"),
    ("agreement",),
    ("propagate",),
    ("annotate", "pull"),
]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    clips = [
        FakeClip(clip_id=f"c{number}", video_id=f"v{number}", tracks=(FakeTrack(track_id="t"),)) for number in range(4)
    ]
    made = make_workspace(tmp_path / "ws", clips)
    (made.root / "truth.json").write_text('{"videos": [], "annotations": [], "categories": []}')
    monkeypatch.chdir(made.root)
    return made


def renumber(workspace: Workspace, other: int | None) -> None:
    with sqlite3.connect(workspace.ledger) as db:
        db.execute(f"PRAGMA user_version = {0 if other is None else WORKSPACE.number + other}")
    db.close()


def exported(workspace: Workspace, other: int | None = 0) -> Path:
    assert main(["export", "--split", "2/1/1"]) == 0
    folder = workspace.exports / "ytvis"
    said = json.loads((folder / CERTIFICATE).read_text())
    said["certificate"] = None if other is None else EXPORT.number + other
    (folder / CERTIFICATE).write_text(json.dumps(said))
    return folder


@pytest.mark.parametrize(("other", "words"), OTHERS)
def test_a_workspace_of_another_format_is_refused_at_every_door(
    workspace: Workspace, other: int | None, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    renumber(workspace, other)
    before = sorted(workspace.root.rglob("*"))
    for door in DOORS:
        assert main(list(door)) == 3, door
        said = capsys.readouterr().err
        assert words in said and f"reads format {WORKSPACE.number}" in said, (door, said)
        assert ("pip install --upgrade avis-data" if other == 1 else "fetch --list videos.csv") in said
    for opened in (lambda: load_recipe(workspace), lambda: Ledger(workspace.ledger)):
        with pytest.raises(DataError, match=words):
            opened()
    left = [path for path in sorted(workspace.root.rglob("*")) if path.name != ".lock" and "ledger" not in path.name]
    assert left == [path for path in before if path.name != ".lock" and "ledger" not in path.name]


def test_a_workspace_that_only_has_a_recipe_takes_the_number_with_its_first_work(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    create_workspace(workspace, "aviseg")
    workspace.ledger.touch()  # a command was killed before it wrote anything
    assert load_recipe(workspace).name == "aviseg"
    Ledger(workspace.ledger).close()
    with sqlite3.connect(workspace.ledger) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (WORKSPACE.number,)
    db.close()


@pytest.mark.parametrize(("other", "words"), OTHERS)
def test_an_export_of_another_format_is_refused(
    workspace: Workspace, other: int | None, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = exported(workspace, other)
    capsys.readouterr()
    for door in (["validate", folder], ["stats", folder], ["report", folder, "--out", "page.html"]):
        assert main([str(word) for word in door]) == 3
        said = capsys.readouterr().err
        assert words in said and f"reads format {EXPORT.number}" in said
        assert ("pip install --upgrade avis-data" if other == 1 else "avis-data export --format ytvis --force") in said
    for opened in (validate, dataset_stats, check_export):
        with pytest.raises(DataError, match=words):
            opened(folder)


def test_a_set_from_elsewhere_needs_no_number(workspace: Workspace) -> None:
    folder = exported(workspace)
    (folder / CERTIFICATE).write_text('{"certificate": "of authenticity"}')
    check_export(folder)
    (folder / CERTIFICATE).unlink()
    assert set(dataset_stats(folder)) >= {"train", "val", "test"}


@pytest.mark.parametrize(("other", "words"), OTHERS)
def test_a_run_of_another_format_is_refused(tmp_path: Path, other: int | None, words: str) -> None:
    (tmp_path / "config.yaml").write_text("model: avism\n")
    if other is not None:
        (tmp_path / RUN_FILE).write_text(json.dumps({"format": RUN.number + other}))
    with pytest.raises(DataError, match=words) as caught:
        check_run(tmp_path)
    assert ("pip install" if other == 1 else "avis-data train-baseline") in str(caught.value)
    (tmp_path / RUN_FILE).write_text(json.dumps({"format": RUN.number}))
    check_run(tmp_path)


def test_a_folder_that_is_none_of_them(
    workspace: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export, run, other = exported(workspace), tmp_path / "run", tmp_path / "other"
    run.mkdir()
    (run / "config.yaml").touch()
    other.mkdir()
    assert what_is(other) == "it is empty"
    (other / "notes.txt").touch()
    assert "it is an export" in what_is(export) and "it is a training run" in what_is(run)
    assert "it is a workspace" in what_is(workspace.root) and "neither" in what_is(other)
    assert what_is(other / "notes.txt") == "it is a file" and what_is(tmp_path / "x") == "there is no such folder"
    with pytest.raises(ConfigError, match=r"no workspace \(no recipe.yaml\); it is an export"):
        load_recipe(Workspace(export))
    with pytest.raises(DataError, match=r"no train.json, val.json or test.json; it is a workspace, whose exports"):
        validate(workspace.root)
    with pytest.raises(DataError, match="holds no run; it is neither a workspace nor an export"):
        check_run(other)
    assert main(["-C", str(run), "status"]) == 2
    assert "it is a training run" in capsys.readouterr().err
