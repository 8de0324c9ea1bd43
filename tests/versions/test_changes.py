"""What changed between two versions, in sets whose changes are known."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from avis_data.versions.changes import Changes, compare_versions
from avis_data.versions.text import changes_table, markdown
from avis_data.versions.version import read_version
from support.ytvis_world import annotation, rectangle_entry, truth

Truth = dict[str, Any]


def version(folder: Path, **splits: Truth) -> Path:
    folder.mkdir()
    for name, content in splits.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def changes(tmp_path: Path, old: dict[str, Truth], new: dict[str, Truth]) -> Changes:
    return compare_versions(
        read_version(version(tmp_path / "old", **old)), read_version(version(tmp_path / "new", **new))
    )


def redrawn(entry: Truth, boxes: list[tuple[int, ...] | None]) -> Truth:
    return annotation(entry["id"], entry["video_id"], entry["category_id"], boxes)


def test_the_same_content_in_another_order_with_other_ids_is_no_change(tmp_path: Path) -> None:
    old, new = truth(["a", "b"]), truth(["b", "a"], first_id=7)
    new["categories"].reverse()
    new["annotations"].reverse()
    found = changes(tmp_path, {"train": old}, {"train": new})
    assert found.is_empty
    assert found.counts["masks"] == {"added": 0, "removed": 0, "changed": 0, "same": 6}
    assert changes_table(found) == "both versions say the same"


def test_videos_tracks_and_splits(tmp_path: Path) -> None:
    old = {"train": truth(["a", "b", "gone"]), "test": truth(["t"])}
    new = {"train": truth(["a", "fresh"]), "test": truth(["b", "t"])}
    del new["test"]["annotations"][1]  # b's dog
    found = changes(tmp_path, old, new)
    assert {video.name: video.kind for video in found.videos} == {
        "b": "changed",
        "fresh": "added",
        "gone": "removed",
    }
    assert found.counts["videos"] == {"added": 1, "removed": 1, "changed": 1, "same": 2, "moved": 1}
    assert found.counts["tracks"]["removed"] == 3, "those of the video that is gone, too"
    assert found.counts["sounding_seconds"] == {"added": 3.0, "removed": 4.0}
    text = changes_table(found)
    assert "b: moved from train to test; dog 4 removed (1 mask(s))" in text
    assert "- `gone`: removed (train, 2 track(s))" in markdown(found, title="1.1.0")


def test_masks_onsets_and_their_iou(tmp_path: Path) -> None:
    old, new = truth(["a"]), truth(["a"])
    person = new["annotations"][0]
    new["annotations"][0] = redrawn(person, [None, (2, 2, 5, 3), (3, 2, 5, 6)])
    found = changes(tmp_path, {"train": old}, {"train": new})
    (track, _) = found.videos[0].tracks
    assert (track.masks_added, track.masks_removed, track.masks_changed, track.masks_same) == (1, 1, 1, 0)
    assert track.mean_iou == 0.5
    assert (track.onset_shift_s, track.offset_shift_s) == (1.0, 1.0)
    assert (track.seconds_added, track.seconds_removed) == (1.0, 1.0)
    assert found.iou_histogram == (0, 0, 0, 0, 0, 1, 0, 0, 0, 0)
    assert "onset +1 s" in changes_table(found)


def test_a_swap_in_the_middle_is_told(tmp_path: Path) -> None:
    left, right = (1, 2, 5, 6), (10, 2, 5, 6)
    old, new = truth(["a"]), truth(["a"])
    old["annotations"] = [annotation(1, 1, 1, [left] * 3), annotation(2, 1, 1, [right] * 3)]
    new["annotations"] = [annotation(1, 1, 1, [left, left, right]), annotation(2, 1, 1, [right, right, left])]
    (video,) = changes(tmp_path, {"train": old}, {"train": new}).videos
    assert video.divided == ((1, (1, 2)), (2, (1, 2)))
    assert video.merged == (((1, 2), 1), ((1, 2), 2))


def test_two_tracks_that_became_one_and_one_that_became_two(tmp_path: Path) -> None:
    left, right = (1, 2, 5, 6), (10, 2, 5, 6)
    apart, together = truth(["a"]), truth(["a"])
    apart["annotations"] = [annotation(1, 1, 1, [left, left, None]), annotation(2, 1, 1, [None, None, right])]
    together["annotations"] = [annotation(5, 1, 1, [left, left, right])]
    (video,) = changes(tmp_path, {"train": apart}, {"train": together}).videos
    assert video.merged == (((1, 2), 5),) and not video.divided
    kinds = sorted((track.kind, track.old_id, track.new_id) for track in video.tracks)
    assert kinds == [("changed", 1, 5), ("removed", 2, None)]
    (tmp_path / "back").mkdir()
    (video,) = changes(tmp_path / "back", {"train": together}, {"train": apart}).videos
    assert video.divided == ((5, (1, 2)),) and not video.merged


def test_categories_by_name(tmp_path: Path) -> None:
    old, new = truth(["a"]), truth(["a"])
    new["categories"] = [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}]
    found = changes(tmp_path, {"train": old}, {"train": new})
    assert found.categories_added == ("cat",)
    assert found.categories_removed == ("person",)
    assert found.categories_renumbered == ("dog",)
    assert found.counts["tracks"]["other_category"] == 2


@pytest.mark.parametrize("field", ["size", "fps"])
def test_stills_that_cannot_be_compared(tmp_path: Path, field: str) -> None:
    old, new = truth(["a"]), truth(["a"])
    if field == "fps":
        new["videos"][0]["fps"] = 2.0
    else:
        new["videos"][0] |= {"width": 20}
        for entry in new["annotations"]:
            entry |= {"width": 20}
    (video,) = changes(tmp_path, {"train": old}, {"train": new}).videos
    assert video.fields == (field,)
    assert not video.compared
    assert [track.kind for track in video.tracks] == ["changed", "changed"]
    assert "masks cannot be compared" in changes_table(
        compare_versions(read_version(tmp_path / "old"), read_version(tmp_path / "new"))
    )


def test_what_is_seen_and_begins_to_sound_is_a_change(tmp_path: Path) -> None:
    old, new = truth(["a"]), truth(["a"])
    old["annotations"][0]["sounding"] = [False, True, None]
    new["annotations"][0]["sounding"] = [True, True, None]
    (video,) = changes(tmp_path, {"train": old}, {"train": new}).videos
    track = video.tracks[0]
    assert (track.kind, track.seconds_added, track.onset_shift_s) == ("changed", 1.0, -1.0)
    assert track.masks_changed == 0


def test_one_file_against_another(tmp_path: Path) -> None:
    old = truth(["a"])
    new = copy.deepcopy(old)
    new["annotations"][1]["segmentations"][1] = rectangle_entry(8, 3, 4, 2)
    for name, content in (("v1", old), ("v2", new)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "val.json").write_text(json.dumps(content))
    found = compare_versions(*(read_version(tmp_path / name / "val.json") for name in ("v1", "v2")))
    assert found.counts["masks"]["changed"] == 1
