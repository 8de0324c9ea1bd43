"""Which clips are compared, and where to begin: the likeliest first, few for each pair and for each clip."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from avis_data.fingerprints.index import Hashes, Shared, picture_hashes, shared_hashes, sound_hashes
from avis_data.fingerprints.making import STEPS_PER_S, Fingerprint
from avis_data.fingerprints.neighbours import Clock, confirmed

__all__ = ["picture_tries", "sound_tries"]

_NEAR_SIGNS = 4
"""Hashes that differ in no more signs are a candidate on their own; others must be two."""
_STILLS_BESIDE = (-3, -2, -1, 1, 2, 3)
_STEPS_BESIDE = (-40, -30, -20, -10, 10, 20, 30, 40)
"""Neighbours of a hash, in stills and in steps of sound: the hashes of two seconds are half the same one second on."""
_MOST_TRIES = 3
"""Of a pair."""
_MOST_TRIES_OF_A_CLIP = 60
"""The likeliest first. A clip with more copies than that is in their group all the same, by the pairs of the others."""
_OFFSET_S = 0.5


def picture_tries(prints: Sequence[Fingerprint]) -> list[tuple[int, int, bool, int]]:
    """Whole clip, other clip, whether that is mirrored, and an index of `PARTS`: the part to begin with."""
    index, asked = picture_hashes(prints)
    stills = Clock(step_s_C=np.array([one.period_s for one in prints]), reach=_STILLS_BESIDE, slack=1)
    return _tries(index, asked, confirmed(index, asked, shared_hashes(index, asked), stills))


def _tries(index: Hashes, asked: Hashes, shared: Shared) -> list[tuple[int, int, bool, int]]:
    """Whole clip, other clip, mirrored or not, part: most shared hashes first, few for each pair."""
    whole_R, other_R = index.clip_R[shared.found_R], asked.clip_R[shared.asked_R]
    mirrored_R, part_R = asked.kind_R[shared.asked_R], index.kind_R[shared.found_R]
    rows, count, near = _tally((whole_R, other_R, mirrored_R, part_R), shared.different_R)
    totals: dict[tuple[int, int], int] = defaultdict(int)
    nearest: dict[tuple[int, int], int] = defaultdict(lambda: 99)
    for (whole, other, _, _), number, least in zip(rows, count, near, strict=True):
        totals[whole, other] += number
        nearest[whole, other] = min(nearest[whole, other], least)
    found: list[tuple[int, int, bool, int]] = []
    tried: dict[tuple[int, int], int] = defaultdict(int)
    tried_of: dict[int, int] = defaultdict(int)
    for at in np.lexsort((np.array(near), -np.array(count))).tolist() if rows else []:
        whole, other, mirrored, part = rows[at]
        pair = (whole, other)
        if totals[pair] < 2 and nearest[pair] > _NEAR_SIGNS:
            continue
        if tried[pair] < _MOST_TRIES and tried_of[other] < _MOST_TRIES_OF_A_CLIP:
            tried[pair] += 1
            tried_of[other] += 1
            found.append((whole, other, bool(mirrored), part))
    return found


def sound_tries(prints: Sequence[Fingerprint]) -> list[tuple[int, int, float, float]]:
    """One clip, another, and the second of each at which they may be the same."""
    index, asked = sound_hashes(prints)
    steps = Clock(step_s_C=np.full(len(prints), 1 / STEPS_PER_S), reach=_STEPS_BESIDE, slack=2)
    shared = confirmed(index, asked, shared_hashes(index, asked), steps)
    clip_R2 = np.stack([index.clip_R[shared.found_R], asked.clip_R[shared.asked_R]], axis=1)
    time_R2 = np.stack([index.time_R[shared.found_R], asked.time_R[shared.asked_R]], axis=1)
    turned_R = clip_R2[:, 0] > clip_R2[:, 1]
    clip_R2[turned_R], time_R2[turned_R] = clip_R2[turned_R, ::-1], time_R2[turned_R, ::-1]
    (one_R, two_R), (times_one, times_two) = clip_R2.T, time_R2.T
    offset_R = np.rint((times_one - times_two) / _OFFSET_S)
    rows, count, near = _tally((one_R, two_R, offset_R), shared.different_R)
    moment: dict[tuple[int, ...], tuple[float, float]] = {}
    order = np.argsort(shared.different_R, kind="stable")[::-1]
    keys = np.stack([one_R, two_R, offset_R], axis=1).astype(np.int64)
    for at in order.tolist():
        moment[tuple(keys[at].tolist())] = (float(times_one[at]), float(times_two[at]))
    found: list[tuple[int, int, float, float]] = []
    tried: dict[tuple[int, ...], int] = defaultdict(int)
    tried_of: dict[int, int] = defaultdict(int)
    for at in np.lexsort((np.array(near), -np.array(count))).tolist() if rows else []:
        pair = rows[at][:2]
        is_likely = count[at] >= 2 or near[at] <= _NEAR_SIGNS
        if is_likely and tried[pair] < _MOST_TRIES and tried_of[pair[1]] < _MOST_TRIES_OF_A_CLIP:
            tried[pair] += 1
            tried_of[pair[1]] += 1
            at_one, at_two = moment[rows[at]]
            found.append((pair[0], pair[1], at_one + 1.0, at_two + 1.0))
    return found


def _tally(
    columns: tuple[NDArray[np.number], ...], different_R: NDArray[np.uint8]
) -> tuple[list[tuple[int, ...]], list[int], list[int]]:
    """Each different row with its number, and the least of its differences."""
    if len(different_R) == 0:
        return [], [], []
    rows_RC = np.stack([column.astype(np.int64) for column in columns], axis=1)
    unique_UC, inverse_R, count_U = np.unique(rows_RC, axis=0, return_inverse=True, return_counts=True)
    near_U = np.full(len(unique_UC), 99)
    np.minimum.at(near_U, inverse_R, different_R)
    return [tuple(row) for row in unique_UC.tolist()], count_U.tolist(), near_U.tolist()
