"""DAVIS and YouTube-VOS: what comes back, what sets of others say, and all that can be wrong in one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from avis_data.errors import DataError
from avis_data.formats.boards.davis import DAVIS
from support.labelled_sets import check_expected, check_round_trip, odd_clips, read_set, unread, write_set
from support.places import NEEDS_SHARED, SHARED


def indexed(path: Path, values: list[list[int]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(np.array(values, np.uint8))
    picture.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0, *range(247), *range(247), *range(253), *range(12)])
    picture.save(path)


@pytest.mark.cell("davis", "trip")
@pytest.mark.parametrize("seed", range(10))
def test_everything_but_contested_pixels_and_sound_comes_back(seed: int, tmp_path: Path) -> None:
    check_round_trip(DAVIS, tmp_path / "set", odd_clips(seed, 5))


@NEEDS_SHARED
@pytest.mark.cell("davis", "in")
def test_the_fixture_of_sam_2_is_read_to_the_pixel() -> None:
    folder = SHARED / "format_fixtures" / "davis"
    (clip,) = read_set(DAVIS, folder)
    check_expected(clip, json.loads((folder / "expected.json").read_text()))
    assert (clip.name, clip.split, [track.track_id for track in clip.tracks]) == ("clip", "train", ["1", "2"])


@pytest.mark.cell("davis", "reader")
def test_pillow_reads_indices_with_the_colours_of_davis(tmp_path: Path) -> None:
    names = write_set(DAVIS, tmp_path, odd_clips(3, 6))
    pictures = [name for name in names if name.endswith(".png")]
    for name in pictures:
        picture = Image.open(tmp_path / name)
        assert picture.mode == "P" and (picture.getpalette() or [])[:9] == [0, 0, 0, 128, 0, 0, 0, 128, 0]
    assert pictures


def test_youtube_vos_says_categories_and_leaves_stills_out(tmp_path: Path) -> None:
    indexed(tmp_path / "valid/Annotations/v1/00005.png", [[0, 2, 255]])
    for number in (0, 5, 10):
        path = tmp_path / f"valid/JPEGImages/v1/{number:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (3, 1)).save(path)
    objects = {"2": {"category": "dog", "frames": ["00005", "00010"]}}
    (tmp_path / "valid/meta.json").write_text(json.dumps({"videos": {"v1": {"objects": objects}}}))
    (clip,) = read_set(DAVIS, tmp_path)
    assert [(still.number, still.is_labelled) for still in clip.stills] == [(0, False), (5, True), (10, False)]
    assert [(track.track_id, track.category, track.frames) for track in clip.tracks] == [("2", "dog", (1,))]
    assert clip.split == "val" and "the pixels count" in clip.remarks[0]


def test_colours_grey_and_indices_are_the_same_objects(tmp_path: Path) -> None:
    indexed(tmp_path / "Annotations/a/00000.png", [[0, 1, 2]])
    Image.open(tmp_path / "Annotations/a/00000.png").convert("RGB").save(tmp_path / "Annotations/a/00001.png")
    Image.fromarray(np.array([[0, 1, 2]], np.uint8)).save(tmp_path / "Annotations/a/00002.png")
    (clip,) = read_set(DAVIS, tmp_path)
    assert [track.frames for track in clip.tracks] == [(0, 1, 2), (0, 1, 2)]


def test_faults_are_told_and_the_other_clip_goes_on(tmp_path: Path) -> None:
    indexed(tmp_path / "Annotations/b/00000.png", [[1]])
    indexed(tmp_path / "Annotations/a/00000.png", [[1]])
    indexed(tmp_path / "Annotations/a/00001.png", [[1, 0]])
    (tmp_path / "Annotations/a/00002.png").write_bytes(b"x")
    Image.new("RGB", (1, 1), (1, 2, 3)).save(tmp_path / "Annotations/a/00003.png")
    problems = unread(DAVIS, tmp_path)
    assert list(problems) == ["a"] and len(problems["a"]) == 3
    with pytest.raises(DataError, match="holds no DAVIS set"):
        read_set(DAVIS, tmp_path / "Annotations/b")


@pytest.mark.parametrize(
    ("values", "tracks"),
    [
        ([[[0, 255]], [[0, 0]]], {"1": [True, False]}),  # DAVIS 2016
        ([[[1, 255]], [[0, 255]]], {"1": [True, False]}),  # a region to ignore, also where the object is not
        ([[[0, 0]], [[0, 0]]], {}),
    ],
)
def test_255_is_the_object_where_there_is_no_other(
    values: list[list[list[int]]], tracks: dict[str, list[bool]], tmp_path: Path
) -> None:
    folder = tmp_path / "Annotations" / "480p" / "bear"
    folder.mkdir(parents=True)
    for number, pixels in enumerate(values):
        Image.fromarray(np.array(pixels, np.uint8)).save(folder / f"{number:05d}.png")
    (clip,) = read_set(DAVIS, tmp_path)
    assert {track.track_id: [mask is not None for mask in track.masks] for track in clip.tracks} == tracks
    assert any("255 is the one object" in remark for remark in clip.remarks) == (values[0] == [[0, 255]])
