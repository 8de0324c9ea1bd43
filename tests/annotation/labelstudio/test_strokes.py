"""Strokes of a draft become the pixels that the page shows; damaged ones are told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from avis_data.annotation.labelstudio.regions import mask_regions, read_result
from avis_data.annotation.labelstudio.strokes import with_strokes
from avis_data.errors import DataError
from avis_data.masks.rle import decode, encode

HEIGHT, WIDTH = 60, 100


def stroke(kind: str, *points: float, width: float = 6.0) -> dict[str, Any]:
    """In pixels; the page keeps percents, its width of the still's."""
    percent = [100 * value / (HEIGHT if number % 2 else WIDTH) for number, value in enumerate(points)]
    return {"id": "x", "type": kind, "relativePoints": percent, "relativeStrokeWidth": 100 * width / WIDTH}


def test_a_stroke_covers_its_width_and_has_round_ends() -> None:
    drawn = with_strokes(np.zeros((HEIGHT, WIDTH), bool), [stroke("add", 20, 30, 60, 30)])
    rows, columns = np.nonzero(drawn)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (27, 32, 17, 62)
    assert drawn[27:33, 20:60].all() and not drawn[27, 17] and not drawn[32, 62]
    assert abs(int(drawn.sum()) - (6 * 40 + np.pi * 9)) <= 12


def test_strokes_count_in_their_order_and_at_the_border() -> None:
    before = np.zeros((HEIGHT, WIDTH), bool)
    before[:20, :20] = True
    drawn = with_strokes(
        before, [stroke("add", 50, 30), stroke("eraser", 50, 30, width=4), stroke("add", -3, -3, 0, 0)]
    )
    assert drawn[:20, :20].all() and not drawn[30, 50] and drawn[30, 52] and not drawn[40, 80]
    assert with_strokes(before, []).sum() == 400


def test_a_draft_is_read_with_its_strokes() -> None:
    before = np.zeros((HEIGHT, WIDTH), bool)
    before[10:20, 10:20] = True
    old = mask_regions("dog_1", 0, encode(before))
    place = {"item_index": 0, "original_width": WIDTH, "original_height": HEIGHT, "id": "new"}
    new = [
        {**place, "type": kind, "value": {"format": "rle", "touches": [stroke("add", 70, 30)], **more}}
        for kind, more in (("brush", {}), ("labels", {"labels": ["dog_2"]}))
    ]
    changed = [{**region, "value": {**region["value"], "touches": [stroke("eraser", 15, 15)]}} for region in old]
    read = read_result([*changed, *new], num_seconds=1, height=HEIGHT, width=WIDTH)
    masks = {name: decode(drawn.rle).astype(bool) for (name, _), drawn in read.masks.items()}
    assert not masks["dog_1"][15, 15] and masks["dog_1"][10, 10] and masks["dog_2"][30, 70] and not read.problems


@pytest.mark.parametrize(
    "touches",
    [
        "x", {}, 3, [3], [{}], [None],
        [stroke("wipe", 1, 1)],
        [{**stroke("add", 1, 1), "relativePoints": []}],
        [{**stroke("add", 1, 1), "relativePoints": [1]}],
        [{**stroke("add", 1, 1), "relativePoints": [1, "2"]}],
        [{**stroke("add", 1, 1), "relativePoints": [float("nan"), 1]}],
        [{**stroke("add", 1, 1), "relativePoints": [1e300, 1]}],
        [{**stroke("add", 1, 1), "relativeStrokeWidth": None}],
        [{**stroke("add", 1, 1), "relativeStrokeWidth": float("inf")}],
        [{}] * 10_001,
    ],
)  # fmt: skip
def test_what_is_no_stroke_is_told(touches: Any) -> None:
    with pytest.raises(DataError, match="stroke"):
        with_strokes(np.zeros((HEIGHT, WIDTH), bool), touches)
    region = {"id": "a", "type": "labels", "item_index": 0, "original_width": WIDTH, "original_height": HEIGHT}
    region["value"] = {"format": "rle", "touches": touches, "labels": ["dog_1"]}
    read = read_result([region], num_seconds=1, height=HEIGHT, width=WIDTH)
    assert not read.masks and [problem.kind for problem in read.problems] == ["bad_mask"]
