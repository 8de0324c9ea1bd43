"""What is seen in a clip: boxes of every still, linked to objects, drawn on some stills and followed to the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from avis_data.annotation.prelabel.engine import Detection, box_iou

__all__ = ["Seen", "key_stills", "linked"]

_LEAST_IOU = 0.2
"""Of boxes of one thing a second apart; one that walks keeps about so much."""
_LONGEST_GAP = 2
"""Stills in which a thing may not be found, and is the same one afterwards."""
_LEAST_STILLS = 2
"""In fewer stills nothing is believed, but in a clip that is as short or where the detector is sure."""
_SURE = 0.5
_STILLS_A_KEY = 3
"""One still of so many is drawn, the others get what is carried: drawing costs the most (docs/prelabel.md)."""


@dataclass
class Seen:
    """One thing in a clip."""

    category: str
    found: dict[int, Detection] = field(default_factory=dict)
    """By still."""

    @property
    def score(self) -> float:
        """The mean of its detections."""
        return float(np.mean([one.score for one in self.found.values()]))


def linked(found: Sequence[Sequence[Detection]], is_cut: Callable[[int], bool] = lambda still: False) -> list[Seen]:
    """The boxes of successive stills that show the same thing.

    Args:
        found: of each still.
        is_cut: whether a still shows another scene than the one before: nothing goes on there.

    Returns:
        Things by their first still, those that only one still of many shows left out unless it is a sure one.
    """
    every: list[Seen] = []
    alive: list[Seen] = []
    for still, detections in enumerate(found):
        if is_cut(still):
            alive = []
        alive = [one for one in alive if still - max(one.found) <= 1 + _LONGEST_GAP]
        left = list(detections)
        for one, detection in _pairs(alive, left):
            one.found[still] = detection
            left.remove(detection)
        new = [Seen(category=detection.category, found={still: detection}) for detection in left]
        every += new
        alive += new
    enough = min(_LEAST_STILLS, len(found))
    return [one for one in every if len(one.found) >= enough or one.score >= _SURE]


def _pairs(alive: Sequence[Seen], detections: Sequence[Detection]) -> list[tuple[Seen, Detection]]:
    """Which thing which box goes on with: as much overlap as possible, within each category."""
    if not alive or not detections:
        return []
    shared = np.zeros((len(alive), len(detections)))
    for row, one in enumerate(alive):
        last = one.found[max(one.found)].box
        for column, detection in enumerate(detections):
            if detection.category == one.category:
                shared[row, column] = box_iou(last, detection.box)
    rows, columns = linear_sum_assignment(-shared)
    return [(alive[r], detections[c]) for r, c in zip(rows, columns, strict=True) if shared[r, c] >= _LEAST_IOU]


def key_stills(one: Seen, wanted: NDArray[np.bool_]) -> list[int]:
    """The stills of a thing that are drawn: the surest box of every few that are wanted, in their order.

    Args:
        one: the thing.
        wanted: (S,) stills in which it may sound; nothing is carried from far to them.
    """
    stills = [still for still in sorted(one.found) if wanted[still]] or sorted(one.found)
    groups: dict[int, list[int]] = {}
    for still in stills:
        groups.setdefault(still // _STILLS_A_KEY, []).append(still)
    return [max(group, key=lambda still: (one.found[still].score, -still)) for _, group in sorted(groups.items())]
