"""YouTube-VIS files: round trips, what official programs make of ours, and every fault named with its entry."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from avis_data.errors import DataError, ProblemsError
from avis_data.formats.ytvis import YtvisDataset, YtvisTrack, YtvisVideo, parse_ytvis, read_ytvis, ytvis_json
from avis_data.masks.rle import decode, encode
from avis_data.records import Category
from support.places import REFERENCE_TRUTHS
from support.ytvis_world import HEIGHT, WIDTH, truth


def dataset(tracks: list[list[np.ndarray | None]], *, size: tuple[int, int], length: int) -> YtvisDataset:
    video = YtvisVideo(
        video_id=3,
        name="clip",
        width=size[1],
        height=size[0],
        length=length,
        file_names=tuple(f"clip/{second}.jpg" for second in range(length)),
    )
    return YtvisDataset(
        videos=(video,),
        tracks=tuple(
            YtvisTrack(
                track_id=number,
                video_id=3,
                category_id=1,
                masks=tuple(None if mask is None else encode(mask) for mask in masks),
            )
            for number, masks in enumerate(tracks, start=1)
        ),
        categories=(Category(id=1, name="person"),),
    )


def blobs(seed: int, size: tuple[int, int], count: int) -> list[np.ndarray | None]:
    rng = np.random.default_rng(seed)
    masks: list[np.ndarray | None] = [rng.random(size) < 0.5 for _ in range(count)]
    for mask in masks:
        assert mask is not None
        mask[0, 0] = True
    return masks


def half(size: tuple[int, int], *, left: bool) -> np.ndarray:
    mask = np.zeros(size, dtype=bool)
    columns = slice(None, size[1] // 2) if left else slice(size[1] // 2, None)
    mask[:, columns] = True
    return mask


ROUND_TRIPS = {
    "no tracks": dataset([], size=(5, 7), length=3),
    "one frame": dataset([blobs(1, (5, 7), 1)], size=(5, 7), length=1),
    "silent track": dataset([[None, None, None], [*blobs(2, (5, 7), 2), None]], size=(5, 7), length=3),
    "touching masks": dataset([[half((6, 8), left=True)], [half((6, 8), left=False)]], size=(6, 8), length=1),
    "odd sizes": dataset([blobs(3, (131, 77), 2), blobs(4, (131, 77), 2)], size=(131, 77), length=2),
    "one pixel": dataset([[np.ones((1, 1), dtype=bool)]], size=(1, 1), length=1),
}


def same(left: YtvisDataset, right: YtvisDataset) -> None:
    assert left.videos == right.videos and left.categories == right.categories
    assert len(left.tracks) == len(right.tracks)
    for one, other in zip(left.tracks, right.tracks, strict=True):
        assert (one.track_id, one.video_id, one.category_id) == (other.track_id, other.video_id, other.category_id)
        for mask, other_mask in zip(one.masks, other.masks, strict=True):
            assert (mask is None) == (other_mask is None)
            if mask is not None and other_mask is not None:
                np.testing.assert_array_equal(decode(mask), decode(other_mask))


@pytest.mark.parametrize("form", ["polygons", "rle"])
@pytest.mark.parametrize("name", ROUND_TRIPS)
def test_what_is_written_is_read_back(name: str, form: Any, tmp_path: Path) -> None:
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(ytvis_json(ROUND_TRIPS[name], form=form)))
    same(read_ytvis(path), ROUND_TRIPS[name])


def loaded(segmentation: Any, bbox: Any) -> Any:
    """What the official training loader keeps of one frame (its rule, restated): None where it drops the object."""
    if not bbox or not segmentation:
        return None
    if isinstance(segmentation, dict):
        return segmentation
    return [part for part in segmentation if len(part) % 2 == 0 and len(part) >= 6] or None


@pytest.mark.parametrize("name", ROUND_TRIPS)
def test_official_loader_and_evaluation_both_read_our_files_without_loss(name: str) -> None:
    written = json.loads(json.dumps(ytvis_json(ROUND_TRIPS[name])))
    for entry, track in zip(written["annotations"], ROUND_TRIPS[name].tracks, strict=True):
        height, width = entry["height"], entry["width"]
        for segmentation, bbox, area_px, mask in zip(
            entry["segmentations"], entry["bboxes"], entry["areas"], track.masks, strict=True
        ):
            if mask is None:
                assert segmentation is None and bbox is None and area_px is None
                continue
            evaluated = coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width))
            np.testing.assert_array_equal(coco_mask.decode(evaluated).astype(bool), decode(mask))
            assert loaded(segmentation, bbox) == segmentation
            assert area_px == decode(mask).sum()
            assert coco_mask.toBbox(evaluated).tolist() == bbox


def test_annotations_are_sorted_and_numbered_from_one() -> None:
    source = ROUND_TRIPS["touching masks"]
    tracks = (
        YtvisTrack(track_id=40, video_id=3, category_id=1, masks=source.tracks[0].masks),
        YtvisTrack(track_id=7, video_id=3, category_id=1, masks=source.tracks[1].masks),
    )
    written = ytvis_json(YtvisDataset(videos=source.videos, tracks=tracks, categories=source.categories))
    assert [entry["id"] for entry in written["annotations"]] == [1, 2]
    assert [entry["bboxes"][0][0] for entry in written["annotations"]] == [4, 0]


def test_an_empty_mask_and_a_mask_of_another_size_are_not_written() -> None:
    with pytest.raises(DataError, match="empty in frame 0"):
        ytvis_json(dataset([[np.zeros((5, 7), dtype=bool)]], size=(5, 7), length=1))
    with pytest.raises(DataError, match="7 x 5, its video 'clip' 5 x 7"):
        ytvis_json(dataset([[np.ones((7, 5), dtype=bool)]], size=(5, 7), length=1))
    with pytest.raises(DataError, match="has 1 masks"):
        ytvis_json(dataset([[np.ones((5, 7), dtype=bool)]], size=(5, 7), length=2))


def change(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """Set (or, for `DELETE`, remove) what `annotations.0.id` names."""

    def apply(content: dict[str, Any]) -> None:
        *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
        place: Any = content
        for parent in parents:
            place = place[parent]
        if value == "DELETE":
            del place[last]
        else:
            place[last] = value

    return apply


FAULTS: list[tuple[str, Any, str]] = [
    ("videos", {}, "videos: must be a list"),
    ("videos.0", 5, r"videos\[0\]: must be an object"),
    ("videos.0.id", "1", r"videos\[0\] .*: id: must be a whole number"),
    ("videos.1.id", 1, r"videos\[1\] \(id 1\): id: 1 is also the id of videos\[0\]"),
    ("videos.0.width", -4, r"videos\[0\] \(id 1\): width: must be a whole number of 1"),
    ("videos.0.width", 10**9, r"videos\[0\] \(id 1\): width: .*more than"),
    ("videos.0.length", 9, r"videos\[0\] \(id 1\): length: is 9, but there are 3"),
    ("videos.0.file_names", [], r"file_names: must be a list"),
    ("videos.0.file_names.1", "../x/1.jpg", r"file_names\[1\]: is unsafe"),
    ("videos.0.file_names.0", "/etc/1.jpg", r"file_names\[0\]: is unsafe"),
    ("videos.0.file_names.0", "C:/1.jpg", r"file_names\[0\]: must be relative"),
    ("videos.0.file_names.0", "a\\b/1.jpg", r"file_names\[0\]: is unsafe"),
    ("videos.0.file_names.0", "0.jpg", r"file_names\[0\]: must be <video>"),
    ("videos.0.file_names.2", "other/2.jpg", r"file_names\[2\]: .*not in the folder of the first"),
    ("videos.0.file_names.2", 7, r"file_names\[2\]: must be text"),
    ("videos.1.file_names", [f"alpha/{t}.jpg" for t in range(3)], r"file_names: 'alpha' is also the name"),
    ("categories.0.id", 0, r"categories\[0\] .*: id: must be a whole number of 1"),
    ("categories.1.name", "person", r"categories\[1\] .*: name: 'person' is also"),
    ("categories.1.name", None, r"name: must be text"),
    ("annotations.1.id", 1, r"annotations\[1\] \(id 1\): id: 1 is also the id of annotations\[0\]"),
    ("annotations.1.id", True, r"annotations\[1\] .*id: must be a whole number"),
    ("annotations.1.video_id", 77, r"annotations\[1\] \(id 2\): video_id: no sound video has the id 77"),
    ("annotations.1.category_id", 77, r"annotations\[1\] \(id 2\): category_id: no category has the id 77"),
    ("annotations.1.category_id", "DELETE", r"category_id: must be a whole number .*found nothing"),
    ("annotations.1.iscrowd", 2, r"iscrowd: must be 0 or 1"),
    ("annotations.1.iscrowd", [0], r"iscrowd: must be 0 or 1"),
    ("annotations.1.height", 99, r"height: is 99, the video has 12"),
    ("annotations.1.segmentations", None, r"segmentations: must be a list"),
    ("annotations.1.segmentations", [None], r"segmentations: has 1 entries, the video has 3 frames"),
    (
        "annotations.1.segmentations.2",
        {"size": [12, 17], "counts": "42"},
        r"segmentations\[2\]: RLE counts are corrupt",
    ),
    ("annotations.1.segmentations.2", [[1, 2, 3, 4, 5, "x"]], r"segmentations\[2\]: a polygon holds 'x'"),
]


@pytest.mark.parametrize(("path", "value", "words"), FAULTS, ids=[f"{fault[0]}-{n}" for n, fault in enumerate(FAULTS)])
def test_each_fault_is_named_with_entry_and_field(path: str, value: Any, words: str, tmp_path: Path) -> None:
    content = truth(["alpha", "beta"])
    change(path, value)(content)
    file = tmp_path / "truth.json"
    file.write_text(json.dumps(content))
    with pytest.raises(ProblemsError, match=words):
        read_ytvis(file)


def test_all_faults_are_reported_at_once(tmp_path: Path) -> None:
    content = truth(["alpha", "beta"])
    for path, value in (("videos.1.length", 4), ("annotations.0.category_id", 9), ("annotations.1.iscrowd", 5)):
        change(path, value)(content)
    file = tmp_path / "truth.json"
    file.write_text(json.dumps(content))
    with pytest.raises(ProblemsError) as caught:
        read_ytvis(file)
    fields = [problem.field for problem in caught.value.problems]
    assert [name for name in fields if name != "video_id"] == ["length", "category_id", "iscrowd"]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"videos": 1}', "[" * 100_000, "9" * 5000, "\x00", '{"a": NaN}']
)
def test_any_other_file_is_an_error_in_words(text: str, tmp_path: Path) -> None:
    file = tmp_path / "truth.json"
    file.write_text(text)
    with pytest.raises(DataError, match=r"truth\.json"):
        read_ytvis(file)


def test_optional_things_may_be_missing() -> None:
    content = truth(["alpha"])
    for entry in content["annotations"]:
        for key in ("bboxes", "areas", "height", "width", "iscrowd", "length"):
            del entry[key]
    content["annotations"][1]["segmentations"][0] = []
    del content["videos"][0]["length"], content["info"], content["licenses"]
    parsed = parse_ytvis(content)
    assert parsed.problems == []
    assert parsed.dataset.tracks[0].areas is None
    assert [mask is not None for mask in parsed.dataset.tracks[1].masks] == [False, True, False]
    del content["annotations"]
    assert parse_ytvis(content).dataset.tracks == ()


def test_areas_are_kept_as_the_file_says() -> None:
    content = truth(["alpha"])
    content["annotations"][0]["areas"] = [30.5, None, 7]
    assert parse_ytvis(content).dataset.tracks[0].areas == (30.5, None, 7)
    content["annotations"][0]["areas"] = [30.5, None, float("nan")]
    assert [problem.field for problem in parse_ytvis(content).problems] == ["areas"]


def test_dropped_polygons_are_named() -> None:
    content = truth(["alpha"])
    content["annotations"][0]["segmentations"][0].append([1, 2, 3, 4])
    parsed = parse_ytvis(content)
    assert [str(remark) for remark in parsed.remarks] == [
        "annotations[0] (id 1): segmentations[0]: polygon 1 has 4 value(s); it takes an even number, 6 or more"
    ]
    assert parsed.problems == [] and len(parsed.dataset.tracks) == 2


def test_a_bad_track_marks_its_video_as_incomplete() -> None:
    content = truth(["alpha", "beta"])
    whole = copy.deepcopy(content)
    content["annotations"][3]["segmentations"][1] = [[1, 2, "x", 4, 5, 6]]
    assert parse_ytvis(whole).bad_video_ids == set()
    assert parse_ytvis(content).bad_video_ids == {2}


@pytest.mark.parametrize("source", REFERENCE_TRUTHS)
def test_reference_truth_is_read_and_survives_our_writer(source: Path, tmp_path: Path) -> None:
    raw = json.loads(source.read_text())
    found = read_ytvis(source)
    for entry, track in zip(raw["annotations"], found.tracks, strict=True):
        for area_px, mask in zip(entry["areas"], track.masks, strict=True):
            assert (area_px is None) == (mask is None)
            assert mask is None or decode(mask).sum() == area_px
    (tmp_path / "again.json").write_text(json.dumps(ytvis_json(found)))
    same(read_ytvis(tmp_path / "again.json"), found)


def test_the_small_world_is_what_it_says() -> None:
    parsed = parse_ytvis(truth(["alpha"]))
    person = parsed.dataset.tracks[0].masks[0]
    assert person is not None
    expected = np.zeros((HEIGHT, WIDTH), dtype=bool)
    expected[2:8, 1:6] = True
    np.testing.assert_array_equal(decode(person), expected)
