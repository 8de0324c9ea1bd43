"""FiftyOne: COCO, pictures, sound and a script come back; FiftyOne's own folder is read to the pixel."""

from __future__ import annotations

import base64
import io
import json
import shutil
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avis_data.errors import DataError
from avis_data.formats.hubs.fiftyone import FIFTYONE, FiftyoneReader
from avis_data.masks.rle import area
from support.labelled_sets import check_expected, check_round_trip, odd_clips, read_set, unread, write_set
from support.places import NEEDS_SHARED, SHARED

_FIXTURE = SHARED / "format_fixtures" / "fiftyone"


@pytest.mark.cell("fiftyone", "trip", "out")
@pytest.mark.parametrize("seed", range(6))
def test_what_is_written_comes_back_with_its_sound(seed: int, tmp_path: Path) -> None:
    clips = odd_clips(seed, 5)
    clips[0] = replace(clips[0], sound=None)
    for found, written in zip(check_round_trip(FIFTYONE, tmp_path / "set", clips), clips, strict=True):
        assert [(track.track_id, track.category) for track in found.tracks] == [
            (track.track_id, track.category) for track in written.tracks
        ]
        assert (found.sound is None) == (written.sound is None)
        if found.sound is not None and written.sound is not None:
            assert found.sound.read() == written.sound.read()


def test_the_script_compiles_and_stands_alone(tmp_path: Path) -> None:
    """It is given away: nothing of ours may be in it, and equal clips give equal files."""
    names = write_set(FIFTYONE, tmp_path / "one", odd_clips(1))
    assert "load_fiftyone.py" in names and "README.md" in names and "LICENSES.csv" in names
    text = (tmp_path / "one" / "load_fiftyone.py").read_text()
    compile(text, "load_fiftyone.py", "exec")
    assert "avis" not in text
    write_set(FIFTYONE, tmp_path / "two", odd_clips(1))
    assert all((tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes() for name in names)


@NEEDS_SHARED
@pytest.mark.cell("fiftyone", "in")
def test_the_fixture_of_fiftyone_is_read_to_the_pixel() -> None:
    for path in (_FIXTURE, _FIXTURE / "samples.json"):
        assert FiftyoneReader().looks_right(path)
        (clip,) = read_set(FIFTYONE, path)
        check_expected(clip, json.loads((_FIXTURE / "expected.json").read_text()))
        assert clip.name == "clip" and [still.time_s for still in clip.stills] == [0.0, 1.0, 2.0]


def packed(mask_HW: np.ndarray) -> dict[str, Any]:
    """A mask as FiftyOne stores it."""
    data = io.BytesIO()
    np.save(data, mask_HW, allow_pickle=mask_HW.dtype == object)
    return {"$binary": {"base64": base64.b64encode(zlib.compress(data.getvalue())).decode(), "subType": "00"}}


Detection = dict[str, Any]
FAULTS: dict[str, tuple[Callable[[Detection], object], str]] = {
    "no mask": (lambda one: one.pop("mask"), "has no mask"),
    "another size": (lambda one: one.update(mask=packed(np.ones((3, 3), bool))), "the mask has 3 x 3 pixels"),
    "three dimensions": (lambda one: one.update(mask=packed(np.ones((20, 20, 1), bool))), "3 dimensions"),
    "no numbers": (lambda one: one.update(mask=packed(np.full((20, 20), None))), "no table of numbers"),
    "no array": (
        lambda one: one["mask"]["$binary"].update(base64=base64.b64encode(zlib.compress(b"x")).decode()),
        "no table of numbers",
    ),
    "a bomb": (lambda one: one.update(mask=packed(np.zeros((9000, 9000), bool))), "larger than the picture"),
    "not base64": (lambda one: one["mask"]["$binary"].update(base64="?"), "cannot be unpacked"),
    "a box outside": (lambda one: one.update(bounding_box=[0.9, 0.1, 0.3, 0.4]), "leads out of the picture"),
    "no box": (lambda one: one.update(bounding_box=[0, 0, float("nan"), 1]), "four numbers"),
    "a path out": (lambda one: one.update(mask_path="../x.png"), "no path inside"),
    "no label": (lambda one: one.update(label=7), "label must be text"),
    "no flag": (lambda one: one.update(sounding="maybe"), "must be true, false or null"),
}


@pytest.fixture
def own(tmp_path: Path) -> Path:
    shutil.copytree(_FIXTURE, tmp_path / "own", copy_function=shutil.copyfile)
    return tmp_path / "own"


def changed(own: Path, change: Callable[[list[dict[str, Any]]], object]) -> Path:
    (own / "samples.json").chmod(0o644)
    said = json.loads((own / "samples.json").read_text())
    change(said["samples"])
    (own / "samples.json").write_text(json.dumps(said))
    return own


@NEEDS_SHARED
@pytest.mark.parametrize("name", FAULTS)
def test_what_is_wrong_with_an_object_is_told_with_its_place(name: str, own: Path) -> None:
    change, message = FAULTS[name]
    changed(own, lambda samples: change(samples[1]["ground_truth"]["detections"][0]))
    (problems,) = unread(FIFTYONE, own).values()
    assert len(problems) == 1 and "samples[1].ground_truth.detections[0]" in problems[0] and message in problems[0]


@NEEDS_SHARED
def test_several_fields_of_objects_are_asked_for(own: Path) -> None:
    def two(samples: list[dict[str, Any]]) -> None:
        for sample in samples:
            sample["people"] = sample.pop("ground_truth")
            sample["model"] = {"_cls": "Detections", "detections": []}

    changed(own, two)
    assert "--label-field" in str(unread(FIFTYONE, own))
    asked = replace(FIFTYONE, reader=FiftyoneReader(label_field="people"))
    assert [len(clip.tracks) for clip in read_set(asked, own)] == [2]


@NEEDS_SHARED
def test_objects_without_identity_are_of_one_still_each(own: Path) -> None:
    def nameless(samples: list[dict[str, Any]]) -> None:
        for sample in samples:
            for one in sample["ground_truth"]["detections"]:
                del one["index"]

    (clip,) = read_set(FIFTYONE, changed(own, nameless))
    assert not clip.has_identity and all(len(track.frames) == 1 for track in clip.tracks) and len(clip.tracks) == 5


@NEEDS_SHARED
def test_a_mask_a_pixel_off_its_box_is_put_at_its_corner_and_said(own: Path) -> None:
    def wider(samples: list[dict[str, Any]]) -> None:
        samples[1]["ground_truth"]["detections"][0].update(mask=packed(np.ones((20, 21), np.uint8)))

    (clip,) = read_set(FIFTYONE, changed(own, wider))
    mask = clip.tracks[0].masks[1]
    assert mask is not None and area(mask) == 420 and "1 masks are a pixel" in clip.remarks[0]


@NEEDS_SHARED
def test_videos_are_refused_by_name_and_other_files_as_a_whole(own: Path) -> None:
    changed(own, lambda samples: samples[0].update(_media_type="video"))
    assert "only images are read" in str(unread(FIFTYONE, own))
    (own / "samples.json").write_text('{"samples": 3}')
    with pytest.raises(DataError, match="samples must be a list"):
        list(FiftyoneReader().read(own))
    assert not FiftyoneReader().looks_right(own / "gone")


@NEEDS_SHARED
def test_a_folder_with_a_file_for_each_sample_is_read(own: Path) -> None:
    (want,) = read_set(FIFTYONE, own)
    (own / "samples").mkdir()
    for number, sample in enumerate(json.loads((own / "samples.json").read_text())["samples"]):
        (own / "samples" / f"{number:06d}-abc.json").write_text(json.dumps(sample))
    (own / "samples.json").unlink()
    (own / "metadata.json").write_text("{}")
    assert FiftyoneReader().looks_right(own)
    (clip,) = read_set(FIFTYONE, own)
    assert clip.tracks == want.tracks and [file.name for file in clip.label_files] == [
        f"{number:06d}-abc.json" for number in range(3)
    ]
    (own / "samples" / "000001-abc.json").write_text("{")
    assert "000001-abc.json" in str(unread(FIFTYONE, own))


@NEEDS_SHARED
@pytest.mark.parametrize("value", [7, "x", {}, True])
def test_fields_of_another_kind_leave_the_other_clips_alone(value: object, own: Path) -> None:
    def change(samples: list[dict[str, Any]]) -> None:
        samples[1].update(clip="other", ground_truth={"_cls": "Detections", "detections": value}, tags=value)

    changed(own, change)
    assert FIFTYONE.reader is not None
    assert [clip.name for clip in FIFTYONE.reader.read(own)] == ["clip", "other"]
    assert list(unread(FIFTYONE, own)) == ["other"]
