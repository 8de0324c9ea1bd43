"""SA-V: what SAM 2's training finds in it, what comes back, what sets of others hold, all that can be wrong in one."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from avis_data.errors import DataError
from avis_data.formats.boards.sa_v import SA_V, SaVReader
from avis_data.formats.sets.clips import LabelledClip, Media
from avis_data.masks.rle import area, decode, encode
from support.labelled_sets import check_expected, check_round_trip, odd_clips, read_set, unread, write_set
from support.places import NEEDS_SHARED, SHARED

HEIGHT, WIDTH = 4, 6


def mask(*pixels: tuple[int, int], height: int = HEIGHT, width: int = WIDTH) -> dict[str, Any]:
    mask_HW = np.zeros((height, width), bool)
    for y, x in pixels:
        mask_HW[y, x] = True
    return {"size": [height, width], "counts": encode(mask_HW).counts}


def content(**more: Any) -> dict[str, Any]:
    """Three frames, two objects; the second leaves and comes back."""
    masklet = [[mask((0, 0)), mask((1, 1))], [mask((0, 1)), mask()], [mask((0, 2)), mask((1, 2))]]
    return {"video_id": "v", "masklet": masklet, "masklet_id": [4, 7], **more}


def saved(folder: Path, raw: Any, name: str = "v_manual.json") -> Path:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(raw))
    return folder


def stills(folder: Path, *numbers: int, size: tuple[int, int] = (WIDTH, HEIGHT)) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        Image.new("RGB", size).save(folder / f"{number:05d}.jpg")


def as_sam_2_loads(folder: Path) -> dict[str, dict[int, dict[int, np.ndarray]]]:
    """What the training of SAM 2 gets of a split: video, frame, place of an object, pixels.

    Does what its `JSONRawDataset` and `JSONSegmentLoader` do with `ann_every=1`: the list says the videos, the stills'
    names are the numbers of frames, frames with a null are dropped, all masks of a frame are decoded at once.
    """
    found: dict[str, dict[int, dict[int, np.ndarray]]] = {}
    for line in (folder / f"{folder.name}.txt").read_text().splitlines():
        name = line.strip().rpartition(".")[0] or line.strip()
        raw = json.loads((folder / "Annotations" / f"{name}_manual.json").read_text())
        assert "fps" not in raw, "the loader would take it for a rate that divides 24"
        num_objects = len(raw["masklet"][0])
        found[name] = {}
        pictures = sorted((folder / "JPEGImages" / name).iterdir())
        for path in pictures:
            frame = int(path.stem)
            assert path.name == f"{frame:05d}.jpg" and Image.open(path).format == "JPEG"
            masks = raw["masklet"][frame]
            if masks is None or None in masks:
                continue
            pixels_HWN = coco_mask.decode(masks)
            assert pixels_HWN.shape == (raw["video_height"], raw["video_width"], num_objects)
            found[name][frame] = {place: pixels_HWN[..., place].astype(bool) for place in range(num_objects)}
    return found


@pytest.mark.cell("sa-v", "trip")
@pytest.mark.parametrize("seed", range(12))
def test_everything_but_sound_comes_back(seed: int, tmp_path: Path) -> None:
    clips = odd_clips(seed, 5, fps=(1.0, 2.0, 29.97)[seed % 3])
    found = check_round_trip(SA_V, tmp_path / "set", clips)
    for clip, written in zip(found, clips, strict=True):
        ids = [(track.track_id, track.category) for track in written.tracks]
        assert [(track.track_id, track.category) for track in clip.tracks] == ids, "also of tracks without any mask"


@pytest.mark.cell("sa-v", "reader")
@pytest.mark.parametrize("seed", range(4))
def test_the_loader_of_sam_2_finds_every_pixel_of_every_object_in_every_frame(seed: int, tmp_path: Path) -> None:
    clips = odd_clips(seed, 8)
    write_set(SA_V, tmp_path, clips)
    seen = 0
    for split in sorted({str(clip.split) for clip in clips}):
        loaded = as_sam_2_loads(tmp_path / split)
        with_objects = {clip.name: clip for clip in clips if clip.split == split and any(t.frames for t in clip.tracks)}
        assert set(loaded) == set(with_objects), "a clip without objects would be tried again and again"
        for name, clip in with_objects.items():
            assert list(loaded[name]) == list(range(len(clip.stills)))
            for frame, objects in loaded[name].items():
                assert len(objects) == len(clip.tracks), "an object that is not there has a mask of no pixels"
                for place, track in enumerate(clip.tracks):
                    wanted = track.masks[frame]
                    truth = np.zeros((clip.height, clip.width), bool) if wanted is None else decode(wanted)
                    assert (objects[place] == truth).all()
                    seen += int(wanted is not None)
    assert seen > 15


def test_the_fields_are_those_of_the_readme_and_right(tmp_path: Path) -> None:
    clips = [clip for seed in range(4) for clip in odd_clips(seed)]
    write_set(SA_V, tmp_path, clips)
    for clip in clips:
        raw = json.loads((tmp_path / f"{clip.split}/Annotations/{clip.name}_manual.json").read_text())
        assert raw["video_id"] == clip.name and raw["video_split"] == clip.split
        assert (raw["video_frame_count"], raw["video_duration"]) == (len(clip.stills), len(clip.stills))
        assert raw["video_resolution"] == clip.height * clip.width
        assert raw["masklet_num"] == len(clip.tracks) == len(raw["masklet_id"]) == len(set(raw["masklet_id"]))
        for place, track in enumerate(clip.tracks):
            areas = [0 if entry is None else area(entry) for entry in track.masks]
            there = [size for size in areas if size]
            mean = np.mean(there) if there else 0
            assert raw["masklet_size_abs"][place] == pytest.approx(mean)
            assert raw["masklet_size_rel"][place] == pytest.approx(mean / (clip.height * clip.width))
            bucket = "small" if mean < 1024 else "medium" if mean < 9216 else "large"
            assert raw["masklet_size_bucket"][place] == bucket
            first = next((frame for frame, size in enumerate(areas) if size), -1)
            assert raw["masklet_first_appeared_frame"][place] == first
            seen = "".join("x" if size else " " for size in areas).lstrip()
            assert raw["masklet_visibility_changes"][place] == seen.count("x ") + seen.count(" x")
            assert raw["masklet_frame_count"][place] == len(clip.stills)
            assert raw["masklet_type"][place] == "manual"


@NEEDS_SHARED
@pytest.mark.cell("sa-v", "in")
def test_the_fixture_is_read_to_the_pixel() -> None:
    folder = SHARED / "format_fixtures" / "sa-v"
    for path in (folder, folder / "sav_000001_manual.json"):
        assert SA_V.reader is not None and SA_V.reader.looks_right(path)
        (clip,) = read_set(SA_V, path)
        check_expected(clip, json.loads((folder / "expected.json").read_text()))
        assert (clip.name, clip.split, clip.fps) == ("sav_000001", "train", 1.0)
        assert [track.track_id for track in clip.tracks] == ["1", "2"]
        assert all(still.picture is not None for still in clip.stills)


@pytest.mark.parametrize(
    ("fields", "numbers", "fps"),
    [
        ({}, [0, 1, 2], None),
        ({"video_frame_count": 3.0, "video_duration": 6.0}, [0, 1, 2], 0.5),
        ({"video_frame_count": 9.0, "video_duration": 0.375}, [0, 4, 8], 6.0),
        ({"video_frame_count": 12, "video_duration": 0.5}, [0, 4, 8], 6.0),
        ({"video_frame_count": 7}, [0, 3, 6], None),
        ({"fps": 6}, [0, 4, 8], 6.0),
        ({"fps": [8]}, [0, 3, 6], 8.0),
    ],
)
def test_frames_between_labelled_ones_are_counted(
    fields: dict[str, Any], numbers: list[int], fps: float | None, tmp_path: Path
) -> None:
    saved(tmp_path, content(**fields))
    stills(tmp_path / "JPEGImages_24fps/v", *range(numbers[-1] + 1))
    (clip,) = read_set(SA_V, tmp_path)
    assert ([still.number for still in clip.stills], clip.fps) == (numbers, fps)
    names = [still.picture.name for still in clip.stills if still.picture]
    assert names == [f"{number:05d}.jpg" for number in numbers]


def test_null_is_absent_and_null_for_all_is_not_labelled(tmp_path: Path) -> None:
    raw = content()
    raw["masklet"][1][1] = None
    raw["masklet"][2] = None
    (clip,) = read_set(SA_V, saved(tmp_path, raw))
    assert [track.frames for track in clip.tracks] == [(0, 1), (0,)]
    assert [still.is_labelled for still in clip.stills] == [True, True, False]


def test_a_still_that_nobody_looked_at_is_one_that_the_loader_drops(tmp_path: Path) -> None:
    (clip,) = [clip for clip in odd_clips(3, 8) if len(clip.tracks) > 1 and len(clip.stills) > 2][:1]
    unlabelled = replace(clip.stills[-1], is_labelled=False)
    tracks = tuple(
        replace(track, masks=(*track.masks[:-1], None), sounding=(*track.sounding[:-1], None)) for track in clip.tracks
    )
    (found,) = check_round_trip(SA_V, tmp_path, [replace(clip, stills=(*clip.stills[:-1], unlabelled), tracks=tracks)])
    assert [still.is_labelled for still in found.stills] == [True] * (len(clip.stills) - 1) + [False]
    assert list(as_sam_2_loads(tmp_path / str(clip.split))[clip.name]) == list(range(len(clip.stills) - 1))


def test_masks_of_people_of_the_model_or_of_both(tmp_path: Path) -> None:
    saved(tmp_path, content())
    saved(tmp_path, content(), "v_auto.json")
    saved(tmp_path, content(), "w_auto.json")
    ids = {
        name: {clip.name: [track.track_id for track in clip.tracks] for clip in read_set(spec, tmp_path)}
        for name, spec in (
            ("auto", replace(SA_V, reader=SaVReader(masklets="auto"))),
            ("both", replace(SA_V, reader=SaVReader(masklets="both"))),
        )
    }
    assert ids["auto"] == {"v": ["4", "7"], "w": ["4", "7"]}
    assert ids["both"] == {"v": ["4", "7", "auto_4", "auto_7"], "w": ["4", "7"]}
    assert list(unread(SA_V, tmp_path)) == ["w"] and "--masklets auto" in unread(SA_V, tmp_path)["w"][0]


def test_folders_of_png_are_objects_that_may_overlap(tmp_path: Path) -> None:
    top = tmp_path / "sav_val"
    stills(top / "JPEGImages_24fps/v", *range(9))
    for name, pixels in {"000": [[255, 0]], "001": [[255, 255]]}.items():
        place = top / "Annotations_6fps/v" / name
        place.mkdir(parents=True)
        for frame in (0, 4, 8)[: 3 if name == "000" else 2]:
            whole = np.kron(np.array(pixels, np.uint8), np.ones((HEIGHT, WIDTH // 2), np.uint8))
            Image.fromarray(whole).save(place / f"{frame:05d}.png")
    assert SA_V.reader is not None and SA_V.reader.looks_right(top)
    (clip,) = read_set(SA_V, top)
    assert (clip.name, clip.fps, [still.number for still in clip.stills]) == ("v", 6.0, [0, 4, 8])
    assert [(track.track_id, track.frames) for track in clip.tracks] == [("000", (0, 1, 2)), ("001", (0, 1))]
    assert [area(track.masks[0]) for track in clip.tracks if track.masks[0]] == [12, 24]
    assert all(still.picture is not None for still in clip.stills)


def test_a_clip_with_hidden_labels_is_one_without_truth(tmp_path: Path) -> None:
    one, other = [clip for clip in odd_clips(3, 8) if any(track.frames for track in clip.tracks)][:2]
    found = check_round_trip(SA_V, tmp_path, [one, replace(other, has_truth=False, tracks=())])
    assert [clip.has_truth for clip in found] == [True, False]


def test_stills_of_another_kind_become_jpeg(tmp_path: Path) -> None:
    (clip,) = [clip for clip in odd_clips(5, 9) if len(clip.tracks) > 1 and clip.width > 16][:1]
    data = io.BytesIO()
    Image.new("RGBA", (clip.width, clip.height), (10, 200, 30, 255)).save(data, "PNG")
    pictures = [Media(name="a.png", load=data.getvalue) for _ in clip.stills]
    new = [replace(still, picture=picture) for still, picture in zip(clip.stills, pictures, strict=True)]
    check_round_trip(SA_V, tmp_path, [replace(clip, stills=tuple(new))])
    assert clip.name in as_sam_2_loads(tmp_path / str(clip.split))
    written = Image.open(tmp_path / f"{clip.split}/JPEGImages/{clip.name}/00000.jpg")
    assert np.abs(np.asarray(written, int) - [10, 200, 30]).max() <= 3


def test_a_name_with_a_dot_does_not_fit() -> None:
    (clip,) = odd_clips(0, 1)
    assert SA_V.fits(clip) is None and "dot" in str(SA_V.fits(replace(clip, name="a.b")))


FAULTS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "another size": (lambda raw: raw["masklet"][1].__setitem__(0, mask(height=6)), "masklet[1][0]"),
    "two sizes": (lambda raw: raw.update(video_height=8.0, video_width=6.0), "RLE size is [4, 6]"),
    "no size": (lambda raw: raw.update(video_height=4.5, video_width=6), "video_height, video_width"),
    "huge": (lambda raw: raw.update(video_height=1e12, video_width=1e12), "video_height, video_width"),
    "counts": (lambda raw: raw["masklet"][0][0].update(counts="~~"), "masklet[0][0]"),
    "polygon": (lambda raw: raw["masklet"][0].__setitem__(1, [[0, 0, 1, 1, 2, 2]]), "masklet[0][1]: must be run"),
    "too few": (lambda raw: raw["masklet"][2].pop(), "masklet[2]: must be null or a list of 2 masks (found 1)"),
    "no list": (lambda raw: raw["masklet"].__setitem__(1, 3), "masklet[1]: must be null or a list"),
    "no masks": (lambda raw: raw.pop("masklet"), "masks: must be a list of frames (found nothing)"),
    "id twice": (lambda raw: raw.update(masklet_id=[4, 4]), "masklet_id: must be 2 different ids"),
    "ids": (lambda raw: raw.update(masklet_id=["x", None]), "masklet_id: must be a list of whole numbers"),
    "rate": (lambda raw: raw.update(fps=7), "fps: must be a whole number that divides 24"),
    "sounding": (
        lambda raw: raw.update(avis_data={"tracks": [{"track_id": "a", "sounding": ["loud"] * 3}, {"track_id": "b"}]}),
        "avis_data.tracks[0]: sounding",
    ),
    "our tracks": (lambda raw: raw.update(avis_data={"tracks": 5}), "avis_data: tracks"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_told_with_its_place_and_the_other_clip_goes_on(fault: str, tmp_path: Path) -> None:
    raw = content()
    change, message = FAULTS[fault]
    change(raw)
    saved(tmp_path, raw)
    saved(tmp_path, content(), "w_manual.json")
    problems = unread(SA_V, tmp_path)
    assert list(problems) == ["v"]
    assert any(message in problem and "v_manual.json" in problem for problem in problems["v"]), problems
    assert [clip.name for clip in SA_V.reader.read(tmp_path)] == ["v", "w"]  # type: ignore[union-attr]  # it has one


def test_all_faults_of_a_file_come_at_once(tmp_path: Path) -> None:
    raw = content(fps="x")
    raw["masklet"][0][0]["counts"] = "~"
    raw["masklet"][2][1] = 5
    assert len(unread(SA_V, saved(tmp_path, raw))["v"]) == 3


def test_stills_that_do_not_fit_are_told(tmp_path: Path) -> None:
    saved(tmp_path, content())
    stills(tmp_path / "JPEGImages/v", 0, 1, 2, 3)
    assert "has 3 frames, and 1 stills are later" in unread(SA_V, tmp_path)["v"][0]
    (tmp_path / "JPEGImages/v/00003.jpg").unlink()
    stills(tmp_path / "JPEGImages/v", 1, size=(9, 9))
    assert "9 x 9 pixels" in unread(SA_V, tmp_path)["v"][0]


def test_videos_of_one_name_are_two_clips(tmp_path: Path) -> None:
    for split in ("train", "val"):
        saved(tmp_path, content(), f"{split}/Annotations/v_manual.json")
        stills(tmp_path / split / "JPEGImages/v", 0, 1, 2)
    found = read_set(SA_V, tmp_path)
    assert [(clip.name, clip.split) for clip in found] == [("train_v", "train"), ("val_v", "val")]
    assert all(isinstance(clip, LabelledClip) and clip.stills[0].picture for clip in found)


def test_a_folder_of_many_videos_is_looked_through_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(40):
        saved(tmp_path, content(), f"v{number:02d}_manual.json")
    asked: list[Path] = []
    glob = Path.glob
    monkeypatch.setattr(Path, "glob", lambda path, pattern: asked.append(path) or glob(path, pattern))
    assert len(read_set(SA_V, tmp_path)) == 40 and len(asked) < 10


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    saved(tmp_path, {}, "notes.json")
    assert SA_V.reader is not None and not SA_V.reader.looks_right(tmp_path)
    with pytest.raises(DataError, match="holds no SA-V"):
        read_set(SA_V, tmp_path)
