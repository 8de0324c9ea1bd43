"""Spread labels evenly over splits without changing how many groups of each size a split holds.

Shapes: G groups, D labels, K splits, N candidate pairs. The cost of a division is the sum over labels and splits of
(found - wanted)² / wanted, the chi-square distance, so that a rare label counts as much as a common one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

__all__ = ["improve", "stratify"]

_PAIRS = 2048
_MAX_SWAPS = 600
_MAX_MISSES = 6
_DIGITS = 9
"""Costs are compared after rounding, so that another order of summation on another processor decides the same."""


def stratify(
    labels_GD: np.ndarray, sizes_G: np.ndarray, plan: Sequence[Mapping[int, int]], rng: np.random.Generator
) -> np.ndarray:
    """Place every group, those with the rarest label first, where its labels are needed most.

    Args:
        labels_GD: float64, how much of each label a group holds; >= 0.
        sizes_G: int, clips per group.
        plan: for each split, group size -> how many groups of that size it takes; together all groups.
        rng: decides among equals.

    Returns:
        int64 (G,), the index of each group's split.
    """
    wanted_KD = _wanted(labels_GD, sizes_G, [sum(size * count for size, count in split.items()) for split in plan])
    inverse_KD = _inverse(wanted_KD)
    room = [dict(split) for split in plan]
    missing_KD = wanted_KD.copy()
    place_G = np.zeros(len(labels_GD), dtype=np.int64)
    for group in _rarest_first(labels_GD, rng):
        size = int(sizes_G[group])
        (held,) = np.nonzero(labels_GD[group])
        value = labels_GD[group, held]
        cost_K = ((value - 2 * missing_KD[:, held]) * value * inverse_KD[:, held]).sum(axis=1)
        open_splits = [split for split in range(len(plan)) if room[split].get(size, 0)]
        best = min(open_splits, key=lambda split: (round(float(cost_K[split]), _DIGITS), -room[split][size]))
        place_G[group] = best
        room[best][size] -= 1
        missing_KD[best, held] -= value
    return place_G


def improve(
    place_G: np.ndarray, labels_GD: np.ndarray, sizes_G: np.ndarray, num_splits: int, rng: np.random.Generator
) -> None:
    """Exchange groups of equal size between splits, in place, as long as some of many random pairs lowers the cost."""
    if len(place_G) == 0:
        return
    clips_K = np.bincount(place_G, weights=sizes_G, minlength=num_splits)
    wanted_KD = _wanted(labels_GD, sizes_G, clips_K.tolist())
    inverse_KD = _inverse(wanted_KD)
    found_KD = np.stack([labels_GD[place_G == split].sum(axis=0) for split in range(num_splits)])
    excess_KD = found_KD - wanted_KD
    by_size_G = np.argsort(sizes_G, kind="stable")
    start_G = np.searchsorted(sizes_G[by_size_G], sizes_G, side="left")
    count_G = np.searchsorted(sizes_G[by_size_G], sizes_G, side="right") - start_G
    misses = 0
    for _ in range(_MAX_SWAPS):
        one_N = rng.integers(len(place_G), size=_PAIRS)
        other_N = by_size_G[start_G[one_N] + (rng.random(_PAIRS) * count_G[one_N]).astype(np.int64)]
        change_N = _change(one_N, other_N, place_G, labels_GD, excess_KD, inverse_KD)
        best = int(np.argmin(change_N))
        if change_N[best] >= 0:
            misses += 1
            if misses == _MAX_MISSES:
                break
            continue
        misses = 0
        one, other = one_N[best], other_N[best]
        moved_D = labels_GD[other] - labels_GD[one]
        excess_KD[place_G[one]] += moved_D
        excess_KD[place_G[other]] -= moved_D
        place_G[one], place_G[other] = place_G[other], place_G[one]


def _change(
    one_N: np.ndarray,
    other_N: np.ndarray,
    place_G: np.ndarray,
    labels_GD: np.ndarray,
    excess_KD: np.ndarray,
    inverse_KD: np.ndarray,
) -> np.ndarray:
    """float64 (N,): what exchanging each pair adds to the cost; 0 for two groups of one split."""
    moved_ND = labels_GD[other_N] - labels_GD[one_N]
    from_N, to_N = place_G[one_N], place_G[other_N]
    gained_ND = (2 * excess_KD[from_N] + moved_ND) * moved_ND * inverse_KD[from_N]
    lost_ND = (moved_ND - 2 * excess_KD[to_N]) * moved_ND * inverse_KD[to_N]
    change_N = (gained_ND + lost_ND).sum(axis=1)
    result: np.ndarray = np.where(from_N == to_N, 0.0, np.round(change_N, _DIGITS))
    return result


def _rarest_first(labels_GD: np.ndarray, rng: np.random.Generator) -> list[int]:
    total_D = labels_GD.sum(axis=0)
    rarest_G = np.where(labels_GD > 0, total_D, np.inf).min(axis=1, initial=np.inf)
    shuffled_G = rng.permutation(len(labels_GD))
    order: list[int] = shuffled_G[np.argsort(rarest_G[shuffled_G], kind="stable")].tolist()
    return order


def _wanted(labels_GD: np.ndarray, sizes_G: np.ndarray, clips_K: Sequence[float]) -> np.ndarray:
    share_K = np.asarray(clips_K, dtype=np.float64) / max(int(sizes_G.sum()), 1)
    wanted_KD: np.ndarray = share_K[:, None] * labels_GD.sum(axis=0)
    return wanted_KD


def _inverse(wanted_KD: np.ndarray) -> np.ndarray:
    inverse_KD: np.ndarray = np.divide(1.0, wanted_KD, out=np.zeros_like(wanted_KD), where=wanted_KD > 0)
    return inverse_KD
