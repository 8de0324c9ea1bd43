"""Say whether one set of predictions beats another on the same truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from avis_data.metrics.bootstrap import centred, draw_weights, replicate
from avis_data.metrics.counting import Mode
from avis_data.metrics.evaluation import AvisResult
from avis_data.metrics.table import FIGURES

__all__ = ["Difference", "compare_results", "difference_of_draws"]

_ROUNDING = 1e-12
"""Smaller differences come from the order of additions and are taken as none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One figure of B minus that of A."""

    a: float
    b: float
    difference: float
    low: float
    """Ends of the percentile interval of the difference."""
    high: float
    p_value: float
    """Two-sided: twice the share of draws in which the difference is not on its side of 0."""
    level: float

    verdict: str
    """`B is better`, `A is better` or `not shown`, at `level`."""


def compare_results(
    a: AvisResult, b: AvisResult, *, num_draws: int, rng: np.random.Generator, level: float = 0.95
) -> dict[Mode, dict[str, Difference | None]]:
    """Paired bootstrap over videos: both sets are measured on the same draws, so that hard videos cancel.

    Args:
        a: of `evaluate_avis`, on the same truth as `b`.
        b: likewise.
        num_draws: 1000 is usual; the smallest p-value is 2 / (num_draws + 1).
        rng: source of randomness.
        level: of confidence.

    Returns:
        Mode -> figure -> difference; None where there is nothing to measure.

    Raises:
        ValueError: if the two do not have the same videos.

    Source: Efron, Tibshirani, "An Introduction to the Bootstrap", 1993, §13 and §15.

    Example:
        >>> truth, results = Path("example/exports/ytvis/test.json"), Path("example/results.json")
        >>> result = evaluate_files(truth, results, modes=[Mode.STRICT]).result
        >>> found = compare_results(result, result, num_draws=20, rng=np.random.default_rng(0))
        >>> found[Mode.STRICT]["HOTA"].difference, found[Mode.STRICT]["HOTA"].verdict
        (0.0, 'not shown')
    """
    if [video.name for video in a.videos] != [video.name for video in b.videos]:
        raise ValueError("the two results are of different videos")
    weights_BV = np.vstack((np.ones((1, len(a.videos))), draw_weights(len(a.videos), num_draws, rng)))
    found: dict[Mode, dict[str, Difference | None]] = {}
    for mode in a.modes:
        draws_a, draws_b = replicate(a, mode, weights_BV), replicate(b, mode, weights_BV)
        found[mode] = {
            name: difference_of_draws(
                draws_a[name], draws_b[name], level=level, higher_is_better=FIGURES[name].higher_is_better
            )
            for name in draws_a
        }
    return found


def difference_of_draws(
    a: np.ndarray, b: np.ndarray, *, level: float = 0.95, higher_is_better: bool = True
) -> Difference | None:
    """The difference of two figures, with its interval.

    Args:
        a: float64 (1 + B,): the figure itself, then that of each draw, as `replicate` gives them; NaN where there is
            nothing to measure.
        b: likewise, of the same draws.
        level: of confidence.
        higher_is_better: whether the figure is so.

    Returns:
        b - a; None where there is nothing to measure.
    """
    difference = b - a
    difference[np.abs(difference) < _ROUNDING] = 0.0
    draws = centred(difference)
    if np.isnan(difference[0]) or not len(draws):
        return None
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2]).tolist()
    # The observed difference counts as one draw more, so that a p-value of 0 is not possible.
    smaller = min((draws <= 0).sum(), (draws >= 0).sum()) + 1
    p_value = min(1.0, float(2 * smaller / (len(draws) + 1)))
    is_shown = p_value <= 1 - level and difference[0] != 0
    better = "B" if (difference[0] > 0) == higher_is_better else "A"
    return Difference(
        a=float(a[0]),
        b=float(b[0]),
        difference=float(difference[0]),
        low=low,
        high=high,
        p_value=p_value,
        level=level,
        verdict=f"{better} is better" if is_shown else "not shown",
    )
