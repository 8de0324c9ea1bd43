"""Benchmarks of what is heard: their fixtures to the pixel, odd clips through AVSS, the public loader's own table."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from avis_data.formats.avsbench_masks import voc_colours
from avis_data.formats.heard.avsbench import AVSS
from avis_data.formats.sets.clips import LabelledClip, UnreadClip
from avis_data.formats.sets.registry import SETS
from avis_data.masks.rle import decode
from support.damaged_sets import read_damaged
from support.labelled_sets import check_expected, check_round_trip, odd_clips, read_set, unread, write_set
from support.places import NEEDS_SHARED, SHARED

FIXTURES = {"avsbench_s4": "avsbench", "avsbench_avss": "avsbench", "avtrack": "avtrack"}
"""Fixture to format."""


@NEEDS_SHARED
@pytest.mark.parametrize(
    "fixture", [pytest.param(name, marks=pytest.mark.cell(spec, "in")) for name, spec in FIXTURES.items()]
)
def test_a_fixture_is_read_to_the_pixel(fixture: str) -> None:
    folder = SHARED / "format_fixtures" / fixture
    (clip,) = read_set(SETS[FIXTURES[fixture]], folder)
    check_expected(clip, json.loads((folder / "expected.json").read_text()))
    assert all(still.picture is not None and still.is_labelled for still in clip.stills) and clip.sound is not None


@pytest.mark.cell("avsbench-avss", "trip", "out", "in")
@pytest.mark.parametrize("seed", range(4))
def test_odd_clips_come_back_as_classes(seed: int, tmp_path: Path) -> None:
    clips = odd_clips(seed, count=5, lengths=(5, 10))
    for clip in check_round_trip(AVSS, tmp_path / "set", clips):
        categories = [track.category for track in clip.tracks]
        assert len(set(categories)) == len(categories)
        for number in range(len(clip.stills)):
            stack = [decode(mask) for track in clip.tracks if (mask := track.masks[number]) is not None]
            assert not stack or np.sum(stack, axis=0).max() == 1, "a pixel has one class"


@pytest.mark.cell("avsbench-avss", "reader")
def test_the_table_of_colours_of_the_public_loader_reads_the_masks(tmp_path: Path) -> None:
    """`color_dataloader.py` compares each pixel with 71 colours and takes the place of the one that is equal."""
    clips = odd_clips(7, count=4, lengths=(5, 10))
    write_set(AVSS, tmp_path, clips)
    numbers = json.loads((tmp_path / "label2idx.json").read_text())
    assert len(numbers) == 71 and sorted(numbers.values()) == list(range(71)) and numbers["background"] == 0
    with (tmp_path / "metadata.csv").open(newline="") as file:
        rows = {row["uid"]: row for row in csv.DictReader(file)}
    assert sorted(rows) == [clip.name for clip in clips]
    palette = np.array([loader_colour(number) for number in range(71)])
    assert np.array_equal(palette, voc_colours(71))
    for clip in read_set(AVSS, tmp_path):
        row = rows[clip.name]
        assert row["label"] == ("v1m" if len(clip.stills) == 5 else "v2") and row["split"] == clip.split
        for number in range(len(clip.stills)):
            with Image.open(tmp_path / row["label"] / clip.name / "labels_rgb" / f"{number}.png") as picture:
                assert picture.mode == "RGB"
                one_hot = (np.asarray(picture)[:, :, None, :] == palette).all(axis=-1)
            assert one_hot.any(axis=2).all(), "no colour that is not in the table"
            classes = one_hot.argmax(axis=2)
            for track in clip.tracks:
                mask, inside = track.masks[number], classes == numbers[track.category]
                assert np.array_equal(inside, decode(mask)) if mask is not None else not inside.any()


def loader_colour(label: int) -> tuple[int, int, int]:
    """PASCAL VOC's colour of a label, three of its bits for each place, as the published loaders make it."""
    red = green = blue = place = 0
    while label:
        red |= (label & 1) << (7 - place)
        green |= (label >> 1 & 1) << (7 - place)
        blue |= (label >> 2 & 1) << (7 - place)
        label, place = label >> 3, place + 1
    return red, green, blue


def test_ms3_and_the_first_frame_of_s4_training_clips(tmp_path: Path) -> None:
    """MS3 has no category; of S4's training clips only the first frame was looked at."""
    mask = np.zeros((224, 224), np.uint8)
    mask[10:20, 30:50] = 255
    s4, ms3 = tmp_path / "Single-source", tmp_path / "Multi-sources"
    s4.mkdir()
    (s4 / "s4_meta_data.csv").write_text("name,start,category,split\n-a_1,0,dog barking,train\n")
    folder = s4 / "s4_data" / "gt_masks" / "train" / "dog_barking" / "-a_1"
    folder.mkdir(parents=True)
    Image.fromarray(mask).save(folder / "-a_1_1.png")
    (clip,) = read_set(SETS["avsbench"], tmp_path)
    assert clip.name == "-a_1" and [track.category for track in clip.tracks] == ["dog_barking"]
    assert [still.is_labelled for still in clip.stills] == [True, False, False, False, False]
    shutil.rmtree(s4)
    ms3.mkdir()
    (ms3 / "ms3_meta_data.csv").write_text("video_id,split\nb,val\n")
    folder = ms3 / "ms3_data" / "gt_masks" / "val" / "b"
    folder.mkdir(parents=True)
    for number in range(1, 6):
        Image.fromarray(np.stack([mask] * 3, axis=2) if number % 2 else mask).save(folder / f"b_{number}.png")
    (clip,) = read_set(SETS["avsbench"], tmp_path)
    assert [(track.category, track.frames) for track in clip.tracks] == [(None, (0, 1, 2, 3, 4))]
    (folder / "b_3.png").unlink()
    assert "b_3.png: no such file" in unread(SETS["avsbench"], tmp_path)["b"][0]


@NEEDS_SHARED
def test_merged_truth_of_avtrack_is_read_where_there_is_no_other(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    shutil.copytree(SHARED / "format_fixtures" / "avtrack", folder)
    (before,) = read_set(SETS["avtrack"], folder)
    merged = folder / "Instance_Masks_merged" / before.name
    merged.mkdir(parents=True)
    for number in range(len(before.stills)):
        picture = np.zeros((before.height, before.width), np.uint8)
        for person, track in enumerate(before.tracks):
            if (mask := track.masks[number]) is not None:
                picture[decode(mask)] = (person + 1) * (255 // len(before.tracks))
        Image.fromarray(picture).save(merged / f"frame_{number:05d}.png")
    shutil.rmtree(folder / "Instance_Masks")
    (after,) = read_set(SETS["avtrack"], folder)
    assert [track.track_id for track in after.tracks] == ["person_0", "person_1"]
    assert [track.sounding for track in after.tracks] == [track.sounding for track in before.tracks]
    (merged / "frame_00009.png").write_bytes((merged / "frame_00000.png").read_bytes())
    assert "is of no still: the video has 3" in unread(SETS["avtrack"], folder)[before.name][0]


@NEEDS_SHARED
@pytest.mark.parametrize("fixture", FIXTURES)
def test_a_damaged_fixture_is_told_and_never_crashes(fixture: str, tmp_path: Path) -> None:
    read_damaged(SETS[FIXTURES[fixture]], SHARED / "format_fixtures" / fixture, tmp_path, seeds=60)


@NEEDS_SHARED
def test_rows_of_no_split_and_clips_that_are_twice_are_told(tmp_path: Path) -> None:
    shutil.copytree(SHARED / "format_fixtures" / "avsbench_s4", tmp_path / "set")
    (table,) = tmp_path.rglob("*.csv")
    header, row = table.read_text().splitlines()[:2]
    other, wrong = row.replace("AbCdEf12345", "other"), row.replace("val", "vall").replace("AbCdEf12345", "x")
    table.write_text("\n".join([header, row, other, other, wrong]) + "\n")
    clips = list(SETS["avsbench"].reader.read(tmp_path / "set"))  # type: ignore[union-attr]  # it has one
    assert [clip.name for clip in clips if isinstance(clip, LabelledClip)] == ["AbCdEf12345_20000_25000"]
    told = [str(problem) for clip in clips if isinstance(clip, UnreadClip) for problem in clip.problems]
    assert len(told) == 2 and f"{table}:5: split: must be train, val or test (found 'vall')" in told[0]
    assert "clip other_20000_25000: is in the table 2 times" in told[1]
