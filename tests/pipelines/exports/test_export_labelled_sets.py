"""A format of labelled sets, which knows no workspace, becomes an export format with all that the others have."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from avis_data.cli.main import main
from avis_data.formats.sets.clips import LabelledClip
from avis_data.formats.sets.registry import SETS, WRITTEN
from avis_data.io import read_json
from avis_data.paths import Workspace
from avis_data.pipelines.exports import FORMATS
from avis_data.pipelines.exports.labelled_sets import export_spec
from support.fake_workspace import FakeClip, FakeTrack, embeddings_of, make_workspace
from support.labelled_sets import read_set
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


def without_any(workspace: Workspace) -> None:
    shutil.rmtree(workspace.features)


def before_embed_was_run(workspace: Workspace) -> None:
    forget(workspace, "c0", "c1", "c2", "c3")


def of_later_clips(workspace: Workspace) -> None:
    """c2 and c3 came after `embed` was run."""
    forget(workspace, "c2", "c3")


def forget(workspace: Workspace, *clip_ids: str) -> None:
    with sqlite3.connect(workspace.ledger) as ledger:
        ledger.executemany("DELETE FROM items WHERE stage = 'embed' AND item_id = ?", [(name,) for name in clip_ids])


WITH_EMBEDDINGS = [spec.name for spec in SETS if spec.keeps.embeddings and spec.name in {*WRITTEN} - {"ytvis"}]
"""ytvis has an export of its own, which needs them unless --without-features is given."""


@pytest.mark.parametrize("name", WITH_EMBEDDINGS)
@pytest.mark.parametrize(("lose", "bare"), [(without_any, 4), (before_embed_was_run, 4), (of_later_clips, 2)])
def test_embeddings_are_written_where_there_are_some_and_said_where_not(
    name: str, lose: Callable[[Workspace], None], bare: int, workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    lose(workspace)
    assert main(["export", "--format", name, "--split", "2/2"]) == 0, capsys.readouterr().err
    assert f"{bare} clip(s) without embeddings: exported without these" in capsys.readouterr().out
    said = read_json(workspace.exports / name / "certificate.json")["embeddings"]
    clips = read_set(SETS[name], workspace.exports / name)
    without = [clip.name for clip in clips if clip.embeddings_TD is None]
    assert without == (["c0", "c1", "c2", "c3"] if bare == 4 else ["c2", "c3"])
    assert (None if said is None else said["clips_without"]) == (None if bare == 4 else without)
    for clip in clips:
        assert clip.embeddings_TD is None or np.array_equal(clip.embeddings_TD(), embeddings_of(clip.name, 3))
    texts = [path.read_text() for path in (workspace.exports / name).glob("*.*") if path.suffix in (".md", ".json")]
    assert any("2 clips have none" in text for text in texts) == (bare == 2)


def test_embeddings_of_other_sound_are_never_left_out_without_a_word(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    next(workspace.features.glob("part-*.parquet")).unlink()
    assert main(["export", "--format", "hf", "--split", "2/2"]) == 3
    assert "no such file, so no embeddings of" in capsys.readouterr().err


def test_the_list_of_written_formats_is_that_of_the_specs() -> None:
    assert [spec.name for spec in SETS if spec.writer is not None] == list(WRITTEN)
    assert {name for name in WRITTEN if SETS[name].reader is None} == set(), "what cannot be read cannot be read back"
