"""What a person's hand set in a mask: it stays, whatever a segmenter answers afterwards.

A page tells its masks only, not who set which pixel. So each answer is kept (`labels/made_masks.py`), and what differs
from it later was done by hand: added pixels are object, removed ones are not. The next answer carries both along.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from avis_data.annotation.labels.made_masks import MadeMask, mask_sha256
from avis_data.annotation.segmenters.segmenter import Prompt
from avis_data.errors import DataError
from avis_data.masks.rle import Rle, decode, encode

__all__ = ["ByHand", "by_hand", "changed_near_points"]

_SAME_OBJECT_IOU = 0.3
"""A mask that covers less of an answer than this was not made from it."""
_REACH = 0.15
"""How far from a point beside the object it may take away what a hand drew, as a part of the mask's size."""
_LEAST_REACH_PX = 6.0
_DOT_PX = 2.0
"""What a point decides by itself."""


@dataclass(frozen=True)
class ByHand:
    """Pixels of one object on one still that a person's hand decided, bool (H, W) each."""

    inside_HW: NDArray[np.bool_]
    outside_HW: NDArray[np.bool_]

    def kept_in(self, mask_HW: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """A mask with these pixels as the hand set them."""
        kept: NDArray[np.bool_] = (mask_HW | self.inside_HW) & ~self.outside_HW
        return kept

    def as_counts(self) -> dict[str, str | None]:
        """The fields of `MadeMask` that carry it along."""
        return {"hand_inside": _counts(self.inside_HW), "hand_outside": _counts(self.outside_HW)}


def by_hand(current: Rle, identity: str, made: Sequence[MadeMask]) -> ByHand:
    """What of a mask was set by hand, and what was taken away.

    Args:
        current: the mask on the page.
        identity: its label.
        made: what machines made for that still, of all identities (a label may have been changed), oldest first.
    """
    current_HW = _pixels(current)
    base = _base(current, current_HW, identity, made)
    if base is None:  # all of it was drawn
        return ByHand(current_HW, np.zeros_like(current_HW))
    made_HW = _pixels(base.rle)
    before_in, before_out = (_of_counts(counts, current_HW) for counts in (base.hand_inside, base.hand_outside))
    inside = (before_in & current_HW) | (current_HW & ~made_HW)
    outside = (before_out & ~current_HW) | (made_HW & ~current_HW)
    return ByHand(inside, outside)


def changed_near_points(
    found_HW: NDArray[np.bool_], current_HW: NDArray[np.bool_], prompt: Prompt, hand: ByHand
) -> tuple[NDArray[np.bool_], ByHand]:
    """The mask on the page, changed only where points ask for it; and what of it is by hand after that.

    A point changes the connected part of the difference that it lies in. A point beside the object is newer than what
    a hand drew there, so near it that gives way; likewise a point inside, where a hand took away.
    """
    reach = max(_LEAST_REACH_PX, _REACH * float(np.sqrt(current_HW.sum())))
    near_in, near_out = (_discs(points, reach, current_HW) for points in (prompt.inside, prompt.outside))
    dot_in, dot_out = (_discs(points, _DOT_PX, current_HW) for points in (prompt.inside, prompt.outside))
    hand = ByHand(hand.inside_HW & ~near_out, hand.outside_HW & ~near_in)
    wanted = (hand.kept_in(found_HW) | dot_in) & ~dot_out  # whatever an engine makes of a point
    changed = wanted ^ current_HW
    _, parts = cv2.connectedComponents(changed.astype(np.uint8), connectivity=8)
    touched = set(np.unique(parts[near_in | near_out]).tolist()) - {0}
    chosen = np.isin(parts, sorted(touched)) if touched else np.zeros_like(changed)
    return np.where(chosen, wanted, current_HW), hand


def _base(current: Rle, current_HW: NDArray[np.bool_], identity: str, made: Sequence[MadeMask]) -> MadeMask | None:
    """The answer that a mask was made from: the same one, else the last of that label that is about there, else the
    last of another label that is."""
    sha256 = mask_sha256(current)
    of_size = [mask for mask in made if (mask.height, mask.width) == current_HW.shape]
    same = [mask for mask in of_size if mask.sha256 == sha256]
    if same:
        return same[-1]
    for mine in (True, False):
        for mask in reversed([mask for mask in of_size if (mask.identity == identity) is mine]):
            made_HW = _pixels(mask.rle)
            either = int((made_HW | current_HW).sum())
            if either and int((made_HW & current_HW).sum()) >= _SAME_OBJECT_IOU * either:
                return mask
    return None


def _discs(points: Sequence[tuple[float, float]], radius: float, like_HW: NDArray[np.bool_]) -> NDArray[np.bool_]:
    drawn = np.zeros(like_HW.shape, dtype=np.uint8)
    for x, y in points:
        cv2.circle(drawn, (round(x), round(y)), round(radius), 1, -1)
    discs: NDArray[np.bool_] = drawn > 0
    return discs


def _pixels(rle: Rle) -> NDArray[np.bool_]:
    return np.asarray(decode(rle)).astype(np.bool_)


def _counts(mask_HW: NDArray[np.bool_]) -> str | None:
    return encode(mask_HW).counts if mask_HW.any() else None


def _of_counts(counts: str | None, like_HW: NDArray[np.bool_]) -> NDArray[np.bool_]:
    height, width = like_HW.shape
    try:
        return np.zeros_like(like_HW) if counts is None else _pixels(Rle(height, width, counts))
    except DataError:  # a file of ours that somebody touched: what it says is not known
        return np.zeros_like(like_HW)
