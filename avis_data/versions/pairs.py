"""Which tracks of two versions of a video are the same object, and where one became several or several became one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pycocotools import mask as coco_mask

from avis_data.formats.ytvis import YtvisTrack
from avis_data.masks.rle import area, coco_dict
from avis_data.metrics.assignment import pair_tracks

__all__ = ["TrackPairs", "pair_by_category", "pair_by_pixels"]

_SAME_OBJECT = 0.5
"""IoU in one frame, or share of the smaller track's pixels, from which on two tracks hold the same object there."""


@dataclass(frozen=True, slots=True)
class TrackPairs:
    """How the tracks of the old version (O) and the new one (N) belong together; places in their lists."""

    pairs: tuple[tuple[int, int], ...]
    """(old, new): the one-to-one choice with the largest sum of IoUs over space and time; by the old ones' order."""
    iou_TON: np.ndarray | None
    """float64: IoU of the masks in each frame that both versions have; 0 where one has none. None: not comparable."""
    merged: tuple[tuple[tuple[int, ...], int], ...] = ()
    """(old ones, new): tracks whose objects are one track now."""
    divided: tuple[tuple[int, tuple[int, ...]], ...] = ()
    """(old, new ones): a track whose object is in several now."""


def pair_by_pixels(old: Sequence[YtvisTrack], new: Sequence[YtvisTrack], num_frames: int) -> TrackPairs:
    """Pair tracks by the pixels that they share in the first `num_frames` frames.

    A swap of two identities in the middle of a video shows as both: each old track is divided, each new one merged.
    """
    iou_TON, shared_ON, old_O, new_N = _overlaps(old, new, num_frames)
    together_ON = old_O[:, None] + new_N[None, :] - shared_ON
    similar_ON = np.divide(shared_ON, together_ON, out=np.zeros_like(shared_ON), where=together_ON > 0)
    rows, columns = pair_tracks(similar_ON)
    pairs = tuple((int(o), int(n)) for o, n in zip(rows, columns, strict=True) if similar_ON[o, n] > 0)
    smaller_ON = np.minimum(old_O[:, None], new_N[None, :])
    one_ON = (shared_ON > 0) & (shared_ON >= _SAME_OBJECT * smaller_ON)
    if num_frames:
        one_ON |= (iou_TON >= _SAME_OBJECT).any(axis=0)
    merged = ((tuple(map(int, np.flatnonzero(one_ON[:, n]))), n) for n in range(len(new)))
    divided = ((o, tuple(map(int, np.flatnonzero(one_ON[o])))) for o in range(len(old)))
    return TrackPairs(
        pairs=pairs,
        iou_TON=iou_TON,
        merged=tuple(entry for entry in merged if len(entry[0]) > 1),
        divided=tuple(entry for entry in divided if len(entry[1]) > 1),
    )


def pair_by_category(old: Sequence[str], new: Sequence[str]) -> TrackPairs:
    """Pair tracks whose pixels cannot be compared, for stills of another size or rate: in their order, by category."""
    left = list(range(len(new)))
    pairs = []
    for o, category in enumerate(old):
        n = next((n for n in left if new[n] == category), None)
        if n is not None:
            left.remove(n)
            pairs.append((o, n))
    return TrackPairs(pairs=tuple(pairs), iou_TON=None)


def _overlaps(
    old: Sequence[YtvisTrack], new: Sequence[YtvisTrack], num_frames: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """IoU by frame (T, O, N); pixels that both have (O, N); pixels of each (O,) and (N,), over these frames."""
    iou_TON = np.zeros((num_frames, len(old), len(new)))
    shared_ON, old_O, new_N = np.zeros((len(old), len(new))), np.zeros(len(old)), np.zeros(len(new))
    for t in range(num_frames):
        masks = [[(k, track.masks[t]) for k, track in enumerate(side)] for side in (old, new)]
        here_O, here_N = ([(k, mask) for k, mask in side if mask is not None] for side in masks)
        o, n = [k for k, _ in here_O], [k for k, _ in here_N]
        area_O = np.array([area(mask) for _, mask in here_O], dtype=float)
        area_N = np.array([area(mask) for _, mask in here_N], dtype=float)
        old_O[o] += area_O
        new_N[n] += area_N
        if not o or not n:
            continue
        iou_ON = np.asarray(
            coco_mask.iou(
                [coco_dict(mask) for _, mask in here_O], [coco_dict(mask) for _, mask in here_N], [False] * len(n)
            )
        )
        iou_TON[t][np.ix_(o, n)] = iou_ON
        shared_ON[np.ix_(o, n)] += np.rint((area_O[:, None] + area_N[None, :]) * iou_ON / (1 + iou_ON))
    return iou_TON, shared_ON, old_O, new_N
