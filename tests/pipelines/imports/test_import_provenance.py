"""What an import takes for truth, and what it remembers of the clips that the truth is of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from avis_data.cli.main import main
from avis_data.errors import DataError, ProblemsError
from avis_data.formats.ytvis import parse_ytvis
from avis_data.ledger import Ledger
from avis_data.manifest import read_manifest, write_manifest
from avis_data.masks.table import read_masks
from avis_data.paths import Workspace
from avis_data.pipelines.imports.existing_set import read_set
from avis_data.pipelines.imports.truth import import_ytvis
from avis_data.pipelines.truth_records import imported_clips
from avis_data.recipe import create_workspace
from avis_data.records import Clip, SoundState, Track
from support.ytvis_world import HEIGHT, SECONDS, WIDTH, truth, write_split


def clip(clip_id: str, mark: str) -> Clip:
    return Clip(
        clip_id=clip_id,
        video_id=clip_id,
        start_s=0.0,
        num_seconds=SECONDS,
        fps=1.0,
        num_frames=SECONDS,
        width=WIDTH,
        height=HEIGHT,
        frame_at="mid",
        sound=SoundState.COMPLETE,
        frames_sha256=mark * 64,
        audio_sha256="e" * 64,
    )


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = Workspace(tmp_path / "set")
    create_workspace(made, "aviseg")
    write_manifest(made.manifest / "clips.jsonl", [clip("alpha", "a"), clip("beta", "b")])
    return made


def bring(workspace: Workspace, content: dict[str, Any], file: Path, *, skip_bad: bool = False) -> None:
    file.write_text(json.dumps(content))
    with Ledger(workspace.ledger) as ledger:
        import_ytvis(workspace, file, ledger=ledger, skip_bad=skip_bad)


def without(content: dict[str, Any], value: Any) -> dict[str, Any]:
    left = {name: entry for name, entry in content.items() if name != "annotations"}
    return left if value == "missing" else left | {"annotations": value}


@pytest.mark.parametrize("value", [None, "missing", {}, 7])
@pytest.mark.parametrize("skip_bad", [False, True])
def test_a_file_without_annotations_is_no_truth(
    workspace: Workspace, tmp_path: Path, value: Any, skip_bad: bool
) -> None:
    """Official files of test sets look like this; they would erase truth and accept every clip as silent."""
    bring(workspace, truth(["alpha", "beta"]), tmp_path / "truth.json")
    with pytest.raises(
        DataError, match=r"test\.json: annotations: missing or null: the labels of this set are withheld"
    ):
        bring(workspace, without(truth(["alpha", "beta"]), value), tmp_path / "test.json", skip_bad=skip_bad)
    assert {name: len(rows) for name, rows in read_masks(workspace.masks)} == {"alpha": 3, "beta": 3}
    assert len(list(read_manifest(workspace.manifest / "tracks.jsonl", Track))) == 4


def test_an_empty_list_says_that_nothing_sounds(workspace: Workspace, tmp_path: Path) -> None:
    bring(workspace, truth(["alpha", "beta"]), tmp_path / "truth.json")
    bring(workspace, without(truth(["alpha"]), []), tmp_path / "silent.json")
    assert [name for name, _ in read_masks(workspace.masks)] == ["beta"]
    assert {name: of.num_tracks for name, of in imported_clips(workspace).items()} == {"alpha": 0, "beta": 2}


def test_a_set_without_annotations_adopts_nothing(tmp_path: Path) -> None:
    content = write_split(tmp_path, "test", ["gamma"])
    (tmp_path / "test.json").write_text(json.dumps(without(content, None)))
    with pytest.raises(DataError, match="the labels of this set are withheld"):
        read_set(tmp_path / "test.json", tmp_path / "test", split=None)
    arguments = ["--format", "ytvis", str(tmp_path / "test.json"), "--media", str(tmp_path / "test")]
    assert main(["-C", str(tmp_path / "new"), "import", *arguments]) == 3
    assert not (tmp_path / "new" / "recipe.yaml").exists()


def test_the_clips_as_they_were_are_remembered(workspace: Workspace, tmp_path: Path) -> None:
    bring(workspace, truth(["alpha", "beta"]), tmp_path / "truth.json")
    found = {name: (of.frames_sha256[0], of.audio_sha256[0]) for name, of in imported_clips(workspace).items()}
    assert found == {"alpha": ("a", "e"), "beta": ("b", "e")}
    write_manifest(workspace.manifest / "clips.jsonl", [clip("alpha", "c"), clip("beta", "b")])
    assert imported_clips(workspace)["alpha"].frames_sha256[0] == "a"  # the truth did not change with the clip
    bring(workspace, truth(["alpha", "beta"]), tmp_path / "truth.json")
    assert imported_clips(workspace)["alpha"].frames_sha256[0] == "c"


def test_a_clip_has_its_truth_from_one_file(workspace: Workspace, tmp_path: Path) -> None:
    """An older import of the same clip must not vouch for the stills of the newer one, nor the other way round."""
    first, second = truth(["alpha", "beta"]), without(truth(["alpha"]), [])
    bring(workspace, first, tmp_path / "first.json")
    write_manifest(workspace.manifest / "clips.jsonl", [clip("alpha", "c"), clip("beta", "b")])
    bring(workspace, second, tmp_path / "second.json")
    records = [json.loads(path.read_text()) for path in workspace.annotations.glob("import-*/import.json")]
    assert {record["file"]: sorted(record["clips"]) for record in records} == {
        "first.json": ["beta"],
        "second.json": ["alpha"],
    }
    assert imported_clips(workspace)["alpha"].frames_sha256[0] == "c"
    bring(workspace, first, tmp_path / "first.json")
    assert {name: of.num_tracks for name, of in imported_clips(workspace).items()} == {"alpha": 2, "beta": 2}


def test_a_damaged_record_is_named_with_advice(workspace: Workspace, tmp_path: Path) -> None:
    bring(workspace, truth(["alpha"]), tmp_path / "truth.json")
    (record,) = workspace.annotations.glob("import-*/import.json")
    record.write_text('{"format": "ytvis", "file": "truth.json", "sha256": "0", "clips": ["alpha"]}')
    with pytest.raises(DataError, match=r"import\.json.*\n.*clips[^$]*hint: move .* away, and import the file again"):
        imported_clips(workspace)


@pytest.mark.parametrize("number", [10**70, -(10**70), 2**63])
@pytest.mark.parametrize(
    ("table", "key"), [("videos", "id"), ("annotations", "id"), ("annotations", "video_id"), ("categories", "id")]
)
def test_ids_that_no_program_can_hold_are_named(
    workspace: Workspace, tmp_path: Path, number: int, table: str, key: str
) -> None:
    content = truth(["alpha", "beta"])
    content[table][0][key] = number
    with pytest.raises(ProblemsError) as caught:
        bring(workspace, content, tmp_path / "truth.json")
    assert any(problem.where.startswith(f"{table}[0]") and problem.field == key for problem in caught.value.problems)


def test_the_largest_id_is_an_id() -> None:
    content = truth(["alpha"])
    content["annotations"][0]["id"] = 2**63 - 1
    assert not parse_ytvis(content).problems
