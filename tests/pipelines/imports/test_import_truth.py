"""`avis-data import`: all or nothing, every fault named, the same file twice changes nothing."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avis_data.cli.main import main
from avis_data.errors import DataError, ProblemsError
from avis_data.ledger import Ledger
from avis_data.manifest import read_manifest, write_manifest
from avis_data.masks.rle import Rle, decode
from avis_data.masks.table import read_masks
from avis_data.paths import Workspace
from avis_data.pipelines.imports.truth import ImportReport, import_ytvis
from avis_data.pipelines.truth_records import imported_clips
from avis_data.recipe import create_workspace
from avis_data.records import Clip, SoundState, State, Track
from support.ytvis_world import HEIGHT, SECONDS, WIDTH, truth


def bring(workspace: Workspace, file: Path, *, skip_bad: bool = False) -> ImportReport:
    with Ledger(workspace.ledger) as ledger:
        return import_ytvis(workspace, file, ledger=ledger, skip_bad=skip_bad)


def clip(clip_id: str, **changes: Any) -> Clip:
    values = {
        "clip_id": clip_id,
        "video_id": clip_id,
        "start_s": 0.0,
        "num_seconds": SECONDS,
        "fps": 1.0,
        "num_frames": SECONDS,
        "width": WIDTH,
        "height": HEIGHT,
        "frame_at": "mid",
        "sound": SoundState.COMPLETE,
        "frames_sha256": "0" * 64,
        "audio_sha256": "0" * 64,
        **changes,
    }
    return Clip.model_validate(values)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = Workspace(tmp_path / "set")
    create_workspace(made, "aviseg")
    write_manifest(made.manifest / "clips.jsonl", [clip("alpha"), clip("beta"), clip("gamma")])
    return made


def saved(content: dict[str, Any], path: Path) -> Path:
    path.write_text(json.dumps(content))
    return path


def tree(workspace: Workspace) -> dict[str, bytes]:
    folders = (workspace.masks, workspace.annotations, workspace.manifest)
    return {str(path): path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file()}


def test_masks_and_tracks_arrive(workspace: Workspace, tmp_path: Path) -> None:
    file = saved(truth(["alpha", "beta"]), tmp_path / "truth.json")
    report = bring(workspace, file)
    assert (report.num_clips, report.num_tracks, report.num_masks, report.num_clips_without) == (2, 4, 6, 1)
    rows = dict(read_masks(workspace.masks))
    assert sorted(rows) == ["alpha", "beta"]
    found = [(row.track_id, row.category, row.frame, row.state, row.area_px, row.box_xywh) for row in rows["alpha"]]
    assert found == [
        ("000001", "person", 0, State.SOUNDING, 30, (1, 2, 5, 6)),
        ("000001", "person", 1, State.SOUNDING, 30, (2, 2, 5, 6)),
        ("000002", "dog", 1, State.SOUNDING, 16, (8, 3, 4, 4)),
    ]
    dog = rows["alpha"][2]
    expected = np.zeros((HEIGHT, WIDTH), dtype=bool)
    expected[3:7, 8:12] = True
    np.testing.assert_array_equal(decode(Rle(dog.height, dog.width, dog.counts or "")), expected)
    tracks = list(read_manifest(workspace.manifest / "tracks.jsonl", Track))
    assert [(track.clip_id, track.track_id, track.num_sounding) for track in tracks] == [
        ("alpha", "000001", 2),
        ("alpha", "000002", 1),
        ("beta", "000003", 2),
        ("beta", "000004", 1),
    ]
    assert {row.round for row in rows["alpha"]} == {"import"} and dog.origin == f"import:{report.sha256[:8]}"
    assert (workspace.annotations / f"import-{report.sha256[:8]}/truth.json").read_bytes() == file.read_bytes()
    assert set(imported_clips(workspace)) == {"alpha", "beta"}


def test_the_same_file_again_changes_nothing(workspace: Workspace, tmp_path: Path) -> None:
    file = saved(truth(["alpha", "beta"]), tmp_path / "truth.json")
    bring(workspace, file)
    before = tree(workspace)
    bring(workspace, file)
    assert tree(workspace) == before


def test_another_file_replaces_its_clips_and_no_others(workspace: Workspace, tmp_path: Path) -> None:
    bring(workspace, saved(truth(["alpha", "beta"]), tmp_path / "first.json"))
    beta_before = dict(read_masks(workspace.masks))["beta"]
    other = truth(["alpha", "gamma"])
    other["annotations"] = other["annotations"][:1]  # nothing sounds in gamma, the dog of alpha is gone
    bring(workspace, saved(other, tmp_path / "second.json"))
    rows = dict(read_masks(workspace.masks))
    assert {name: len(found) for name, found in rows.items()} == {"alpha": 2, "beta": 3}
    assert rows["beta"] == beta_before
    tracks = list(read_manifest(workspace.manifest / "tracks.jsonl", Track))
    assert [track.clip_id for track in tracks] == ["alpha", "beta", "beta"]
    assert set(imported_clips(workspace)) == {"alpha", "beta", "gamma"}
    assert len(list(workspace.annotations.glob("import-*/truth.json"))) == 2


def test_categories_are_matched_by_name_not_by_id(workspace: Workspace, tmp_path: Path) -> None:
    content = truth(["alpha"])
    content["categories"] = [{"id": 1, "name": "dog"}, {"id": 2, "name": "violin"}, {"id": 7, "name": "never used"}]
    bring(workspace, saved(content, tmp_path / "truth.json"))
    rows = dict(read_masks(workspace.masks))["alpha"]
    assert {(row.track_id, row.category) for row in rows} == {("000001", "dog"), ("000002", "violin")}


EMPTY = {"size": [HEIGHT, WIDTH], "counts": [HEIGHT * WIDTH]}
FAULTS = [
    (lambda c: c["videos"][1].update(file_names=[f"omega/{t}.jpg" for t in range(3)]), "videos[1] (id 2)", "no clip"),
    (lambda c: c["categories"][1].update(name="theremin"), "annotations[3] (id 4): category_id", "no 'theremin'"),
    (lambda c: c["annotations"][3].update(iscrowd=1), "annotations[3] (id 4): iscrowd", "crowd"),
    (lambda c: c["annotations"][3]["segmentations"].__setitem__(0, EMPTY), "segmentations[0]", "mask is empty"),
    (lambda c: c["annotations"][3].update(category_id=99), "annotations[3] (id 4): category_id", "no category"),
    (lambda c: c["videos"][1]["file_names"].reverse(), "videos[1] (id 2): file_names", "ascending"),
]


@pytest.mark.parametrize(("change", "place", "words"), FAULTS, ids=[fault[2] for fault in FAULTS])
def test_one_fault_stops_everything(change: Any, place: str, words: str, workspace: Workspace, tmp_path: Path) -> None:
    content = truth(["alpha", "beta"])
    change(content)
    before = tree(workspace)
    with pytest.raises(ProblemsError) as caught:
        bring(workspace, saved(content, tmp_path / "truth.json"))
    assert place in str(caught.value) and words in str(caught.value) and "--skip-bad" in str(caught.value)
    assert tree(workspace) == before


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"num_frames": 4}, "3 frames, the clip 4"),
        ({"width": WIDTH + 1}, "the video is 17 x 12, the clip 18 x 12"),
    ],
)
def test_a_clip_of_another_size_or_length_does_not_fit(
    changes: dict[str, int], words: str, workspace: Workspace, tmp_path: Path
) -> None:
    write_manifest(workspace.manifest / "clips.jsonl", [clip("alpha", **changes)])
    with pytest.raises(ProblemsError, match=words):
        bring(workspace, saved(truth(["alpha"]), tmp_path / "truth.json"))


@pytest.mark.parametrize("change", [fault[0] for fault in FAULTS[2:]], ids=[fault[2] for fault in FAULTS[2:]])
def test_skip_bad_leaves_out_the_whole_video(change: Any, workspace: Workspace, tmp_path: Path) -> None:
    content = truth(["alpha", "beta"])
    change(content)
    report = bring(workspace, saved(content, tmp_path / "truth.json"), skip_bad=True)
    assert report.skipped_clips == ["beta"] and report.num_clips == 1 and report.problems
    assert [name for name, _ in read_masks(workspace.masks)] == ["alpha"]


def test_a_track_that_never_sounds_is_kept_without_rows(workspace: Workspace, tmp_path: Path) -> None:
    content = truth(["alpha"])
    content["annotations"][1]["segmentations"] = [None, [], None]
    report = bring(workspace, saved(content, tmp_path / "truth.json"))
    assert report.num_maskless_tracks == 1
    tracks = list(read_manifest(workspace.manifest / "tracks.jsonl", Track))
    assert [track.num_sounding for track in tracks] == [2, 0]


def test_a_folder_is_told_with_the_files_in_it(workspace: Workspace, tmp_path: Path) -> None:
    saved(truth(["alpha"]), tmp_path / "train.json")
    saved(truth(["beta"]), tmp_path / "val.json")
    (tmp_path / "certificate.json").write_text("{}")
    with pytest.raises(DataError, match=r"is a folder(.|\n)*train\.json, then val\.json"):
        bring(workspace, tmp_path)


def test_dry_run_touches_nothing(workspace: Workspace, tmp_path: Path) -> None:
    before = tree(workspace)
    report = import_ytvis(workspace, saved(truth(["alpha"]), tmp_path / "truth.json"), ledger=None)
    assert report.num_masks == 3 and tree(workspace) == before


def test_a_changed_copy_of_the_received_file_is_noticed(workspace: Workspace, tmp_path: Path) -> None:
    file = saved(truth(["alpha"]), tmp_path / "truth.json")
    report = bring(workspace, file)
    (workspace.annotations / f"import-{report.sha256[:8]}/truth.json").write_text("{}")
    with pytest.raises(DataError, match="not the file that it was"):
        bring(workspace, file)


def test_a_workspace_without_clips_says_what_to_do(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "set")
    create_workspace(workspace, "aviseg")
    with pytest.raises(DataError, match="avis-data extract"):
        bring(workspace, saved(truth(["alpha"]), tmp_path / "truth.json"))


def test_the_command(
    workspace: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workspace.root)
    good, bad = truth(["alpha", "beta"]), copy.deepcopy(truth(["alpha", "beta"]))
    FAULTS[3][0](bad)
    good_file, bad_file = saved(good, tmp_path / "good.json"), saved(bad, tmp_path / "bad.json")
    assert main(["import", "--format", "ytvis", str(bad_file), "--json"]) == 3
    captured = capsys.readouterr()
    assert "annotations[3] (id 4)" in json.loads(captured.out)["error"] and "annotations[3] (id 4)" in captured.err
    assert main(["import", "--format", "ytvis", str(bad_file), "--skip-bad", "--json"]) == 4
    assert json.loads(capsys.readouterr().out)["skipped_clips"] == ["beta"]
    assert main(["import", "--format", "ytvis", str(good_file)]) == 0
    assert "imported 2 clip(s), 4 track(s), 6 mask(s) of good.json" in capsys.readouterr().out
