"""COCO as we write it, read by the tools that people take it to: datumaro and FiftyOne."""

from __future__ import annotations

from pathlib import Path

import pytest

from avis_data.formats.boards.coco import COCO
from avis_data.formats.sets.clips import LabelledClip
from support.format_readers import answer_of, same_pixels
from support.labelled_sets import odd_clips, write_set

pytestmark = [pytest.mark.format_readers, pytest.mark.cell("coco", "reader")]


@pytest.fixture(scope="module")
def clips() -> list[LabelledClip]:
    return sorted((clip for seed in range(3) for clip in odd_clips(seed)), key=lambda clip: clip.name)


def test_datumaro_reads_the_same_masks_categories_and_attributes(clips: list[LabelledClip], tmp_path: Path) -> None:
    write_set(COCO, tmp_path / "set", clips)
    found = answer_of("datumaro_coco", tmp_path / "set", home=tmp_path / "home")
    assert len(found) == sum(len(clip.stills) for clip in clips)
    seen = 0
    for clip in clips:
        for place, still in enumerate(clip.stills):
            item = found[f"{clip.split}/{clip.name}/{still.name}"]
            assert item["has_picture"]
            objects = sorted(item["objects"], key=lambda object_: object_["attributes"]["track_id"])
            there = [track for track in clip.tracks if track.masks[place] is not None]
            for object_, track in zip(objects, there, strict=True):
                assert object_["category"] == track.category
                assert object_["attributes"].get("sounding") == track.sounding[place]
                assert same_pixels(object_["mask"], track.masks[place])
                seen += 1
    assert seen > 30


def test_fiftyone_s_importer_reads_the_same_masks(clips: list[LabelledClip], tmp_path: Path) -> None:
    write_set(COCO, tmp_path / "set", clips)
    pictures, labels = tmp_path / "set/images/train", tmp_path / "set/annotations/instances_train.json"
    found = answer_of("fiftyone_coco", pictures, labels, home=tmp_path / "home")
    of_train = [clip for clip in clips if clip.split == "train"]
    assert len(found) == sum(len(clip.stills) for clip in of_train)
    for clip in of_train:
        for place, still in enumerate(clip.stills):
            there = [track for track in clip.tracks if track.masks[place] is not None]
            objects = found[str(pictures / clip.name / f"{still.name}.jpg")]
            for object_, track in zip(objects, there, strict=True):
                assert object_["category"] == track.category and same_pixels(object_["mask"], track.masks[place])
