"""How much things move between stills: who speaks moves more than who listens, more often than not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from avis_data.annotation.prelabel.engine import Box
from avis_data.annotation.propagation.footage import Shot

__all__ = ["motion_of"]

_SIDE_PX = 48
"""Side of the small grey picture that a box becomes: noise of the camera and of coding averages out."""


def motion_of(shots: Iterable[Shot], boxes: Sequence[Mapping[int, Box]]) -> list[dict[int, float]]:
    """How much the upper half of each thing changes from picture to picture, around each of its stills.

    Args:
        shots: a clip's pictures in their order, stills and what is between them.
        boxes: of each thing, by still.

    Returns:
        By still, for each thing: the mean change of grey values (0 to 255) over the pictures from that still to the
        next, less that of the whole picture, which a camera makes. Nothing where there is no picture in between.
    """
    changes: list[dict[int, list[float]]] = [defaultdict(list) for _ in boxes]
    before: NDArray[np.float32] | None = None
    still = -1
    for shot in shots:
        still = shot.frame if shot.frame is not None else still
        grey = cv2.cvtColor(shot.picture_HW3, cv2.COLOR_RGB2GRAY).astype(np.float32)
        if before is not None and before.shape == grey.shape:
            whole = _change(before, grey)
            for number, of_thing in enumerate(boxes):
                box = of_thing.get(still, of_thing.get(still - 1))
                if box is not None:
                    part = _upper_half(box, grey.shape)
                    changes[number][still].append(_change(before[part], grey[part]) - whole)
        before = grey
    return [{still: float(np.mean(values)) for still, values in found.items()} for found in changes]


def _change(before_HW: NDArray[np.float32], after_HW: NDArray[np.float32]) -> float:
    if not before_HW.size:
        return 0.0
    size = (_SIDE_PX, _SIDE_PX)
    one, two = (cv2.resize(grey, size, interpolation=cv2.INTER_AREA) for grey in (before_HW, after_HW))
    return float(np.abs(one - two).mean())


def _upper_half(box: Box, shape: Sequence[int]) -> tuple[slice, slice]:
    x0, y0, x1, y1 = box
    rows = slice(max(0, int(y0)), min(shape[0], max(int(y0) + 1, int((y0 + y1) / 2))))
    return rows, slice(max(0, int(x0)), min(shape[1], max(int(x0) + 1, int(x1))))
