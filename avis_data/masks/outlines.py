"""Outlines that people or programs drew: through pixel centres or along pixel borders, crossed or plain.

Border: x runs from 0 to the width, a square from x0 to x1 covers x1 - x0 columns (COCO, CVAT). Centre: whole-numbered
points lie on pixels, and the pixels of the outline belong to the shape (OpenCV's contours).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from avis_data.errors import DataError
from avis_data.masks.polygons import check_polygon
from avis_data.masks.rle import Rle, encode, rle_from_segmentation

__all__ = [
    "crosses_itself",
    "mask_from_borders",
    "mask_from_centres",
    "mask_of_ellipse",
    "rotated_box",
]

_BLOCK = 512
"""Segments that are compared with others at once."""


def mask_from_borders(points_N2: NDArray[np.float64], *, height: int, width: int) -> Rle:
    """The mask of an outline along pixel borders, as COCO's rasteriser draws it; empty where it covers no pixel.

    Raises:
        DataError: if it has fewer than 3 points, or a point that is no number or far outside.

    Example:
        >>> from avis_data.masks.rle import area
        >>> area(mask_from_borders(np.array([[1.0, 1], [4, 1], [4, 3], [1, 3]]), height=4, width=6))
        6
    """
    flat = points_N2.ravel().tolist()
    mask = rle_from_segmentation([flat], height=height, width=width)
    if mask is None:
        raise DataError(f"an outline has {len(points_N2)} point(s), must have 3 or more")
    return mask


def mask_from_centres(points_N2: NDArray[np.float64], *, height: int, width: int, with_outline: bool = True) -> Rle:
    """The mask of an outline through pixel centres: what lies inside, and the pixels of the outline.

    Points are rounded to whole pixels. What lies inside is decided by the even-odd rule. It equals OpenCV's fillPoly.

    Args:
        points_N2: float (N, 2), x and y; one or two points are a pixel or a line.
        height: of the picture, in pixels.
        width: of the picture, in pixels.
        with_outline: False: only what lies inside. A hole's contour runs through the pixels around the hole.

    Raises:
        DataError: if it has no point, or one that is no number or far outside.

    Example:
        >>> from avis_data.masks.rle import area
        >>> square = np.array([[1.0, 1], [4, 1], [4, 3], [1, 3]])
        >>> area(mask_from_centres(square, height=5, width=6))
        12
        >>> area(mask_from_centres(square, height=5, width=6, with_outline=False))
        2
    """
    if not len(points_N2):
        raise DataError("an outline has no point")
    check_polygon(points_N2.ravel().tolist(), height=height, width=width)
    points = np.rint(points_N2).astype(np.int64)
    ends = np.roll(points, -1, axis=0)
    inside_HW = _even_odd(points, ends, height, width)
    for x, y in (_line(*start, *end) for start, end in zip(points.tolist(), ends.tolist(), strict=True)):
        there = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        inside_HW[y[there], x[there]] = with_outline
    return encode(inside_HW)


def mask_of_ellipse(
    centre: tuple[float, float], radii: tuple[float, float], rotation_deg: float, *, height: int, width: int
) -> Rle:
    """The pixels whose centres lie in an ellipse, which is turned clockwise; border coordinates.

    Raises:
        DataError: if a radius is not above 0, or a value is no number or far outside.
    """
    check_polygon([*centre, *radii, rotation_deg % 360, 0.0], height=max(height, 360), width=width)
    if min(radii) <= 0:
        raise DataError(f"an ellipse has the radii {radii[0]:g} and {radii[1]:g}, both must be above 0")
    angle = np.deg2rad(rotation_deg)
    x = np.arange(width)[None] + 0.5 - centre[0]
    y = np.arange(height)[:, None] + 0.5 - centre[1]
    along = x * np.cos(angle) + y * np.sin(angle)
    across = y * np.cos(angle) - x * np.sin(angle)
    return encode((along / radii[0]) ** 2 + (across / radii[1]) ** 2 <= 1)


def rotated_box(left: float, top: float, right: float, bottom: float, rotation_deg: float = 0.0) -> NDArray[np.float64]:
    """The four corners of a box, float (4, 2), turned clockwise about its centre.

    Example:
        >>> rotated_box(0, 0, 4, 2, 90).round(6).tolist()
        [[3.0, -1.0], [3.0, 3.0], [1.0, 3.0], [1.0, -1.0]]
    """
    corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float64)
    if not rotation_deg:
        return corners
    angle = np.deg2rad(rotation_deg % 360)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    centre = np.array([(left + right) / 2, (top + bottom) / 2])
    turned: NDArray[np.float64] = (corners - centre) @ turn + centre
    return turned


def crosses_itself(points_N2: NDArray[np.float64]) -> bool:
    """Whether two sides of a closed outline cross. To touch, or to go back along itself, is no crossing.

    Example:
        >>> crosses_itself(np.array([[0.0, 0], [2, 2], [2, 0], [0, 2]]))
        True
        >>> crosses_itself(np.array([[0.0, 0], [2, 0], [1, 0], [1, 3]]))
        False
    """
    ends_N2 = np.roll(points_N2, -1, axis=0)
    low = np.minimum(points_N2, ends_N2)
    high = np.maximum(points_N2, ends_N2)
    order = np.argsort(low[:, 0], kind="stable")
    starts_N2, ends_N2, low, high = points_N2[order], ends_N2[order], low[order], high[order]
    return any(_any_crossing(starts_N2, ends_N2, one, other) for one, other in _near(low, high))


def _near(low: NDArray[np.float64], high: NDArray[np.float64]) -> Iterator[tuple[slice, slice]]:
    """Blocks of sides and those that begin before the last of the block ends, all sorted by where they begin."""
    for first in range(0, len(low), _BLOCK):
        block = slice(first, min(first + _BLOCK, len(low)))
        last = int(np.searchsorted(low[:, 0], high[block, 0].max(), side="right"))
        for other in range(first, last, _BLOCK):
            yield block, slice(other, min(other + _BLOCK, last))


def _any_crossing(starts: NDArray[np.float64], ends: NDArray[np.float64], one: slice, other: slice) -> bool:
    a, b = starts[one][:, None], ends[one][:, None]
    c, d = starts[other][None], ends[other][None]
    across = _side(a, b, c) * _side(a, b, d) < 0
    return bool((across & (_side(c, d, a) * _side(c, d, b) < 0)).any())


def _side(start: NDArray[np.float64], end: NDArray[np.float64], point: NDArray[np.float64]) -> NDArray[np.float64]:
    """Signs: on which side of a line points lie; 0 on it, as far as two decimals can tell."""
    along, to = end - start, point - start
    turn = along[..., 0] * to[..., 1] - along[..., 1] * to[..., 0]
    signs: NDArray[np.float64] = np.where(np.abs(turn) < 1e-6, 0.0, np.sign(turn))
    return signs


def _even_odd(starts: NDArray[np.int64], ends: NDArray[np.int64], height: int, width: int) -> NDArray[np.bool_]:
    """Pixels from whose centres an odd number of sides is crossed on the way to the left, or that lie on a side."""
    flips = np.zeros((height, width + 1), np.int32)
    for (x0, y0), (x1, y1) in zip(starts.tolist(), ends.tolist(), strict=True):
        if y0 == y1:
            continue
        if y0 > y1:
            x0, y0, x1, y1 = x1, y1, x0, y0
        rows = np.arange(max(y0, 0), min(y1, height))
        columns = -((-(x0 * (y1 - y0) + (rows - y0) * (x1 - x0))) // (y1 - y0))  # rounded up
        np.add.at(flips, (rows, np.clip(columns, 0, width)), 1)
    inside_HW: NDArray[np.bool_] = (flips.cumsum(axis=1)[:, :width] & 1).astype(bool)
    return inside_HW


def _line(x0: int, y0: int, x1: int, y1: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The pixels of a line, from left to right, as OpenCV draws it (Bresenham; a tie stays on the nearer row)."""
    if x1 < x0:
        x0, y0, x1, y1 = x1, y1, x0, y0
    across, down = x1 - x0, abs(y1 - y0)
    length = max(across, down)
    steps = np.arange(length + 1)
    minor = min(across, down)
    moved = -((-(2 * minor * steps - length)) // (2 * length)) if length else steps
    sign = 1 if y1 >= y0 else -1
    return (x0 + steps, y0 + sign * moved) if across >= down else (x0 + moved, y0 + sign * steps)
