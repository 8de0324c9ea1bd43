"""What a tight box says about the pixels in it: colours, outlines and regions, weighed together, and again with what
that found.

One cut by colours takes whatever in the box looks unlike its surroundings. The cues here add where a colour lies (a
colour just outside the box is rarely the object's), what goes on across the box's border, and drawn outlines.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["Look", "cues_of", "cut", "kinds_of", "look_at", "per_region", "seeds_from_box"]

_Map = NDArray[np.float32]
_Model = NDArray[np.float64]

_WEIGHTS: tuple[dict[str, float], ...] = (
    {"cut": 1.38, "likelihood": 0.14, "near, region": 0.62, "around": 0.35, "crossing": -1.24, "outline": 0.46},
    {
        "cut": 0.42, "likelihood": 0.07, "near": -0.23, "around": 0.47, "crossing": -0.33, "outline": 0.23,
        "before, smooth": 0.72, "before, region": 0.13,
    },
)  # fmt: skip
"""Logistic weights of the cues, first knowing the box only, then knowing the first answer. Fitted on the synthetic
world (docs/benchmarks.md, "A mask from one box"), so what they gain elsewhere has to be measured there."""
_BIAS = (-2.64, -0.58)
_CUT_ROUNDS = (2, 1)
_SURE = 0.7
"""Pixels more probable than this, or less than the rest of one, are no question for the last cut."""
_COLOURS = 32
_CELL_PX = 4
"""Colours near a place are counted in cells of this size."""
_OUTLINE = 0.03
"""How near the brighter side of a dark outline is, as a part of the box's longer side."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """What of a picture does not change from round to round; maps are (height, width)."""

    lab_HW3: NDArray[np.uint8]
    seeds: NDArray[np.uint8]
    """GC_PR_FGD where the question is open."""
    colours: NDArray[np.intp]
    regions: NDArray[np.int32]
    crossing: _Map
    """How much of the pixel's region is outside the box."""
    outline: _Map
    """How much darker than what is next to it."""
    sides: tuple[int, int]
    """Width and height of the box."""


def seeds_from_box(lab_HW3: NDArray[np.uint8], seeds: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Better seeds for a last cut; the same where they leave nothing of the object.

    Args:
        lab_HW3: the surroundings of the box.
        seeds: OpenCV's four kinds; GC_PR_FGD in the box, all else is certain and stays.
    """
    if not (seeds == cv2.GC_BGD).any() or not (seeds == cv2.GC_PR_FGD).any():
        return seeds.copy()
    look = look_at(lab_HW3, seeds)
    probability = (seeds != cv2.GC_BGD).astype(np.float32)
    for number, (weights, bias) in enumerate(zip(_WEIGHTS, _BIAS, strict=True)):
        kinds = seeds.copy() if number == 0 else kinds_of(probability, seeds)
        cues = cues_of(look, probability, kinds, _CUT_ROUNDS[number])
        score = bias + sum(weight * cues[name] for name, weight in weights.items())
        probability = np.where(seeds == cv2.GC_PR_FGD, 1 / (1 + np.exp(-score)), seeds == cv2.GC_FGD).astype(np.float32)
    kinds = kinds_of(probability, seeds)
    return kinds if (kinds & 1).any() else seeds.copy()


def cut(lab_HW3: NDArray[np.uint8], seeds: NDArray[np.uint8], rounds: int) -> tuple[_Model, _Model]:
    """Improve the seeds in place; nothing to do where all of them are on one side.

    Returns:
        OpenCV's mixtures of the colours outside and inside; of zeros where there was nothing to do.
    """
    outer, inner = np.zeros((1, 65)), np.zeros((1, 65))
    inside = (seeds & 1) > 0
    if inside.any() and not inside.all():
        cv2.setRNGSeed(0)  # its colour clusters begin at random: the same question must have the same answer
        cv2.grabCut(lab_HW3, seeds, (0, 0, 0, 0), outer, inner, rounds, cv2.GC_INIT_WITH_MASK)
    return outer, inner


def _log_density(pixels: _Map, model: _Model) -> _Map:
    """Under OpenCV's mixture: five weights, five means, five covariances in a row."""
    total = np.full(len(pixels), 1e-9, dtype=np.float32)
    parts, means, covariances = np.split(model.ravel(), (5, 20))
    for part, mean, covariance in zip(parts, means.reshape(5, 3), covariances.reshape(5, 3, 3), strict=True):
        if part > 0:
            spread, axes = np.linalg.eigh(covariance + 0.5 * np.eye(3))
            steps = (pixels - mean.astype(np.float32)) @ (axes / np.sqrt(spread)).astype(np.float32)
            total += np.float32(part / np.sqrt(spread.prod())) * np.exp(-0.5 * np.einsum("nc,nc->n", steps, steps))
    return np.asarray(np.log(total), dtype=np.float32)


def kinds_of(probability: _Map, seeds: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """OpenCV's four kinds of pixels: what the probabilities say, where the seeds leave it open (GC_PR_FGD)."""
    kinds = np.where(probability > 0.5, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    kinds[probability < 1 - _SURE], kinds[probability > _SURE] = cv2.GC_BGD, cv2.GC_FGD
    certain = seeds != cv2.GC_PR_FGD
    kinds[certain] = seeds[certain]
    return kinds


def look_at(lab: NDArray[np.uint8], seeds: NDArray[np.uint8]) -> Look:
    """Colours, regions and outlines of the surroundings of a box, (height, width, 3) in OpenCV's Lab."""
    box = seeds != cv2.GC_BGD
    wide, high = int(box.any(axis=0).sum()), int(box.any(axis=1).sum())
    reach = max(3, round(_OUTLINE * max(wide, high)) | 1)
    light, regions = lab[..., 0].astype(np.float32), _regions(lab)
    return Look(
        lab_HW3=lab,
        seeds=seeds,
        colours=_colours(lab),
        regions=regions,
        crossing=per_region((~box).astype(np.float32), regions),
        outline=np.asarray((cv2.dilate(light, np.ones((reach, reach), np.uint8)) - light) / 30, dtype=np.float32),
        sides=(wide, high),
    )


def cues_of(look: Look, probability: _Map, kinds: NDArray[np.uint8], rounds: int) -> dict[str, _Map]:
    """What speaks for the object, one map for each name in the weights."""
    pixels = look.lab_HW3.reshape(-1, 3).astype(np.float32)
    outer, inner = (_log_density(pixels, model) for model in cut(look.lab_HW3, kinds, rounds))
    near, around = (_nearby(look, probability, reach) for reach in (0.15, 0.3))
    before = np.clip(np.log((probability + 0.02) / (1.02 - probability)), -4, 4)
    return {
        "cut": (kinds & 1).astype(np.float32),
        "likelihood": np.clip(inner - outer, -6, 6).reshape(kinds.shape),
        "near": near,
        "near, region": per_region(near, look.regions),
        "around": around,
        "crossing": look.crossing,
        "outline": look.outline,
        "before, smooth": cv2.GaussianBlur(before, (0, 0), 0.02 * max(look.sides)),
        "before, region": per_region(before, look.regions),
    }


def _nearby(look: Look, probability: _Map, reach: float) -> _Map:
    """How much commoner a pixel's colour is in the object than beside it, near the pixel, as a logarithm.

    Args:
        reach: the standard deviation of what is near, as a part of the box's sides.
    """
    height, width = look.colours.shape
    rows, columns = np.arange(height) // _CELL_PX, np.arange(width) // _CELL_PX
    shape = (int(rows[-1]) + 1, int(columns[-1]) + 1, _COLOURS)
    bins = (rows[:, None] * shape[1] + columns) * _COLOURS + look.colours
    wide, high = (reach * side / _CELL_PX for side in look.sides)
    densities = []
    for part in (probability, 1 - probability):
        counts = np.bincount(bins.ravel(), part.ravel(), int(np.prod(shape))).reshape(shape).astype(np.float32)
        near = cv2.GaussianBlur(counts, (0, 0), wide, sigmaY=high, borderType=cv2.BORDER_CONSTANT)
        densities.append(near / (near.sum(axis=2, keepdims=True) + 1e-3) + 0.003)
    ratio = np.clip(np.log(densities[0] / densities[1]), -5, 5)
    return np.asarray(ratio.ravel()[bins], dtype=np.float32)


def _colours(lab: NDArray[np.uint8]) -> NDArray[np.intp]:
    """The number of the nearest of the picture's main colours, for each pixel."""
    pixels = cv2.GaussianBlur(lab, (0, 0), 0.8).reshape(-1, 3).astype(np.float32)
    some = np.ascontiguousarray(pixels[:: max(1, min(7, len(pixels) // _COLOURS))])
    enough = (cv2.TERM_CRITERIA_MAX_ITER, 8, 0)
    cv2.setRNGSeed(0)
    number = min(_COLOURS, len(some))
    _, _, centres = cv2.kmeans(some, number, None, enough, 1, cv2.KMEANS_PP_CENTERS)  # type: ignore[call-overload]  # None: no first labels
    distances = (centres**2).sum(axis=1) - 2 * pixels @ centres.T
    nearest: NDArray[np.intp] = distances.argmin(axis=1).reshape(lab.shape[:2])
    return nearest


def _regions(lab: NDArray[np.uint8]) -> NDArray[np.int32]:
    """The number of the region of each pixel: even patches, grown together at the strongest change between them."""
    smooth = cv2.GaussianBlur(lab, (0, 0), 0.8).astype(np.float32)
    across, down = cv2.Scharr(smooth, -1, 1, 0) / 32, cv2.Scharr(smooth, -1, 0, 1) / 32
    change = np.sqrt((across**2 + down**2).sum(axis=2))
    even = (change < max(1.5, float(np.median(change)))) | (change <= cv2.erode(change, np.ones((5, 5), np.uint8)))
    _, numbers = cv2.connectedComponents(even.astype(np.uint8), connectivity=4)
    cv2.watershed(np.dstack([np.clip(6 * change, 0, 255).astype(np.uint8)] * 3), numbers)
    beside = cv2.dilate(np.maximum(numbers, 0).astype(np.float32), np.ones((3, 3), np.uint8)).astype(np.int32)
    return np.where(numbers > 0, numbers, beside)


def per_region(values: _Map, regions: NDArray[np.int32]) -> _Map:
    """The mean of each region, at each of its pixels."""
    sums = np.bincount(regions.ravel(), values.ravel()) / np.maximum(np.bincount(regions.ravel()), 1)
    return np.asarray(sums[regions], dtype=np.float32)
