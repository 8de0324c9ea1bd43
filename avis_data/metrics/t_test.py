"""The t-test that RCF's Table XII prints beside a gain: are the masks of found objects better, of one model or of both?

A sample is a true track whose IoU with its predicted track is above a threshold. The paper says no more of its test
than that, so both forms are given: of the objects that both models found, in pairs; and of all that each one found.

Source: Li et al., "Online Video Instance Segmentation via Robust Context Fusion" (arXiv 2207.05580), Table XII.

Shapes: G truth tracks and P predicted tracks of a video.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from avis_data.metrics.assignment import pair_tracks
from avis_data.metrics.counting import VideoStats
from avis_data.metrics.tracks import VideoTracks

__all__ = ["SAMPLE_IOUS", "SampleTest", "compare_samples", "own_ious"]

SAMPLE_IOUS = (0.5, 0.75)
"""The thresholds of Table XII."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleTest:
    """The IoUs of found objects under two models, above one threshold. None where too few were found to say it."""

    above: float
    """An object is a sample of a model if its IoU is higher."""
    samples_a: int
    samples_b: int
    mean_a: float | None
    """Mean IoU of the samples of A."""
    mean_b: float | None
    samples_both: int
    """Objects that are a sample of both."""
    difference_both: float | None
    """Mean of B's IoU minus A's over these."""
    p_paired: float | None
    """Two-sided, of the objects that are a sample of both (`scipy.stats.ttest_rel`)."""
    p_two_sample: float | None
    """Two-sided, of all samples of each, as if they were of different objects (Student, `scipy.stats.ttest_ind`)."""


def own_ious(video: VideoTracks) -> tuple[float, ...]:
    """The IoU of each true track with the predicted track that answers for it; crowds and empty tracks are left out.

    One to one within a class, so that the sum of the IoUs is largest; scores do not enter. 0 where none answers.
    """
    truth, predicted = video.truth, video.predicted
    counts_G = ~truth.crowd_N & truth.area_NL.any(axis=1)
    iou_G = np.zeros(len(truth))
    for category in np.unique(truth.category_N[counts_G]):
        g = np.flatnonzero(counts_G & (truth.category_N == category))
        p = np.flatnonzero(predicted.category_N == category)
        iou_GP = video.track_iou_PG[np.ix_(p, g)].T
        rows, columns = pair_tracks(iou_GP)
        iou_G[g[rows]] = iou_GP[rows, columns]
    return tuple(iou_G[counts_G].tolist())


def compare_samples(a: Sequence[VideoStats], b: Sequence[VideoStats]) -> list[SampleTest]:
    """The test at each threshold of `SAMPLE_IOUS`.

    Args:
        a: videos of `AvisResult.videos`.
        b: the same videos with the other predictions.

    Raises:
        ValueError: if the two do not have the same videos and true tracks.
    """
    if [(video.name, len(video.own_ious)) for video in a] != [(video.name, len(video.own_ious)) for video in b]:
        raise ValueError("the two results are of different videos or true tracks")
    iou_A, iou_B = (np.array([iou for video in videos for iou in video.own_ious]) for videos in (a, b))
    return [_tested(iou_A, iou_B, above) for above in SAMPLE_IOUS]


def _tested(iou_A: np.ndarray, iou_B: np.ndarray, above: float) -> SampleTest:
    from scipy.stats import ttest_ind, ttest_rel

    of_a, of_b = iou_A > above, iou_B > above
    both = of_a & of_b
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of fewer than two samples, or samples that are all alike
        paired = ttest_rel(iou_B[both], iou_A[both]).pvalue
        apart = ttest_ind(iou_B[of_b], iou_A[of_a]).pvalue
    return SampleTest(
        above=above,
        samples_a=int(of_a.sum()),
        samples_b=int(of_b.sum()),
        mean_a=_mean(iou_A[of_a]),
        mean_b=_mean(iou_B[of_b]),
        samples_both=int(both.sum()),
        difference_both=_mean(iou_B[both] - iou_A[both]),
        p_paired=_known(paired),
        p_two_sample=_known(apart),
    )


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None


def _known(value: float) -> float | None:
    """A number; None where there was nothing to test."""
    return None if math.isnan(value) else float(value)
