"""HOTA and its parts: counts per class and video, which add up over videos, and the figures made of them.

Shapes: A localisation thresholds alpha, T frames, G truth tracks, P predicted tracks, N pairs of one frame each;
B draws of videos, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np

from avis_data.metrics.assignment import best_pairs
from avis_data.metrics.counting import Counting, Drawn, Mode, Rules, Variant, weighted_sums
from avis_data.metrics.tracks import VideoTracks

__all__ = [
    "ALPHAS",
    "HOTA",
    "HotaCounts",
    "HotaFigures",
    "HotaPool",
    "alignment_GP",
    "count_hota",
    "mean_figures",
    "soft_counts_GP",
    "without_hits",
]

ALPHAS = np.arange(0.05, 0.99, 0.05)
"""19 values, as the public code makes them."""
EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, slots=True, kw_only=True)
class HotaCounts:
    """What one class adds to HOTA in one video or in several: float64 (A,) each. Counts of several videos add up."""

    tp: np.ndarray
    fn: np.ndarray
    fp: np.ndarray
    ass_a: np.ndarray
    """Sum over the true positives of the association accuracy of their pair; the next two likewise."""
    ass_re: np.ndarray
    ass_pr: np.ndarray
    loc: np.ndarray
    """Sum over the true positives of their IoU."""

    def __add__(self, other: HotaCounts) -> HotaCounts:
        return HotaCounts(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})

    @staticmethod
    def stack(counts: Sequence[HotaCounts]) -> np.ndarray:
        """float64 (len(counts), 7, A), the fields in the order above."""
        return np.array([[getattr(item, f.name) for f in fields(item)] for item in counts])


@dataclass(frozen=True, slots=True, kw_only=True)
class HotaFigures:
    """HOTA and its parts at each alpha; float64 (..., A)."""

    HOTA: np.ndarray
    DetA: np.ndarray
    AssA: np.ndarray
    DetRe: np.ndarray
    DetPr: np.ndarray
    AssRe: np.ndarray
    AssPr: np.ndarray
    LocA: np.ndarray
    OWTA: np.ndarray

    @staticmethod
    def of(counts: np.ndarray) -> HotaFigures:
        """The figures of counts (..., 7, A), as `HotaCounts.stack` orders them.

        Source: Luiten et al., "HOTA", IJCV 2021; specs/metrics.md §3. LocA is 1 without a true positive.
        """
        tp, fn, fp, ass_a, ass_re, ass_pr, loc = np.moveaxis(counts, -2, 0)
        some = np.maximum(1, tp)
        det_a, det_re, det_pr = (
            tp / np.maximum(1, tp + fn + fp),
            tp / np.maximum(1, tp + fn),
            tp / np.maximum(1, tp + fp),
        )
        return HotaFigures(
            HOTA=np.sqrt(det_a * (ass_a / some)),
            DetA=det_a,
            AssA=ass_a / some,
            DetRe=det_re,
            DetPr=det_pr,
            AssRe=ass_re / some,
            AssPr=ass_pr / some,
            LocA=np.maximum(1e-10, loc) / np.maximum(1e-10, tp),
            OWTA=np.sqrt(det_re * (ass_a / some)),
        )


def mean_figures(figures: HotaFigures, weights: np.ndarray) -> HotaFigures:
    """Weighted mean over classes: figures (..., C, A), weights (..., C); NaN where all weights are 0."""
    total = weights.sum(axis=-1)[..., None]
    with np.errstate(invalid="ignore", divide="ignore"):
        means = {f.name: (getattr(figures, f.name) * weights[..., None]).sum(axis=-2) / total for f in fields(figures)}
    return HotaFigures(**means)


def soft_counts_GP(iou_TGP: np.ndarray) -> np.ndarray:
    """How often a pair of tracks overlaps, each frame shared out among the tracks that overlap; float64 (G, P)."""
    total_TGP = iou_TGP.sum(axis=1)[:, None, :] + iou_TGP.sum(axis=2)[:, :, None] - iou_TGP
    share_TGP = np.divide(iou_TGP, total_TGP, out=np.zeros(iou_TGP.shape), where=total_TGP > EPS)
    soft_GP: np.ndarray = share_TGP.sum(axis=0)
    return soft_GP


def alignment_GP(soft_GP: np.ndarray, frames_G: np.ndarray, frames_P: np.ndarray) -> np.ndarray:
    """Jaccard index of two tracks in time: soft count / (frames of either); 0 where neither has any."""
    either_GP = frames_G[:, None] + frames_P[None, :] - soft_GP
    aligned_GP: np.ndarray = np.divide(soft_GP, either_GP, out=np.zeros(soft_GP.shape), where=either_GP > 0)
    return aligned_GP


def count_hota(iou_TGP: np.ndarray, present_GT: np.ndarray, present_PT: np.ndarray) -> HotaCounts:
    """Counts of one class in one video.

    Args:
        iou_TGP: float64, IoU of the masks; 0 where one of them is absent or empty.
        present_GT: bool, what counts as a detection of the truth.
        present_PT: bool, what counts as a detection of the predictions.

    Source: Luiten et al., "HOTA", IJCV 2021; TrackEval; specs/metrics.md §3.
    """
    frames_G, frames_P = present_GT.sum(axis=1), present_PT.sum(axis=1)
    if not len(frames_G) or not len(frames_P):  # most classes of most videos
        return without_hits(int(frames_G.sum()), int(frames_P.sum()))
    soft_GP = soft_counts_GP(iou_TGP)
    t, g, p = best_pairs(alignment_GP(soft_GP, frames_G, frames_P)[None] * iou_TGP, present_GT, present_PT)
    iou_N = iou_TGP[t, g, p]
    is_hit_NA = iou_N[:, None] >= ALPHAS - EPS
    hits_GPA = np.zeros((*soft_GP.shape, len(ALPHAS)))
    np.add.at(hits_GPA, (g, p), is_hit_NA)
    frames_of_either = frames_G[:, None, None] + frames_P[None, :, None] - hits_GPA
    tp = is_hit_NA.sum(axis=0).astype(np.float64)
    return HotaCounts(
        tp=tp,
        fn=frames_G.sum() - tp,
        fp=frames_P.sum() - tp,
        ass_a=_pair_sum(hits_GPA, frames_of_either),
        ass_re=_pair_sum(hits_GPA, frames_G[:, None, None]),
        ass_pr=_pair_sum(hits_GPA, frames_P[None, :, None]),
        loc=(iou_N[:, None] * is_hit_NA).sum(axis=0),
    )


def without_hits(num_truth: int, num_predicted: int) -> HotaCounts:
    """Counts where nothing of the truth is found, or there is nothing to find."""
    zero = np.zeros(len(ALPHAS))
    return HotaCounts(
        tp=zero, fn=zero + num_truth, fp=zero + num_predicted, ass_a=zero, ass_re=zero, ass_pr=zero, loc=zero
    )


def _pair_sum(hits_GPA: np.ndarray, frames: np.ndarray) -> np.ndarray:
    pair_sum: np.ndarray = (hits_GPA * hits_GPA / np.maximum(1, frames)).sum(axis=(0, 1))
    return pair_sum


@dataclass(frozen=True, slots=True, kw_only=True)
class HotaPool:
    """HOTA of all classes, in every draw."""

    counts_BC7A: np.ndarray
    weights_BC: np.ndarray
    """Weights of the classes in the mean."""
    figures: HotaFigures
    """(B, C, A)."""
    means: HotaFigures
    """(B, A)."""

    def mean(self, part: str) -> np.ndarray:
        """A part by its name in `HotaFigures`, mean over the thresholds; (B,)."""
        mean_B: np.ndarray = getattr(self.means, part).mean(axis=-1)
        return mean_B


def _count_classes(video: VideoTracks, rules: Rules) -> dict[int, HotaCounts]:
    """The counts by class, of the classes that have a detection in the video."""
    is_strict = rules.mode is Mode.STRICT
    truth, predicted = video.truth, video.predicted
    present = [side.present_NL[:, : video.num_frames] for side in (truth, predicted)]
    if is_strict or Variant.EMPTY_AS_NULL in rules.variants:
        present = [side.area_NL[:, : video.num_frames] > 0 for side in (truth, predicted)]
    counts = {}
    for category in sorted({*truth.category_N.tolist(), *predicted.category_N.tolist()}):
        rows, columns = (
            side.canonical_N[side.category_N[side.canonical_N] == category]
            if is_strict
            else np.flatnonzero(side.category_N == category)
            for side in (truth, predicted)
        )
        present_GT, present_PT = present[0][rows], present[1][columns]
        if not len(rows) or not len(columns):  # most classes of most videos
            if number := int(present_GT.sum() + present_PT.sum()):
                counts[category] = without_hits(*((number, 0) if len(rows) else (0, number)))
        elif present_GT.any() or present_PT.any():
            counts[category] = count_hota(video.iou_TGP[:, rows[:, None], columns[None, :]], present_GT, present_PT)
    return counts


def _pool(videos: Sequence[Mapping[int, HotaCounts]], drawn: Drawn) -> HotaPool:
    """`aviseg_compat` takes the mean over all classes of the truth, also those that occur nowhere; `strict` over those
    with a detection."""
    counts_BC7A = np.zeros((len(drawn.weights_BV), len(drawn.categories), 7, len(ALPHAS)))
    occurs_BC = np.zeros(counts_BC7A.shape[:2], dtype=bool)
    places: dict[int, list[int]] = {}
    for v, counts in enumerate(videos):
        for category in counts:
            places.setdefault(category, []).append(v)
    for c, category in enumerate(drawn.categories):
        if found := places.get(category):
            weights_BN = drawn.weights_BV[:, found]
            counts_BC7A[:, c] = weighted_sums(HotaCounts.stack([videos[v][category] for v in found]), weights_BN)
            occurs_BC[:, c] = weights_BN.any(axis=1)
    figures = HotaFigures.of(counts_BC7A)
    weights_BC = np.ones(occurs_BC.shape) if drawn.mode is Mode.COMPAT else occurs_BC.astype(np.float64)
    means = mean_figures(figures, weights_BC)
    return HotaPool(counts_BC7A=counts_BC7A, weights_BC=weights_BC, figures=figures, means=means)


def _details(pool: HotaPool, _: Drawn) -> dict[str, object]:
    """HOTA, DetA, AssA at each alpha, and TP, FN, FP of all classes."""
    per_alpha = {f"{name}_per_alpha": getattr(pool.means, name)[0].tolist() for name in ("HOTA", "DetA", "AssA")}
    total_7A = pool.counts_BC7A[0].sum(axis=0)
    for index, name in enumerate(("TP", "FN", "FP")):
        per_alpha[f"HOTA_{name}_per_alpha"] = total_7A[index].tolist()
    return {name: [None if np.isnan(item) else item for item in values] for name, values in per_alpha.items()}


def _per_class(pool: HotaPool, drawn: Drawn) -> dict[int, dict[str, float | None]]:
    return {
        category: {
            part: float(getattr(pool.figures, part)[0, c].mean()) if pool.weights_BC[0, c] else None
            for part in ("HOTA", "DetA", "AssA", "LocA")
        }
        for c, category in enumerate(drawn.categories)
    }


HOTA = Counting(name="hota", of_video=_count_classes, pooled=_pool, details=_details, per_class=_per_class)
"""Detections and associations, class by class."""
