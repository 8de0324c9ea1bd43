"""Which nearly equal hashes are no chance: what comes before and after them is alike too.

Among many clips two hashes are nearly equal by chance, the more often the more clips there are, and to compare the
clips around each would cost more and more. A copy has the same neighbours, so the hashes up to some seconds before and
after decide, at a thousandth of the cost.

Legend: R rows of hashes, S rows that are nearly equal, C clips, P places.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avis_data.fingerprints.index import Hashes, Shared

__all__ = ["Clock", "confirmed"]

_MOST_DIFFERENT = 14.0
"""Signs of 48, the mean over a row and its neighbours. Chance is 24, or 21 where the best of three places is taken."""
_CHUNK = 500_000


@dataclass(frozen=True, kw_only=True)
class Clock:
    """How hashes of one kind follow one another."""

    step_s_C: NDArray[np.float64]
    """Seconds from one hash of a clip to the next."""
    reach: tuple[int, ...]
    """Steps from a row to the neighbours that are looked at."""
    slack: int
    """Steps by which a neighbour may be early or late: copies begin between two stills, and play faster or slower."""


def confirmed(index: Hashes, asked: Hashes, shared: Shared, clock: Clock) -> Shared:
    """Those of the nearly equal rows whose neighbours are alike; rows that have none stay."""
    of_index, of_asked = _Places(index, clock), _Places(asked, clock)
    kept_S = np.zeros(len(shared.asked_R), dtype=bool)
    for first in range(0, len(kept_S), _CHUNK):
        some = slice(first, first + _CHUNK)
        asked_S, found_S = shared.asked_R[some], shared.found_R[some]
        total_S, count_S = shared.different_R[some].astype(np.float32), np.ones(len(asked_S), dtype=np.float32)
        for steps in clock.reach:
            near_S = _nearest(of_index, of_asked, asked_S, found_S, steps, clock)
            has_S = near_S <= 48
            total_S[has_S] += near_S[has_S]
            count_S += has_S
        kept_S[some] = total_S <= _MOST_DIFFERENT * count_S
    return Shared(
        asked_R=shared.asked_R[kept_S], found_R=shared.found_R[kept_S], different_R=shared.different_R[kept_S]
    )


class _Places:
    """The row of a clip, a kind and a step."""

    def __init__(self, hashes: Hashes, clock: Clock) -> None:
        self.hashes = hashes
        self.step_R = np.rint(hashes.time_R / clock.step_s_C[hashes.clip_R]).astype(np.int64)
        self._length_C = np.zeros(len(clock.step_s_C), dtype=np.int64)
        np.maximum.at(self._length_C, hashes.clip_R, self.step_R + 1)
        kinds = int(hashes.kind_R.max(initial=0)) + 1
        self._first_C = np.cumsum(self._length_C * kinds) - self._length_C * kinds
        self._row_P = np.full(int((self._length_C * kinds).sum()) + 1, -1, dtype=np.int64)
        self._row_P[self._place(hashes.clip_R, hashes.kind_R, self.step_R)] = np.arange(len(hashes.clip_R))

    def rows(self, like_S: NDArray[np.int64], step_S: NDArray[np.int64]) -> NDArray[np.int64]:
        """Rows of the clips and kinds of other rows at given steps; -1 where there is none."""
        clip_S = self.hashes.clip_R[like_S]
        is_inside_S = (step_S >= 0) & (step_S < self._length_C[clip_S])
        place_S = np.where(is_inside_S, self._place(clip_S, self.hashes.kind_R[like_S], step_S), -1)
        row_S: NDArray[np.int64] = self._row_P[place_S]
        return row_S

    def _place(
        self, clip_S: NDArray[np.int32], kind_S: NDArray[np.int8], step_S: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        place_S: NDArray[np.int64] = self._first_C[clip_S] + kind_S.astype(np.int64) * self._length_C[clip_S] + step_S
        return place_S


def _nearest(
    of_index: _Places,
    of_asked: _Places,
    asked_S: NDArray[np.int64],
    found_S: NDArray[np.int64],
    steps: int,
    clock: Clock,
) -> NDArray[np.uint8]:
    """Signs in which neighbours differ, of those within the slack the fewest; 99 where one of the two has none."""
    beside_asked_S = of_asked.rows(asked_S, of_asked.step_R[asked_S] + steps)
    found_clip_S = of_index.hashes.clip_R[found_S]
    ratio_S = clock.step_s_C[of_asked.hashes.clip_R[asked_S]] / clock.step_s_C[found_clip_S]
    beside_found_S = of_index.step_R[found_S] + np.rint(steps * ratio_S).astype(np.int64)
    nearest_S = np.full(len(asked_S), 99, dtype=np.uint8)
    for late in (-clock.slack, 0, clock.slack):
        rows_S = of_index.rows(found_S, beside_found_S + late)
        (both_K,) = np.nonzero((beside_asked_S >= 0) & (rows_S >= 0))
        signs_K = of_asked.hashes.sign_R[beside_asked_S[both_K]] ^ of_index.hashes.sign_R[rows_S[both_K]]
        nearest_S[both_K] = np.minimum(nearest_S[both_K], np.bitwise_count(signs_K))
    return nearest_S
