"""CVAT's XML: to the pixel, absences and frames as the head says them, and all that can be wrong in a file."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from avis_data.errors import ConfigError, DataError
from avis_data.formats.sets.clips import LabelledClip
from avis_data.formats.sets.spec import SetSpec
from avis_data.formats.tools.cvat import CVAT, CvatReader
from avis_data.formats.tools.cvat_shapes import cvat_mask
from avis_data.masks.rle import area, box, decode
from support.labelled_sets import check_expected, read_set, unread
from support.places import NEEDS_SHARED, SHARED

W, H = 20, 12


def task(name: str = "a", *, stop: int = 4, **more: object) -> str:
    """The head of a task."""
    fields = {"id": 1, "name": name, "size": stop + 1, "mode": "interpolation", "start_frame": 0, "stop_frame": stop}
    fields = fields | {"frame_filter": ""} | more
    text = "".join(f"<{key}>{value}</{key}>" for key, value in fields.items() if value is not None)
    return f"<task>{text}<original_size><width>{W}</width><height>{H}</height></original_size></task>"


def shape(kind: str, frame: int | None, geometry: str, *, sounding: str | None = None, **more: object) -> str:
    """A shape of a track, or of an image where `frame` is None."""
    said = {} if frame is None else {"frame": frame, "keyframe": 1, "outside": 0}
    text = " ".join(f'{key}="{value}"' for key, value in (said | {"occluded": 0} | more).items())
    inner = "" if sounding is None else f'<attribute name="sounding">{sounding}</attribute>'
    return f'<{kind} {text} {geometry} z_order="0">{inner}</{kind}>'


def square(x: float, y: float, side: float = 4) -> str:
    return f'xtl="{x}" ytl="{y}" xbr="{x + side}" ybr="{y + side}"'


def track(number: int, *shapes: str, label: str = "dog", **more: object) -> str:
    text = " ".join(f'{key}="{value}"' for key, value in more.items())
    return f'<track id="{number}" label="{label}" source="manual" {text}>{"".join(shapes)}</track>'


def saved(
    folder: Path, *parts: str, head: str | None = None, version: str = "1.1", name: str = "annotations.xml"
) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = f"<meta>{task() if head is None else head}<dumped>2026</dumped></meta>"
    content = f"<version>{version}</version>{meta}{''.join(parts)}"
    path.write_text(f'<?xml version="1.0" encoding="utf-8"?>\n<annotations>{content}</annotations>')
    return path


def with_choices(**given: Any) -> SetSpec:
    return replace(CVAT, reader=CvatReader(**given))


def only(path: Path, spec: SetSpec = CVAT) -> LabelledClip:
    (clip,) = read_set(spec, path)
    return clip


def corners(clip: LabelledClip, place: int = 0) -> list[tuple[int, int] | None]:
    """Left and top of a track's masks."""
    return [None if mask is None else box(mask)[:2] for mask in clip.tracks[place].masks]


@NEEDS_SHARED
@pytest.mark.cell("cvat", "in")
@pytest.mark.parametrize("fixture", ["cvat_video", "cvat_images"])
def test_the_fixtures_are_read_to_the_pixel(fixture: str, tmp_path: Path) -> None:
    folder = SHARED / "format_fixtures" / fixture
    expected = json.loads((folder / "expected.json").read_text())
    archive = shutil.make_archive(str(tmp_path / "job 7"), "zip", folder)
    for path in (folder, folder / "annotations.xml", Path(archive)):
        assert CVAT.reader is not None and CVAT.reader.looks_right(path)
        clip = only(path)
        check_expected(clip, expected)
        assert clip.name == "clip" and clip.has_identity
        assert [track.track_id for track in clip.tracks] == [track["id"] for track in expected["tracks"]]
        assert [still.name for still in clip.stills] == [Path(name).stem for name in expected["frames"]]
        assert all(still.picture is not None for still in clip.stills) == (folder / "images").exists()


@pytest.mark.cell("cvat", "reader")
def test_masks_are_those_of_cvats_own_coding() -> None:
    from cvat_sdk.masks import decode_mask, encode_mask  # imports most of the SDK

    rng = np.random.default_rng(1)
    for _ in range(200):
        height, width = (int(side) for side in rng.integers(1, 12, 2))
        mask_HW = rng.random((height, width)) < rng.random()
        *runs, left, top, right, bottom = encode_mask(mask_HW)
        place = (left, top, right - left + 1, bottom - top + 1)
        text = ", ".join(str(run) for run in runs)
        theirs = decode_mask([*runs, left, top, right, bottom], image_width=width, image_height=height)
        assert (decode(cvat_mask(text, place, height=height, width=width)) == theirs).all()
        assert (theirs == mask_HW).all()


def test_frames_that_are_not_written_are_interpolated_for_boxes(tmp_path: Path) -> None:
    moving = track(0, shape("box", 0, square(0, 2)), shape("box", 4, square(8, 6)))
    assert corners(only(saved(tmp_path, moving))) == [(0, 2), (2, 3), (4, 4), (6, 5), (8, 6)]
    hidden = track(
        0, shape("box", 0, square(0, 2)), shape("box", 2, square(9, 9), outside=1), shape("box", 4, square(8, 6))
    )
    assert corners(only(saved(tmp_path, hidden))) == [(0, 2), (0, 2), None, None, (8, 6)]
    spec = "a box turned by 350 and by 10 degrees is turned by 0 between them"
    turned = track(0, shape("box", 0, square(4, 4), rotation=350), shape("box", 2, square(4, 4), rotation=10))
    clip = only(saved(tmp_path, turned))
    assert box(clip.tracks[0].masks[1]) == (4, 4, 4, 4), spec  # type: ignore[arg-type]  # it has a mask


def test_a_polygon_is_not_guessed_between_frames_and_lasts_to_the_end(tmp_path: Path) -> None:
    points = 'points="1,1;5,1;5,4;1,4"'
    held = only(saved(tmp_path, track(0, shape("polygon", 2, points, sounding="true"))))
    assert held.tracks[0].frames == (2, 3, 4) and held.tracks[0].sounding == (None, None, True, True, True)
    assert "lasts to the end" in held.remarks[0]
    saved(tmp_path, track(0, shape("polygon", 0, points), shape("polygon", 3, points)))
    assert (
        "stills 1 to 2" in unread(CVAT, tmp_path)["a"][0]
        and "track[0] (id 0): polygon[0]" in unread(CVAT, tmp_path)["a"][0]
    )


def test_a_mask_covers_only_its_frame_and_is_joined_by_its_group(tmp_path: Path) -> None:
    def drawn(frame: int) -> str:
        return shape("mask", frame, 'rle="0, 6" left="1" top="2" width="3" height="2"')

    masks = [track(number, drawn(frame), group_id=7) for number, frame in enumerate((0, 3))]
    clip = only(saved(tmp_path, *masks))
    assert [(found.track_id, found.frames) for found in clip.tracks] == [("7", (0, 3))] and clip.has_identity
    assert area(clip.tracks[0].masks[3]) == 6  # type: ignore[arg-type]  # it has a mask
    alone = only(saved(tmp_path, track(0, drawn(0)), track(1, drawn(3))))
    assert [found.frames for found in alone.tracks] == [(0,), (3,)] and not alone.has_identity
    by_track = only(saved(tmp_path, track(0, drawn(0)), track(1, drawn(3))), with_choices(identity="track"))
    assert [found.track_id for found in by_track.tracks] == ["0", "1"] and by_track.has_identity
    mixed = only(saved(tmp_path, track(7, shape("box", 0, square(9, 2))), *masks[:1]))
    assert [found.track_id for found in mixed.tracks] == ["7", "group_7"], "a group is no track of the same number"


def test_an_attribute_that_is_asked_for_says_who_is_who(tmp_path: Path) -> None:
    def drawn(frame: int, who: str) -> str:
        inner = f'<attribute name="who">{who}</attribute><attribute name="audible">yes</attribute>'
        return shape("box", frame, square(frame, 1), outside=0).replace("></box>", f">{inner}</box>")

    closed = shape("box", 1, square(0, 0), outside=1)
    saved(
        tmp_path, track(0, drawn(0, "ann"), closed), track(1, drawn(2, "ann"), shape("box", 3, square(0, 0), outside=1))
    )
    clip = only(tmp_path, with_choices(identity="attribute:who", sounding_attribute="audible"))
    assert [(found.track_id, found.frames, found.sounding[2]) for found in clip.tracks] == [("ann", (0, 2), True)]
    with pytest.raises(ConfigError, match="--identity"):
        only(tmp_path, with_choices(identity="name"))


def test_frames_are_those_of_the_source(tmp_path: Path) -> None:
    head = task(start_frame=10, stop_frame=30, frame_filter="step=10", size=3)
    clip = only(saved(tmp_path, track(0, shape("box", 10, square(0, 0)), shape("box", 30, square(8, 0))), head=head))
    assert [(still.name, still.number) for still in clip.stills] == [
        ("frame_000010", 0),
        ("frame_000020", 1),
        ("frame_000030", 2),
    ]
    assert corners(clip) == [(0, 0), (4, 0), (8, 0)]
    saved(tmp_path, track(0, shape("polygon", 25, 'points="1,1;5,1;5,4;1,4"')), head=head)
    assert only(tmp_path).tracks[0].frames == (2,), "between two stills; it lasts to the next"
    saved(tmp_path, track(0, shape("mask", 25, 'rle="0, 6" left="1" top="2" width="3" height="2"')), head=head)
    assert "none of the stills" in unread(CVAT, tmp_path)["a"][0]
    saved(tmp_path, track(0, shape("box", 99, square(0, 0))), head=head)
    assert "none of the stills" in unread(CVAT, tmp_path)["a"][0]


def test_a_job_counts_stills_and_its_shapes_frames_of_the_source(tmp_path: Path) -> None:
    size = f"<original_size><width>{W}</width><height>{H}</height></original_size>"
    fields = {"id": 3, "size": 2, "start_frame": 2, "stop_frame": 3, "frame_filter": "step=5"}
    head = f"<job>{''.join(f'<{key}>{value}</{key}>' for key, value in fields.items())}{size}</job>"
    for first in (0, 3):
        saved(
            tmp_path / "dog7",
            track(0, shape("box", 10 + first, square(0, 0)), shape("box", 15 + first, square(8, 0))),
            head=head,
        )
        clip = only(tmp_path / "dog7")
        assert clip.name == "dog7" and corners(clip) == [(0, 0), (8, 0)]


def test_a_project_has_a_clip_for_each_task(tmp_path: Path) -> None:
    tasks = task("b.mp4", stop=1) + task("a", stop=2).replace("<id>1</id>", "<id>2</id>")
    head = f"<project><id>9</id><name>p</name><tasks>{tasks}</tasks></project>"
    one, other = shape("box", 0, square(0, 0)), shape("box", 1, square(5, 5))
    saved(tmp_path, track(0, one, task_id=1), track(0, other, task_id=2), head=head)
    found = read_set(CVAT, tmp_path)
    assert [(clip.name, len(clip.stills), clip.tracks[0].frames) for clip in found] == [
        ("a", 3, (1, 2)),
        ("b", 2, (0, 1)),
    ]
    saved(tmp_path, track(0, one, task_id=3), head=head)
    assert "task_id '3'" in next(iter(unread(CVAT, tmp_path).values()))[0]


def test_several_files_are_several_clips_and_each_name_is_one(tmp_path: Path) -> None:
    for name, folder in (("b", "1"), ("a", "2"), ("c", "3"), ("c", "4")):
        saved(tmp_path / folder, track(0, shape("box", 0, square(0, 0))), head=task(name))
    found = list(CVAT.reader.read(tmp_path))  # type: ignore[union-attr]  # it has one
    assert [clip.name for clip in found] == ["a", "b", "c", "c"]
    assert len(unread(CVAT, tmp_path)["c"]) == 1


def image(number: int, name: str, *shapes: str, size: tuple[int, int] = (W, H)) -> str:
    return f'<image id="{number}" name="{name}" width="{size[0]}" height="{size[1]}">{"".join(shapes)}</image>'


def loose(x: int, group: int = 0, label: str = "dog") -> str:
    return shape("box", None, square(x, 1), label=label, group_id=group)


def test_images_of_folders_are_clips_and_groups_are_objects(tmp_path: Path) -> None:
    images = [
        image(2, "b/0.jpg"),
        image(1, "a/frames/00010.jpg", loose(2, 3)),
        image(0, "a/frames/00009.jpg", loose(1, 3), loose(9, 3)),
    ]
    first, second = read_set(CVAT, saved(tmp_path, *images))
    assert (first.name, [still.number for still in first.stills]) == ("a", [9, 10])
    assert (second.name, second.tracks, second.has_identity) == ("b", (), True), "looked at, and empty"
    (joined,) = first.tracks
    assert joined.track_id == "3" and area(joined.masks[0]) == 32, "two boxes of one group are one object"  # type: ignore[arg-type]
    (unknown,) = read_set(CVAT, saved(tmp_path, image(0, "0.jpg", loose(1)), image(1, "1.jpg", loose(2)), head=""))
    assert unknown.name == tmp_path.name and not unknown.has_identity and len(unknown.tracks) == 2


def test_ellipses_and_turned_boxes(tmp_path: Path) -> None:
    round_shape = shape("ellipse", 0, 'cx="10" cy="6" rx="4" ry="2" rotation="90"')
    turned = shape("box", 0, 'xtl="6" ytl="4" xbr="14" ybr="8"', rotation=90)
    clip = only(saved(tmp_path, track(0, round_shape), track(1, turned)))
    y, x = np.mgrid[:H, :W] + 0.5
    assert (decode(clip.tracks[0].masks[0]) == (((x - 10) / 2) ** 2 + ((y - 6) / 4) ** 2 <= 1)).all()  # type: ignore[arg-type]
    assert box(clip.tracks[1].masks[0]) == (8, 2, 4, 8)  # type: ignore[arg-type]  # it has a mask


FAULTS: dict[str, tuple[str, str]] = {
    "two points": (shape("polygon", 0, 'points="1,1;5,5"'), "2 point(s)"),
    "no points": (shape("polygon", 0, ""), "points is missing"),
    "not points": (shape("polygon", 0, 'points="1,1;5;x,2"'), "must be x,y;x,y"),
    "nan": (shape("box", 0, 'xtl="nan" ytl="0" xbr="4" ybr="4"'), "xtl must be a number"),
    "huge": (shape("polygon", 0, 'points="0,0;1e300,0;5,5"'), "far outside"),
    "no area": (shape("box", 0, 'xtl="4" ytl="0" xbr="4" ybr="4"'), "has no area"),
    "missing": (shape("box", 0, 'xtl="4" ytl="0" xbr="8"'), "ybr is missing"),
    "crossed": (shape("polygon", 0, 'points="1,1;9,9;9,1;1,9"'), "crosses itself"),
    "runs": (shape("mask", 0, 'rle="0, 5" left="1" top="2" width="3" height="2"'), "rle has 5 pixels"),
    "outside": (
        shape("mask", 0, 'rle="0, 6" left="19" top="2" width="3" height="2"'),
        "not inside a picture of 20 x 12",
    ),
    "negative": (shape("mask", 0, 'rle="-2, 8" left="1" top="2" width="3" height="2"'), "rle has"),
    "skeleton": ("<skeleton frame='0'/>", "a skeleton has no mask"),
    "newer": ("<blob frame='0' keyframe='1' outside='0'/>", "newer CVAT"),
    "twice": (shape("box", 0, square(0, 0)) * 2, "a second shape of the track at this frame"),
    "sounding": (shape("box", 0, square(0, 0), sounding="loud"), "attribute sounding: must be true or false"),
    "frame": (shape("box", 0, square(0, 0)).replace('frame="0"', 'frame="x"'), "frame must be a number"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_told_with_its_place_and_the_other_clip_goes_on(fault: str, tmp_path: Path) -> None:
    wrong, message = FAULTS[fault]
    tasks = task("good") + task("bad").replace("<id>1</id>", "<id>2</id>")
    good = track(0, shape("box", 0, square(0, 0)), task_id=1)
    saved(tmp_path, good, track(5, wrong, task_id=2), head=f"<project><tasks>{tasks}</tasks></project>")
    problems = unread(CVAT, tmp_path)
    assert list(problems) == ["bad"]
    assert any(message in problem and "annotations.xml: track[1] (id 5)" in problem for problem in problems["bad"]), (
        problems
    )
    assert [clip.name for clip in CVAT.reader.read(tmp_path)] == ["bad", "good"]  # type: ignore[union-attr]  # it has one


def test_all_faults_of_a_clip_come_at_once(tmp_path: Path) -> None:
    wrong = [track(number, text) for number, (text, _) in enumerate(FAULTS.values())]
    assert len(unread(CVAT, saved(tmp_path, *wrong, track(0, shape("box", 0, square(0, 0)))))["a"]) >= len(FAULTS) + 1


def test_a_crossed_outline_is_taken_where_people_say_how(tmp_path: Path) -> None:
    saved(tmp_path, track(0, shape("polygon", 0, 'points="1,1;9,9;9,1;1,9"')))
    assert only(tmp_path, with_choices(crossing_outlines="even-odd")).tracks[0].frames == (0, 1, 2, 3, 4)


def test_an_object_of_two_categories_is_told(tmp_path: Path) -> None:
    saved(tmp_path, image(0, "0.jpg", loose(1, 3)), image(1, "1.jpg", loose(1, 3, label="cat")))
    assert "object 3: has the category 'cat' here and 'dog' in" in unread(CVAT, tmp_path)["a"][0]


def test_pictures_of_another_size_are_told(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    Image.new("RGB", (W, H)).save(tmp_path / "images" / "frame_000000.PNG")
    saved(tmp_path, track(0, shape("box", 0, square(0, 0))), head=task().replace("original_size", "x"))
    clip = only(tmp_path)
    assert (clip.width, clip.height) == (W, H), "as the pictures say, where the file does not"
    Image.new("RGB", (W, H + 1)).save(tmp_path / "images" / "frame_000001.jpg")
    assert "frame_000001.jpg has 20 x 13 pixels" in unread(CVAT, tmp_path)["a"][0]
    (tmp_path / "images" / "frame_000000.PNG").unlink()
    (tmp_path / "images" / "frame_000001.jpg").unlink()
    assert "original_size" in unread(CVAT, tmp_path)["a"][0]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("<annotations><version>2.0</version></annotations>", "version '2.0'"),
        ("<annotations><version>1.1</version><meta>", "cut off"),
        ("<html></html>", "no CVAT XML"),
        ("<annotations><version>1.1</version></annotations>", "no CVAT XML"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><annotations>&b;</annotations>', "entities"),
    ],
)
def test_a_file_of_another_kind_is_refused(text: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "annotations.xml"
    path.write_text(text)
    with pytest.raises(DataError, match=told):
        read_set(CVAT, path)


def test_lines_and_points_are_left_out_by_name(tmp_path: Path) -> None:
    line = shape("polyline", 0, 'points="1,1;5,1"')
    clip = only(saved(tmp_path, track(0, line), track(1, shape("box", 0, square(0, 0)))))
    assert len(clip.tracks) == 1 and "1 <polyline> left out: no area" in clip.remarks
