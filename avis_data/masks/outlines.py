"""Outlines that people or programs drew: through pixel centres or along pixel borders, crossed or plain.

Border: x runs from 0 to the width, a square from x0 to x1 covers x1 - x0 columns (COCO, CVAT). Centre: whole-numbered
points lie on pixels, and the pixels of the outline belong to the shape (OpenCV's contours).
"""

from __future__ import annotations

import numpy as np
from numba import njit
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
    flips = np.zeros((height, width + 1), np.uint8)
    _flip(points, flips)
    inside_HW = (np.bitwise_xor.accumulate(flips, axis=1)[:, :width] & 1).astype(np.bool_)
    _trace(points, with_outline, inside_HW)
    return encode(inside_HW)


def mask_of_ellipse(
    centre: tuple[float, float], radii: tuple[float, float], rotation_deg: float, *, height: int, width: int
) -> Rle:
    """The pixels whose centres lie in an ellipse, which is turned clockwise; border coordinates.

    Raises:
        DataError: if a radius is not above 0, or a value is no number or far outside.

    Example:
        >>> from avis_data.masks.rle import area
        >>> area(mask_of_ellipse((5.0, 5.0), (3.0, 2.0), 0.0, height=10, width=10))
        20
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
    order = np.argsort(np.minimum(points_N2[:, 0], ends_N2[:, 0]), kind="stable")
    return bool(_any_crossing(points_N2[order], ends_N2[order]))


@njit(cache=True)
def _any_crossing(starts, ends):  # type: ignore[no-untyped-def]  # numba has no types
    """Whether two sides cross; they are sorted by where they begin, from left to right."""
    for one in range(len(starts)):
        right = max(starts[one, 0], ends[one, 0])
        low, high = min(starts[one, 1], ends[one, 1]), max(starts[one, 1], ends[one, 1])
        for other in range(one + 1, len(starts)):
            if min(starts[other, 0], ends[other, 0]) > right:
                break
            if max(starts[other, 1], ends[other, 1]) < low or min(starts[other, 1], ends[other, 1]) > high:
                continue
            if (
                _side(starts[one], ends[one], starts[other]) * _side(starts[one], ends[one], ends[other]) < 0
                and _side(starts[other], ends[other], starts[one]) * _side(starts[other], ends[other], ends[one]) < 0
            ):
                return True
    return False


@njit(cache=True)
def _side(start, end, point):  # type: ignore[no-untyped-def]  # numba has no types
    """On which side of a line a point lies: 1 or -1; 0 on it, as far as two decimals can tell."""
    turn = (end[0] - start[0]) * (point[1] - start[1]) - (end[1] - start[1]) * (point[0] - start[0])
    return 0 if abs(turn) < 1e-6 else 1 if turn > 0 else -1


@njit(cache=True)
def _flip(points, flips):  # type: ignore[no-untyped-def]  # numba has no types
    """Mark in each row where sides cross it: an odd number of marks from the left on is inside."""
    height, width = flips.shape[0], flips.shape[1] - 1
    for number in range(len(points)):
        x0, y0 = points[number]
        x1, y1 = points[(number + 1) % len(points)]
        if y0 > y1:
            x0, y0, x1, y1 = x1, y1, x0, y0
        for row in range(max(y0, 0), min(y1, height)):
            column = -((-(x0 * (y1 - y0) + (row - y0) * (x1 - x0))) // (y1 - y0))  # rounded up
            flips[row, min(max(column, 0), width)] ^= 1


@njit(cache=True)
def _trace(points, value, picture_HW):  # type: ignore[no-untyped-def]  # numba has no types
    """Set the pixels of all sides, each from left to right as OpenCV draws it: a tie stays on the nearer row."""
    height, width = picture_HW.shape
    for number in range(len(points)):
        x0, y0 = points[number]
        x1, y1 = points[(number + 1) % len(points)]
        if x1 < x0:
            x0, y0, x1, y1 = x1, y1, x0, y0
        across, down, sign = x1 - x0, abs(y1 - y0), 1 if y1 >= y0 else -1
        longer, shorter = max(across, down), min(across, down)
        for step in range(longer + 1):
            moved = -((-(2 * shorter * step - longer)) // (2 * longer)) if longer else 0
            x = x0 + (step if across >= down else moved)
            y = y0 + sign * (moved if across >= down else step)
            if 0 <= x < width and 0 <= y < height:
                picture_HW[y, x] = value
