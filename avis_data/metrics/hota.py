"""HOTA and its parts: counts per class and video, which add up over videos, and the figures made of them.

Shapes: A localisation thresholds alpha, T frames, G truth tracks, P predicted tracks, N pairs of one frame each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from avis_data.metrics.assignment import best_pairs

__all__ = [
    "ALPHAS",
    "HotaCounts",
    "HotaFigures",
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
