"""COCO: what comes back, what other tools' files say, and all that can be wrong in one."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO as OfficialCoco

from avis_data.errors import DataError
from avis_data.formats.boards.coco import COCO
from avis_data.masks.rle import area, decode
from support.labelled_sets import check_expected, check_round_trip, odd_clips, read_set, unread, write_set
from support.places import NEEDS_SHARED, SHARED

SQUARE = [[1, 1, 4, 1, 4, 3, 1, 3]]
"""6 pixels."""


def image(number: int, name: str, **more: Any) -> dict[str, Any]:
    return {"id": number, "file_name": name, "width": 8, "height": 6, **more}


def mask(number: int, image_id: int, **more: Any) -> dict[str, Any]:
    box = {"bbox": [1, 1, 3, 2], "area": 6.0, "iscrowd": 0}
    return {"id": number, "image_id": image_id, "category_id": 1, "segmentation": SQUARE, **box, **more}


def content() -> dict[str, Any]:
    """Two clips of two stills, one object in each."""
    names = ("a/00000.jpg", "a/00001.jpg", "b/00000.jpg", "b/00001.jpg")
    images = [image(number, name) for number, name in enumerate(names)]
    annotations = [mask(10 + number, number, track_id=5) for number in range(4)]
    return {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "dog"}]}


def saved(folder: Path, raw: Any, name: str = "annotations/instances_val.json") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(raw), encoding="utf-8")
    return folder


@pytest.mark.cell("coco", "trip")
@pytest.mark.parametrize("seed", range(12))
def test_everything_comes_back(seed: int, tmp_path: Path) -> None:
    clips = odd_clips(seed, 5)
    found = check_round_trip(COCO, tmp_path / "set", clips)
    for clip, written in zip(found, clips, strict=True):
        ids = [(track.track_id, track.category) for track in written.tracks]
        assert [(track.track_id, track.category) for track in clip.tracks] == ids, "also of tracks without any mask"


@pytest.mark.cell("coco", "reader")
def test_equal_clips_give_equal_bytes_and_the_official_reader_the_same_pixels(tmp_path: Path) -> None:
    clips = [clip for seed in range(4) for clip in odd_clips(seed)]
    clips.sort(key=lambda clip: clip.name)
    names = write_set(COCO, tmp_path / "one", clips)
    assert write_set(COCO, tmp_path / "two", clips) == names
    assert all((tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes() for name in names)
    seen = 0
    for split in ("train", "val", "test"):
        official = OfficialCoco(str(tmp_path / "one" / f"annotations/instances_{split}.json"))
        masks = {
            (clip.name, still.name, track.track_id): decode(track.masks[place])
            for clip in clips
            if clip.split == split
            for track in clip.tracks
            for place, still in enumerate(clip.stills)
            if track.masks[place] is not None
        }
        names_of = {track["id"]: track["name"] for track in official.dataset["tracks"]}
        for entry in official.loadAnns(official.getAnnIds(iscrowd=False)):
            clip_name, _, file = official.imgs[entry["image_id"]]["file_name"].partition("/")
            wanted = masks.pop((clip_name, file.partition(".")[0], names_of[entry["track_id"]]))
            assert (official.annToMask(entry).astype(bool) == wanted).all()
            assert (entry["area"], entry["bbox"]) == (wanted.sum(), _box(wanted))
            seen += 1
        assert masks == {}
    assert seen > 50


def _box(mask_HW: np.ndarray) -> list[int]:
    y, x = np.nonzero(mask_HW)
    return [x.min(), y.min(), np.ptp(x) + 1, np.ptp(y) + 1]


@NEEDS_SHARED
@pytest.mark.cell("coco", "in")
def test_the_fixture_of_datumaro_is_read_to_the_pixel(tmp_path: Path) -> None:
    fixture = SHARED / "format_fixtures" / "coco"
    expected = json.loads((fixture / "expected.json").read_text())
    archive = shutil.make_archive(str(tmp_path / "my set"), "zip", fixture)
    for path in (fixture, fixture / "annotations" / "instances_train.json", Path(archive)):
        assert COCO.reader is not None and COCO.reader.looks_right(path)
        (clip,) = read_set(COCO, path)
        check_expected(clip, expected)
        assert clip.split == "train" and all(still.picture is not None for still in clip.stills)


def test_all_forms_of_a_mask_are_the_same_pixels(tmp_path: Path) -> None:
    raw = content()
    runs = [7, 2, 4, 2, 4, 2, 27]  # down the columns of 6
    forms = [SQUARE, {"size": [6, 8], "counts": runs}, {"size": [6, 8], "counts": "72420000W"}]
    whole = read_set(COCO, saved(tmp_path / "polygons", raw))
    from avis_data.masks.rle import rle_from_runs

    forms[2]["counts"] = rle_from_runs(runs, height=6, width=8).counts  # type: ignore[index]  # the third is a dict
    for number, form in enumerate(forms):
        for entry in raw["annotations"]:
            entry["segmentation"] = form
            entry["iscrowd"] = [0, 1, True][number]
        found = read_set(COCO, saved(tmp_path / str(number), raw))
        assert [clip.tracks[0].masks for clip in found] == [clip.tracks[0].masks for clip in whole]
        assert area(found[0].tracks[0].masks[0] or pytest.fail("no mask")) == 6


@pytest.mark.parametrize(
    ("images", "clips"),
    [
        ([image(1, "x/a/0.jpg"), image(2, "x/b/0.jpg")], {"a": ["0"], "b": ["0"]}),
        ([image(1, "x/a/0.jpg"), image(2, "y/a/0.jpg")], {"x_a": ["0"], "y_a": ["0"]}),
        ([image(1, "a\\10.jpg"), image(2, "a\\9.jpg")], {"a": ["9", "10"]}),
        ([image(1, "a_2.png"), image(2, "a_10.png"), image(3, "b_1.png")], {"a": ["a_2", "a_10"], "b": ["b_1"]}),
        ([image(1, "frame_1.jpg"), image(2, "0.jpg")], {"my_set": ["0", "frame_1"]}),
        ([image(1, "C:\\Users\\me\\a_1.jpg")], {"a": ["a_1"]}),
        ([image(1, "p.jpg", video_id=7, frame_id=1), image(2, "q.jpg", video_id=7, frame_id=0)], {"7": ["q", "p"]}),
        ([image(1, "p.jpg", video_id="v"), image(2, "q.jpg", video_id="v")], {"v": ["p", "q"]}),
    ],
)
def test_pictures_are_put_together_into_clips(
    images: list[dict[str, Any]], clips: dict[str, list[str]], tmp_path: Path
) -> None:
    raw = {**content(), "images": images, "annotations": []}
    found = read_set(COCO, saved(tmp_path / "my set", raw, "annotations/instances_default.json"))
    assert {clip.name: [still.name for still in clip.stills] for clip in found} == clips
    assert all(clip.has_truth for clip in found)


def test_identity_is_taken_from_where_tools_write_it(tmp_path: Path) -> None:
    raw = content()
    ways: list[dict[str, Any]] = [{"instance_id": 3}, {"attributes": {"track_id": "3"}}, {"track_id": 3.0}]
    raw["annotations"] = [mask(number, number % 2, **way) for number, way in enumerate(ways[:2])]
    raw["annotations"] += [mask(9, 2), mask(8, 2, segmentation=[[5, 1, 7, 1, 7, 3]]), mask(7, 3)]
    one, other = read_set(COCO, saved(tmp_path, raw))
    assert [(track.track_id, track.frames) for track in one.tracks] == [("3", (0, 1))]
    assert (one.has_identity, other.has_identity) == (True, False)
    assert sorted(track.frames for track in other.tracks) == [(0,), (0,), (1,)]


def test_sounding_is_what_the_attribute_says(tmp_path: Path) -> None:
    raw = content()
    for entry, flag in zip(raw["annotations"], (True, "false", None, "unknown"), strict=True):
        entry["attributes"] = {"sounding": flag}
    one, other = read_set(COCO, saved(tmp_path, raw))
    assert (one.tracks[0].sounding, other.tracks[0].sounding) == ((True, False), (None, None))


def test_a_file_without_annotations_says_nothing(tmp_path: Path) -> None:
    raw = content()
    del raw["annotations"]
    assert [clip.has_truth for clip in read_set(COCO, saved(tmp_path, raw))] == [False, False]


FAULTS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "another size of the mask": (
        lambda raw: raw["annotations"][0].update(segmentation={"size": [8, 6], "counts": [48]}),
        "annotations[0]: segmentation: RLE size is [8, 6], the picture has [6, 8]",
    ),
    "two points": (lambda raw: raw["annotations"][0].update(segmentation=[[1, 1, 4, 4]]), "6 or more"),
    "far outside": (lambda raw: raw["annotations"][0].update(segmentation=[[0, 0, 1e9, 0, 1, 1]]), "far outside"),
    "NaN": (lambda raw: raw["annotations"][0].update(segmentation=[[float("nan")] * 6]), "segmentation"),
    "runs too short": (
        lambda raw: raw["annotations"][0].update(segmentation={"size": [6, 8], "counts": [1, 2]}),
        "annotations[0]: segmentation",
    ),
    "only a box": (lambda raw: raw["annotations"][0].update(segmentation=[]), "a box is no mask"),
    "id twice": (lambda raw: raw["annotations"][1].update(id=10), "annotations[1]: id: 10 is also the id of"),
    "category": (lambda raw: raw["annotations"][0].update(category_id=9), "annotations[0]: category_id: no category"),
    "crowd": (lambda raw: raw["annotations"][0].update(iscrowd=2), "annotations[0]: iscrowd"),
    "track twice": (
        lambda raw: raw["annotations"].append(mask(99, 0, track_id=5)),
        "annotations[4]: track 5: has a second mask in one still",
    ),
    "two categories": (
        lambda raw: (
            raw["categories"].append({"id": 2, "name": "cat"}),
            raw["annotations"][1].update(category_id=2),
        ),
        "track 5: has the category 'cat' here and 'dog' in",
    ),
    "sounding": (lambda raw: raw["annotations"][0].update(attributes={"sounding": "loud"}), "attributes.sounding"),
    "track id": (lambda raw: raw["annotations"][0].update(track_id=[1]), "annotations[0]: track_id"),
    "two sizes": (lambda raw: raw["images"][0].update(width=9), "must have one size"),
    "no size": (lambda raw: raw["images"][0].pop("width"), "images[0]: height and width"),
    "huge": (lambda raw: raw["images"][0].update(width=1 << 40), "images[0]: height and width"),
    "image twice": (lambda raw: raw["images"].append(image(0, "a/00002.jpg")), "images[4]: id: 0 is also the id"),
    "name twice": (lambda raw: raw["images"].append(image(77, "a/00001.jpg")), "is said of 2 images"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_told_with_its_place_and_the_other_clip_goes_on(fault: str, tmp_path: Path) -> None:
    raw = content()
    change, message = FAULTS[fault]
    change(raw)
    saved(tmp_path, raw)
    problems = unread(COCO, tmp_path)
    assert list(problems) == ["a"]
    assert any(message in problem and "instances_val.json" in problem for problem in problems["a"]), problems
    assert [clip.name for clip in COCO.reader.read(tmp_path)] == ["a", "b"]  # type: ignore[union-attr]  # it has one


def test_all_faults_of_a_clip_come_at_once(tmp_path: Path) -> None:
    raw = content()
    raw["annotations"][0].update(category_id=9, iscrowd=7, segmentation=[[1, 1]])
    raw["annotations"][1].update(segmentation="x")
    assert len(unread(COCO, saved(tmp_path, raw))["a"]) == 4


def test_entries_of_no_clip_are_told_too(tmp_path: Path) -> None:
    raw = content()
    raw["annotations"].append(mask(50, 12345))
    raw["images"].append("x")
    raw["images"].append(image(60, "../../etc/passwd.jpg"))
    problems = unread(COCO, saved(tmp_path, raw))
    assert list(problems) == ["instances_val.json"] and len(problems["instances_val.json"]) == 3
    assert [clip.name for clip in COCO.reader.read(tmp_path)][1:] == ["a", "b"]  # type: ignore[union-attr]  # it has one


def test_a_picture_of_another_size_is_told(tmp_path: Path) -> None:
    from PIL import Image

    saved(tmp_path, content())
    (tmp_path / "images" / "val" / "a").mkdir(parents=True)
    Image.new("RGB", (16, 12)).save(tmp_path / "images" / "val" / "a" / "00001.jpg")
    (problem,) = unread(COCO, tmp_path)["a"]
    assert "images[1]" in problem and "16 x 12" in problem


def test_a_clip_in_two_files_is_told(tmp_path: Path) -> None:
    saved(tmp_path, content())
    raw = copy.deepcopy(content())
    raw["images"], raw["annotations"] = raw["images"][:2], raw["annotations"][:2]
    saved(tmp_path, raw, "annotations/instances_train.json")
    assert "in 2 files" in unread(COCO, tmp_path)["a"][0]
    assert "b" not in unread(COCO, tmp_path)


@pytest.mark.parametrize(
    ("text", "told"),
    [("{", "not JSON"), ("[]", "no COCO file"), ('{"videos": [], "annotations": []}', "--format ytvis")],
)
def test_a_file_of_another_kind_is_refused(text: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(DataError, match=told):
        read_set(COCO, path)


def test_what_nobody_said_is_unknown_and_comes_back_so(tmp_path: Path) -> None:
    (clip,) = [clip for clip in odd_clips(3, 8) if len(clip.tracks) > 3][:1]
    tracks = (replace(clip.tracks[0], category=None), *clip.tracks[1:])
    check_round_trip(COCO, tmp_path, [replace(clip, tracks=tracks, split=None)])


@pytest.mark.parametrize(
    ("names", "clip", "stills"),
    [
        (["frame_00010_jpg.rf.0a1b2c3d1.jpg", "frame_00002_jpg.rf.0a1b2c3d9.jpg"], "set", [2, 10]),
        (["dog_mp4-0010_jpg.rf.AbCd0.jpg", "dog_mp4-0002_jpg.rf.AbCd9.jpg"], "dog", [2, 10]),
        (["a/0010_png.rf.0a1b2c3d1.png", "a/0002_png.rf.0a1b2c3d9.png"], "a", [2, 10]),
    ],
)
def test_pictures_that_roboflow_called_anew_keep_their_numbers(
    names: list[str], clip: str, stills: list[int], tmp_path: Path
) -> None:
    images = [{"id": place, "file_name": name, "width": 4, "height": 4} for place, name in enumerate(names)]
    (tmp_path / "set").mkdir()
    file = tmp_path / "set" / "_annotations.coco.json"
    file.write_text(json.dumps({"images": images, "annotations": [], "categories": []}))
    found = read_set(COCO, tmp_path / "set")
    assert [(one.name, [still.number for still in one.stills]) for one in found] == [(clip, stills)]


def test_a_clip_is_called_as_its_video_without_the_ending(tmp_path: Path) -> None:
    image = {"id": 1, "file_name": "0.jpg", "width": 4, "height": 4, "video_id": 1}
    said = {"videos": [{"id": 1, "name": "videos\\dog 1.MP4"}], "images": [image], "annotations": [], "categories": []}
    (tmp_path / "labels.json").write_text(json.dumps(said))
    assert [clip.name for clip in read_set(COCO, tmp_path)] == ["dog 1"]
