"""How sure the figures are: videos drawn again with replacement, all figures computed of each draw.

Nothing is matched again. What a video adds to each figure is known (`VideoStats`), so a draw is a weight for each
video: how often it was drawn.

Shapes: B draws, V videos.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from avis_data.metrics.counting import Drawn, Mode
from avis_data.metrics.evaluation import AvisResult
from avis_data.metrics.table import FIGURES, pools_of

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
        Mode -> figure -> interval, of a share within [0, 1]; None where there is nothing to measure.

    Source: Efron, Tibshirani, "An Introduction to the Bootstrap", 1993, §13 (percentile interval), of draws that are
        moved to the figure (see `centred`).

    Example:
        >>> truth, results = Path("example/exports/ytvis/test.json"), Path("example/results.json")
        >>> result = evaluate_files(truth, results, modes=[Mode.STRICT]).result
        >>> found = bootstrap_intervals(result, num_draws=20, rng=np.random.default_rng(0))
        >>> found[Mode.STRICT]["FSLA"].low, found[Mode.STRICT]["FSLA"].high
        (1.0, 1.0)
    """
    weights_BV = np.vstack((np.ones((1, len(result.videos))), draw_weights(len(result.videos), num_draws, rng)))
    return {
        mode: {
            name: _interval(values, level, is_share=FIGURES[name].is_share)
            for name, values in replicate(result, mode, weights_BV).items()
        }
        for mode in result.modes
    }


def centred(values: np.ndarray) -> np.ndarray:
    """The draws (all values but the first) moved so that their mean is the figure (the first); NaN left out.

    AP of a set in which videos repeat is higher than of one in which they do not (by 2 points on the set of
    benchmarks/evaluate.py, the figure lay below all draws). So draws tell how far the figure scatters, not around what.
    """
    draws: np.ndarray = values[1:][~np.isnan(values[1:])]
    return draws - draws.mean() + values[0] if len(draws) else draws


def replicate(result: AvisResult, mode: Mode, weights_BV: np.ndarray) -> dict[str, np.ndarray]:
    """The metrics of a mode under weights for the videos.

    Args:
        result: of `evaluate_avis`.
        mode: one that was evaluated.
        weights_BV: not negative whole numbers; all 1 gives the figures of `result`.

    Returns:
        Metric -> float64 (B,); NaN where there is nothing to measure.
    """
    figures = [FIGURES[name] for name in result.modes[mode].figures]
    parts = []
    for start in range(0, len(weights_BV), _CHUNK):
        drawn = Drawn(mode=mode, categories=result.categories, weights_BV=weights_BV[start : start + _CHUNK])
        pools = pools_of(result.videos, drawn, figures)
        parts.append({figure.name: figure.value(pools[figure.counting.name]) for figure in figures})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _interval(values: np.ndarray, level: float, *, is_share: bool) -> Interval | None:
    draws = centred(values)
    if np.isnan(values[0]) or not len(draws):
        return None
    ends = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    low, high = (ends.clip(0, 1) if is_share else ends).tolist()
    return Interval(low=low, high=high, level=level)
