"""MOTS: what comes back as text and as pictures, what others' sets hold, and all that can be wrong in one."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from avis_data.errors import DataError
from avis_data.formats.boards.mots import MOTS, MotsWriter
from avis_data.formats.sets.clips import LabelledTrack
from avis_data.formats.sets.spec import SetFacts
from avis_data.formats.turns.reading import read_turns
from avis_data.formats.turns.records import flags_by
from avis_data.formats.turns.rttm import RTTM
from avis_data.masks.rle import area, decode, encode
from support.labelled_sets import check_expected, check_round_trip, odd_clips, read_set, unread, write_set
from support.places import NEEDS_SHARED, SHARED

Form = Literal["text", "png"]


def counts(height: int, width: int, *pixels: tuple[int, int]) -> str:
    mask_HW = np.zeros((height, width), bool)
    for y, x in pixels:
        mask_HW[y, x] = True
    return encode(mask_HW).counts


LINES = [f"0 1001 1 4 6 {counts(4, 6, (0, 0))}", f"2 2001 2 4 6 {counts(4, 6, (1, 1), (1, 2))}"]


def saved(path: Path, lines: list[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def pictures(folder: Path, *values: list[list[int]], first: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, picture in enumerate(values, start=first):
        Image.fromarray(np.array(picture, np.uint16)).save(folder / f"{number:06d}.png")


@pytest.mark.cell("mots", "trip")
@pytest.mark.parametrize("form", ["text", "png"])
@pytest.mark.parametrize("seed", range(8))
def test_everything_but_contested_pixels_and_sound_comes_back(form: Form, seed: int, tmp_path: Path) -> None:
    clips = odd_clips(seed, 5)
    found = check_round_trip(replace(MOTS, writer=MotsWriter(mots_form=form)), tmp_path / "set", clips)
    for clip, written in zip(found, clips, strict=True):
        categories = {track.track_id: track.category for track in written.tracks}
        assert {track.track_id: track.category for track in clip.tracks}.items() <= categories.items()


def test_turns_that_we_write_beside_it_say_what_sounds(tmp_path: Path) -> None:
    clips = [replace(clip, split="val") for clip in odd_clips(7, 8)]
    write_set(MOTS, tmp_path / "mots", clips)
    write_set(RTTM, tmp_path / "rttm", clips)
    turns = read_turns(tmp_path / "rttm/val.rttm")
    seen = 0
    for clip, written in zip(read_set(MOTS, tmp_path / "mots"), clips, strict=True):
        flags_of = {track.track_id: track.sounding for track in written.tracks}
        for track in clip.tracks:
            for place in track.frames if turns.by_clip.get(clip.name) else ():
                assert flags_by(turns)(clip, track)[place] == (flags_of[track.track_id][place] is True)
                seen += 1
    assert seen > 15


@pytest.mark.cell("mots", "reader")
def test_no_pixel_is_of_two_and_ids_are_as_evaluators_ask(tmp_path: Path) -> None:
    """Asserts what `load_txt` of mots_tools asserts: no id twice in a frame, no shared pixel, id = class * 1000 + n."""
    clips = sorted((clip for seed in range(6) for clip in odd_clips(seed)), key=lambda clip: clip.name)
    write_set(MOTS, tmp_path, clips)
    seen = 0
    files = sorted(tmp_path.glob("*/instances_txt/*.txt"))
    assert files
    for file in files:
        frames: dict[int, list[list[str]]] = {}
        for line in file.read_text().splitlines():
            parts = line.split(" ")
            assert len(parts) == 6 and int(parts[1]) // 1000 == int(parts[2])
            frames.setdefault(int(parts[0]), []).append(parts)
        for entries in frames.values():
            assert max(Counter(parts[1] for parts in entries).values()) == 1
            masks = [{"size": [int(p[3]), int(p[4])], "counts": p[5].encode()} for p in entries]
            assert coco_mask.area(coco_mask.merge(masks)) == sum(coco_mask.area(mask) for mask in masks)
            assert all(coco_mask.area(mask) for mask in masks)
            seen += len(entries)
    assert seen > 50


def test_equal_clips_give_equal_bytes_and_both_forms_say_the_same(tmp_path: Path) -> None:
    clips = odd_clips(11, 6)
    for name in ("one", "two"):
        write_set(MOTS, tmp_path / name, clips)
    files = sorted((tmp_path / "one").rglob("*.txt"))
    assert files
    for file in files:
        assert file.read_bytes() == (tmp_path / "two" / file.relative_to(tmp_path / "one")).read_bytes()
    write_set(replace(MOTS, writer=MotsWriter(mots_form="png")), tmp_path / "png", clips)
    one, other = read_set(MOTS, tmp_path / "one"), read_set(MOTS, tmp_path / "png")
    assert [[track.track_id for track in clip.tracks] for clip in one] == [
        [track.track_id for track in clip.tracks] for clip in other
    ]


def test_the_class_that_evaluators_ignore_is_never_used(tmp_path: Path) -> None:
    names = {f"kind{number}": number for number in range(1, 13)}
    (clip,) = odd_clips(4, 1, sizes_HW=[(4, 6)], lengths=[1])
    masks = tuple(encode(np.arange(24).reshape(4, 6) == number) for number in range(12))
    tracks = tuple(
        LabelledTrack(track_id=f"t{number:02d}", category=f"kind{number}", masks=(masks[number - 1],), sounding=(None,))
        for number in range(1, 13)
    )
    clip = replace(clip, tracks=tracks, split="val")
    for form in ("text", "png"):
        spec = replace(MOTS, writer=MotsWriter(mots_form=form))  # type: ignore[arg-type]  # one of the two
        write_set(spec, tmp_path / form, [clip], SetFacts(name="x", categories=names))
        (found,) = read_set(spec, tmp_path / form)
        assert sorted(str(track.category) for track in found.tracks) == sorted(names)
    assert (tmp_path / "text/val/labels.txt").read_text().splitlines()[8:11] == ["kind9", "ignore", "kind10"]


def test_a_clip_without_objects_and_pictures_keeps_its_size_and_length(tmp_path: Path) -> None:
    clips = odd_clips(8, 4)
    bare = [replace(clip, tracks=(), stills=tuple(replace(s, picture=None) for s in clip.stills)) for clip in clips]
    check_round_trip(MOTS, tmp_path, bare)


def test_what_mots_cannot_number_is_told_before_anything_is_written() -> None:
    (clip,) = odd_clips(4, 1, lengths=[1])
    track = LabelledTrack(track_id="t", category="dog", masks=(None,), sounding=(None,))
    many = replace(clip, tracks=tuple(replace(track, track_id=f"t{number:04d}") for number in range(1000)))
    assert "999" in str(MOTS.fits(many))


@NEEDS_SHARED
@pytest.mark.cell("mots", "in")
@pytest.mark.parametrize("fixture", ["mots_txt", "mots_png"])
def test_the_fixture_is_read_to_the_pixel(fixture: str) -> None:
    folder = SHARED / "format_fixtures" / fixture
    expected = json.loads((folder / "expected.json").read_text())
    assert MOTS.reader is not None and MOTS.reader.looks_right(folder)
    (clip,) = read_set(MOTS, folder)
    check_expected(clip, expected)
    assert [track.track_id for track in clip.tracks] == [track["id"] for track in expected["tracks"]]
    if fixture == "mots_txt":
        (clip,) = read_set(MOTS, folder / "0001.txt")
        check_expected(clip, expected)


def test_layouts_of_kitti_and_of_motschallenge(tmp_path: Path) -> None:
    for split, name in (("training", "0001"), ("training", "0002"), ("testing", "0001")):
        (tmp_path / "kitti" / split / "image_02" / name).mkdir(parents=True)
        for number in range(4):
            Image.new("RGB", (6, 4)).save(tmp_path / "kitti" / split / "image_02" / name / f"{number:06d}.png")
    saved(tmp_path / "kitti/training/instances_txt/0001.txt", LINES)
    saved(tmp_path / "kitti/training/instances_txt/0002.txt", [])
    found = read_set(MOTS, tmp_path / "kitti")
    assert [(clip.name, clip.split, clip.has_truth, len(clip.stills), len(clip.tracks)) for clip in found] == [
        ("0002", "train", True, 4, 0),
        ("testing_0001", "test", False, 4, 0),
        ("training_0001", "train", True, 4, 2),
    ]
    lines = [line.replace("0 1001", "1 1001", 1) for line in LINES]
    saved(tmp_path / "challenge/train/MOTS20-02/gt/gt.txt", lines)
    info = "[Sequence]\nname=MOTS20-02\nimDir=img1\nframeRate=30\nseqLength=5\nimWidth=6\nimHeight=4\n"
    (tmp_path / "challenge/train/MOTS20-02/seqinfo.ini").write_text(info)
    (clip,) = read_set(MOTS, tmp_path / "challenge")
    assert (clip.name, clip.split, [still.number for still in clip.stills]) == ("MOTS20-02", "train", [1, 2, 3, 4, 5])


def test_length_comes_from_a_seqmap_where_there_are_no_pictures(tmp_path: Path) -> None:
    saved(tmp_path / "instances_txt/0001.txt", LINES)
    assert [len(clip.stills) for clip in read_set(MOTS, tmp_path)] == [3]
    saved(tmp_path / "val.seqmap", ["0001 empty 000000 000006"])
    assert [len(clip.stills) for clip in read_set(MOTS, tmp_path)] == [7]


def test_regions_to_ignore_are_no_objects(tmp_path: Path) -> None:
    ignored = f"1 10000 10 4 6 {counts(4, 6, (3, 3))}"
    saved(tmp_path / "txt/instances_txt/a.txt", [*LINES, ignored])
    pictures(tmp_path / "png/instances/a", [[1001, 0, 10000]], [[0, 2005, 10000]])
    for form, ids in (("txt", ["1001", "2001"]), ("png", ["1001", "2005"])):
        (clip,) = read_set(MOTS, tmp_path / form)
        assert [track.track_id for track in clip.tracks] == ids
        assert [track.category for track in clip.tracks] == ["car", "pedestrian"]
        assert "to ignore" in clip.remarks[0]


def test_a_frame_without_a_picture_of_masks_is_not_labelled(tmp_path: Path) -> None:
    pictures(tmp_path / "instances/a", [[1001, 0]], first=1)
    (tmp_path / "images/a").mkdir(parents=True)
    for number in range(3):
        Image.new("RGB", (2, 1)).save(tmp_path / f"images/a/{number:06d}.jpg")
    (clip,) = read_set(MOTS, tmp_path)
    assert [still.is_labelled for still in clip.stills] == [False, True, False]
    assert area(clip.tracks[0].masks[1] or pytest.fail("no mask")) == 1 and not decode(clip.tracks[0].masks[1]).all()


LONG = counts(4, 6, (0, 0))
TEXT_FAULTS = {
    "another size": (f"1 1001 1 6 4 {LONG}", "a.txt:3: 4 x 6 pixels, what came before has 6 x 4"),
    "too few": ("1 1001 1 4 6", "a.txt:3: must be `frame id class height width rle`"),
    "runs": ("1 1001 1 4 6 0", "a.txt:3: track 1001: "),
    "no runs": ("1 1001 1 4 6 ~~", "a.txt:3: track 1001: "),
    "twice": (f"0 1001 1 4 6 {LONG}", "a.txt:3: track 1001: has a second mask"),
    "classes": (f"1 1001 2 4 6 {LONG}", "has the category 'pedestrian' here and 'car' in"),
    "polygon": ("1 1 0 4 6 [[0, 0], [1, 1], [2, 0]]", "import X-AnyLabeling's own JSON"),
    "huge": (f"99999999 1001 1 4 6 {LONG}", "too high"),
    "endless": (f"{'9' * 5000} 1001 1 4 6 {LONG}", "a.txt:3: must be"),
    "no picture": (f"1 1001 1 0 6 {LONG}", "not possible"),
}


@pytest.mark.parametrize("fault", TEXT_FAULTS)
def test_a_fault_in_a_line_is_told_and_the_other_clip_goes_on(fault: str, tmp_path: Path) -> None:
    line, message = TEXT_FAULTS[fault]
    saved(tmp_path / "instances_txt/a.txt", [*LINES, line])
    saved(tmp_path / "instances_txt/b.txt", LINES)
    problems = unread(MOTS, tmp_path)
    assert list(problems) == ["a"] and len(problems["a"]) == 1 and message in problems["a"][0]


def test_faults_of_pictures_are_told_all_at_once(tmp_path: Path) -> None:
    pictures(tmp_path / "instances/a", [[1001, 0]], [[5, 0]], [[1001, 0, 0]])
    Image.new("RGB", (2, 1)).save(tmp_path / "instances/a/000003.png")
    (tmp_path / "instances/a/000004.png").write_bytes(b"\x89PNG")
    pictures(tmp_path / "instances/b", [[1001, 0]])
    problems = unread(MOTS, tmp_path)
    assert list(problems) == ["a"]
    told = ["000001.png: value: 5", "000002.png: 3 x 1 pixels", "000003.png: is of the form RGB", "000004.png: no pict"]
    assert len(problems["a"]) == 4 and all(text in problem for text, problem in zip(told, problems["a"], strict=True))


def test_a_class_that_the_list_does_not_have_is_told(tmp_path: Path) -> None:
    saved(tmp_path / "instances_txt/a.txt", LINES)
    saved(tmp_path / "labels.txt", ["dog"])
    assert "labels.txt" in unread(MOTS, tmp_path)["a"][0]


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    saved(tmp_path / "notes.txt", ["hello"])
    with pytest.raises(DataError, match="holds no MOTS"):
        read_set(MOTS, tmp_path)
    assert MOTS.reader is not None and not MOTS.reader.looks_right(tmp_path)


def test_polygons_of_x_anylabeling_are_told_with_what_to_take(tmp_path: Path) -> None:
    path = saved(tmp_path / "custom_gt.txt", ["0 1 0 12 20 [[1, 1], [3, 1], [3, 3]]"])
    ((problem,),) = unread(MOTS, path).values()
    assert "custom_gt.txt:1" in problem and "import X-AnyLabeling's own JSON" in problem
