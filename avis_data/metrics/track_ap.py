"""Average precision of tracks: greedy matching per class and video, then one precision-recall curve per class.

Shapes: A area ranges, K IoU thresholds, D predicted tracks and G truth tracks of one class in one video.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from avis_data.metrics.tracks import TrackSet, VideoTracks

__all__ = [
    "AREA_NAMES",
    "EPS",
    "RECALLS",
    "THRESHOLDS",
    "ApRules",
    "ClassMatches",
    "RangeAp",
    "match_video",
    "pool_class",
]

ApRules = Literal["official", "ids_from_one", "strict", "ytvis"]
"""`official`: TrackMAP of the public AVIS evaluation; `ids_from_one`: the same without its id 0 quirk; `strict`: that
without the 2e-16 that it adds to a divisor, so that perfect is 1; `ytvis`: the YouTube-VIS API."""

THRESHOLDS: dict[ApRules, np.ndarray] = {
    "official": np.arange(0.5, 1.0, 0.05),
    "ids_from_one": np.arange(0.5, 1.0, 0.05),
    "strict": np.arange(0.5, 1.0, 0.05),
    "ytvis": np.linspace(0.5, 0.95, 10),
}
"""As the two public programs make them: `arange` gives 0.9500000000000004, so an IoU of 0.95 is no match there."""

AREA_NAMES = ("all", "s", "m", "l")
_AREA_RANGES_PX = ((0.0, 1e10), (0.0, 128.0**2), (128.0**2, 256.0**2), (256.0**2, 1e10))
EPS = float(np.finfo(np.float64).eps)
_MAX_THRESHOLD = 1 - 1e-10
RECALLS = np.linspace(0.0, 1.0, 101)
_YTVIS_MAX_TRACKS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassMatches:
    """What became of the predicted tracks of one class in one video, by falling score."""

    category: int
    score_D: np.ndarray
    hit_AKD: np.ndarray
    """bool: took a truth track."""
    ignored_AKD: np.ndarray
    """bool: counts neither as hit nor as false."""
    num_truth_A: np.ndarray
    """int64: truth tracks that count."""

    def best(self, number: int) -> ClassMatches:
        """The same for the first `number` tracks only: greedy matching never looks back."""
        return ClassMatches(
            category=self.category,
            score_D=self.score_D[:number],
            hit_AKD=self.hit_AKD[:, :, :number],
            ignored_AKD=self.ignored_AKD[:, :, :number],
            num_truth_A=self.num_truth_A,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeAp:
    """AP and final recall of one class; -1 in the ranges in which it has no truth."""

    ap_AK: np.ndarray
    recall_AK: np.ndarray


def match_video(video: VideoTracks, *, rules: ApRules, has_id_zero: bool = False) -> list[ClassMatches]:
    """Match the tracks of a video, class by class, at every threshold and area range.

    Predictions by falling score, equal scores in file order (`strict`: in an order that does not depend on the file);
    each takes the free truth track of highest IoU that reaches the threshold (a later one wins a tie). Crowd truth, and
    truth outside the area range, is only taken when nothing else is left, and what takes it counts neither way.

    Args:
        video: its tracks.
        rules: whose thresholds and quirks.
        has_id_zero: the first predicted track of this video has the id 0. Under the `official` rules a truth track is
            only taken if the id of its match is above 0, so what that one matches can be matched again.

    Source: specs/metrics.md §2.
    """
    truth, predicted = video.truth, video.predicted
    truth_order, predicted_order = _order(truth, rules), _order(predicted, rules)
    truth_outside_AG = _outside(truth.mean_area_N) | truth.crowd_N
    predicted_outside_AP = _outside(predicted.mean_area_N)
    found = []
    for category in sorted({*truth.category_N[truth_order].tolist(), *predicted.category_N[predicted_order].tolist()}):
        g = truth_order[truth.category_N[truth_order] == category]
        d = predicted_order[predicted.category_N[predicted_order] == category]
        d = d[np.argsort(-predicted.score_N[d], kind="stable")]
        if rules == "ytvis":
            d = d[:_YTVIS_MAX_TRACKS]
        hit_AKD, on_ignored_AKD = _match_class(
            video.track_iou_PG[np.ix_(d, g)],
            truth_outside_AG[:, g],
            thresholds_K=THRESHOLDS[rules],
            tolerance=0.0 if rules == "ytvis" else EPS,
            reusable_G=truth.crowd_N[g] if rules == "ytvis" else np.zeros(len(g), dtype=bool),
            takes_nothing_D=(d == 0) & has_id_zero,
        )
        found.append(
            ClassMatches(
                category=category,
                score_D=predicted.score_N[d],
                hit_AKD=hit_AKD,
                ignored_AKD=on_ignored_AKD | (~hit_AKD & predicted_outside_AP[:, None, d]),
                num_truth_A=(~truth_outside_AG[:, g]).sum(axis=1),
            )
        )
    return found


def pool_class(videos: Sequence[ClassMatches], *, rules: ApRules) -> RangeAp:
    """AP of one class from its matches in all videos: 101 recall points under the monotone precision curve.

    Args:
        videos: of one class, in the order in which equal scores are to be taken.
        rules: under which they were matched.

    Source: specs/metrics.md §2; Lin et al., "Microsoft COCO", ECCV 2014 (evaluation code).
    """
    num_truth_A = np.sum([matches.num_truth_A for matches in videos], axis=0)
    score = np.concatenate([matches.score_D for matches in videos])
    order = np.argsort(-score, kind="stable")
    hit_AKN = np.concatenate([matches.hit_AKD for matches in videos], axis=2)[:, :, order]
    counts_AKN = ~np.concatenate([matches.ignored_AKD for matches in videos], axis=2)[:, :, order]
    true_AKN = np.cumsum(hit_AKN & counts_AKN, axis=2, dtype=np.float64)
    false_AKN = np.cumsum(~hit_AKN & counts_AKN, axis=2, dtype=np.float64)
    ap_AK = np.full(true_AKN.shape[:2], -1.0)
    recall_AK = np.full(true_AKN.shape[:2], -1.0)
    for a in np.flatnonzero(num_truth_A):
        recall_KN = true_AKN[a] / num_truth_A[a]
        counted_KN = true_AKN[a] + false_AKN[a]
        precision_KN = true_AKN[a] / (np.maximum(counted_KN, 1) if rules == "strict" else counted_KN + EPS)
        precision_KN = np.maximum.accumulate(precision_KN[:, ::-1], axis=1)[:, ::-1]
        recall_AK[a] = recall_KN[:, -1] if len(score) else 0.0
        for k, (recall_N, precision_N) in enumerate(zip(recall_KN, precision_KN, strict=True)):
            sampled = np.append(precision_N, 0.0)[np.searchsorted(recall_N, RECALLS, side="left")]
            ap_AK[a, k] = sampled.mean()
    return RangeAp(ap_AK=ap_AK, recall_AK=recall_AK)


def _order(tracks: TrackSet, rules: ApRules) -> np.ndarray:
    """Which tracks count, and in which order scores that are equal are taken."""
    if rules != "strict":
        return np.arange(len(tracks))
    order = tracks.canonical_N
    kept: np.ndarray = order[tracks.area_NL[order].any(axis=1)]  # without its empty masks a track may have nothing left
    return kept


def _outside(area_N: np.ndarray) -> np.ndarray:
    """bool (A, N): not within the range, both ends of which belong to it."""
    ranges_A2 = np.array(_AREA_RANGES_PX)
    outside: np.ndarray = (area_N < ranges_A2[:, :1]) | (area_N > ranges_A2[:, 1:])
    return outside


def _match_class(
    iou_DG: np.ndarray,
    outside_AG: np.ndarray,
    *,
    thresholds_K: np.ndarray,
    tolerance: float,
    reusable_G: np.ndarray,
    takes_nothing_D: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """bool (A, K, D) twice: took a truth track; took one that is ignored."""
    num_ranges, num_thresholds = len(outside_AG), len(thresholds_K)
    hit_AKD = np.zeros((num_ranges, num_thresholds, len(iou_DG)), dtype=bool)
    on_ignored_AKD = np.zeros_like(hit_AKD)
    if not iou_DG.size:  # most classes of most videos
        return hit_AKD, on_ignored_AKD
    lowest_K = np.minimum(thresholds_K, _MAX_THRESHOLD)
    candidates = np.flatnonzero((iou_DG >= lowest_K[0] - tolerance).any(axis=1))
    for a in range(num_ranges if len(candidates) else 0):
        order = np.argsort(outside_AG[a], kind="stable")
        is_taken_KG = np.zeros((num_thresholds, len(order)), dtype=bool)
        for d in candidates:
            match_K = _take(iou_DG[d], order, outside_AG[a], is_taken_KG & ~reusable_G, lowest_K, tolerance)
            hits = np.flatnonzero(match_K >= 0)
            hit_AKD[a, hits, d] = True
            on_ignored_AKD[a, hits, d] = outside_AG[a, match_K[hits]]
            if not takes_nothing_D[d]:
                is_taken_KG[hits, match_K[hits]] = True
    return hit_AKD, on_ignored_AKD


def _take(
    iou_G: np.ndarray,
    order: np.ndarray,
    ignored_G: np.ndarray,
    is_taken_KG: np.ndarray,
    lowest_K: np.ndarray,
    tolerance: float,
) -> np.ndarray:
    """int64 (K,): the truth track that one prediction takes at each threshold, -1 for none."""
    best_K = lowest_K.copy()
    match_K = np.full(len(lowest_K), -1)
    for g in order:
        better_K = ~is_taken_KG[:, g] & (iou_G[g] >= best_K - tolerance)
        if ignored_G[g]:  # these come last; whoever has a match that counts keeps it
            better_K &= (match_K < 0) | ignored_G[match_K]
        best_K[better_K] = iou_G[g]
        match_K[better_K] = g
    return match_K
