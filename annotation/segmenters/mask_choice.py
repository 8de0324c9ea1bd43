"""Several masks of the object in a box, and which of them is best: how good each is said to be ranks them.

Masks come from the chances of the pixels, from what stands out in windows around the box, and from both together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from avis_data.annotation.segmenters.object_chances import Box, View, allowed

__all__ = ["Candidate", "best_of", "candidates", "said_of", "soft_iou"]

Map = NDArray[np.float32]
Mask = NDArray[np.bool_]

_CHANCES = (0.28, 0.38, 0.5)
"""Above which chance a pixel is in. The mask of the best expected IoU lies below one half."""
_STANDS_OUT = (0.2, 0.5)
"""The same for how much a pixel stands out, as a part of the most in the box."""
_MIXED = (0.5, 0.25)
"""What standing out counts beside the chances, where both are added."""
_MIXED_ABOVE = 0.42
_LEAST_PART = 0.05
"""Pieces smaller than this part of the mask are specks."""

WEIGHTS: dict[str, float] = {
    "chances": 0.455, "saliency": -0.169, "both": 0.277, "others": 0.0574, "windows": -0.0258, "worst gap": -0.418,
    "gaps": -0.0687, "fill": 0.265, "fill 2": -0.224, "beside": -0.264, "saliency, nothing beside": 0.0989,
    "edge": 0.0738, "1": 0.137,
}  # fmt: skip
"""What each thing that is said of a mask adds to the IoU that is expected of it; "1" is the constant.
`python -m benchmarks.fit_saliency` says how they were fitted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """One mask, at the size of a view."""

    mask_HW: Mask
    of_one_window: bool
    """Whether it is only what stands out in one window."""


def best_of(view: View, box: Box, chances: Map, maps: Sequence[Map]) -> tuple[Mask, float]:
    """The best mask of the object in a box, at the size of the view, and the IoU that is expected of it.

    Args:
        chances: of each pixel of the view, 0 where the object cannot be.
        maps: what stands out, as the view sees it.
    """
    found = candidates(view, box, chances, maps)
    expected = [
        sum(WEIGHTS[name] * value for name, value in said.items()) + WEIGHTS["1"] if said else 0.0
        for said in said_of(view, box, chances, maps, found)
    ]
    best = int(np.argmax(expected))
    return found[best].mask_HW, float(np.clip(expected[best], 0, 1))


def candidates(view: View, box: Box, chances: Map, maps: Sequence[Map]) -> list[Candidate]:
    """All masks that are thought of."""
    where = allowed(view, box)
    scaled = [_scaled(found, where) for found in maps]
    together = np.mean(scaled, axis=0, dtype=np.float32)
    found = [Candidate(mask_HW=_without_specks(chances > least), of_one_window=False) for least in _CHANCES]
    for number, map_HW in enumerate([*scaled, together]):
        found += [
            Candidate(mask_HW=_without_specks((map_HW > least) & where), of_one_window=number < len(scaled))
            for least in _STANDS_OUT
        ]
        found += [
            Candidate(
                mask_HW=_without_specks((part * map_HW + (1 - part) * chances > _MIXED_ABOVE) & where),
                of_one_window=False,
            )
            for part in _MIXED
        ]
    return found


def said_of(
    view: View, box: Box, chances: Map, maps: Sequence[Map], found: Sequence[Candidate]
) -> list[Mapping[str, float]]:
    """What speaks for and against each mask; nothing for an empty one."""
    where = allowed(view, box)
    across, down = view.places(box)
    in_box = max(1, int((np.maximum(abs(across), abs(down)) < 1).sum()))
    together = np.mean([_scaled(map_HW, where) for map_HW in maps], axis=0, dtype=np.float32) * where
    beside = float(np.mean([map_HW[~where].mean() for map_HW in maps])) if not where.all() else 0.0
    change = _change(view.lab_HW3)
    usual = float(change[where].mean()) + 1e-3 if where.any() else 1.0
    flat = np.stack([one.mask_HW.ravel() for one in found]).astype(np.float32)
    shared, areas = flat @ flat.T, flat.sum(axis=1)
    alike = shared / np.maximum(areas[:, None] + areas[None] - shared, 1)
    windows = [number for number, one in enumerate(found) if one.of_one_window]
    said: list[Mapping[str, float]] = []
    for number, one in enumerate(found):
        mask = one.mask_HW
        if not mask.any():
            said.append({})
            continue
        by_chances, by_saliency = soft_iou(mask, chances), soft_iou(mask, together)
        others = [other for other in windows if other != number]
        gaps = [abs(float(end) - side) / 2 for end, side in zip(_ends(mask, across, down), (-1, 1, -1, 1), strict=True)]
        fill = int(mask.sum()) / in_box
        rim = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
        said.append(
            {
                "chances": by_chances,
                "saliency": by_saliency,
                "both": by_chances * by_saliency,
                "others": float(alike[number].mean()),
                "windows": float(alike[number][others].mean()),
                "worst gap": max(gaps),
                "gaps": sum(gaps) / 4,
                "fill": min(fill, 1.2),
                "fill 2": fill**2,
                "beside": beside,
                "saliency, nothing beside": by_saliency * (1 - beside),
                "edge": min(3.0, float(change[rim].mean()) / usual) if rim.any() else 1.0,
            }
        )
    return said


def _scaled(found: Map, where: Mask) -> Map:
    """The most in the box is 1."""
    most = max(float((found * where).max()), 0.02)
    return np.asarray(np.clip(found / most, 0, 1), dtype=np.float32)


def soft_iou(mask: Mask, part: Map) -> float:
    """IoU of a mask with how much each pixel is in, which is about the IoU that is to be expected of the mask."""
    return float(np.minimum(mask, part).sum() / max(float(np.maximum(mask, part).sum()), 1e-6))


def _ends(mask: Mask, across: Map, down: Map) -> tuple[float, float, float, float]:
    columns, rows = across[0][mask.any(axis=0)], down[:, 0][mask.any(axis=1)]
    return float(columns[0]), float(columns[-1]), float(rows[0]), float(rows[-1])


def _change(lab: NDArray[np.uint8]) -> Map:
    pixels = lab.astype(np.float32)
    across, down = cv2.Sobel(pixels, -1, 1, 0), cv2.Sobel(pixels, -1, 0, 1)
    return np.asarray(np.sqrt((across**2 + down**2).sum(axis=2)), dtype=np.float32)


def _without_specks(mask: Mask) -> Mask:
    count, pieces, figures, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    areas = figures[:, cv2.CC_STAT_AREA]
    kept = [number for number in range(1, count) if areas[number] >= _LEAST_PART * areas[1:].sum()]
    return mask if len(kept) == count - 1 else np.isin(pieces, kept)
