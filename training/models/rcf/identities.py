"""Which object a slot shows: the same as before, unless masks say otherwise.

Shapes: S slots that fired, P slots that fired in the frame before, H, W pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["SlotIdentities"]

Masks = Mapping[int, NDArray[np.bool_]]


class SlotIdentities:
    """Identities of the slots of one clip, counted from 0.

    A slot keeps its identity, fired or not. But a mask whose IoU with one of the frame before is above `link` is the
    same object, in whatever slot: it takes the identity with it, and the slot that it left is free.

    Source: Li et al., "Online Video Instance Segmentation via Robust Context Fusion", section 3.3; made exact in its
    specification, section 9.
    """

    def __init__(self, link: float) -> None:
        self._link = link
        self._of_slot: dict[int, int] = {}
        self._last: dict[int, NDArray[np.bool_]] = {}
        self._next = 0

    @property
    def known(self) -> frozenset[int]:
        """Identities that some slot has; the others never come back."""
        return frozenset(self._of_slot.values())

    def step(self, masks: Masks) -> dict[int, int]:
        """The identity of every slot that fired in the next frame.

        Args:
            masks: slot -> its mask, bool (H, W), not empty.
        """
        given = self._followed(masks)
        for slot in sorted(masks.keys() - given.keys()):
            own = self._of_slot.get(slot)
            if own is None:
                own, self._next = self._next, self._next + 1
            given[slot] = own
        self._of_slot |= given
        self._last = dict(masks)
        return given

    def _followed(self, masks: Masks) -> dict[int, int]:
        """The identities that masks of the frame before hand on; the slots that they left become free."""
        pairs = _overlaps(masks, self._last)
        pairs.sort(key=lambda pair: (-pair[0], pair[1] != pair[2], pair[1], pair[2]))
        given: dict[int, int] = {}
        left: set[int] = set()
        for overlap, slot, before in pairs:
            if overlap > self._link and slot not in given and before not in left:
                given[slot] = self._of_slot[before]
                left.add(before)
        for slot in left - given.keys():
            del self._of_slot[slot]
        return given


def _overlaps(masks: Masks, before: Masks) -> list[tuple[float, int, int]]:
    """IoU, slot now, slot before, of all pairs."""
    if not masks or not before:
        return []
    now_SX, then_PX = _rows(list(masks.values())), _rows(list(before.values()))
    common_SP = now_SX @ then_PX.T
    union_SP = now_SX.sum(1)[:, None] + then_PX.sum(1)[None] - common_SP
    overlap_SP = common_SP / union_SP
    return [
        (float(overlap_SP[row, column]), slot, other)
        for row, slot in enumerate(masks)
        for column, other in enumerate(before)
    ]


def _rows(masks: Sequence[NDArray[np.bool_]]) -> NDArray[np.float32]:
    return np.stack([mask.ravel() for mask in masks]).astype(np.float32)
