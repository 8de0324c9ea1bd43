"""Label Studio's exports: masks to the pixel, what choices and texts say, our own projects, and what can be wrong."""

from __future__ import annotations

import base64
import copy
import io
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from avis_data.annotation.labels.records import Interval, LabelledMask, LabelledTrack, MaskOrigin
from avis_data.annotation.labelstudio.regions import regions_from_tracks
from avis_data.errors import DataError
from avis_data.formats.sets.clips import LabelledClip
from avis_data.formats.tools.label_studio import LABEL_STUDIO, LabelStudioReader
from avis_data.masks.brush_rle import encode_brush
from avis_data.masks.rle import area, box, decode, encode
from support.labelled_sets import check_expected, read_set, unread
from support.places import NEEDS_SHARED, SHARED

W, H = 20, 10
Raw = dict[str, Any]


def mask(left: int = 2, top: int = 1, wide: int = 4, tall: int = 3) -> np.ndarray:
    mask_HW = np.zeros((H, W), bool)
    mask_HW[top : top + tall, left : left + wide] = True
    return mask_HW


def result(kind: str, value: Raw, region: str = "r1", *, name: str = "mask", **more: Any) -> Raw:
    size = {"original_width": W, "original_height": H, "image_rotation": 0}
    return {"id": region, "type": kind, "from_name": name, "to_name": "image", "value": value, **size, **more}


def brush(mask_HW: np.ndarray, label: str = "dog", region: str = "r1", **more: Any) -> Raw:
    from label_studio_sdk.converter.brush import mask2rle  # imports nltk, scikit-learn and pandas

    value = {"format": "rle", "rle": list(mask2rle(mask_HW.astype(np.uint8) * 255)), "brushlabels": [label]}
    return result("brushlabels", value, region, **more)


def data_url(mask_HW: np.ndarray, mode: str = "RGBA") -> str:
    """As the page makes it of a canvas: black where the mask is, transparent elsewhere."""
    alpha = Image.fromarray(mask_HW.astype(np.uint8) * 255)
    picture = Image.merge("RGBA", [Image.new("L", alpha.size)] * 3 + [alpha]) if mode == "RGBA" else alpha
    data = io.BytesIO()
    picture.save(data, "PNG")
    return "data:image/png;base64," + base64.b64encode(data.getvalue()).decode()


def bitmask(mask_HW: np.ndarray, region: str = "r1", *, mode: str = "RGBA", label: str = "dog", **more: Any) -> Raw:
    value = {"imageDataURL": data_url(mask_HW, mode), "bitmasklabels": [label]}
    return result("bitmasklabels", value, region, **more)


def chosen(name: str, words: list[str], region: str = "r1") -> Raw:
    return result("choices", {"choices": words}, region, name=name)


def text(name: str, words: list[str], region: str = "r1") -> Raw:
    return result("textarea", {"text": words}, region, name=name)


def task(second: int, *results: Raw, clip: str = "a", **more: Any) -> Raw:
    annotation = {
        "id": 10 + second,
        "was_cancelled": False,
        "updated_at": "2026-11-01T10:00:00Z",
        "result": list(results),
    }
    data = {"image": f"/data/upload/1/abcd1234-{second:05d}.jpg", "clip": clip, "second": second}
    return {"id": second, "data": data, "annotations": [annotation], "predictions": [], "drafts": [], **more}


def saved(folder: Path, tasks: Any) -> Path:
    path = folder / "export.json"
    path.write_text(tasks if isinstance(tasks, str) else json.dumps(tasks))
    return path


def only(path: Path, **given: Any) -> LabelledClip:
    (clip,) = read_set(replace(LABEL_STUDIO, reader=LabelStudioReader(**given)), path)
    return clip


@NEEDS_SHARED
@pytest.mark.cell("label-studio", "in")
def test_the_fixture_is_read_to_the_pixel(tmp_path: Path) -> None:
    fixture = SHARED / "format_fixtures" / "label_studio"
    expected = json.loads((fixture / "expected.json").read_text())
    archive = shutil.make_archive(str(tmp_path / "x"), "zip", fixture)
    for path in (fixture, fixture / "export.json", Path(archive)):
        assert LABEL_STUDIO.reader is not None and LABEL_STUDIO.reader.looks_right(path)
        clip = only(path)
        check_expected(clip, expected)
        assert clip.name == "clip" and [track.track_id for track in clip.tracks] == ["1", "2"] and clip.has_identity
        assert [still.number for still in clip.stills] == [0, 1, 2]
        assert all(still.picture is not None for still in clip.stills)


@pytest.mark.cell("label-studio", "reader")
@pytest.mark.parametrize("inside", [1, 127, 255])
def test_masks_are_those_of_the_sdk_whatever_their_alpha(inside: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(inside)
    mask_HW = rng.random((H, W)) < 0.4
    from label_studio_sdk.converter.brush import decode_rle, encode_rle

    coded = list(encode_rle(np.repeat(mask_HW.astype(np.uint8).ravel() * inside, 4)))
    theirs = np.reshape(decode_rle(coded), (H, W, 4))[..., 3] > 0
    clip = only(
        saved(tmp_path, [task(0, brush(mask_HW) | {"value": {"format": "rle", "rle": coded, "brushlabels": ["dog"]}})])
    )
    found = decode(clip.tracks[0].masks[0])  # type: ignore[arg-type]  # it is there
    assert (found == theirs).all() and (theirs == mask_HW).all()


def test_bitmasks_are_inside_where_the_page_is_not_transparent(tmp_path: Path) -> None:
    """Under BitmaskLabels; under Bitmask with Labels, which come as two results; and a brush of the wand."""
    odd = mask()
    odd[9, 19] = odd[0, 0] = True
    unlabelled = result("bitmask", {"imageDataURL": data_url(odd)}, "r2", name="bits")
    label = result("labels", {"imageDataURL": data_url(odd), "labels": ["cat"]}, "r2")
    wand = brush(mask(9), region="r3") | {"type": "magicwand"}
    tasks = [task(0, bitmask(odd), unlabelled, label, wand, result("labels", {"labels": ["cow"]}, "r3"))]
    tasks[0]["annotations"][0]["result"][3]["value"].pop("brushlabels")
    clip = only(saved(tmp_path, tasks))
    found = {track.category: decode(track.masks[0]) for track in clip.tracks if track.masks[0] is not None}
    assert found.keys() == {"dog", "cat", "cow"}
    assert all((found[name] == odd).all() for name in ("dog", "cat")) and (found["cow"] == mask(9)).all()


def test_choices_and_texts_of_a_region_go_with_it_and_pieces_are_one_mask(tmp_path: Path) -> None:
    tasks = [
        task(
            number,
            brush(mask()),
            brush(mask(9)),  # another piece of the same region
            chosen("audible", ["yes" if number else "no"]),
            text("who", ["ann"]),
            brush(mask(15), "cat", "r2"),
        )
        for number in (1, 0)
    ]
    clip = only(saved(tmp_path, tasks), identity="attribute:who", sounding_attribute="audible")
    tracks = {track.track_id: track for track in clip.tracks}
    assert [area(found) for found in tracks["ann"].masks if found] == [24, 24]
    assert tracks["ann"].sounding == (False, True) and len(tracks) == 3
    assert any("2 masks without identity" in remark for remark in clip.remarks)


def test_percent_of_the_still_is_what_shapes_are_in(tmp_path: Path) -> None:
    square = {"x": 10, "y": 20, "width": 20, "height": 40, "rotation": 0}
    turned = {"x": 50, "y": 20, "width": 20, "height": 40, "rotation": 90}
    shapes = [
        result("rectanglelabels", square | {"rectanglelabels": ["dog"]}, "1"),
        result("rectanglelabels", turned | {"rectanglelabels": ["dog"]}, "2"),
        result("polygonlabels", {"points": [[10, 20], [30, 20], [30, 60], [10, 60]], "polygonlabels": ["dog"]}, "3"),
        result("ellipselabels", {"x": 50, "y": 50, "radiusX": 20, "radiusY": 30, "ellipselabels": ["dog"]}, "4"),
    ]
    clip = only(saved(tmp_path, [task(0, *shapes)]))
    found = [track.masks[0] for track in clip.tracks]
    assert [box(one) for one in found if one] == [(2, 2, 4, 4), (6, 2, 4, 4), (2, 2, 4, 4), (6, 2, 8, 6)]
    y, x = np.mgrid[:H, :W] + 0.5
    assert (decode(found[3]) == (((x - 10) / 4) ** 2 + ((y - 5) / 3) ** 2 <= 1)).all()  # type: ignore[arg-type]
    assert not clip.has_identity


def test_the_newest_annotation_that_was_submitted_counts(tmp_path: Path) -> None:
    one = task(0, brush(mask(2)))
    newer, cancelled = copy.deepcopy(one["annotations"][0]), copy.deepcopy(one["annotations"][0])
    newer |= {"id": 3, "updated_at": "2026-11-02T10:00:00Z", "result": [brush(mask(8))]}
    cancelled |= {"updated_at": "2026-11-03T10:00:00Z", "was_cancelled": True, "result": [brush(mask(12))]}
    one["annotations"] += [newer, cancelled]
    one["predictions"] = [{"result": [brush(mask(1))]}]
    drafted = {**task(1), "annotations": [cancelled], "drafts": [{"result": [brush(mask(1))]}]}
    clip = only(saved(tmp_path, [one, drafted, task(2)]))
    assert [box(found)[0] for found in clip.tracks[0].masks if found] == [8]
    assert [still.is_labelled for still in clip.stills] == [True, False, True]
    assert any("several annotations" in remark for remark in clip.remarks)
    assert not only(saved(tmp_path, [drafted | {"data": drafted["data"] | {"width": W, "height": H}}, task(2)])).tracks


def test_clips_are_told_by_data_else_by_folders_and_names(tmp_path: Path) -> None:
    def bare(path: str) -> Raw:
        return {**task(0, brush(mask())), "data": {"image": path}}

    tasks = [
        bare("/data/local-files/?d=set/b/frames/00010.jpg"),
        bare("s3://bucket/00002.jpg"),
        task(5, brush(mask()), clip="c.d"),
    ]
    tasks.insert(0, bare("/data/local-files/?d=set%2Fb%2Fframes%2F00009.jpg"))
    found = read_set(LABEL_STUDIO, saved(tmp_path, tasks))
    assert [(clip.name, [still.number for still in clip.stills]) for clip in found] == [
        ("b", [9, 10]),
        ("c.d", [5]),
        ("export", [2]),
    ]


@pytest.mark.cell("label-studio", "in")
def test_our_own_projects_come_back_with_identities_and_sound(tmp_path: Path) -> None:
    """What our page is filled with, read from an export of its project."""
    masks = {0: mask(2), 2: mask(6)}
    made = [
        LabelledMask(frame=f, height=H, width=W, counts=encode(m).counts, origin=MaskOrigin.EDITED)
        for f, m in masks.items()
    ]
    tracks = [
        LabelledTrack(
            identity=name,
            category=name.rpartition("_")[0],
            intervals=(Interval(start_s=start, end_s=start + 1),),
            states=(),
            masks=tuple(made),
        )
        for name, start in (("dog_1", 0), ("cello_player_2", 2))
    ]
    regions = regions_from_tracks(tracks, silence=[Interval(start_s=1, end_s=2)])
    prompt = result(
        "rectanglelabels", {"x": 1, "y": 1, "width": 9, "height": 9, "rectanglelabels": ["dog_1"]}, "p", item_index=1
    )
    data = {
        "clip_id": "c1",
        "num_seconds": 3,
        "width": W,
        "height": H,
        "labels": [{"value": "dog_1"}],
        "round": "draft",
    }
    data["frames"] = [f"/data/local-files/?d=w/clips/c1/frames/{frame:05d}.jpg" for frame in range(3)]
    annotation = {"id": 1, "was_cancelled": False, "result": [*regions, prompt, chosen("verdict", ["done"], "v")]}
    clip = only(saved(tmp_path, [{"id": 1, "data": data, "annotations": [annotation]}]))
    assert (clip.name, clip.width, clip.height, len(clip.stills)) == ("c1", W, H, 3)
    assert [(track.track_id, track.category, track.frames, track.sounding) for track in clip.tracks] == [
        ("cello_player_2", "cello_player", (0, 2), (False, None, True)),
        ("dog_1", "dog", (0, 2), (True, None, False)),
    ]
    assert all((decode(clip.tracks[1].masks[frame]) == m).all() for frame, m in masks.items())  # type: ignore[arg-type]
    assert "1 box that was never turned into a mask left out: no area of an object" in clip.remarks


def edited(change: Callable[[Raw], object]) -> Callable[[list[Raw]], object]:
    """Change the first result of the first task."""
    return lambda tasks: change(tasks[0]["annotations"][0]["result"][0])


def added(one: Raw) -> Callable[[list[Raw]], object]:
    """Put a result to those of the first task."""
    return lambda tasks: tasks[0]["annotations"][0]["result"].append(one)


HUGE = encode_brush(np.ones((4, 4), bool))
FAULTS: dict[str, tuple[Callable[[list[Raw]], object], str]] = {
    "bytes": (edited(lambda r: r["value"].update(rle=[1, 2, 3])), "ends within its header"),
    "other size": (edited(lambda r: r["value"].update(rle=HUGE)), "belong to 20 x 10 pixels"),
    "no bytes": (edited(lambda r: r["value"].update(rle=[0.5] * 30)), "no list of byte values"),
    "format": (edited(lambda r: r["value"].update(format="png")), "must have format rle"),
    "turned": (edited(lambda r: r.update(image_rotation=90)), "image_rotation is 90"),
    "no size": (edited(lambda r: r.pop("original_width")), "original_width and original_height"),
    "huge": (edited(lambda r: r.update(original_width=1 << 40)), "pixels"),
    "no label": (edited(lambda r: r["value"].pop("brushlabels")), "the region has no label"),
    "two labels": (edited(lambda r: r["value"].update(brushlabels=["a", "b"])), "2 labels (a, b)"),
    "newer": (edited(lambda r: r.update(type="voxellabels")), "newer Label Studio"),
    "box through a video": (edited(lambda r: r.update(type="videorectangle")), "a box through a video has no mask"),
    "bitmask of another size": (added(bitmask(mask()[1:], "z")), "has 20 x 9 pixels, the still 20 x 10"),
    "bitmask without alpha": (added(bitmask(mask(), "z", mode="L")), "no transparency"),
    "bitmask that is a link": (added(result("bitmask", {"imageDataURL": "https://a.org/a.png"})), "must be data:image"),
    "bitmask that is cut off": (
        added(result("bitmask", {"imageDataURL": data_url(mask())[:-40]}, "z")),
        "no PNG in base64",
    ),
    "page": (edited(lambda r: r.update(item_index=4)), "is on page 4, there are 1"),
    "two points": (
        edited(lambda r: r.update(type="polygon", value={"points": [[1, 1], [2, 2]]})),
        "has 2 point(s)",
    ),
    "sounding": (
        lambda tasks: tasks[0]["annotations"][0]["result"].append(chosen("sounding", ["loud"])),
        "true or false",
    ),
    "twice": (lambda tasks: tasks.insert(1, copy.deepcopy(tasks[0])), "2 tasks of the clip are of still 0"),
    "result": (lambda tasks: tasks[0]["annotations"][0].update(result="x"), "must be a list"),
    "annotations": (lambda tasks: tasks[0].update(annotations=3), "must be a list"),
    "two sizes": (
        lambda tasks: added(brush(mask(), region="z") | {"original_width": 5, "original_height": 5})(tasks),
        "must have one size",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_told_with_its_place_and_the_other_clip_goes_on(fault: str, tmp_path: Path) -> None:
    change, message = FAULTS[fault]
    tasks = [task(0, brush(mask())), task(0, brush(mask()), clip="b")]
    change(tasks)
    path = saved(tmp_path, tasks)
    problems = unread(LABEL_STUDIO, path)
    assert list(problems) == ["a"]
    assert any(message in problem and "export.json: [0]" in problem for problem in problems["a"]), problems
    assert [clip.name for clip in LABEL_STUDIO.reader.read(path)] == ["a", "b"]  # type: ignore[union-attr]  # it has one


def test_all_faults_of_a_clip_come_at_once(tmp_path: Path) -> None:
    wrong = [brush(mask(), region=str(number)) | {"image_rotation": 90} for number in range(3)]
    assert len(unread(LABEL_STUDIO, saved(tmp_path, [task(0, *wrong), task(1, result("blob", {}))]))["a"]) == 4


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ([{"id": 1, "image": "x.jpg", "mask": [], "annotator": 1, "annotation_id": 2}], "JSON-MIN"),
        ([{"x": 1}], "no task has data"),
        ({"images": []}, "no export of Label Studio"),
        ("[{", "not JSON"),
    ],
)
def test_a_file_of_another_kind_is_refused(content: Any, told: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=told):
        read_set(LABEL_STUDIO, saved(tmp_path, content))


@pytest.mark.parametrize(
    "image",
    [
        "s3://bucket/clips/dog1/00003.jpg",
        "https://storage.example.org/bucket/dog1/00003.jpg?Signature=a/b&Expires=1",
        "/data/local-files/?d=clips/dog1/00003.jpg",
        "C:\\clips\\dog1\\00003.jpg",
    ],
)
def test_a_clip_is_the_folder_of_its_pictures_wherever_they_are_stored(image: str, tmp_path: Path) -> None:
    tasks = [task(3, brush(mask()))]
    tasks[0]["data"] = {"image": image}
    clip = only(saved(tmp_path, tasks))
    assert (clip.name, [still.number for still in clip.stills]) == ("dog1", [3])
