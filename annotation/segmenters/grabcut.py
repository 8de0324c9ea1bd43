"""The engine without weights: GrabCut, colours of inside and outside the box, cut where the picture has edges.

With a box, `box_cues` first says what is surely object and surely not; the last cut decides the rest. On photographs it
is worth little more than filling the box (docs/benchmarks.md); it suits drawings with outlines, and mending.

Source: Rother, Kolmogorov, Blake, "GrabCut", SIGGRAPH 2004, as OpenCV implements it.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from avis_data.annotation.segmenters.box_cues import cut, seeds_from_box
from avis_data.annotation.segmenters.segmenter import Embedding, Found, Prompt

__all__ = ["GrabCut"]

_ROUNDS = 2
"""How often the colours are learnt from the last cut and the picture is cut anew, where there is no box."""
_LONG_PX = 288
"""What is looked at is brought to this size, the small made larger too: OpenCV's weight of a smooth outline against the
colours is fixed, so in fewer pixels thin parts are cut off, and in more of them it only takes longer."""
_MOST_ENLARGED = 6.0
_MARGIN = 0.2
"""How much around the box is looked at, as a part of its sides: the colours of what is not the object."""
_REACH = 0.08
"""How far from a point alone the object is looked for, as a part of the picture's shorter side."""
_AROUND = 3.0
"""How much more than that is looked at."""
_ALIKE_LAB = (24.0, 16.0, 16.0)
_DOT_PX = 3
"""Radius of a point at the size that is looked at, where it is no smaller than two pixels of the picture."""
_LEAST_PART = 0.05
"""Pieces smaller than this part of the mask are specks."""


class GrabCut:
    """Segments from a box well, from a point alone roughly."""

    name = "grabcut"
    weights_sha256: str | None = None
    embeds = False

    def embed(self, picture_HW3: NDArray[np.uint8]) -> Embedding:
        """Nothing: all work needs the prompt."""
        return {}

    def segment(self, picture_HW3: NDArray[np.uint8], embedding: Embedding, prompt: Prompt) -> Found:
        """The object; its confidence is how different the colours on both sides of its outline are."""
        height, width = picture_HW3.shape[:2]
        view = _view(prompt, height, width)
        scale = _scale(view)
        seen = np.ascontiguousarray(picture_HW3[view[1] : view[3], view[0] : view[2]])
        size = (max(1, round(seen.shape[1] * scale)), max(1, round(seen.shape[0] * scale)))
        small = _u8(cv2.resize(seen, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC))
        seeds = _seeds(prompt, view, scale, small, reach=_REACH * min(height, width) * scale)
        lab = _u8(cv2.cvtColor(small, cv2.COLOR_RGB2LAB))
        if prompt.box is not None and prompt.mask_HW is None:
            seeds = seeds_from_box(lab, seeds)
            cut(lab, seeds, 1)
        else:
            cut(lab, seeds, _ROUNDS)
        inside = np.isin(seeds, (cv2.GC_FGD, cv2.GC_PR_FGD))
        inside = _without_specks(inside, _scaled(prompt.inside, view, scale))
        whole = np.zeros((height, width), dtype=np.bool_)
        way = cv2.INTER_LINEAR if scale < 1 else cv2.INTER_AREA
        part = cv2.resize(inside.astype(np.float32), (seen.shape[1], seen.shape[0]), interpolation=way)
        whole[view[1] : view[3], view[0] : view[2]] = part > 0.5
        return Found(mask_HW=whole, confidence=_contrast(small, inside))


def _u8(picture: cv2.typing.MatLike) -> NDArray[np.uint8]:
    """What OpenCV gives for bytes is bytes, which its types do not say."""
    return np.asarray(picture, dtype=np.uint8)


def _view(prompt: Prompt, height: int, width: int) -> tuple[int, int, int, int]:
    """The part of the picture that is looked at, (x0, y0, x1, y1)."""
    boxes = [prompt.box] if prompt.box is not None else []
    if prompt.mask_HW is not None and prompt.mask_HW.any():
        rows, columns = np.nonzero(prompt.mask_HW.any(axis=1))[0], np.nonzero(prompt.mask_HW.any(axis=0))[0]
        boxes.append((columns[0], rows[0], columns[-1] + 1, rows[-1] + 1))
    reach = _AROUND * _REACH * min(height, width)
    boxes += [(x - reach, y - reach, x + reach, y + reach) for x, y in prompt.inside]
    if not boxes:
        raise ValueError("a prompt needs a point inside, a box or a mask")
    x0, y0, x1, y1 = (pick(values) for pick, values in zip((min, min, max, max), zip(*boxes, strict=True), strict=True))
    wide, high = _MARGIN * (x1 - x0) + 4, _MARGIN * (y1 - y0) + 4
    left, top = max(0, int(x0 - wide)), max(0, int(y0 - high))
    return left, top, max(left + 1, min(width, int(x1 + wide) + 1)), max(top + 1, min(height, int(y1 + high) + 1))


def _scale(view: tuple[int, int, int, int]) -> float:
    long = max(view[2] - view[0], view[3] - view[1])
    return min(_LONG_PX / long, _MOST_ENLARGED)


def _scaled(
    points: tuple[tuple[float, float], ...], view: tuple[int, int, int, int], scale: float
) -> list[tuple[int, int]]:
    return [(round((x - view[0]) * scale), round((y - view[1]) * scale)) for x, y in points]


def _seeds(
    prompt: Prompt, view: tuple[int, int, int, int], scale: float, small: NDArray[np.uint8], *, reach: float
) -> NDArray[np.uint8]:
    """What each pixel is for now: surely or probably object or not."""
    seeds = np.full(small.shape[:2], cv2.GC_BGD, dtype=np.uint8)
    if prompt.box is not None:
        (x0, y0), (x1, y1) = _scaled(((prompt.box[0], prompt.box[1]), (prompt.box[2], prompt.box[3])), view, scale)
        seeds[max(0, y0) : max(y0, y1 - 1) + 1, max(0, x0) : max(x0, x1 - 1) + 1] = cv2.GC_PR_FGD
    else:
        seeds[:] = cv2.GC_PR_BGD
        for x, y in _scaled(prompt.inside, view, scale):
            seeds[_alike(small, x, y)] = cv2.GC_PR_FGD
            cv2.circle(seeds, (x, y), max(2, int(reach)), cv2.GC_PR_FGD, -1)
    if prompt.mask_HW is not None and prompt.mask_HW.any():
        part = prompt.mask_HW[view[1] : view[3], view[0] : view[2]].astype(np.uint8)
        part = _u8(cv2.resize(part, (small.shape[1], small.shape[0]), interpolation=cv2.INTER_NEAREST))
        seeds[part > 0] = cv2.GC_PR_FGD
    for points, kind in ((prompt.inside, cv2.GC_FGD), (prompt.outside, cv2.GC_BGD)):
        for x, y in _scaled(points, view, scale):
            cv2.circle(seeds, (x, y), max(_DOT_PX, round(2 * scale)), kind, -1)
    return seeds


def _alike(small: NDArray[np.uint8], x: int, y: int) -> NDArray[np.bool_]:
    """What hangs together with a point and has about its colour."""
    height, width = small.shape[:2]
    filled = np.zeros((height + 2, width + 2), dtype=np.uint8)
    smooth = cv2.medianBlur(cv2.cvtColor(small, cv2.COLOR_RGB2LAB), 5)
    point = (min(max(x, 0), width - 1), min(max(y, 0), height - 1))
    flags = 4 | cv2.FLOODFILL_FIXED_RANGE | cv2.FLOODFILL_MASK_ONLY | (1 << 8)
    cv2.floodFill(smooth, filled, point, (0, 0, 0), _ALIKE_LAB, _ALIKE_LAB, flags)
    return filled[1:-1, 1:-1] > 0


def _without_specks(inside: NDArray[np.bool_], points: list[tuple[int, int]]) -> NDArray[np.bool_]:
    """The large pieces, or only those that were pointed at; their small holes filled."""
    closed = cv2.morphologyEx(inside.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    count, pieces, figures, _ = cv2.connectedComponentsWithStats(closed, connectivity=8)
    areas = figures[:, cv2.CC_STAT_AREA]
    height, width = inside.shape
    pointed = {int(pieces[y, x]) for x, y in points if 0 <= x < width and 0 <= y < height} - {0}
    kept = pointed or {k for k in range(1, count) if areas[k] >= _LEAST_PART * areas[1:].sum()}
    return np.isin(pieces, sorted(kept)) if kept else np.zeros_like(inside)


def _contrast(small: NDArray[np.uint8], inside: NDArray[np.bool_]) -> float:
    mask = inside.astype(np.uint8)
    kernel = np.ones((5, 5), np.uint8)
    inner, outer = mask - cv2.erode(mask, kernel), cv2.dilate(mask, kernel) - mask
    if not inner.any() or not outer.any():
        return 0.0
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB).astype(np.float32)
    distance = np.linalg.norm(lab[inner > 0].mean(axis=0) - lab[outer > 0].mean(axis=0))
    return float(1 - np.exp(-distance / 30))
