"""How sure the figures are: videos drawn again with replacement, all metrics computed of each draw.

Nothing is matched again. What a video adds to each metric is known (`VideoStats`), so a draw is a weight for each
video: how often it was drawn.

Shapes: B draws, V videos, C classes, A thresholds alpha, K IoU thresholds, N predicted tracks of one class.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from avis_data.metrics.evaluation import AvisResult
from avis_data.metrics.figures import HOTA_FIELDS
from avis_data.metrics.hota import ALPHAS, HotaCounts, HotaFigures, mean_figures
from avis_data.metrics.track_ap import EPS, RECALLS, ClassMatches
from avis_data.metrics.video_stats import Mode, VideoStats

__all__ = ["Interval", "bootstrap_intervals", "centred", "draw_weights", "replicate"]

_CHUNK = 250
"""Draws at once; keeps the arrays below 50 MB at AVISeg's size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A confidence interval of a figure."""

    low: float
    high: float
    level: float


def draw_weights(num_videos: int, num_draws: int, rng: np.random.Generator) -> np.ndarray:
    """How often each video is in each draw of as many videos as there are; float64 (B, V)."""
    return rng.multinomial(num_videos, np.full(num_videos, 1 / num_videos), size=num_draws).astype(np.float64)


def bootstrap_intervals(
    result: AvisResult, *, num_draws: int, rng: np.random.Generator, level: float = 0.95
) -> dict[Mode, dict[str, Interval | None]]:
    """A confidence interval for each metric of each mode that was evaluated.

    Args:
        result: of `evaluate_avis`; at least one video.
        num_draws: B; 1000 is usual.
        rng: source of randomness.
        level: of confidence.

    Returns:
        Mode -> metric -> interval, within [0, 1]; None where there is nothing to measure.

    Source: Efron, Tibshirani, "An Introduction to the Bootstrap", 1993, §13 (percentile interval), of draws that are
        moved to the figure (see `centred`).
    """
    weights_BV = np.vstack((np.ones((1, len(result.videos))), draw_weights(len(result.videos), num_draws, rng)))
    return {
        mode: {name: _interval(values, level) for name, values in replicate(result, mode, weights_BV).items()}
        for mode in modes_of(result)
    }


def centred(values: np.ndarray) -> np.ndarray:
    """The draws (all values but the first) moved so that their mean is the figure (the first); NaN left out.

    AP of a set in which videos repeat is higher than of one in which they do not (by 2 points on the set of
    benchmarks/evaluate.py, the figure lay below all draws). So draws tell how far the figure scatters, not around what.
    """
    draws: np.ndarray = values[1:][~np.isnan(values[1:])]
    return draws - draws.mean() + values[0] if len(draws) else draws


def modes_of(result: AvisResult) -> list[Mode]:
    """The modes that were evaluated."""
    found = {Mode.COMPAT: result.aviseg_compat, Mode.STRICT: result.strict, Mode.YTVIS: result.ytvis}
    return [mode for mode, value in found.items() if value is not None]


def replicate(result: AvisResult, mode: Mode, weights_BV: np.ndarray) -> dict[str, np.ndarray]:
    """The metrics of a mode under weights for the videos.

    Args:
        result: of `evaluate_avis`.
        mode: one that was evaluated.
        weights_BV: not negative whole numbers; all 1 gives the figures of `result`.

    Returns:
        Metric -> float64 (B,); NaN where there is nothing to measure.
    """
    parts = [
        _replicate(result, mode, weights_BV[start : start + _CHUNK]) for start in range(0, len(weights_BV), _CHUNK)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _replicate(result: AvisResult, mode: Mode, weights_BV: np.ndarray) -> dict[str, np.ndarray]:
    videos, categories = result.videos, result.categories
    if mode is Mode.YTVIS:
        ap_BK, recall_B = _ap(videos, mode, categories, weights_BV)
        few = {f"AR{number}": _ap(videos, mode, categories, weights_BV, best=number)[1] for number in (1, 10)}
        return {"AP": ap_BK.mean(axis=1), "AP50": ap_BK[:, 0], "AP75": ap_BK[:, 5], **few, "AR100": recall_B}
    ap_BK, recall_B = _ap(videos, mode, categories, weights_BV)
    return {
        "AP_all": ap_BK.mean(axis=1),
        "AP50": ap_BK[:, 0],
        "AP75": ap_BK[:, 5],
        "AR_all": recall_B,
        **_hota(videos, mode, categories, weights_BV),
        **_fsla(videos, mode, weights_BV),
    }


def _interval(values: np.ndarray, level: float) -> Interval | None:
    draws = centred(values)
    if np.isnan(values[0]) or not len(draws):
        return None
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2]).clip(0, 1).tolist()
    return Interval(low=low, high=high, level=level)


def _hota(
    videos: Sequence[VideoStats], mode: Mode, categories: Mapping[int, str], weights_BV: np.ndarray
) -> dict[str, np.ndarray]:
    counts_BCX = np.zeros((len(weights_BV), len(categories), 7 * len(ALPHAS)))
    occurs_BC = np.zeros(counts_BCX.shape[:2], dtype=bool)
    for c, category in enumerate(categories):
        found = [v for v, video in enumerate(videos) if category in video.modes[mode].hota]
        if found:
            counts = HotaCounts.stack([videos[v].modes[mode].hota[category] for v in found])
            counts_BCX[:, c] = weights_BV[:, found] @ counts.reshape(len(found), -1)
            occurs_BC[:, c] = weights_BV[:, found].any(axis=1)
    figures = HotaFigures.of(counts_BCX.reshape(*occurs_BC.shape, 7, len(ALPHAS)))
    class_weights = np.ones(occurs_BC.shape) if mode is Mode.COMPAT else occurs_BC.astype(np.float64)
    means = mean_figures(figures, class_weights)
    return {name: getattr(means, name).mean(axis=-1) for name in HOTA_FIELDS}


def _fsla(videos: Sequence[VideoStats], mode: Mode, weights_BV: np.ndarray) -> dict[str, np.ndarray]:
    counts = [found for video in videos if (found := video.modes[mode].fsla) is not None]
    frames_B3 = weights_BV @ np.array([item.frames_3 for item in counts])
    correct = np.array([item.correct_3A.mean(axis=1) for item in counts])
    correct_B3 = weights_BV @ correct
    with np.errstate(invalid="ignore", divide="ignore"):
        share_B3 = correct_B3 / frames_B3
        return {
            "FSLA": correct_B3.sum(axis=1) / frames_B3.sum(axis=1),
            "FSLAn": share_B3[:, 0],
            "FSLAs": share_B3[:, 1],
            "FSLAm": share_B3[:, 2],
        }


def _ap(
    videos: Sequence[VideoStats],
    mode: Mode,
    categories: Mapping[int, str],
    weights_BV: np.ndarray,
    *,
    best: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Mean AP over the classes with truth, (B, K), and mean final recall, (B,); NaN without truth."""
    ap_BK = np.zeros((len(weights_BV), 10))
    recall_B = np.zeros(len(weights_BV))
    num_classes_B = np.zeros(len(weights_BV))
    for matches, weights_BM in _by_class(videos, mode, categories, weights_BV):
        kept = [item if best is None else item.best(best) for item in matches]
        num_truth_B = weights_BM @ np.array([item.num_truth_A[0] for item in kept], dtype=np.float64)
        has_truth_B = num_truth_B > 0
        class_ap_BK, class_recall_B = _class_ap(kept, weights_BM, num_truth_B, mode)
        ap_BK += np.where(has_truth_B[:, None], class_ap_BK, 0.0)
        recall_B += np.where(has_truth_B, class_recall_B, 0.0)
        num_classes_B += has_truth_B
    with np.errstate(invalid="ignore", divide="ignore"):
        return ap_BK / num_classes_B[:, None], recall_B / num_classes_B


def _by_class(
    videos: Sequence[VideoStats], mode: Mode, categories: Mapping[int, str], weights_BV: np.ndarray
) -> Iterator[tuple[list[ClassMatches], np.ndarray]]:
    order = sorted(range(len(videos)), key=lambda v: videos[v].video_id) if mode is Mode.YTVIS else range(len(videos))
    found: dict[int, list[tuple[int, ClassMatches]]] = {category: [] for category in categories}
    for v in order:
        for matches in videos[v].modes[mode].matches:
            if matches.category in found:
                found[matches.category].append((v, matches))
    for pairs in found.values():
        if any(matches.num_truth_A[0] for _, matches in pairs):
            yield [matches for _, matches in pairs], weights_BV[:, [v for v, _ in pairs]]


def _class_ap(
    matches: Sequence[ClassMatches], weights_BM: np.ndarray, num_truth_B: np.ndarray, mode: Mode
) -> tuple[np.ndarray, np.ndarray]:
    """As `pool_class`, each track counted as often as its video was drawn."""
    score_N = np.concatenate([item.score_D for item in matches])
    order = np.argsort(-score_N, kind="stable")
    source_N = np.repeat(np.arange(len(matches)), [len(item.score_D) for item in matches])[order]
    hit_KN = np.concatenate([item.hit_AKD[0] for item in matches], axis=1)[:, order]
    counts_KN = ~np.concatenate([item.ignored_AKD[0] for item in matches], axis=1)[:, order]
    weights_BN = weights_BM[:, source_N]
    ap_BK = np.zeros((len(weights_BN), len(hit_KN)))
    recall_BK = np.zeros_like(ap_BK)
    if not len(score_N):
        return ap_BK, recall_BK[:, 0]
    for k, (hit_N, counts_N) in enumerate(zip(hit_KN, counts_KN, strict=True)):
        true_BN = np.cumsum(weights_BN * (hit_N & counts_N), axis=1)
        counted_BN = np.cumsum(weights_BN * counts_N, axis=1)
        counted_BN = np.maximum(counted_BN, 1) if mode is Mode.STRICT else counted_BN + EPS
        precision_BN = np.maximum.accumulate((true_BN / counted_BN)[:, ::-1], axis=1)[:, ::-1]
        recall_BN = true_BN / np.maximum(num_truth_B, 1)[:, None]
        # Track n stands for the recall points that it is the first to reach.
        reached_BN = np.searchsorted(RECALLS, recall_BN, side="right")
        ap_BK[:, k] = (precision_BN * np.diff(reached_BN, axis=1, prepend=0)).sum(axis=1) / len(RECALLS)
        recall_BK[:, k] = recall_BN[:, -1]
    return ap_BK, recall_BK.mean(axis=1)
