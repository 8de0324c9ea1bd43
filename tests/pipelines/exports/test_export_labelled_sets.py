"""A format of labelled sets, which knows no workspace, becomes an export format with all that the others have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from avis_data.cli.main import main
from avis_data.formats.sets.clips import LabelledClip
from avis_data.formats.sets.registry import SETS, WRITTEN
from avis_data.io import read_json
from avis_data.paths import Workspace
from avis_data.pipelines.exports import FORMATS
from avis_data.pipelines.exports.labelled_sets import export_spec
from support.fake_workspace import FakeClip, FakeTrack, make_workspace
from support.toy_set import TOY_SET, ToyReader, ToyWriter

TRACKS = (FakeTrack(track_id="t", category="dog"), FakeTrack(track_id="u", category="person"))


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    clips = [FakeClip(clip_id=f"c{number}", video_id=f"v{number}", tracks=TRACKS) for number in range(4)]
    workspace = make_workspace(tmp_path, clips)
    monkeypatch.chdir(tmp_path)
    return workspace


@pytest.fixture
def toy() -> Iterator[None]:
    with FORMATS.with_added(export_spec(TOY_SET)):
        yield


@pytest.mark.usefixtures("toy")
def test_it_is_divided_read_back_certified_and_named(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["export", "--format", "toy-set", "--split", "2/2", "--mood", "calm"]
    assert main(command) == 0
    assert "exports/toy-set: written" in capsys.readouterr().out
    root = workspace.exports / "toy-set"
    said = read_json(root / "certificate.json")
    assert (said["format"], said["keeps"]["masks"], len(said["clips"])) == ("toy-set", "exact", 4)
    assert said["split"]["clips"] == {"train": 2, "val": 2}
    lines = (root / "toy.txt").read_text().splitlines()
    assert lines[0].startswith("calm ") and sorted(line.split()[1] for line in lines[1:]) == ["train"] * 2 + ["val"] * 2
    clips = list(ToyReader().read(root))
    assert [clip.name for clip in clips] == ["c0", "c1", "c2", "c3"]
    first = clips[0]
    assert isinstance(first, LabelledClip) and [track.category for track in first.tracks] == ["dog", "person"]
    assert first.stills[0].picture is not None
    assert first.stills[0].picture.read() == workspace.frame("c0", 0).read_bytes()
    assert main(command) == 0 and "is already there" in capsys.readouterr().out
    assert main([*command[:-1], "sad"]) == 2, "its own option is part of what makes an export another one"


def test_what_does_not_come_back_is_not_published(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    broken = replace(TOY_SET, writer=ToyWriter(breaks=True))
    with FORMATS.with_added(export_spec(broken)):
        assert main(["export", "--format", "toy-set", "--split", "2/2"]) == 3
    assert "read back, clip c0: " in capsys.readouterr().err
    assert not (workspace.exports / "toy-set").exists()


@pytest.mark.usefixtures("toy")
def test_a_damaged_still_is_named_and_nothing_published(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace.frame("c2", 0).write_bytes(b"")
    assert main(["export", "--format", "toy-set", "--split", "2/2"]) == 3
    assert "clip c2" in capsys.readouterr().err
    assert not (workspace.exports / "toy-set").exists()


@pytest.mark.usefixtures("workspace")
def test_its_version_and_what_made_its_embeddings_are_said_in_its_own_files(workspace: Workspace) -> None:
    assert main(["export", "--format", "croissant", "--split", "2/2", "--version", "1.2.0"]) == 0
    (root,) = workspace.exports.glob("croissant*")
    catalogue = read_json(root / "croissant.json")
    assert catalogue["version"] == "1.2.0" and "version={1.2.0}" in catalogue["citeAs"]
    made = read_json(root / "certificate.json")["embeddings"]
    assert made["network"] == "vggish" and made["untrained"]
    assert "random weights" in catalogue["rai:dataPreprocessingProtocol"]


def test_the_list_of_written_formats_is_that_of_the_specs() -> None:
    assert [spec.name for spec in SETS if spec.writer is not None] == list(WRITTEN)
    assert {name for name in WRITTEN if SETS[name].reader is None} == set(), "what cannot be read cannot be read back"
