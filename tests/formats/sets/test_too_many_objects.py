"""A folder of pictures that nobody tracked is told, and does not fill the memory."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import avis_data.formats.sets.clips as clips
from avis_data.formats.sets.registry import SETS
from support.labelled_sets import unread

STILLS = 20


def coco(folder: Path) -> str:
    images = [{"id": n, "file_name": f"{n:03d}.jpg", "width": 8, "height": 8} for n in range(STILLS)]
    outline = [[1, 1, 6, 1, 6, 5, 1, 5]]
    marks = [{"id": n, "image_id": n, "category_id": 1, "segmentation": outline, "iscrowd": 0} for n in range(STILLS)]
    said = {"images": images, "annotations": marks, "categories": [{"id": 1, "name": "dog"}]}
    (folder / "labels.json").write_text(json.dumps(said))
    return "coco"


def labelme(folder: Path) -> str:
    for number in range(STILLS):
        shape = {"label": "dog", "points": [[1, 1], [6, 1], [6, 5]], "shape_type": "polygon", "flags": {}}
        said = {"shapes": [shape], "imagePath": "", "imageData": None, "imageHeight": 8, "imageWidth": 8}
        (folder / f"{number:03d}.json").write_text(json.dumps(said))
    return "labelme"


@pytest.mark.parametrize("write", [coco, labelme])
def test_more_objects_than_a_clip_can_have_are_one_problem(
    write: Callable[[Path], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = write(tmp_path)
    assert unread(SETS[name], tmp_path) == {}
    monkeypatch.setattr(clips, "_MOST_PLACES", STILLS * 5)
    ((problem,),) = unread(SETS[name], tmp_path).values()
    assert "more than 5 objects in 20 stills are no clip" in problem and str(tmp_path) in problem
