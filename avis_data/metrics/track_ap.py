"""Average precision of tracks: greedy matching per class and video, then one precision-recall curve per class.

Shapes: A area ranges, K IoU thresholds, D predicted tracks and G truth tracks of one class in one video;
B draws of videos, C classes, M videos and N predicted tracks of one class.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from avis_data.metrics.counting import Counting, Drawn, Mode, Rules, Variant
from avis_data.metrics.tracks import TrackSet, VideoTracks

__all__ = [
    "AP",
    "THRESHOLDS",
    "ApPool",
    "ApRules",
    "ClassMatches",
    "match_video",
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
"""The thresholds as the two public programs make them: `arange` gives 0.9500000000000004, so an IoU of 0.95 is no match
there."""

_AREA_NAMES = ("all", "s", "m", "l")
_AREA_RANGES_PX = ((0.0, 1e10), (0.0, 128.0**2), (128.0**2, 256.0**2), (256.0**2, 1e10))
_EPS = float(np.finfo(np.float64).eps)
_MAX_THRESHOLD = 1 - 1e-10
_RECALLS = np.linspace(0.0, 1.0, 101)
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
    truth_class, predicted_class = truth.category_N[truth_order], predicted.category_N[predicted_order]
    found = []
    for category in sorted({*truth_class.tolist(), *predicted_class.tolist()}):
        g = truth_order[truth_class == category]
        d = predicted_order[predicted_class == category]
        if len(d) > 1:
            d = d[np.argsort(-predicted.score_N[d], kind="stable")]
        if rules == "ytvis":
            d = d[:_YTVIS_MAX_TRACKS]
        hit_AKD, on_ignored_AKD = _match_class(
            video.track_iou_PG[np.ix_(d, g)],
            truth_outside_AG[:, g],
            thresholds_K=THRESHOLDS[rules],
            tolerance=0.0 if rules == "ytvis" else _EPS,
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


@dataclass(frozen=True, slots=True, kw_only=True)
class ByClass:
    """A value for each class that has truth in an area range and for each IoU threshold, in every draw."""

    categories: Sequence[int]
    has_truth_BC: np.ndarray
    """Whether truth of the class was drawn."""
    values_BCK: np.ndarray
    """0 where it was not."""

    def mean(self, threshold: int | None = None) -> np.ndarray:
        """The mean over classes with truth and over thresholds (or at one), float64 (B,); NaN without such a class."""
        values_BCK = self.values_BCK if threshold is None else self.values_BCK[:, :, threshold : threshold + 1]
        num_values_B = self.has_truth_BC.sum(axis=1) * values_BCK.shape[2]
        with np.errstate(invalid="ignore", divide="ignore"):
            mean_B: np.ndarray = values_BCK.reshape(len(values_BCK), -1).sum(axis=1) / num_values_B
        return mean_B


@dataclass(frozen=True, slots=True, kw_only=True)
class _ClassTracks:
    """All predicted tracks of one class by falling score, equal ones in the order of the videos."""

    weights_BN: np.ndarray
    """How often the video of each was drawn."""
    true_AKN: np.ndarray
    """bool: a hit that counts."""
    counts_AKN: np.ndarray
    num_truth_BA: np.ndarray


class ApPool:
    """The matches of all videos, from which AP and recall in any area range are made."""

    def __init__(self, videos: Sequence[Sequence[ClassMatches]], drawn: Drawn) -> None:
        self._drawn = drawn
        self._found: dict[int, list[tuple[int, ClassMatches]]] = {}
        for v, of_video in enumerate(videos):
            for matches in of_video:
                self._found.setdefault(matches.category, []).append((v, matches))
        self.categories = [category for category in drawn.categories if category in self._found]
        """The categories that have a track, true or predicted."""
        self._ap: dict[int, ByClass] = {}
        self._recall: dict[tuple[int, int | None], ByClass] = {}
        self._tracks: dict[tuple[int, int | None], _ClassTracks] = {}

    def ap(self, area: int = 0) -> ByClass:
        """AP: 101 recall points under the monotone precision curve, each track counted as often as its video was drawn.

        Source: specs/metrics.md §2; Lin et al., "Microsoft COCO", ECCV 2014 (evaluation code).
        """
        if area not in self._ap:
            value = partial(_class_ap, is_strict=self._drawn.mode is Mode.STRICT)
            self._ap[area] = self._by_class(area, None, value)
        return self._ap[area]

    def recall(self, area: int = 0, best: int | None = None) -> ByClass:
        """Recall after the last track; `best`: with so many tracks per video and class."""
        if (area, best) not in self._recall:
            self._recall[area, best] = self._by_class(area, best, _class_recall)
        return self._recall[area, best]

    def _by_class(self, area: int, best: int | None, value: Callable[[_ClassTracks, int], np.ndarray]) -> ByClass:
        with_truth = [
            category
            for category in self.categories
            if any(matches.num_truth_A[area] for _, matches in self._found[category])
        ]
        values_BCK = np.zeros((len(self._drawn.weights_BV), len(with_truth), len(THRESHOLDS["strict"])))
        has_truth_BC = np.zeros(values_BCK.shape[:2], dtype=bool)
        for c, category in enumerate(with_truth):
            if (category, best) not in self._tracks:
                self._tracks[category, best] = self._sorted_tracks(category, best)
            tracks = self._tracks[category, best]
            has_truth_BC[:, c] = tracks.num_truth_BA[:, area] > 0
            values_BCK[:, c] = np.where(has_truth_BC[:, c, None], value(tracks, area), 0.0)
        return ByClass(categories=with_truth, has_truth_BC=has_truth_BC, values_BCK=values_BCK)

    def _sorted_tracks(self, category: int, best: int | None) -> _ClassTracks:
        found = self._found[category]
        kept = [matches if best is None else matches.best(best) for _, matches in found]
        weights_BM = self._drawn.weights_BV[:, [v for v, _ in found]]
        score_N = np.concatenate([item.score_D for item in kept])
        order = np.argsort(-score_N, kind="stable")
        source_N = np.repeat(np.arange(len(kept)), [len(item.score_D) for item in kept])[order]
        counts_AKN = ~np.concatenate([item.ignored_AKD for item in kept], axis=2)[:, :, order]
        hit_AKN = np.concatenate([item.hit_AKD for item in kept], axis=2)[:, :, order]
        return _ClassTracks(
            weights_BN=weights_BM[:, source_N],
            true_AKN=hit_AKN & counts_AKN,
            counts_AKN=counts_AKN,
            num_truth_BA=weights_BM @ np.array([item.num_truth_A for item in kept], dtype=np.float64),
        )


def _class_recall(tracks: _ClassTracks, area: int) -> np.ndarray:
    """(B, K)."""
    true_BK = tracks.weights_BN @ tracks.true_AKN[area].T.astype(np.float64)
    recall_BK: np.ndarray = true_BK / np.maximum(tracks.num_truth_BA[:, area], 1)[:, None]
    return recall_BK


def _class_ap(tracks: _ClassTracks, area: int, *, is_strict: bool) -> np.ndarray:
    """(B, K)."""
    weights_BN, num_truth_B1 = tracks.weights_BN, np.maximum(tracks.num_truth_BA[:, area], 1)[:, None]
    ap_BK = np.zeros((len(weights_BN), len(tracks.true_AKN[area])))
    if not weights_BN.size:
        return ap_BK
    after_B1 = np.zeros((len(weights_BN), 1))
    for k, (true_N, counts_N) in enumerate(zip(tracks.true_AKN[area], tracks.counts_AKN[area], strict=True)):
        if not true_N.any():
            continue
        true_BN = np.cumsum(weights_BN * true_N, axis=1)
        counted_BN = np.cumsum(weights_BN * counts_N, axis=1)
        counted_BN = np.maximum(counted_BN, 1) if is_strict else counted_BN + _EPS
        precision_BN = np.maximum.accumulate((true_BN / counted_BN)[:, ::-1], axis=1)[:, ::-1]
        # Track n stands for the recall points that it is the first to reach; nothing for those that none reaches.
        reached_BN = np.searchsorted(_RECALLS, true_BN / num_truth_B1, side="right")
        number_BN = np.diff(reached_BN, axis=1, prepend=0, append=len(_RECALLS))
        sampled = np.repeat(np.concatenate((precision_BN, after_B1), axis=1).ravel(), number_BN.ravel())
        ap_BK[:, k] = sampled.reshape(-1, len(_RECALLS)).mean(axis=1)
    return ap_BK


def _count(video: VideoTracks, rules: Rules) -> list[ClassMatches]:
    ap_rules: ApRules = "official"
    if rules.mode is not Mode.COMPAT:
        ap_rules = "ytvis" if rules.mode is Mode.YTVIS else "strict"
    elif Variant.IDS_FROM_ONE in rules.variants:
        ap_rules = "ids_from_one"
    return match_video(video, rules=ap_rules, has_id_zero=rules.has_id_zero and ap_rules == "official")


def _details(pool: ApPool, drawn: Drawn) -> dict[str, object]:
    """AP at each IoU threshold; by track size where the mode knows it: in `strict` it does not, as a range in pixels
    means another thing at another resolution."""
    found: dict[str, object] = {}
    if drawn.mode is not Mode.YTVIS:
        missing = None if drawn.mode is Mode.STRICT else -1.0
        per_iou = [float(pool.ap().mean(threshold)[0]) for threshold in range(len(THRESHOLDS["strict"]))]
        found["AP_per_iou"] = [missing if np.isnan(value) else value for value in per_iou]
    if drawn.mode is not Mode.STRICT:
        for area, name in enumerate(_AREA_NAMES[1:], start=1):
            for kind, value_B in (("AP", pool.ap(area).mean()), ("AR", pool.recall(area).mean())):
                found[f"{kind}_{name}"] = -1.0 if np.isnan(value_B[0]) else float(value_B[0])
    return found


def _per_class(pool: ApPool, drawn: Drawn) -> dict[int, dict[str, float | None]]:
    missing = None if drawn.mode is Mode.STRICT else -1.0
    ap, recall = pool.ap(), pool.recall()
    found: dict[int, dict[str, float | None]] = {
        category: {"AP": missing, "AR": missing}
        for category in (pool.categories if drawn.mode is Mode.YTVIS else drawn.categories)
    }
    for c, category in enumerate(ap.categories):
        found[category] = {"AP": float(ap.values_BCK[0, c].mean()), "AR": float(recall.values_BCK[0, c].mean())}
    return found


AP: Counting[Sequence[ClassMatches], ApPool] = Counting(
    name="ap", of_video=_count, pooled=ApPool, details=_details, per_class=_per_class
)
"""Tracks that found their truth, by falling score."""
