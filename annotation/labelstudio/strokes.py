"""Strokes of brush and eraser that a page has not turned into runs yet.

A draft holds a mask as the runs that it had at first and the strokes since then (`touches`); only what is submitted is
runs alone. Source: drafts as Label Studio 1.23.2 saves them.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from avis_data.errors import DataError

__all__ = ["with_strokes"]

_FINE = 8
"""Strokes are drawn this much finer."""
_COVERED = 0.3
"""Of a pixel. The page takes half, and rounds in ways of its own: what a hand set must not be lost at its border."""
_MOST_STROKES, _MOST_POINTS = 10_000, 100_000


def with_strokes(mask_HW: NDArray[np.bool_], touches: object) -> NDArray[np.bool_]:
    """A mask after strokes, in their order; bool, the same shape.

    Args:
        mask_HW: the mask before them.
        touches: as received; nothing of it is trusted.

    Raises:
        DataError: if they are no strokes.
    """
    if not isinstance(touches, list) or len(touches) > _MOST_STROKES:
        raise DataError(f"strokes of a brush that are none: {touches!r:.80}")
    for touch in touches:
        kind, points, width = _parts(touch, mask_HW.shape[1], mask_HW.shape[0])
        drawn_HW = _drawn(points, width, mask_HW)
        mask_HW = mask_HW & ~drawn_HW if kind == "eraser" else mask_HW | drawn_HW
    return mask_HW


def _parts(touch: object, width: int, height: int) -> tuple[object, NDArray[np.float64], float]:
    """Kind, points (P, 2) in pixels and the width of a stroke in pixels; the page keeps them in percent."""
    fields = touch if isinstance(touch, dict) else {}
    percent, thick = _numbers(fields.get("relativePoints")), _numbers([fields.get("relativeStrokeWidth")])
    if fields.get("type") not in ("add", "eraser") or not percent or len(percent) % 2 or not thick:
        raise DataError(f"no stroke of a brush: {touch!r:.80}")
    points = np.array(percent, dtype=np.float64).reshape(-1, 2) * (width / 100, height / 100)
    return fields["type"], points, thick[0] * width / 100


def _numbers(values: object) -> list[float]:
    """Finite numbers of about the size of percents; nothing where one is not."""
    if not isinstance(values, list) or len(values) > _MOST_POINTS:
        return []
    found = [float(value) for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    good = len(found) == len(values) and all(math.isfinite(value) and abs(value) <= 1000 for value in found)
    return found if good else []


def _drawn(points: NDArray[np.float64], width: float, like_HW: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The pixels of one stroke, with round ends."""
    height, wide = like_HW.shape
    reach = width / 2 + 1
    low = np.clip(np.floor(points.min(axis=0) - reach), 0, (wide, height)).astype(int)
    high = np.clip(np.ceil(points.max(axis=0) + reach), 0, (wide, height)).astype(int)
    drawn_HW: NDArray[np.bool_] = np.zeros_like(like_HW)
    if (high <= low).any():
        return drawn_HW
    (x0, y0), (x1, y1) = low, high
    picture = Image.new("L", (int(x1 - x0) * _FINE, int(y1 - y0) * _FINE))
    path = [(float(x), float(y)) for x, y in (points - low) * _FINE]
    _draw_path(ImageDraw.Draw(picture), path, width * _FINE)
    share = np.asarray(picture).reshape(y1 - y0, _FINE, x1 - x0, _FINE).mean(axis=(1, 3))
    drawn_HW[y0:y1, x0:x1] = share >= _COVERED
    return drawn_HW


def _draw_path(pen: ImageDraw.ImageDraw, path: list[tuple[float, float]], thick: float) -> None:
    for start, end in pairwise(path):
        pen.line((start, end), fill=1, width=max(1, round(thick)))
    for x, y in path:
        pen.ellipse((x - thick / 2, y - thick / 2, x + thick / 2, y + thick / 2), fill=1)
