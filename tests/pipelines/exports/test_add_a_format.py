"""A format that the product does not know is added from outside, and has all that the shipped ones have."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from avis_data.cli.main import main
from avis_data.errors import DataError
from avis_data.io import read_json
from avis_data.paths import Workspace
from avis_data.pipelines.exports import FORMATS
from avis_data.pipelines.exports.plan import ExportOptions
from avis_data.pipelines.exports.publish import export
from support.fake_workspace import FakeClip, FakeTrack, make_workspace
from support.toy_format import TOY, ToyFormat

DOG = (FakeTrack(track_id="t", category="dog"),)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    clips = [FakeClip(clip_id=f"c{number}", video_id=f"v{number}", tracks=DOG) for number in range(4)]
    workspace = make_workspace(tmp_path, [*clips, FakeClip(clip_id="still", video_id="s", imported_silent=True)])
    monkeypatch.chdir(tmp_path)
    return workspace


@pytest.fixture
def toy() -> Iterator[None]:
    with FORMATS.with_added(TOY):
        yield


@pytest.mark.usefixtures("toy")
def test_it_is_divided_read_back_certified_and_named(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["export", "--format", "toy", "--split", "2/2", "--seed", "3", "--voice", "loud"]
    assert main(command) == 0
    out = capsys.readouterr().out
    assert "exports/toy: written, 5 files" in out and "1 clip(s) in which nothing sounds: left out" in out
    assert re.search(r"^total +4 +4$", out, re.MULTILINE), "the columns that the format shows"
    root = workspace.exports / "toy"
    words = {path.stem: path.read_text() for path in root.glob("*/*.txt")}
    assert words == dict.fromkeys(("c0", "c1", "c2", "c3"), "DOG")
    said = read_json(root / "certificate.json")
    assert (said["format"], said["voice"], said["split"]["clips"]) == ("toy", "loud", {"train": 2, "val": 2})
    subprocess.run(["sha256sum", "--quiet", "-c", "files.sha256"], cwd=root, check=True)
    assert main(command) == 0 and "is already there" in capsys.readouterr().out
    assert main([*command[:-1], "plain"]) == 2, "its own option is part of what makes an export another one"
    assert "made from other data or options" in capsys.readouterr().err


@pytest.mark.usefixtures("toy", "workspace")
def test_its_options_are_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "Options of toy" in shown and "--voice [plain|loud]" in shown and TOY.summary in shown
    for arguments, said in (
        (["--voice", "loud"], "--voice goes with --format toy"),
        (["--format", "toy", "--masks", "rle"], "--masks goes with --format ytvis"),
        (["--format", "toy", "--select", "all"], "--select all goes with --format ytvis"),
        (["--format", "toy", "--objects", "visible"], "--objects visible goes with --format ytvis"),
        (["--format", "toy", "--voice", "shrill"], "'shrill' is not one of"),
    ):
        assert main(["export", "--split", "2/2", *arguments]) == 2
        assert said in capsys.readouterr().err


@pytest.mark.usefixtures("workspace")
def test_without_it_the_command_does_not_know_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "--format", "toy"]) == 2
    assert "'toy' is not a format; there are: ytvis" in capsys.readouterr().err


@pytest.mark.usefixtures("toy")
def test_a_dry_run_says_what_it_would_hold(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "--format", "toy", "--split", "2/2", "--dry-run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert (plan["counts"]["total"], plan["bytes_written"]) == ({"clips": 4, "sources": 4}, 400)
    assert not workspace.exports.exists()


def test_what_is_read_back_differently_gets_no_name(workspace: Workspace) -> None:
    broken = replace(TOY, format=ToyFormat(breaks="words"))
    with pytest.raises(DataError, match=r"read back, clip c0: torn_input: .*c0\.txt holds another word"):
        export(workspace, broken, ExportOptions(split="2/2"))
    assert list(workspace.exports.iterdir()) == []


def test_a_killed_one_gets_no_name_and_the_next_one_is_whole(workspace: Workspace) -> None:
    with pytest.raises(KeyboardInterrupt):
        export(workspace, replace(TOY, format=ToyFormat(breaks="kill")), ExportOptions(split="2/2"))
    assert not (workspace.exports / "toy").exists()
    assert export(workspace, TOY, ExportOptions(split="2/2")).num_files == 5
    assert [path.name for path in workspace.exports.iterdir()] == ["toy"]
