"""How probable it is for each pixel that it is of the object that a box or a point means, in photographs.

A box: the cues of `box_cues` and the place in the box, weighed together, then the cues again with what that found. A
point: how much the pixel and the point stand out, how alike they look, how far apart they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from avis_data.annotation.segmenters.box_cues import cues_of, kinds_of, look_at, per_region
from avis_data.annotation.segmenters.saliency_maps import Window, warped

__all__ = [
    "Box",
    "Map",
    "View",
    "allowed",
    "chances_around_point",
    "chances_in_box",
    "connected",
    "extent",
    "first_box_cues",
    "later_box_cues",
    "point_cues",
    "view_of",
]

Map = NDArray[np.float32]
Box = tuple[float, float, float, float]

LONG_PX = 192
"""What is looked at is brought to this size. More pixels cost time and found no better masks."""
_MOST_ENLARGED = 6.0
_MARGIN = 0.2
"""How much around a box is looked at, as a part of its sides."""
_GROWN = 0.05
"""How far beyond a drawn box the object may reach, as a part of its sides: hands draw boxes a little too small."""

FIRST_IN_BOX: dict[str, float] = {
    "cut": 0.439, "likelihood": 0.0905, "near, region": 0.0596, "near": 0.0538, "around": 0.304, "crossing": -2.72,
    "outline": -0.018, "across 2": -1.69, "down": 0.0169, "down 2": -0.238, "across 2, down 2": -0.329,
    "across 2, down": 0.628, "across 4": 0.562, "down 4": 0.0328, "side": 0.607, "1": 0.557,
}  # fmt: skip
LATER_IN_BOX: dict[str, float] = {
    "cut": 0.171, "likelihood": 0.138, "near": -0.13, "around": 0.488, "crossing": -2.46, "outline": -0.0579,
    "before, smooth": 0.395, "before, region": -0.132, "1": 0.396,
}  # fmt: skip
AROUND_POINT: dict[str, float] = {
    "far": -1.1, "log far": -1.15, "near": 0.218, "unlike": 0.0145, "unlike, region": -0.0594, "same region": 1.39,
    "far and unlike": -0.243, "whole: differs": -1.62, "whole: differs, if the point stands out": -0.879,
    "whole: stands out": 0.248, "whole: both": 1.45, "whole: the point": -0.00829, "whole: far": -0.632,
    "small: differs": -0.0217, "small: differs, if the point stands out": -1.5, "small: stands out": 0.648,
    "small: both": -2.18, "small: the point": 0.71, "small: far": 3.09, "large: differs": 0.577,
    "large: differs, if the point stands out": -2.63, "large: stands out": 0.25, "large: both": -0.714,
    "large: the point": 1.7, "large: far": 0.808, "1": -1.9,
}  # fmt: skip
"""Logistic weights of the cues; "1" is the constant. `python -m benchmarks.fit_saliency` says how they were fitted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """A part of a picture at the size at which it is looked at."""

    window: Window
    """The part, in pixels of the picture."""
    lab_HW3: NDArray[np.uint8]
    """OpenCV's Lab."""

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)."""
        return self.lab_HW3.shape[1], self.lab_HW3.shape[0]

    def places(self, box: Box) -> tuple[Map, Map]:
        """Where each pixel lies in a box, across and down: -1 and 1 are its sides."""
        wide, high = self.size
        x0, y0, x1, y1 = self.window
        across = 2 * (x0 + (np.arange(wide) + 0.5) * (x1 - x0) / wide - box[0]) / max(box[2] - box[0], 1e-3) - 1
        down = 2 * (y0 + (np.arange(high) + 0.5) * (y1 - y0) / high - box[1]) / max(box[3] - box[1], 1e-3) - 1
        columns, rows = np.meshgrid(across.astype(np.float32), down.astype(np.float32))
        return columns, rows


def view_of(picture_HW3: NDArray[np.uint8], box: Box | None) -> View:
    """The surroundings of a box, or the whole picture."""
    height, width = picture_HW3.shape[:2]
    window = (0, 0, width, height)
    if box is not None:
        more, higher = _MARGIN * (box[2] - box[0]) + 4, _MARGIN * (box[3] - box[1]) + 4
        left, top = min(width - 1, max(0, int(box[0] - more))), min(height - 1, max(0, int(box[1] - higher)))
        right, bottom = min(width, int(box[2] + more) + 1), min(height, int(box[3] + higher) + 1)
        window = (left, top, max(left + 1, right), max(top + 1, bottom))
    seen = np.ascontiguousarray(picture_HW3[window[1] : window[3], window[0] : window[2]])
    scale = min(LONG_PX / max(seen.shape[:2]), _MOST_ENLARGED)
    size = (max(1, round(seen.shape[1] * scale)), max(1, round(seen.shape[0] * scale)))
    small = cv2.resize(seen, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    return View(window=window, lab_HW3=np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2LAB), dtype=np.uint8))


def allowed(view: View, box: Box) -> NDArray[np.bool_]:
    """Where the object of a box may be."""
    across, down = view.places(box)
    return np.asarray(np.maximum(abs(across), abs(down)) < 1 + 2 * _GROWN)


def chances_in_box(view: View, box: Box) -> Map:
    """The probability of each pixel of a view; 0 where the box does not allow the object."""
    open_ = allowed(view, box)
    first = _weighed(first_box_cues(view, box), FIRST_IN_BOX) * open_
    return _weighed(later_box_cues(view, box, first), LATER_IN_BOX) * open_


def first_box_cues(view: View, box: Box) -> dict[str, Map]:
    """What can be said when only the box is known."""
    seeds = _seeds(view, box)
    cues = cues_of(look_at(view.lab_HW3, seeds), (seeds != cv2.GC_BGD).astype(np.float32), seeds.copy(), 2)
    across, down = view.places(box)
    across, down = np.clip(across, -1.5, 1.5), np.clip(down, -1.5, 1.5)
    return cues | {
        "across 2": across**2,
        "down": down,
        "down 2": down**2,
        "across 2, down 2": across**2 * down**2,
        "across 2, down": across**2 * down,
        "across 4": across**4,
        "down 4": down**4,
        "side": np.clip(1 - np.maximum(abs(across), abs(down)), -0.2, 1),
    }


def later_box_cues(view: View, box: Box, chances: Map) -> dict[str, Map]:
    """What can be said when there are first chances."""
    seeds = _seeds(view, box)
    chances = np.where(seeds == cv2.GC_BGD, 0, chances).astype(np.float32)
    return cues_of(look_at(view.lab_HW3, seeds), chances, kinds_of(chances, seeds), 1)


def chances_around_point(view: View, point: tuple[float, float], maps: Sequence[tuple[Window, Map]]) -> Map:
    """The probability of each pixel of the whole picture.

    Args:
        view: of the whole picture.
        maps: as `point_cues` takes them.
    """
    return _weighed(point_cues(view, point, maps), AROUND_POINT)


def connected(view: View, point: tuple[float, float], inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The connected part that a point lies in, or nearly."""
    wide, high = view.size
    x0, y0, x1, y1 = view.window
    column = min(max(int((point[0] - x0) * wide / (x1 - x0)), 0), wide - 1)
    row = min(max(int((point[1] - y0) * high / (y1 - y0)), 0), high - 1)
    dotted = inside.astype(np.uint8)
    cv2.circle(dotted, (column, row), 3, 1, -1)
    _, pieces = cv2.connectedComponents(dotted, connectivity=4)
    return np.asarray(pieces == pieces[row, column])


def extent(view: View, mask: NDArray[np.bool_]) -> Box:
    """The box of a mask that is not empty, in pixels of the picture."""
    x0, y0, x1, y1 = view.window
    across, down = (x1 - x0) / view.size[0], (y1 - y0) / view.size[1]
    columns, rows = np.nonzero(mask.any(axis=0))[0], np.nonzero(mask.any(axis=1))[0]
    return (
        x0 + float(columns[0]) * across,
        y0 + float(rows[0]) * down,
        x0 + float(columns[-1] + 1) * across,
        y0 + float(rows[-1] + 1) * down,
    )


def point_cues(view: View, point: tuple[float, float], maps: Sequence[tuple[Window, Map]]) -> dict[str, Map]:
    """What a point says.

    Args:
        view: of the whole picture.
        maps: what stands out, in the whole picture, and in a small and a large window around the point.
    """
    wide, high = view.size
    x0, y0, x1, _ = view.window
    scale = wide / (x1 - x0)
    column, row = (point[0] - x0) * scale, (point[1] - y0) * scale
    at = min(max(int(row), 0), high - 1), min(max(int(column), 0), wide - 1)
    rows, columns = np.mgrid[:high, :wide].astype(np.float32)
    far = np.hypot(columns + 0.5 - column, rows + 0.5 - row) / min(wide, high)
    smooth = cv2.GaussianBlur(view.lab_HW3, (0, 0), 2).astype(np.float32)
    unlike = np.linalg.norm(smooth - smooth[at], axis=2) / 30
    seeds = np.full((high, wide), cv2.GC_PR_FGD, dtype=np.uint8)
    regions = look_at(view.lab_HW3, seeds).regions
    cues = {
        "far": far,
        "log far": np.log(far + 0.03),
        "near": np.exp(-((far / 0.15) ** 2)),
        "unlike": np.clip(unlike, 0, 4),
        "unlike, region": per_region(np.clip(unlike, 0, 4).astype(np.float32), regions),
        "same region": (regions == regions[at]).astype(np.float32),
        "far and unlike": far * np.clip(unlike, 0, 4),
    }
    for name, (window, found) in zip(("whole", "small", "large"), maps, strict=True):
        seen = warped(found, window, view.window, view.size)
        stands = seen[at]
        cues[f"{name}: differs"] = abs(seen - stands)
        cues[f"{name}: differs, if the point stands out"] = abs(seen - stands) * stands
        cues[f"{name}: stands out"] = seen
        cues[f"{name}: both"] = seen * stands
        cues[f"{name}: the point"] = np.full_like(seen, stands)
        cues[f"{name}: far"] = far * seen * stands
    return {name: np.asarray(cue, dtype=np.float32) for name, cue in cues.items()}


def _seeds(view: View, box: Box) -> NDArray[np.uint8]:
    across, down = view.places(box)
    inside = np.maximum(abs(across), abs(down)) < 1
    return np.where(inside, cv2.GC_PR_FGD, cv2.GC_BGD).astype(np.uint8)


def _weighed(cues: dict[str, Map], weights: dict[str, float]) -> Map:
    score = weights["1"] + sum(weight * cues[name] for name, weight in weights.items() if name != "1")
    return np.asarray(1 / (1 + np.exp(-np.clip(score, -20, 20))), dtype=np.float32)
