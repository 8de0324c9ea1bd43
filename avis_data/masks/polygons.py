"""Polygons of COCO files: which are taken, and how a mask is written as polygons without any loss."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from avis_data.errors import DataError

__all__ = ["check_polygon", "is_polygon_kept", "polygons_from_mask"]

_FAR = 16
"""A coordinate may lie outside the picture (tools write such), but not by more than so many of its longer sides."""
_MAX_PATH_PX = 20_000_000
"""COCO's rasteriser walks along every outline in steps of a fifth of a pixel and keeps the steps in memory."""


def is_polygon_kept(polygon: list[Any]) -> bool:
    """True if the official loader takes it: an even number of values, at least 3 points.

    Source: specs of AVISM, §1.3; detectron2's COCO reader has the same rule.

    Example:
        >>> is_polygon_kept([0, 0, 4, 0, 4, 2]), is_polygon_kept([0, 0, 4, 0])
        (True, False)
    """
    return len(polygon) >= 6 and len(polygon) % 2 == 0


def check_polygon(polygon: list[Any], *, height: int, width: int) -> list[float]:
    """The polygon as floats.

    Raises:
        DataError: if a value is no number, not finite or far outside the picture, or the outline is absurdly long.

    Example:
        >>> check_polygon([0, 0, 4, 0, 4, 2], height=4, width=6)
        [0.0, 0.0, 4.0, 0.0, 4.0, 2.0]
    """
    limit = _FAR * max(height, width)
    if not set(map(type, polygon)) <= {int, float}:
        found = next(value for value in polygon if type(value) not in (int, float))
        raise DataError(f"a polygon holds {found!r:.40}, which is no number")
    far = f"a polygon holds {max(polygon, key=abs)!r:.40}, far outside a picture of {height} x {width}"
    try:
        points_N2 = np.array(polygon, dtype=np.float64).reshape(-1, 2)
    except OverflowError:
        raise DataError(far) from None
    if not np.abs(points_N2).max() <= limit:  # so that NaN is refused too
        raise DataError(far)
    path_px = np.abs(np.diff(points_N2, axis=0, append=points_N2[:1])).max(axis=1).sum()
    if path_px > _MAX_PATH_PX:
        raise DataError(f"a polygon's outline is {path_px:.0f} pixels long")
    return points_N2.ravel().tolist()


def polygons_from_mask(mask_HW: np.ndarray) -> list[list[int]]:
    """Outlines along pixel borders that COCO's rasteriser turns back into exactly this mask.

    The rasteriser flips a column's pixels from row y downwards where an outline passes its middle at height y, so an
    outline of whole-numbered horizontal and vertical steps flips exactly the pixels of the mask. The polygons of an
    entry are united when read, so a hole cannot be a polygon of its own: the mask is cut in columns through its holes.
    Every polygon is then a simple outline, which also survives a crop or a resize of its coordinates.

    Args:
        mask_HW: bool, shape (H, W).

    Returns:
        One list `[x, y, x, y, ...]` for each connected piece (pixels that touch at a corner only are apart), 4 points
        or more each; an empty list for an empty mask.

    Example:
        >>> mask = np.zeros((4, 6), dtype=bool)
        >>> mask[1:3, 2:5] = True
        >>> polygons_from_mask(mask)
        [[2, 1, 5, 1, 5, 3, 2, 3]]
    """
    columns = np.flatnonzero(mask_HW.any(axis=0))
    if not len(columns):
        return []
    rows = np.flatnonzero(mask_HW.any(axis=1))
    left, top = int(columns[0]), int(rows[0])
    cropped = mask_HW[top : rows[-1] + 1, left : columns[-1] + 1]
    loops = list(_outlines(cropped))
    cuts = _cuts([loop for loop in loops if _signed_area(loop) < 0])
    if cuts:
        borders = [0, *cuts, cropped.shape[1]]
        loops = []
        for start, end in itertools.pairwise(borders):
            loops += [loop + np.array([start, 0]) for loop in _outlines(cropped[:, start:end])]
    return [np.add(loop, [left, top]).ravel().tolist() for loop in loops]


def _cuts(holes: list[np.ndarray]) -> list[int]:
    """Columns before which to cut, as few as will do, so that every hole lies at a cut and is open."""
    cuts: list[int] = []
    for first, last in sorted(((int(hole[:, 0].min()), int(hole[:, 0].max()) - 1) for hole in holes), key=_second):
        if not cuts or cuts[-1] < first:
            cuts.append(last)
    return cuts


def _second(pair: tuple[int, int]) -> int:
    return pair[1]


def _signed_area(loop_N2: np.ndarray) -> int:
    x, y = loop_N2[:, 0], loop_N2[:, 1]
    return int((x * np.roll(y, -1) - np.roll(x, -1) * y).sum())


def _outlines(mask_HW: np.ndarray) -> Iterator[np.ndarray]:
    """Closed loops of corner points (N, 2), x and y: clockwise on the screen around pieces, the other way round holes.

    Corners are where an odd number of the four pixels around a grid point is inside, or two that face each other
    diagonally (then two corners in one place). On a grid row the corners pair up into horizontal edges from left to
    right, on a grid column into vertical ones; a loop takes both kinds in turn.
    """
    padded = np.pad(mask_HW, 1).astype(np.int8)
    top_left, top_right = padded[:-1, :-1], padded[:-1, 1:]
    bottom_left, bottom_right = padded[1:, :-1], padded[1:, 1:]
    number = top_left + top_right + bottom_left + bottom_right
    falling = (number == 2) & (top_left == 1) & (bottom_right == 1)
    rising = (number == 2) & (top_right == 1) & (bottom_left == 1)
    corner_times = np.where(falling | rising, 2, number % 2)
    y, x = np.nonzero(corner_times)
    times = corner_times[y, x]
    y, x, rises = np.repeat(y, times), np.repeat(x, times), np.repeat(rising[y, x], times)
    second = np.append(False, (np.diff(y) == 0) & (np.diff(x) == 0))
    across = np.arange(len(x)).reshape(-1, 2)  # np.nonzero goes along rows, so neighbours are partners
    down = np.lexsort((second ^ rises, y, x)).reshape(-1, 2)
    partner_across, partner_down = _partners(across), _partners(down)
    starts_edge = _goes_right(padded, x[across], y[across])
    yield from _walk(np.column_stack((x, y)), partner_across, partner_down, across, starts_edge)


def _partners(pairs_N2: np.ndarray) -> list[int]:
    partner = np.empty(pairs_N2.size, dtype=np.int64)
    partner[pairs_N2[:, 0]], partner[pairs_N2[:, 1]] = pairs_N2[:, 1], pairs_N2[:, 0]
    return partner.tolist()


def _goes_right(padded: np.ndarray, x_N2: np.ndarray, y_N2: np.ndarray) -> np.ndarray:
    """True for the horizontal edges with the mask below them; the others are walked from right to left."""
    below: np.ndarray = padded[y_N2[:, 0] + 1, x_N2[:, 0] + 1] == 1
    return below


def _walk(
    points_N2: np.ndarray, across: list[int], down: list[int], edges_N2: np.ndarray, goes_right: np.ndarray
) -> Iterator[np.ndarray]:
    visited = bytearray(len(points_N2))
    for (start, end), right in zip(edges_N2.tolist(), goes_right.tolist(), strict=True):
        corner = start if right else end
        if visited[corner]:
            continue
        loop = []
        while not visited[corner]:
            other = across[corner]
            visited[corner] = visited[other] = 1
            loop += [corner, other]
            corner = down[other]
        yield points_N2[loop]
