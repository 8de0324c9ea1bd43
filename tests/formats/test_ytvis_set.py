"""The AVISeg layout without a workspace: odd clips come back, the project's own reader agrees, faults go by video."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from avis_data.cli.main import main
from avis_data.formats.sets.clips import LabelledClip
from avis_data.formats.sets.registry import SETS
from avis_data.formats.ytvis import read_ytvis
from avis_data.formats.ytvis_set import YTVIS_SET
from avis_data.masks.rle import area, coco_dict
from avis_data.quality.dataset import validate
from support.labelled_sets import check_round_trip, odd_clips, read_set, unread, with_embeddings, write_set


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


LAYOUTS = {
    "as it is": "{}",
    "in a folder": "AVISeg/{}",
    "with backslashes": "AVISeg\\{}",
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_zip_of_a_set_is_read_converted_and_validated(
    layout: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = odd_clips(5, count=4, sizes_HW=((12, 17), (9, 9)))
    clips = with_embeddings([replace(clip, source=clip.name) for clip in odd])
    names = write_set(YTVIS_SET, tmp_path / "set", clips)
    given = tmp_path / "set.zip"
    zipped(given, {LAYOUTS[layout].format(name): tmp_path / "set" / name for name in names})
    assert YTVIS_SET.reader is not None and YTVIS_SET.reader.looks_right(given)
    found = list(YTVIS_SET.reader.read(given))
    assert [clip.name for clip in found] == [clip.name for clip in clips]
    command = ["convert", str(given), "--to", "coco", "--out", str(tmp_path / "coco"), "--sounding", "unknown"]
    assert main(command) == 0, capsys.readouterr()
    back = read_set(SETS["coco"], tmp_path / "coco")
    assert [len(clip.tracks) for clip in back] == [len(clip.tracks) for clip in read_set(YTVIS_SET, tmp_path / "set")]
    assert all(still.picture is not None for clip in back for still in clip.stills)
    of_folder, of_zip = (validate(path).as_dict() for path in (tmp_path / "set", given))
    assert of_zip == of_folder | {"path": str(given)}


def test_a_zip_of_youtube_vis_and_of_one_file_of_another_name(tmp_path: Path) -> None:
    video = {"id": 1, "width": 8, "height": 6, "length": 1, "file_names": ["a/00000.jpg"]}
    truth = {"videos": [video], "annotations": [], "categories": [{"id": 1, "name": "dog"}]}
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    assert YTVIS_SET.reader is not None
    for place in ("train/instances.json", "labels of mine.json", "a/b/val.json"):
        zipped(tmp_path / "set.zip", {place: tmp_path / "truth.json"})
        assert YTVIS_SET.reader.looks_right(tmp_path / "set.zip"), place
        assert [clip.name for clip in read_set(YTVIS_SET, tmp_path / "set.zip")] == ["a"], place


def zipped(path: Path, files: dict[str, Path]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, file in files.items():
            archive.writestr(zipfile.ZipInfo(name), file.read_bytes())
