"""The small detector of a package: its anchors, its windows, and how its answers become boxes of the picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from avis_data.annotation.prelabel.engine import Detection, box_iou, without_doubles
from avis_data.annotation.prelabel.ssd_mobilenet import SsdMobilenet, anchors, load_ssd_mobilenet, tiles
from avis_data.errors import DataError

NAMES = ["???", *(f"class {number}" for number in range(1, 23)), "Car"]
NAMES[4] = "Person"
CELLS = {19: 3, 10: 6, 5: 6, 3: 6, 2: 6, 1: 6}


class FakeNetwork:
    """Answers as the network does, layer by layer: nothing is there but what it is told, in the whole picture only."""

    def __init__(self, there: Mapping[int, tuple[int, Sequence[float]]]) -> None:
        """`there`: number of an anchor to a class and a code (y, x, height, width)."""
        self._there, self._asked = there, 0

    def getLayerNames(self) -> list[str]:
        kinds = ("BoxEncodingPredictor", "ClassPredictor")
        return [f"BoxPredictor_{number}/{kind}/BiasAdd;more" for number in range(6) for kind in kinds]

    def setInput(self, given: NDArray[np.float32]) -> None:
        assert given.shape == (1, 3, 300, 300) and given.min() >= -1 and given.max() <= 1
        self._asked += 1

    def forward(self, layers: Sequence[str]) -> list[NDArray[np.float32]]:
        codes = np.zeros((1917, 4), dtype=np.float32)
        scores = np.full((1917, 24), -20, dtype=np.float32)
        for anchor, (kind, code) in self._there.items() if self._asked == 1 else ():
            codes[anchor], scores[anchor, kind] = code, 4.0
        found: dict[str, NDArray[np.float32]] = {}
        first = 0
        for number, (cells, shapes) in enumerate(CELLS.items()):
            last = first + cells * cells * shapes
            for kind, values in (("BoxEncodingPredictor", codes), ("ClassPredictor", scores)):
                grid = values[first:last].reshape(cells, cells, -1).transpose(2, 0, 1)
                found[f"BoxPredictor_{number}/{kind}/BiasAdd;more"] = grid[None]
            first = last
        return [found[name] for name in layers]


def detector(there: Mapping[int, tuple[int, Sequence[float]]]) -> SsdMobilenet:
    return SsdMobilenet(FakeNetwork(there), NAMES, weights_sha256="0" * 64)  # type: ignore[arg-type]


def test_there_are_as_many_anchors_as_answers_and_their_sizes_are_those_of_the_paper() -> None:
    found = anchors()
    assert found.shape == (sum(cells * cells * shapes for cells, shapes in CELLS.items()), 4) == (1917, 4)
    assert found[0] == pytest.approx([0.5 / 19, 0.5 / 19, 0.1, 0.1])
    assert found[1] == pytest.approx([0.5 / 19, 0.5 / 19, 0.2 * 2**0.5, 0.2 / 2**0.5]), "twice as wide as it is high"
    assert found[1083] == pytest.approx([0.05, 0.05, 0.35, 0.35]), "the second map: scales rise by 0.15"
    assert found[-1] == pytest.approx([0.5, 0.5, 0.95**0.5, 0.95**0.5]), "the last: between its scale and 1"
    areas = (found[:, 2] * found[:, 3])[1083:1683].reshape(100, 6)
    np.testing.assert_allclose(areas, np.tile([0.35**2] * 5 + [0.35 * 0.5], (100, 1)))


def test_a_code_becomes_a_box_of_the_picture() -> None:
    """The middle one of the third map, moved a tenth of its width to the right and made half as high."""
    anchor = 1083 + 600 + (2 * 5 + 2) * 6
    code = (0.0, 1.0, 5 * np.log(0.5), 0.0)
    (found,) = detector({anchor: (4, code)}).detect(np.zeros((200, 200, 3), dtype=np.uint8), ["person"])
    assert found.category == "person" and found.score == pytest.approx(1 / (1 + np.exp(-4)))
    middle, width, height = 100 + 0.1 * 0.5 * 200, 0.5 * 200, 0.25 * 200
    assert found.box == pytest.approx((middle - width / 2, 100 - height / 2, middle + width / 2, 100 + height / 2))


def test_only_what_is_asked_for_is_found_and_only_what_it_knows_is_findable() -> None:
    there = {1909: (4, (0.0, 0.0, 0.0, 0.0)), 1500: (23, (0.0, 0.0, 0.0, 0.0))}
    picture = np.zeros((200, 200, 3), dtype=np.uint8)
    assert {one.category for one in detector(there).detect(picture, ["person", "sedan"])} == {"person", "sedan"}
    found = detector(there)
    assert [one.category for one in found.detect(picture, ["sedan"])] == ["sedan"], "a car by another name"
    assert found.findable(["bee", "person", "sedan", "synthesizer"]) == ("person", "sedan")


def test_a_long_picture_is_looked_at_in_squares_that_cover_it() -> None:
    assert tiles(200, 220) == [(0, 0, 220, 200)]
    whole, *squares = tiles(288, 872)
    assert whole == (0, 0, 872, 288) and all(x1 - x0 == y1 - y0 == 288 for x0, y0, x1, y1 in squares)
    assert squares[0][0] == 0 and squares[-1][2] == 872
    assert all(after[0] - before[0] <= 144 for before, after in pairwise(squares))
    assert [(y0, y1) for _, y0, _, y1 in tiles(400, 200)[1:]] == [(0, 200), (100, 300), (200, 400)]


def test_of_two_boxes_of_one_thing_the_surer_one_stays() -> None:
    sure = Detection(box=(0, 0, 10, 10), category="dog", score=0.9)
    same = Detection(box=(0, 0, 10, 8), category="dog", score=0.8)
    other = Detection(box=(0, 0, 10, 8), category="cat", score=0.7)
    beside = Detection(box=(8, 0, 18, 10), category="dog", score=0.6)
    assert without_doubles([beside, same, other, sure]) == [sure, other, beside]
    assert box_iou(sure.box, same.box) == pytest.approx(0.8) and box_iou((0, 0, 0, 0), (0, 0, 0, 0)) == 0


def test_files_of_another_network_are_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        load_ssd_mobilenet(tmp_path, weights_sha256="0" * 64)
    (tmp_path / "object_detection_ssd_mobilenetv2_oidv4_fp16.tflite").write_bytes(b"no network")
    (tmp_path / "object_detection_oidv4_labelmap.txt").write_text("\n".join(NAMES))
    with pytest.raises(DataError, match="cannot be read"):
        load_ssd_mobilenet(tmp_path, weights_sha256="0" * 64)
