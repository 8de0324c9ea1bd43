"""From one still to the next: where the box of an object has moved to.

Stills lie a second apart, so this is a guess that a person looks at: for clips without a source video, and far from the
click (through_video.py follows the video itself).
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["Box", "box_around", "moved_box"]

Box = tuple[float, float, float, float]

_REACH = 0.75
"""How far an object may move in a second, as a part of its longer side."""
_LEAST_REACH_PX = 24
_LEAST_MATCH = 0.35
"""Correlation below which it is lost."""
_LONG_PX = 480


def box_around(mask_HW: NDArray[np.bool_]) -> Box | None:
    """The smallest box around a mask, (x0, y0, x1, y1); None for an empty one."""
    rows, columns = np.nonzero(mask_HW.any(axis=1))[0], np.nonzero(mask_HW.any(axis=0))[0]
    if not len(rows):
        return None
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def moved_box(
    before_HW3: NDArray[np.uint8], mask_HW: NDArray[np.bool_], after_HW3: NDArray[np.uint8], *, seconds: int = 1
) -> tuple[Box, float] | None:
    """Where the object of a mask is on a later still, and how alike it looks there; None if it is lost.

    Args:
        before_HW3: still with the mask, RGB.
        mask_HW: the object on it.
        after_HW3: a later or earlier still.
        seconds: how many lie between the two; the search reaches as much farther.
    """
    box = box_around(mask_HW)
    if box is None:
        return None
    height, width = mask_HW.shape
    scale = min(1.0, _LONG_PX / max(height, width))
    x0, y0, x1, y1 = (round(side * scale) for side in box)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    before, after = (_small(picture, size) for picture in (before_HW3, after_HW3))
    x1, y1 = max(x1, x0 + 2), max(y1, y0 + 2)
    patch = before[y0:y1, x0:x1]
    inside = cv2.resize(mask_HW.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)[y0:y1, x0:x1]
    reach = int(max(_LEAST_REACH_PX * scale, _REACH * max(x1 - x0, y1 - y0)) * seconds)
    left, top = max(0, x0 - reach), max(0, y0 - reach)
    window = after[top : min(size[1], y1 + reach), left : min(size[0], x1 + reach)]
    if not inside.any() or window.shape[0] < patch.shape[0] or window.shape[1] < patch.shape[1]:
        return None
    weights = np.repeat(inside[..., None], 3, axis=2).astype(np.float32)
    scores = cv2.matchTemplate(window, patch, cv2.TM_CCOEFF_NORMED, mask=weights)
    scores = np.where(np.isfinite(scores), scores, -1.0)
    row, column = np.unravel_index(int(scores.argmax()), scores.shape)
    match = float(scores[row, column])
    if match < _LEAST_MATCH:
        return None
    right, down = (left + int(column) - x0) / scale, (top + int(row) - y0) / scale
    return (box[0] + right, box[1] + down, box[2] + right, box[3] + down), match


def _small(picture_HW3: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.float32]:
    return cv2.resize(picture_HW3, size, interpolation=cv2.INTER_AREA).astype(np.float32)
