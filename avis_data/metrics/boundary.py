"""How well two outlines agree, whatever the size of what they enclose."""

from __future__ import annotations

import math

import numpy as np

__all__ = ["boundary_f"]

TOLERANCE = 0.008
"""Share of the picture's diagonal: 12 pixels at 1280 x 720 (DAVIS)."""


def boundary_f(mask_HW: np.ndarray, other_HW: np.ndarray, *, tolerance_px: int | None = None) -> float:
    """F of two outlines: harmonic mean of the shares of each that lie within `tolerance_px` of the other.

    An outline is made of the pixels inside that have one of their four neighbours outside; the border of the picture is
    no outline. The figure is symmetric.

    Args:
        mask_HW: bool.
        other_HW: bool, same shape.
        tolerance_px: distance between pixel centres; None: 0.8 % of the diagonal, rounded up.

    Returns:
        In [0, 1]; 1.0 where neither has an outline, 0.0 where only one has.

    Raises:
        ValueError: if the shapes differ.

    Source: Perazzi et al., "A Benchmark Dataset and Evaluation Methodology for Video Object Segmentation", CVPR 2016
        (contour accuracy F); distances instead of its dilations, outlines inside instead of between pixels.
    """
    if mask_HW.shape != other_HW.shape or mask_HW.ndim != 2:
        raise ValueError(f"masks of shapes {mask_HW.shape} and {other_HW.shape}; both must be the same (H, W)")
    if tolerance_px is None:
        tolerance_px = math.ceil(TOLERANCE * math.hypot(*mask_HW.shape))
    window = _window(mask_HW | other_HW)
    outline_HW, other_outline_HW = _outline(mask_HW[window]), _outline(other_HW[window])
    if not outline_HW.any() or not other_outline_HW.any():
        return float(outline_HW.any() == other_outline_HW.any())
    precision = _share_near(outline_HW, other_outline_HW, tolerance_px)
    recall = _share_near(other_outline_HW, outline_HW, tolerance_px)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _window(union_HW: np.ndarray) -> tuple[slice, slice]:
    """What both masks lie in, and a pixel around it where the picture has one: their outlines are the same in it."""
    rows, columns = np.flatnonzero(union_HW.any(axis=1)), np.flatnonzero(union_HW.any(axis=0))
    if not len(rows):
        return np.s_[:1, :1]
    return np.s_[max(rows[0] - 1, 0) : rows[-1] + 2, max(columns[0] - 1, 0) : columns[-1] + 2]


def _outline(mask_HW: np.ndarray) -> np.ndarray:
    inside_HW = np.pad(mask_HW.astype(bool), 1, mode="edge")
    core_HW = inside_HW[:-2, 1:-1] & inside_HW[2:, 1:-1] & inside_HW[1:-1, :-2] & inside_HW[1:-1, 2:]
    outline: np.ndarray = inside_HW[1:-1, 1:-1] & ~core_HW
    return outline


def _share_near(outline_HW: np.ndarray, other_HW: np.ndarray, tolerance_px: int) -> float:
    from scipy.ndimage import distance_transform_edt

    distance_HW = distance_transform_edt(~other_HW)
    return float((distance_HW[outline_HW] <= tolerance_px).mean())
