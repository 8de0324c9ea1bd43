"""ISAT, labelme, X-AnyLabeling: one JSON file a still, read as each tool means it, and all that can be wrong in one."""

from __future__ import annotations

import base64
import io
import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from avis_data.errors import ConfigError, DataError
from avis_data.formats.sets.clips import LabelledClip
from avis_data.formats.tools.still_tools import (
    ISAT,
    LABELME,
    X_ANYLABELING,
    AnyLabelingReader,
    IsatReader,
    LabelmeReader,
)
from avis_data.masks.rle import area, box, decode
from support.labelled_sets import check_expected, read_set, unread
from support.places import NEEDS_SHARED, SHARED

W, H = 20, 12
SPECS = {"isat": ISAT, "labelme": LABELME, "x-anylabeling": X_ANYLABELING}
SQUARE = [[1, 2], [5, 2], [5, 6], [1, 6]]
"""16 pixels between borders, 25 through centres."""
Raw = dict[str, Any]


def outline(tool: str, label: Any = "dog", points: Any = SQUARE, group: Any = 1, **more: Any) -> Raw:
    if tool == "isat":
        return {"category": label, "group": group, "segmentation": points, "layer": 1.0, "iscrowd": False, **more}
    return {"label": label, "group_id": group, "points": points, "shape_type": "polygon", "flags": {}, **more}


def still(tool: str, *shapes: Raw, **more: Any) -> Raw:
    if tool == "isat":
        info = {"description": "ISAT", "folder": "C:\\x", "name": "x.jpg", "width": W, "height": H}
        return {"info": info, "objects": list(shapes), **more}
    own = {"checked": False} if tool == "x-anylabeling" else {}
    head = {"version": "6.3.1", "flags": {}, **own, "shapes": list(shapes), "imagePath": "..\\old\\x.jpg"}
    return {**head, "imageData": None, "imageHeight": H, "imageWidth": W, **more}


def saved(folder: Path, stills: Mapping[str, Any]) -> Path:
    for name, content in stills.items():
        path = folder / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


def only(tool: str, folder: Path, **given: Any) -> LabelledClip:
    readers = {"isat": IsatReader, "labelme": LabelmeReader, "x-anylabeling": AnyLabelingReader}
    (clip,) = read_set(replace(SPECS[tool], reader=readers[tool](**given)), folder)
    return clip


def areas(clip: LabelledClip) -> dict[str, list[int | None]]:
    return {track.track_id: [mask and area(mask) for mask in track.masks] for track in clip.tracks}


@NEEDS_SHARED
@pytest.mark.parametrize("tool", [pytest.param(name, marks=pytest.mark.cell(name, "in")) for name in SPECS])
def test_the_fixtures_are_read_to_the_pixel(tool: str, tmp_path: Path) -> None:
    fixture = SHARED / "format_fixtures" / tool
    expected = json.loads((fixture / "expected.json").read_text())
    archive = shutil.make_archive(str(tmp_path / "clip"), "zip", fixture)
    for path in (fixture, Path(archive)):
        spec = SPECS[tool]
        assert spec.reader is not None and spec.reader.looks_right(path)
        (clip,) = read_set(spec, path)
        check_expected(clip, expected)
        assert [track.track_id for track in clip.tracks] == ["1", "2"] and clip.has_identity
        assert [still.name for still in clip.stills] == [Path(name).stem for name in expected["frames"]]
        assert all(still.picture is not None and still.is_labelled for still in clip.stills)
        assert len(clip.label_files) == 3


@pytest.mark.parametrize("tool", SPECS)
def test_folders_and_prefixes_are_clips_in_the_order_of_numbers(tool: str, tmp_path: Path) -> None:
    one, empty = still(tool, outline(tool)), still(tool)
    names = ("a/labels/f_10", "a/labels/f_9", "labels/b-1", "labels/c-1", "7")
    saved(tmp_path / "set", dict.fromkeys(names, one) | {"labels/c-2": empty, "other": {"x": 1}})
    found = read_set(SPECS[tool], tmp_path / "set")
    assert [(clip.name, [still.number for still in clip.stills]) for clip in found] == [
        ("a", [9, 10]),
        ("b", [1]),
        ("c", [1, 2]),
        ("set", [7]),
    ]
    assert found[2].tracks[0].frames == (0,) and found[2].stills[1].is_labelled, "looked at, and empty"
    assert found[3].label_files == (tmp_path / "set" / "7.json",)


@pytest.mark.parametrize("tool", SPECS)
def test_a_picture_without_a_file_is_not_labelled_unless_people_say_so(tool: str, tmp_path: Path) -> None:
    saved(tmp_path, {"labels/00000": still(tool, outline(tool)), "labels/00002": still(tool)})
    (tmp_path / "images").mkdir()
    for number in range(3):
        Image.new("RGB", (W, H)).save(tmp_path / "images" / f"{number:05d}.PNG")
    clip = only(tool, tmp_path)
    assert [still.is_labelled for still in clip.stills] == [True, False, True]
    assert any("--missing-is-empty" in remark for remark in clip.remarks)
    assert all(still.is_labelled for still in only(tool, tmp_path, missing_is_empty=True).stills)


@pytest.mark.parametrize("tool", SPECS)
def test_groups_join_parts_and_stills_unless_people_say_otherwise(tool: str, tmp_path: Path) -> None:
    far = [[9, 2], [13, 2], [13, 6], [9, 6]]
    two = still(tool, outline(tool), outline(tool, points=far), outline(tool, "cat", far, None))
    saved(tmp_path, {"0": two, "1": still(tool, outline(tool))})
    given = {} if tool == "x-anylabeling" else {"keep_covered": True}
    clip = only(tool, tmp_path, outlines="border", **given)
    assert areas(clip)["1"] == [32, 16] and clip.has_identity and len(clip.tracks) == 2
    assert any("1 masks without identity" in remark for remark in clip.remarks)
    loose = only(tool, tmp_path, outlines="border", identity="none", **given)
    assert sorted(areas(loose).values(), key=str) == [[16, None], [32, None], [None, 16]] and not loose.has_identity
    with pytest.raises(ConfigError, match="--identity"):
        only(tool, tmp_path, identity="track")


@pytest.mark.parametrize("tool", ["labelme", "x-anylabeling"])
def test_group_zero_is_a_group_and_words_may_say_who_it_is(tool: str, tmp_path: Path) -> None:
    saved(tmp_path, {"0": still(tool, outline(tool, group=0)), "1": still(tool, outline(tool, group=0))})
    assert areas(only(tool, tmp_path)) == {"0": [16, 16]}
    saved(
        tmp_path,
        {"0": still(tool, outline(tool, "dog_1", group=None)), "1": still(tool, outline(tool, "dog_1", group=5))},
    )
    assert areas(only(tool, tmp_path, identity="attribute:label")) == {"dog_1": [16, 16]}


def test_isat_group_zero_is_none(tmp_path: Path) -> None:
    saved(tmp_path, {"0": still("isat", outline("isat", group=0)), "1": still("isat", outline("isat", group=None))})
    clip = only("isat", tmp_path)
    assert not clip.has_identity and len(clip.tracks) == 2


def test_isat_paints_by_layer_and_cuts_holes_out_of_all_below(tmp_path: Path) -> None:
    left, right = [[0.5, 0.5], [8, 0.5], [8, 8], [0.5, 8]], [[4.5, 0], [12, 0], [12, 8], [4.5, 8]]
    hole = [[3.2, 3.2], [6.2, 3.2], [6.2, 5.2], [3.2, 5.2]]
    shapes = [
        outline("isat", "cat", right, 2, layer=2.0),  # in front, though it stands first
        outline("isat", "__background__", hole, 0, layer=3.0),
        outline("isat", "dog", left, 1, layer=1.0),
    ]
    clip = only("isat", saved(tmp_path, {"0": still("isat", *shapes)}))
    dog, cat = (decode(track.masks[0]) for track in clip.tracks)  # type: ignore[arg-type]  # both are there
    assert not (dog & cat).any() and cat[2, 6] and not dog[2, 6] and dog[2, 2]
    assert not dog[3, 3:6].any() and not cat[3, 3:6].any() and cat[3, 6]
    whole = only("isat", tmp_path, keep_covered=True)
    assert decode(whole.tracks[0].masks[0])[2, 6]  # type: ignore[index, arg-type]  # it is there
    assert any("drawn in front" in remark for remark in clip.remarks)


@pytest.mark.parametrize("version", ["1.5.2", "1.3.6"])
def test_what_isat_traced_comes_back_to_the_pixel(version: str, tmp_path: Path) -> None:
    """Contours as OpenCV gives them, holes one layer above, points kept 0.1 inside."""
    rng = np.random.default_rng(3)
    stills, truth = {}, []
    for number in range(12):
        mask_HW = cv2.medianBlur((rng.random((H, W)) < 0.6).astype(np.uint8), 3)
        mask_HW[3:9, 5:14] = 1
        mask_HW[5:7, 8:11] = 0
        contours, kinship = cv2.findContours(mask_HW, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        kept_HW = np.zeros((H, W), np.uint8)
        shapes = []
        for contour, (_, _, _, parent) in sorted(
            zip(contours, kinship[0], strict=True), key=lambda found: found[1][3] >= 0
        ):
            if len(contour) < 3:
                continue
            points = np.maximum(contour[:, 0], 0.1).tolist()
            label, group = ("dog", 1) if parent < 0 else ("__background__", 0)
            more = {"layer": 1.0 if parent < 0 else 2.0, "iscrowd": False if version == "1.5.2" else 0}
            shapes.append(outline("isat", label, points, group, **more))
            if parent < 0:
                cv2.drawContours(kept_HW, [contour], -1, (1,), -1)
        holes = [
            contour for contour, kin in zip(contours, kinship[0], strict=True) if kin[3] >= 0 and len(contour) >= 3
        ]
        inner_HW = cv2.fillPoly(np.zeros((H, W), np.uint8), holes, (1,)) if holes else np.zeros((H, W), np.uint8)
        for contour in holes:
            cv2.polylines(inner_HW, [contour], True, (0,))
        truth.append((kept_HW & ~inner_HW).astype(bool))
        stills[f"{number:05d}"] = still("isat", *shapes)
    clip = only("isat", saved(tmp_path, stills))
    for mask, mask_HW in zip(clip.tracks[0].masks, truth, strict=True):
        assert mask is not None and (decode(mask) == mask_HW).all()


def test_isat_groups_that_count_in_each_still_are_told(tmp_path: Path) -> None:
    saved(tmp_path, {"0": still("isat", outline("isat")), "1": still("isat", outline("isat"))})
    assert any("--identity none" in remark for remark in only("isat", tmp_path).remarks)
    saved(tmp_path, {"1": still("isat", outline("isat", "cat"))})
    (problem,) = unread(ISAT, tmp_path)[tmp_path.name]
    assert "object 1: has the category 'cat' here and 'dog' in" in problem


def png(mask_HW: np.ndarray, mode: str = "L") -> str:
    data = io.BytesIO()
    Image.fromarray(mask_HW).convert(mode).save(data, "PNG")
    return base64.b64encode(data.getvalue()).decode()


@pytest.mark.parametrize(("inside", "mode"), [(1, "L"), (255, "L"), (255, "1")])
def test_labelme_masks_are_inclusive_of_both_corners(inside: int, mode: str, tmp_path: Path) -> None:
    mask_HW = (np.random.default_rng(0).random((4, 3)) < 0.5).astype(np.uint8) * inside
    shape = outline("labelme", points=[[2.0, 5.0], [4.0, 8.0]], shape_type="mask", mask=png(mask_HW, mode))
    clip = only("labelme", saved(tmp_path, {"0": still("labelme", shape)}))
    assert (decode(clip.tracks[0].masks[0])[5:9, 2:5] == (mask_HW > 0)).all()  # type: ignore[index, arg-type]
    assert area(clip.tracks[0].masks[0]) == (mask_HW > 0).sum()  # type: ignore[arg-type]  # it is there


def test_labelme_background_cuts_what_was_drawn_before_and_later_shapes_cover(tmp_path: Path) -> None:
    hole, later = [[2, 3], [4, 3], [4, 5], [2, 5]], [[3, 0], [9, 0], [9, 9], [3, 9]]
    shapes = [outline("labelme"), outline("labelme", "_background_", hole, None), outline("labelme", "cat", later, 2)]
    clip = only("labelme", saved(tmp_path, {"0": still("labelme", *shapes)}))
    dog, cat = (decode(track.masks[0]) for track in clip.tracks)  # type: ignore[arg-type]  # both are there
    assert dog.sum() == 8 - 2 and cat.sum() == 54 and not (dog & cat).any()
    ignored = outline("labelme", "__ignore__")
    assert len(only("labelme", saved(tmp_path, {"0": still("labelme", shapes[0], ignored)})).tracks) == 1


def test_x_anylabeling_objects_may_share_pixels(tmp_path: Path) -> None:
    shapes = [outline("x-anylabeling"), outline("x-anylabeling", "cat", SQUARE, 2)]
    assert areas(only("x-anylabeling", saved(tmp_path, {"0": still("x-anylabeling", *shapes)}))) == {
        "1": [16],
        "2": [16],
    }


@pytest.mark.parametrize("tool", ["labelme", "x-anylabeling"])
def test_kinds_of_shapes(tool: str, tmp_path: Path) -> None:
    shapes = {
        "old": outline(tool, points=[[6, 5], [2, 1]], shape_type="rectangle"),
        "new": outline(tool, points=[[2, 1], [6, 1], [6, 5], [2, 5]], shape_type="rectangle"),
        "turned": outline(tool, points=[[4, 0], [8, 4], [4, 8], [0, 4]], shape_type="rotation", direction=0.785),
        "outside": outline(tool, points=[[-3.5, -3], [4, -3], [4, 4], [-3.5, 4]]),
        "round": outline(tool, points=[[6, 6], [6, 9]], shape_type="circle"),
    }
    saved(tmp_path / "s", {name: still(tool, shape) for name, shape in shapes.items()})
    saved(tmp_path / "s", {"z": still(tool, outline(tool, points=[[1, 1]], shape_type="point"))})
    found = {clip.name: clip for clip in read_set(SPECS[tool], tmp_path / "s")}
    boxes = {name: box(clip.tracks[0].masks[0]) for name, clip in found.items() if clip.tracks}  # type: ignore[arg-type]
    assert boxes["old"] == boxes["new"] == (2, 1, 4, 4) and boxes["outside"] == (0, 0, 4, 4)
    assert boxes["round"] == (3, 3, 6, 6) and boxes["turned"][2] == 8
    y, x = np.mgrid[:H, :W] + 0.5
    assert (decode(found["round"].tracks[0].masks[0]) == ((x - 6) ** 2 + (y - 6) ** 2 <= 9)).all()  # type: ignore[arg-type]
    assert "1 of point left out" in found["z"].remarks[0]


def test_old_labelme_files_have_neither_groups_nor_masks_nor_sizes(tmp_path: Path) -> None:
    old = {"version": "3.16.7", "flags": {}, "lineColor": [0, 255, 0, 128], "fillColor": [255, 0, 0, 128]}
    shape = {"label": "dog", "line_color": None, "fill_color": None, "points": SQUARE, "shape_type": "polygon"}
    data = io.BytesIO()
    Image.new("RGB", (W, H)).save(data, "PNG")
    inside = {"imagePath": "x.png", "imageData": base64.b64encode(data.getvalue()).decode()}
    clip = only("labelme", saved(tmp_path, {"0": {**old, "shapes": [shape], **inside}}))
    assert areas(clip) == {"still00000_0000": [16]} and not clip.has_identity
    assert clip.stills[0].picture is not None and clip.stills[0].picture.read() == data.getvalue()
    assert clip.tracks[0].sounding == (None,), "nobody said"


@pytest.mark.parametrize(("said", "found"), [(True, True), ("no", False), ("yes", True), ("", None)])
def test_flags_and_attributes_say_what_sounds(said: object, found: bool | None, tmp_path: Path) -> None:
    saved(tmp_path, {"0": still("labelme", outline("labelme", flags={"heard": said}))})
    assert only("labelme", tmp_path, sounding_attribute="heard").tracks[0].sounding == (found,)
    saved(tmp_path, {"0": still("x-anylabeling", outline("x-anylabeling", flags=None, attributes={"sounding": said}))})
    assert only("x-anylabeling", tmp_path).tracks[0].sounding == (found,)


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "two points": ({"points": [[1, 1], [5, 5]]}, "2 point(s)"),
    "crossed": ({"points": [[1, 1], [9, 9], [9, 1], [1, 9]]}, "crosses itself"),
    "no list": ({"points": "x"}, "must be a list of [x, y]"),
    "flat": ({"points": [1, 1, 5, 1, 5, 5]}, "must be a list of [x, y]"),
    "nan": ({"points": [[1, float("nan")], [5, 1], [5, 5]]}, "must be a list of [x, y]"),
    "huge": ({"points": [[1, 1e8], [5, 1], [5, 5]]}, "far outside"),
    "no label": ({"label": ""}, "must be a name"),
    "label": ({"label": 7}, "must be a name"),
    "group": ({"group": [1]}, "must be a whole number or null"),
}


@pytest.mark.parametrize("tool", SPECS)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_told_with_its_place_and_the_other_clip_goes_on(tool: str, fault: str, tmp_path: Path) -> None:
    wrong, message = FAULTS[fault]
    saved(tmp_path, {"a/0": still(tool, outline(tool), outline(tool, **wrong)), "b/0": still(tool, outline(tool))})
    problems = unread(SPECS[tool], tmp_path)
    place = "objects[1]" if tool == "isat" else "shapes[1]"
    assert list(problems) == ["a"] and message in problems["a"][0] and f"a/0.json: {place}" in problems["a"][0], (
        problems
    )
    assert [clip.name for clip in SPECS[tool].reader.read(tmp_path)] == ["a", "b"]  # type: ignore[union-attr]


@pytest.mark.parametrize("tool", SPECS)
def test_all_faults_of_a_clip_come_at_once(tool: str, tmp_path: Path) -> None:
    wrong = [outline(tool, **changes) for changes, _ in FAULTS.values()]
    saved(tmp_path, {"a/0": still(tool, *wrong), "a/1": '{"cut', "a/2": still(tool, "x")})  # type: ignore[arg-type]
    assert len(unread(SPECS[tool], tmp_path)["a"]) == len(FAULTS) + 2


LABELME_FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "newer": ({"shape_type": "blob"}, "newer labelme"),
    "cuboid": ({"shape_type": "cuboid"}, "a cuboid has no mask"),
    "mask size": ({"points": [[1, 1], [3, 3]], "mask": png(np.ones((2, 3), np.uint8))}, "its corners say 3 x 3"),
    "mask outside": ({"points": [[18, 1], [20, 3]], "mask": png(np.ones((3, 3), np.uint8))}, "not inside a picture"),
    "mask text": ({"points": [[1, 1], [3, 3]], "mask": "###"}, "no PNG in base64"),
    "mask gone": ({"points": [[1, 1], [3, 3]], "mask": None}, "must be a PNG"),
    "colours": ({"points": [[1, 1], [3, 3]], "mask": png(np.ones((3, 3), np.uint8), "RGB")}, "must be grey"),
    "sounding": ({"flags": {"sounding": "loud"}}, "must be true or false"),
    "no area": ({"shape_type": "rectangle", "points": [[1, 1], [1, 5]]}, "has no area"),
}


@pytest.mark.parametrize("fault", LABELME_FAULTS)
def test_faults_of_labelme(fault: str, tmp_path: Path) -> None:
    wrong, message = LABELME_FAULTS[fault]
    kind = {"shape_type": "mask"} if "mask" in wrong else {}
    saved(tmp_path, {"0": still("labelme", outline("labelme", **kind, **wrong))})
    assert message in unread(LABELME, tmp_path)[tmp_path.name][0]


@pytest.mark.parametrize("tool", SPECS)
def test_sizes_must_be_those_of_the_pictures_and_of_each_other(tool: str, tmp_path: Path) -> None:
    saved(tmp_path, {"0": still(tool), "1": still(tool)})
    Image.new("RGB", (W, H - 1)).save(tmp_path / "1.jpg")
    assert "1.jpg has 20 x 11 pixels" in unread(SPECS[tool], tmp_path)[tmp_path.name][0]
    other = json.loads(json.dumps(still(tool)).replace(f": {H}", f": {H + 1}"))
    saved(tmp_path, {"1": other})
    (tmp_path / "1.jpg").unlink()
    assert "must have one size" in unread(SPECS[tool], tmp_path)[tmp_path.name][0]


@pytest.mark.parametrize("tool", SPECS)
def test_a_folder_of_something_else_is_refused(tool: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no label file"):
        read_set(SPECS[tool], saved(tmp_path, {"a": {"images": [], "annotations": []}, "b": [1]}))


def test_what_x_anylabeling_calls_mots_is_refused_with_a_hint(tmp_path: Path) -> None:
    path = tmp_path / "custom_gt.txt"
    path.write_text("1 1 0 12 20 [[1, 2], [3, 4]]\n")
    with pytest.raises(DataError, match="JSON files beside the stills"):
        read_set(X_ANYLABELING, path)


def test_groups_that_count_in_each_still_are_told(tmp_path: Path) -> None:
    """Of labelme: as a remark where it may be so, with what to type where two categories have one."""
    saved(tmp_path, {"0": still("labelme", outline("labelme")), "1": still("labelme", outline("labelme"))})
    assert any("--identity none" in remark for remark in only("labelme", tmp_path).remarks)
    assert not only("labelme", tmp_path, identity="group").remarks
    saved(tmp_path, {"1": still("labelme", outline("labelme", "cat"))})
    ((problem,),) = unread(LABELME, tmp_path).values()
    assert "has the category 'cat' here and 'dog'" in problem and "--identity none" in problem
    saved(tmp_path, {"1": still("labelme", outline("labelme", "cat"), outline("labelme", "cow"))})
    assert sum("--identity none" in problem for problem in unread(LABELME, tmp_path)[tmp_path.name]) == 1
