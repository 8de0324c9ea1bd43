"""The small detector that a package index ships: SSD with MobileNetV2, 23 classes of Open Images, on the CPU.

OpenCV reads the TFLite file. Its layers of boxes and of classes are read one by one, as their order in the file's own
outputs is not kept; answers equal those of the TFLite runtime to 3e-4.

Shapes: H, W pixels of a picture, A anchors.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from avis_data.annotation.prelabel.engine import Box, Detection, without_doubles
from avis_data.annotation.prelabel.object_classes import open_images_classes
from avis_data.errors import DataError

__all__ = ["SsdMobilenet", "anchors", "load_ssd_mobilenet", "tiles"]

_SIDE_PX = 300
_CELLS = (19, 10, 5, 3, 2, 1)
"""Cells across each map of features, of strides 16 to 512."""
_SMALLEST, _LARGEST = 0.2, 0.95
"""Sides of anchors of the first and of the last map, as parts of the picture."""
_SHAPES = (1.0, 2.0, 0.5, 3.0, 1 / 3)
_PLACE_SCALE, _SIZE_SCALE = 10.0, 5.0
"""By what the network's places and sizes are divided."""
_LEAST_SCORE = 0.3
"""Of open-15's people, cars and bottles 82 % then have a box of IoU 0.5 and more (docs/prelabel.md)."""
_TILED_FROM = 1.2
"""A picture so much longer than it is wide is looked at in squares too: squeezed into one, people are thin."""
_CUT_PX = 3
"""A box that ends so near the side of a square, within the picture, shows a part of a thing."""
_NETWORK_FILE = "object_detection_ssd_mobilenetv2_oidv4_fp16.tflite"
_NAMES_FILE = "object_detection_oidv4_labelmap.txt"
_HINT = "avis-data weights get ssd-mobilenet"


class SsdMobilenet:
    """Finds people, animals and things of 23 classes. Several threads may ask it; they wait for each other."""

    name = "ssd-mobilenet"

    def __init__(self, network: cv2.dnn.Net, names: Sequence[str], *, weights_sha256: str) -> None:
        """With a network that is loaded, and the names of its classes, of which the first is none."""
        self.weights_sha256 = weights_sha256
        self._network, self._names = network, tuple(names)
        self._boxes = _heads(network, "BoxEncodingPredictor")
        self._classes = _heads(network, "ClassPredictor")
        self._anchors_A4 = anchors()
        self._lock = threading.Lock()  # a network of OpenCV holds its input

    def findable(self, categories: Sequence[str]) -> tuple[str, ...]:
        """Those whose name, or a like one, is a class of Open Images that it knows."""
        return tuple(category for category in categories if set(open_images_classes(category)) & set(self._names))

    def detect(self, picture_HW3: NDArray[np.uint8], categories: Sequence[str]) -> list[Detection]:
        """What is there; a long picture is looked at as a whole and in squares."""
        meant = {name: category for category in categories for name in open_images_classes(category)}
        height, width = picture_HW3.shape[:2]
        found: list[Detection] = []
        for x0, y0, x1, y1 in tiles(height, width):
            inside = self._in(picture_HW3[y0:y1, x0:x1], meant)
            found += (
                Detection(box=box, category=one.category, score=one.score)
                for one in inside
                if not _is_cut(box := _moved(one.box, x0, y0), (x0, y0, x1, y1), height, width)
            )
        return without_doubles(found)

    def _in(self, picture_HW3: NDArray[np.uint8], meant: dict[str, str]) -> Iterator[Detection]:
        height, width = picture_HW3.shape[:2]
        given = cv2.resize(picture_HW3, (_SIDE_PX, _SIDE_PX)).astype(np.float32) / 127.5 - 1
        with self._lock:
            self._network.setInput(given.transpose(2, 0, 1)[None])
            answers = self._network.forward([*self._boxes, *self._classes])
        codes = _as_rows(answers[: len(self._boxes)], 4)
        scores = 1 / (1 + np.exp(-_as_rows(answers[len(self._boxes) :], len(self._names))))
        boxes = np.clip(_decoded(codes, self._anchors_A4), 0, 1) * (width, height, width, height)
        for number, name in enumerate(self._names):
            if number == 0 or name not in meant:
                continue
            for place in np.flatnonzero(scores[:, number] >= _LEAST_SCORE):
                x0, y0, x1, y1 = (float(value) for value in boxes[place])
                if x1 > x0 and y1 > y0:
                    score = float(scores[place, number])
                    yield Detection(box=(x0, y0, x1, y1), category=meant[name], score=score)


def load_ssd_mobilenet(folder: Path, *, weights_sha256: str) -> SsdMobilenet:
    """The detector of `avis-data weights get ssd-mobilenet`.

    Raises:
        DataError: if a file is missing, or another network.
    """
    path = folder / _NETWORK_FILE
    try:
        names = (folder / _NAMES_FILE).read_text(encoding="utf-8").splitlines()
        network = cv2.dnn.readNetFromTFLite(np.frombuffer(path.read_bytes(), dtype=np.uint8))
    except (OSError, UnicodeDecodeError, cv2.error) as error:
        said = str(error).strip().splitlines()[-1][:200]
        raise DataError(f"{path}: this detector cannot be read ({said})", hint=_HINT) from None
    found = SsdMobilenet(network, names, weights_sha256=weights_sha256)
    if len(found._boxes) != len(_CELLS) or len(found._classes) != len(_CELLS) or len(names) != 24:
        raise DataError(f"{folder}: no SSD-MobileNetV2 of 23 classes of Open Images", hint=_HINT)
    return found


def anchors() -> NDArray[np.float64]:
    """The boxes that the network's answers are told from: float64 (1917, 4), middle x, y, width, height in [0, 1].

    Source: SSD (Liu et al., 2016), section 2.2, as MediaPipe's object detection has it: three smaller boxes in the
    first map, six in the others.
    """
    steps = len(_CELLS) - 1
    scales = [_SMALLEST + (_LARGEST - _SMALLEST) * number / steps for number in range(steps + 1)] + [1.0]
    found = []
    for number, cells in enumerate(_CELLS):
        sizes = [(scales[number], shape) for shape in _SHAPES]
        sizes.append((math.sqrt(scales[number] * scales[number + 1]), 1.0))
        if number == 0:
            sizes = [(0.1, 1.0), (scales[0], 2.0), (scales[0], 0.5)]
        for row in range(cells):
            for column in range(cells):
                middle = ((column + 0.5) / cells, (row + 0.5) / cells)
                found += [(*middle, scale * math.sqrt(shape), scale / math.sqrt(shape)) for scale, shape in sizes]
    return np.array(found)


def tiles(height: int, width: int) -> list[tuple[int, int, int, int]]:
    """The windows in which a picture is looked at, x0, y0, x1, y1: all of it, and squares along a long one."""
    short, long = sorted((height, width))
    found = [(0, 0, width, height)]
    if long / short <= _TILED_FROM:
        return found
    number = max(2, math.ceil((long - short) / (short * 0.5)) + 1)
    for place in range(number):
        first = (long - short) * place // (number - 1)
        found.append((first, 0, first + short, short) if width > height else (0, first, short, first + short))
    return found


def _heads(network: cv2.dnn.Net, kind: str) -> list[str]:
    """The layers that give boxes or classes, from the finest map of features to the coarsest."""
    names = network.getLayerNames()
    starts = (f"BoxPredictor_{number}/{kind}/BiasAdd" for number in range(len(_CELLS)))
    return [name for start in starts for name in names if name.startswith(start)]


def _as_rows(answers: Iterable[object], columns: int) -> NDArray[np.float64]:
    rows = [np.asarray(answer, dtype=np.float64)[0].transpose(1, 2, 0).reshape(-1, columns) for answer in answers]
    return np.concatenate(rows)


def _decoded(codes_A4: NDArray[np.float64], anchors_A4: NDArray[np.float64]) -> NDArray[np.float64]:
    """Boxes x0, y0, x1, y1 from the codes y, x, height, width."""
    middle = codes_A4[:, 1::-1] / _PLACE_SCALE * anchors_A4[:, 2:] + anchors_A4[:, :2]
    half = np.exp(codes_A4[:, :1:-1] / _SIZE_SCALE) * anchors_A4[:, 2:] / 2
    return np.concatenate([middle - half, middle + half], axis=1)


def _moved(box: Box, x: float, y: float) -> Box:
    return box[0] + x, box[1] + y, box[2] + x, box[3] + y


def _is_cut(box: Box, tile: tuple[int, int, int, int], height: int, width: int) -> bool:
    """Whether a side of the box is one of the tile that lies within the picture."""
    ends = (tile[0] > 0, tile[1] > 0, tile[2] < width, tile[3] < height)
    return any(inner and abs(box[side] - tile[side]) < _CUT_PX for side, inner in enumerate(ends))
