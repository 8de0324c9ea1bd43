"""Which pixels of where an object should be really show it: what hides it, and what of it was hidden before.

A pixel belongs to the object if it looks like the place of the object that should be there, or at least has a colour
that the object has, rather than a colour of the surroundings, or like what another object should show there.

Shapes: H, W pixels of a picture, h, w of a box in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from avis_data.annotation.propagation.registration import Box

__all__ = ["Claim", "colour_model", "seen_of"]

_BINS = 16
"""Bins of each of three colours."""
_NOISE = 9.0
"""Distance in Lab (8 bit) between a pixel and the same pixel of the reference, as video noise and light make it."""
_PLACED, _COLOURED = 0.95, 0.05
"""How much of an object looks as on the reference, and how much has moved within it (an arm, a mouth)."""
_SLOPE_PX = 1.2
"""How fast one is sure to be inside or outside, away from the expected outline."""
_SURE_INSIDE, _SURE_OUTSIDE = 1.0, 4.0
"""Log-odds that the expected place gives at most; colours can overrule the first."""
_EVIDENCE = 0.5
"""Weight of the colours: neighbouring pixels are no independent witnesses."""
_LIMIT = 6.0
_THIN = 0.02
"""Half the thickness of what is too thin to hide something, as a part of the root of the object's area."""
_EDGE_RADIUS_PX = 4
_EDGE_NOISE = 60.0


@dataclass(frozen=True, kw_only=True)
class Claim:
    """Where one object should be now."""

    box: Box
    amodal_hw: NDArray[np.float32]
    """Where in the box the object would be if nothing hid it, in [0, 1]."""
    distance_hw: NDArray[np.float32]
    """How far each pixel's colour is from what should be seen there, in Lab."""
    colours: NDArray[np.float32]
    around: NDArray[np.float32]
    """Models of `colour_model`."""


def colour_model(
    rgb_HW3: NDArray[np.uint8], drawn_HW: NDArray[np.float32], box: Box
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Densities of the colours of an object, and of those around it in the box: log of (16, 16, 16), uniform is 0."""
    x0, y0, x1, y1 = box
    rgb, inside = rgb_HW3[y0:y1, x0:x1], drawn_HW[y0:y1, x0:x1]
    return _density(rgb, (inside > 0.5).astype(np.uint8)), _density(rgb, (inside < 0.1).astype(np.uint8))


def seen_of(claim: Claim, others: Sequence[Claim], rgb_HW3: NDArray[np.uint8]) -> tuple[NDArray[np.float32], float]:
    """What is to be seen of an object.

    Args:
        claim: of the object.
        others: of the other objects of the picture.
        rgb_HW3: the picture.

    Returns:
        In the claim's box, float32 (h, w) in [0, 1], above 0.5 inside; and how well what is seen looks like it.
    """
    x0, y0, x1, y1 = claim.box
    rgb = rgb_HW3[y0:y1, x0:x1]
    own = _likelihood(claim, claim.colours, rgb)
    other = np.maximum(_looked_up(claim.around, rgb), 0.0)  # or something never seen before
    for rival in others:
        other = np.maximum(other, _in_box(_rivalry(rival, rgb_HW3), rival.box, claim.box))
    evidence = np.clip(own - other, -_LIMIT, _LIMIT)
    prior = _prior(claim.amodal_hw)
    odds = prior + _EVIDENCE * _edge_aware(evidence, rgb)
    seen = _without_shreds(odds > 0, claim.amodal_hw)
    return seen, _confidence(claim, seen)


def _density(rgb_hw3: NDArray[np.uint8], where_hw: NDArray[np.uint8]) -> NDArray[np.float32]:
    counts = cv2.calcHist([rgb_hw3], [0, 1, 2], where_hw, [_BINS] * 3, [0, 256] * 3)
    for axis in range(3):
        lines = np.moveaxis(counts, axis, 2).reshape(-1, _BINS)
        lines = cv2.GaussianBlur(lines, (5, 1), 0.8, borderType=cv2.BORDER_REPLICATE)
        counts = np.moveaxis(lines.reshape(_BINS, _BINS, _BINS), 2, axis)
    total = max(float(counts.sum()), 1.0)
    return np.asarray(np.log((counts / total * _BINS**3 + 0.05) / 1.05), dtype=np.float32)


def _looked_up(model: NDArray[np.float32], rgb_hw3: NDArray[np.uint8]) -> NDArray[np.float32]:
    place = rgb_hw3 // (256 // _BINS)
    return model[place[..., 0], place[..., 1], place[..., 2]]


def _likelihood(claim: Claim, colours: NDArray[np.float32], rgb_hw3: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Log density of the pixels if they show the object; uniform is 0."""
    # A Gaussian in three dimensions, relative to the uniform density over the cube of all colours.
    peak = 256.0**3 / (2 * np.pi * _NOISE**2) ** 1.5
    placed = _PLACED * peak * np.exp(-0.5 * (claim.distance_hw / _NOISE) ** 2) * claim.amodal_hw
    return np.asarray(np.log(placed + _COLOURED * np.exp(_looked_up(colours, rgb_hw3))), dtype=np.float32)


def _rivalry(rival: Claim, rgb_HW3: NDArray[np.uint8]) -> NDArray[np.float32]:
    x0, y0, x1, y1 = rival.box
    likelihood = _likelihood(rival, rival.colours, rgb_HW3[y0:y1, x0:x1])
    return np.where(rival.amodal_hw > 0.5, likelihood, -_LIMIT).astype(np.float32)


def _in_box(values: NDArray[np.float32], box: Box, target: Box) -> NDArray[np.float32]:
    moved = np.full((target[3] - target[1], target[2] - target[0]), -_LIMIT, dtype=np.float32)
    x0, y0, x1, y1 = max(box[0], target[0]), max(box[1], target[1]), min(box[2], target[2]), min(box[3], target[3])
    if x0 < x1 and y0 < y1:
        part = values[y0 - box[1] : y1 - box[1], x0 - box[0] : x1 - box[0]]
        moved[y0 - target[1] : y1 - target[1], x0 - target[0] : x1 - target[0]] = part
    return moved


def _prior(amodal_hw: NDArray[np.float32]) -> NDArray[np.float32]:
    inside = (amodal_hw > 0.5).astype(np.uint8)
    padded_in = cv2.copyMakeBorder(inside, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    depth = cv2.distanceTransform(padded_in, cv2.DIST_L2, 3)[1:-1, 1:-1]
    away = cv2.distanceTransform(1 - padded_in, cv2.DIST_L2, 3)[1:-1, 1:-1]
    signed = np.where(inside > 0, depth - 0.5, 0.5 - away) / _SLOPE_PX
    return np.clip(signed, -_SURE_OUTSIDE, _SURE_INSIDE).astype(np.float32)


def _edge_aware(values_hw: NDArray[np.float32], rgb_hw3: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Smoothed, but not over edges of the picture: a guided filter (He, Sun, Tang, ECCV 2010) with a grey guide."""
    guide: NDArray[np.float32] = cv2.cvtColor(rgb_hw3, cv2.COLOR_RGB2GRAY).astype(np.float32)
    side = (2 * _EDGE_RADIUS_PX + 1,) * 2
    mean_guide, mean_value = cv2.blur(guide, side), cv2.blur(values_hw, side)
    variance = cv2.blur(guide * guide, side) - mean_guide**2
    slope: NDArray[np.float32] = np.asarray(
        (cv2.blur(guide * values_hw, side) - mean_guide * mean_value) / (variance + _EDGE_NOISE), dtype=np.float32
    )
    smooth = cv2.blur(slope, side) * guide + cv2.blur(
        np.asarray(mean_value - slope * mean_guide, dtype=np.float32), side
    )
    return np.asarray(smooth, dtype=np.float32)


def _without_shreds(seen_hw: NDArray[np.bool_], amodal_hw: NDArray[np.float32]) -> NDArray[np.float32]:
    """The mask without holes and fringes that are thin for the object: a screen that flickers, noise at the outline."""
    expected = (amodal_hw > 0.5).astype(np.uint8)
    radius = max(1, round(_THIN * float(np.sqrt(expected.sum()))))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    seen = seen_hw.astype(np.uint8)
    hidden = cv2.morphologyEx(expected & (1 - seen), cv2.MORPH_OPEN, kernel)
    beyond = cv2.morphologyEx((1 - expected) & seen, cv2.MORPH_OPEN, kernel)
    # Where nothing is changed the outline stays as soft as it came.
    return np.where(hidden > 0, 0.0, np.where(beyond > 0, 1.0, amodal_hw)).astype(np.float32)


def _confidence(claim: Claim, seen_hw: NDArray[np.float32]) -> float:
    inside = seen_hw > 0.5
    if not inside.any():
        return 0.0
    alike = 1 / (1 + (claim.distance_hw[inside] / (1.5 * _NOISE)) ** 2)
    expected = max(1.0, float((claim.amodal_hw > 0.5).sum()))
    return float(alike.mean()) * min(1.0, float(inside.sum()) / expected)
