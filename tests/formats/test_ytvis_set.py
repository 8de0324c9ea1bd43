"""The AVISeg layout without a workspace: odd clips come back, the project's own reader agrees, faults go by video."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from avis_data.formats.sets.clips import LabelledClip
from avis_data.formats.ytvis import read_ytvis
from avis_data.formats.ytvis_set import YTVIS_SET
from avis_data.masks.rle import area, coco_dict
from support.labelled_sets import check_round_trip, odd_clips, read_set, unread, write_set


@pytest.mark.cell("ytvis", "trip", "out", "in")
@pytest.mark.parametrize("seed", range(6))
def test_odd_clips_come_back(seed: int, tmp_path: Path) -> None:
    found = check_round_trip(YTVIS_SET, tmp_path / "set", odd_clips(seed, count=6))
    assert all(clip.sound is not None for clip in found)


@pytest.mark.cell("ytvis", "reader")
def test_pycocotools_decodes_what_is_written(tmp_path: Path) -> None:
    """The masks as the official loaders see them: polygons, or run lengths, through pycocotools."""
    clips = odd_clips(3, count=4)
    write_set(YTVIS_SET, tmp_path, clips)
    meant: dict[tuple[str, int], list[int]] = {(clip.name, t): [] for clip in clips for t in range(len(clip.stills))}
    for clip in clips:
        for track in clip.tracks:
            for t in track.frames:
                mask = track.masks[t]
                assert mask is not None
                meant[clip.name, t].append(area(mask))
    for file in tmp_path.glob("*.json"):
        raw = json.loads(file.read_text())
        names = {video["id"]: video["file_names"][0].split("/")[0] for video in raw["videos"]}
        for entry in raw["annotations"]:
            for t, outlines in enumerate(entry["segmentations"]):
                if outlines is not None:
                    parts = coco_mask.frPyObjects(outlines, entry["height"], entry["width"])
                    meant[names[entry["video_id"]], t].remove(int(coco_mask.area(coco_mask.merge(parts))))
    assert not any(meant.values())


def test_the_readers_of_truth_agree(tmp_path: Path) -> None:
    """The reader that evaluation and training use finds the same masks."""
    clips = odd_clips(4, count=5)
    write_set(YTVIS_SET, tmp_path, clips)
    masks = sum(len(track.frames) for clip in clips for track in clip.tracks)
    found = [read_ytvis(file) for file in tmp_path.glob("*.json")]
    assert sum(mask is not None for dataset in found for track in dataset.tracks for mask in track.masks) == masks
    track = next(track for dataset in found for track in dataset.tracks if any(track.masks))
    mask = next(mask for mask in track.masks if mask is not None)
    assert coco_mask.area(coco_dict(mask)) == area(mask)


def two_videos(folder: Path, **changed: Any) -> Path:
    """Two videos of two stills; the annotation of the first may be changed."""
    square = [1, 1, 5, 1, 5, 4, 1, 4]
    said = {
        "videos": [
            {"id": n, "width": 12, "height": 8, "length": 2, "file_names": [f"v{n}/0.jpg", f"v{n}/5.jpg"]}
            for n in (1, 2)
        ],
        "categories": [{"id": 1, "name": "dog"}],
        "annotations": [{"id": n, "video_id": n, "category_id": 1, "segmentations": [[square], None]} for n in (1, 2)],
    }
    said["annotations"][0] |= changed
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "val.json").write_text(json.dumps(said))
    return folder


def test_only_with_sound_is_it_known_that_masks_sound(tmp_path: Path) -> None:
    folder = two_videos(tmp_path)
    assert [clip.tracks[0].sounding for clip in read_set(YTVIS_SET, folder)] == [(None, None)] * 2
    (folder / "val" / "WAVAudios").mkdir(parents=True)
    (folder / "val" / "WAVAudios" / "v2.wav").write_bytes(b"")
    first, second = read_set(YTVIS_SET, folder)
    assert first.tracks[0].sounding == (None, None) and second.tracks[0].sounding == (True, None)
    assert [still.number for still in second.stills] == [0, 5] and second.split == "val"


def test_pictures_lie_in_the_folder_of_the_split_or_beside_the_file(tmp_path: Path) -> None:
    folder = two_videos(tmp_path)
    (folder / "JPEGImages" / "v1").mkdir(parents=True)
    Image.new("RGB", (12, 8)).save(folder / "JPEGImages" / "v1" / "0.jpg")
    (clip, _) = read_set(YTVIS_SET, folder / "val.json")
    assert isinstance(clip, LabelledClip)
    assert [still.picture is not None for still in clip.stills] == [True, False]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"segmentations": [[[1, 1, 5]], 7]}, "segmentations[1]"),
        ({"category_id": 9}, "category_id"),
        ({"sounding": [True]}, "sounding"),
        ({"segmentations": [{"size": [8, 13], "counts": "x"}, None]}, "segmentations[0]"),
    ],
)
def test_a_fault_is_that_of_one_video(changed: dict[str, Any], said: str, tmp_path: Path) -> None:
    folder = two_videos(tmp_path, **changed)
    faults = unread(YTVIS_SET, folder)
    assert list(faults) == ["v1"] and said in faults["v1"][0] and "val.json: annotations[0] (id 1)" in faults["v1"][0]
