"""Stills of two sizes and wrong shapes in both: one reading tells all of it, whatever the tool."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from avis_data.formats.sets.registry import SETS
from support.labelled_sets import unread

SIZES = ((8, 6), (9, 6))
TWO_POINTS = [[1, 1], [4, 4]]


def coco(folder: Path) -> None:
    images = [{"id": n, "file_name": f"a/{n}.jpg", "width": w, "height": h} for n, (w, h) in enumerate(SIZES)]
    flat = [[value for point in TWO_POINTS for value in point]]
    marks = [{"id": n, "image_id": n, "category_id": 7, "segmentation": flat} for n in range(2)]
    (folder / "labels.json").write_text(json.dumps({"images": images, "annotations": marks, "categories": []}))


def cvat(folder: Path) -> None:
    outline = '<polygon label="dog" occluded="0" points="1,1;4,4" z_order="0"></polygon>'
    images = [
        f'<image id="{n if n else "x"}" name="a/{n}.jpg" width="{w}" height="{h}">{outline}</image>'
        for n, (w, h) in enumerate(SIZES)
    ]
    (folder / "a.xml").write_text(f"<annotations><version>1.1</version>{''.join(images)}</annotations>")


def labelme(folder: Path) -> None:
    (folder / "a").mkdir()
    for number, (width, height) in enumerate(SIZES):
        shape = {"label": "dog", "points": TWO_POINTS, "shape_type": "polygon"}
        said = {"imagePath": "", "imageData": None, "imageWidth": width, "imageHeight": height, "shapes": [shape]}
        (folder / "a" / f"{number}.json").write_text(json.dumps(said))


def isat(folder: Path) -> None:
    (folder / "a").mkdir()
    for number, (width, height) in enumerate(SIZES):
        shape = {"category": "dog", "group": 1, "segmentation": TWO_POINTS, "layer": 1.0}
        info = {"description": "ISAT", "width": width, "height": height}
        (folder / "a" / f"{number}.json").write_text(json.dumps({"info": info, "objects": [shape]}))


def label_studio(folder: Path) -> None:
    tasks = []
    for number, (width, height) in enumerate(SIZES):
        size = {"original_width": width, "original_height": height}
        value = {"points": TWO_POINTS, "polygonlabels": ["dog"]}
        region = {"id": "r", "type": "polygonlabels", "value": value} | size
        data = {"image": f"{number}.jpg", "clip": "a"}
        tasks.append({"id": number, "data": data, "annotations": [{"id": 1, "result": [region]}]})
    (folder / "export.json").write_text(json.dumps(tasks))


TOOLS: dict[str, Callable[[Path], None]] = {
    "coco": coco,
    "cvat": cvat,
    "labelme": labelme,
    "x-anylabeling": labelme,
    "isat": isat,
    "label-studio": label_studio,
}


@pytest.mark.parametrize("tool", TOOLS)
def test_sizes_that_differ_hide_no_other_fault(tool: str, tmp_path: Path) -> None:
    TOOLS[tool](tmp_path)
    (problems,) = unread(SETS[tool], tmp_path).values()
    assert sum("one size" in problem for problem in problems) == 1
    short = [problem for problem in problems if "point(s)" in problem or "value(s)" in problem]
    assert len(short) == 2, problems
