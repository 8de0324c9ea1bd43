"""Where each pixel of an object lies in another picture: a smooth deformation that is fitted to optical flow.

Following an object from picture to picture adds up errors. So the place that each of its pixels had in the picture it
was drawn on is kept, and after every step compared with that picture and corrected. Only the inside of the object says
how it moves; near its outline the flow mixes it with what is behind.

Shapes: H, W pixels of a picture, h, w pixels of a box in it; 2 = x, y.
"""

from __future__ import annotations

from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["Box", "Pixel", "box_around", "grid", "place_in", "sampled", "smooth_map"]

_STEPS_OF_FIT = 4
_FAR_OFF_PX = 2.0
"""Residuals of that size count half."""
_STIFFNESS = 0.2
"""Standard deviation of the smoothing, as a part of the square root of the object's area."""
_PULL = 0.03
"""How strongly places where nothing is known are pulled towards the affine motion of the whole."""
_FEWEST = 16
"""Pixels that an affine motion is fitted to."""

Box = tuple[int, int, int, int]
"""x0, y0, x1, y1 in pixels, the last two exclusive."""
_Field = NDArray[np.float32]
Pixel = TypeVar("Pixel", np.float32, np.uint8)


def grid(box: Box) -> tuple[_Field, _Field]:
    """x and y of every pixel of a box, each (h, w)."""
    x0, y0, x1, y1 = box
    xs, ys = np.meshgrid(np.arange(x0, x1, dtype=np.float32), np.arange(y0, y1, dtype=np.float32))
    return xs, ys


def box_around(
    mask_HW: NDArray[np.bool_], origin: tuple[int, int], margin: int, size_hw: tuple[int, int]
) -> Box | None:
    """The box of a mask whose first pixel lies at `origin` (x, y), a margin wider, within a picture; None if empty."""
    rows, columns = np.flatnonzero(mask_HW.any(axis=1)), np.flatnonzero(mask_HW.any(axis=0))
    if not len(rows):
        return None
    x0, y0 = int(columns[0]) + origin[0] - margin, int(rows[0]) + origin[1] - margin
    x1, y1 = int(columns[-1]) + origin[0] + margin + 1, int(rows[-1]) + origin[1] + margin + 1
    return max(0, x0), max(0, y0), min(size_hw[1], x1), min(size_hw[0], y1)


def sampled(array: NDArray[Pixel], map_hw2: _Field, *, outside: float | None = None) -> NDArray[Pixel]:
    """The values of a picture at the places of a map; beyond its border `outside`, or the nearest value."""
    mode = cv2.BORDER_REPLICATE if outside is None else cv2.BORDER_CONSTANT
    found = cv2.remap(
        array, map_hw2[..., 0], map_hw2[..., 1], cv2.INTER_LINEAR, borderMode=mode, borderValue=outside or 0.0
    )
    return np.asarray(found, dtype=array.dtype)


def place_in(box: Box, map_hw2: _Field) -> _Field:
    """A map in coordinates of a box instead of the whole picture."""
    return map_hw2 - np.array(box[:2], dtype=np.float32)


def smooth_map(measured_hw2: _Field, weights_hw: _Field, box: Box, target: Box | None = None) -> _Field | None:
    """The smooth deformation that fits measured places best: an affine motion, and what is left over, smoothed.

    Args:
        measured_hw2: for each pixel of `box`, where it was found in the other picture.
        weights_hw: how far each is to be trusted; 0 outside the object.
        box: of these arrays.
        target: for which box the deformation is wanted; None: the same.

    Returns:
        float32 (h, w, 2) of the target box; None where too few pixels are to be trusted.
    """
    ys, xs = np.nonzero(weights_hw > 0.05)
    if len(ys) < _FEWEST:
        return None
    points = np.stack([xs + box[0], ys + box[1], np.ones(len(xs))], axis=1).astype(np.float64)
    affine = _affine(points, measured_hw2[ys, xs].astype(np.float64), weights_hw[ys, xs].astype(np.float64))
    rest = measured_hw2 - _of_affine(affine, box)
    trust = weights_hw / (1 + (np.linalg.norm(rest, axis=-1) / (2 * _FAR_OFF_PX)) ** 2)
    spread = max(1.0, _STIFFNESS * float(np.sqrt(len(ys))))
    below = cv2.GaussianBlur(trust, (0, 0), spread) + _PULL
    smooth = np.asarray(cv2.GaussianBlur(rest * trust[..., None], (0, 0), spread) / below[..., None], dtype=np.float32)
    if target is None or target == box:
        return _of_affine(affine, box) + smooth
    return _of_affine(affine, target) + _moved(smooth, box, target)


def _affine(
    points: NDArray[np.float64], places: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(3, 2), by least squares in which outliers count less from round to round."""
    trust = weights
    found: NDArray[np.float64] = np.zeros((3, 2))
    ridge = 1e-6 * np.eye(3)
    for _ in range(_STEPS_OF_FIT):
        weighted = points.T * trust
        found = np.asarray(np.linalg.solve(weighted @ points + ridge, weighted @ places), dtype=np.float64)
        error = np.linalg.norm(points @ found - places, axis=1)
        trust = weights / (1 + (error / _FAR_OFF_PX) ** 2)
    return found


def _of_affine(affine: NDArray[np.float64], box: Box) -> _Field:
    xs, ys = grid(box)
    return np.stack([affine[0, k] * xs + affine[1, k] * ys + affine[2, k] for k in (0, 1)], axis=-1).astype(np.float32)


def _moved(field_hw2: _Field, box: Box, target: Box) -> _Field:
    """Cut, and filled up with zeros, from one box to another."""
    moved = np.zeros((target[3] - target[1], target[2] - target[0], 2), dtype=np.float32)
    x0, y0, x1, y1 = max(box[0], target[0]), max(box[1], target[1]), min(box[2], target[2]), min(box[3], target[3])
    if x0 < x1 and y0 < y1:
        moved[y0 - target[1] : y1 - target[1], x0 - target[0] : x1 - target[0]] = field_hw2[
            y0 - box[1] : y1 - box[1], x0 - box[0] : x1 - box[0]
        ]
    return moved
