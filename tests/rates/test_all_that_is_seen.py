"""`--objects visible` at the usual rate: silent masks and flags are there, and nothing else changes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from avis_data.formats.ytvis import read_ytvis
from avis_data.ledger import Ledger
from avis_data.masks.rle import decode
from avis_data.paths import Workspace
from avis_data.pipelines.exports.plan import ExportOptions
from avis_data.pipelines.exports.publish import export
from avis_data.pipelines.exports.ytvis import YTVIS
from avis_data.pipelines.imports.truth import import_ytvis
from support.fake_workspace import FakeClip, FakeTrack, make_workspace, mask_of


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    tracks = (
        FakeTrack(track_id="a", sounding=(0, 2), silent=(1,)),
        FakeTrack(track_id="b", category="cat", sounding=(), silent=(3,)),
    )
    clips = [FakeClip(clip_id=f"c{k}", video_id=f"v{k}", num_seconds=4, tracks=tracks) for k in range(2)]
    workspace = make_workspace(tmp_path_factory.mktemp("seen"), clips)
    export(workspace, YTVIS, ExportOptions(name="seen", split="1/1", objects="visible"))
    export(workspace, YTVIS, ExportOptions(name="heard", split="1/1"))
    return workspace


def test_silent_masks_and_flags_are_written(workspace: Workspace) -> None:
    dataset = read_ytvis(workspace.exports / "seen" / "train.json")
    name = dataset.videos[0].name
    first, second = dataset.tracks
    assert (first.sounding, second.sounding) == ((True, False, True, None), (None, None, None, False))
    for track, letter in ((first, "a"), (second, "b")):
        for t, mask in enumerate(track.masks):
            assert (mask is None) == (track.sounding is not None and track.sounding[t] is None)
            if mask is not None:
                np.testing.assert_array_equal(decode(mask), mask_of(name, letter, t))


def test_counts_are_of_what_sounds(workspace: Workspace) -> None:
    seen, heard = (
        json.loads((workspace.exports / name / "certificate.json").read_text()) for name in ("seen", "heard")
    )
    for key in ("silent_seconds", "single_seconds", "multi_seconds"):
        assert seen["counts"]["total"][key] == heard["counts"]["total"][key]
    assert seen["truth"]["masks_sounding"] == {"no": 4, "yes": 4}
    assert "masks_of" not in heard["truth"] and "fps" not in seen


def test_nothing_of_it_shows_where_it_was_not_asked_for(workspace: Workspace) -> None:
    for split in ("train", "val"):
        content = json.loads((workspace.exports / "heard" / f"{split}.json").read_text())
        assert [sorted(video) for video in content["videos"]] == [["file_names", "height", "id", "length", "width"]]
        (annotation,) = content["annotations"]
        assert "sounding" not in annotation and annotation["segmentations"][1] is None


def test_the_exported_flags_come_back(workspace: Workspace, tmp_path: Path) -> None:
    again = make_workspace(tmp_path, [FakeClip(clip_id=f"c{k}", video_id=f"v{k}", num_seconds=4) for k in range(2)])

    with Ledger(again.ledger) as ledger:
        for split in ("train", "val"):
            import_ytvis(again, workspace.exports / "seen" / f"{split}.json", ledger=ledger)
    export(again, YTVIS, ExportOptions(name="seen", split="1/1", objects="visible"))
    for split in ("train", "val"):
        one, other = (json.loads((w.exports / "seen" / f"{split}.json").read_text()) for w in (again, workspace))
        assert one["annotations"] == other["annotations"]
