"""Intervals and comparisons: a draw must be what evaluating the drawn videos gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from avis_data.metrics import AvisResult, Mode, VideoInput, bootstrap_intervals, compare_results, evaluate_avis
from avis_data.metrics.bootstrap import centred, draw_weights, replicate
from support.metric_world import CATEGORIES, copied, perfect, random_world, with_predictions


def world(seed: int = 1, videos: int = 8) -> list[VideoInput]:
    return random_world(np.random.default_rng(seed), videos=videos)


def evaluated(videos: Sequence[VideoInput]) -> AvisResult:
    # Track 0 belongs to one video: a set of copies would have it once, the draws as often as the video.
    return evaluate_avis(videos, categories=CATEGORIES, variants=["official_ids_from_one"])


@pytest.mark.parametrize("seed", range(4))
def test_drawing_every_video_once_gives_the_figures_themselves(seed: int) -> None:
    result = evaluated(world(seed))
    for mode in result.modes:
        figures = result.as_dict()[mode]
        for name, values in replicate(result, mode, np.ones((1, len(result.videos)))).items():
            wanted = np.nan if figures[name] in (None, -1) else figures[name]
            assert values[0] == pytest.approx(wanted, abs=1e-12, nan_ok=True), (mode, name)


@pytest.mark.parametrize("seed", range(4))
def test_a_draw_equals_evaluating_the_drawn_videos(seed: int) -> None:
    videos = world(seed, videos=5)
    weights = np.array([[2, 0, 1, 0, 2], [0, 3, 1, 1, 0]])
    result = evaluated(videos)
    for row, times in enumerate(weights):
        drawn = [
            copied(item, f"{item.name}-{copy}", 10 * item.video_id + copy)
            for item, number in zip(videos, times, strict=True)
            for copy in range(number)
        ]
        again = evaluated(drawn)
        for mode in result.modes:
            figures = again.as_dict()[mode]
            for name, values in replicate(result, mode, weights.astype(float)).items():
                wanted = np.nan if figures[name] in (None, -1) else figures[name]
                assert values[row] == pytest.approx(wanted, abs=1e-9, nan_ok=True), (mode, name)


def test_draws_hold_as_many_videos_as_there_are_and_follow_the_seed() -> None:
    first, again, other = (draw_weights(7, 50, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert (first.sum(axis=1) == 7).all()
    assert (first == again).all()
    assert (first != other).any()


def test_draws_are_moved_to_the_figure() -> None:
    """AP of a draw, in which videos repeat, is higher: without care the figure lies below its own interval."""
    assert centred(np.array([0.2, 0.3, 0.5, np.nan])).tolist() == pytest.approx([0.1, 0.3])
    assert len(centred(np.array([0.2, np.nan]))) == 0


@pytest.mark.parametrize("seed", range(4))
def test_intervals_lie_around_the_figures(seed: int) -> None:
    result = evaluated(world(seed, videos=25))
    found = bootstrap_intervals(result, num_draws=200, rng=np.random.default_rng(seed))
    for mode, by_metric in found.items():
        for name, interval in by_metric.items():
            assert interval is not None
            assert 0 <= interval.low <= result.as_dict()[mode][name] <= interval.high <= 1, (mode, name)


def test_intervals_hold_the_figure_and_shrink_with_more_videos() -> None:
    few, many = (evaluated(world(3, videos=number)) for number in (6, 60))
    widths = []
    for result in (few, many):
        interval = bootstrap_intervals(result, num_draws=300, rng=np.random.default_rng(0))[Mode.STRICT]["FSLA"]
        assert interval is not None
        assert result.strict is not None
        assert interval.low <= (result.strict.figures["FSLA"] or 0) <= interval.high
        widths.append(interval.high - interval.low)
    assert widths[1] < widths[0]


def test_predictions_do_not_beat_themselves_in_another_order() -> None:
    videos = world(2)
    turned = with_predictions(videos, lambda item: item.predictions[::-1])
    found = compare_results(evaluated(videos), evaluated(turned), num_draws=200, rng=np.random.default_rng(0))
    for difference in found[Mode.STRICT].values():
        assert difference is not None
        assert (difference.difference, difference.p_value, difference.verdict) == (0.0, 1.0, "not shown")


def test_rounding_is_no_difference() -> None:
    """In compat the order of predictions is the order of additions: AssA of this set changes by 1e-16."""
    videos = random_world(np.random.default_rng(4), videos=30, frames=12)
    turned = with_predictions(videos, lambda item: item.predictions[::-1])
    a, b = evaluated(videos), evaluated(turned)
    assert a.aviseg_compat is not None
    assert b.aviseg_compat is not None
    assert a.aviseg_compat.figures["AssA"] != b.aviseg_compat.figures["AssA"]
    difference = compare_results(a, b, num_draws=50, rng=np.random.default_rng(0))[Mode.COMPAT]["AssA"]
    assert difference is not None
    assert (difference.difference, difference.p_value) == (0.0, 1.0)


def test_perfect_predictions_beat_noisy_ones_and_not_the_other_way_round() -> None:
    videos = world(2, videos=20)
    noisy, exact = evaluated(videos), evaluated(perfect(videos))
    for a, b, verdict in ((noisy, exact, "B is better"), (exact, noisy, "A is better")):
        found = compare_results(a, b, num_draws=200, rng=np.random.default_rng(0))[Mode.STRICT]
        for name in ("HOTA", "FSLA", "AP_all"):
            difference = found[name]
            assert difference is not None
            assert difference.verdict == verdict
            assert difference.low <= difference.difference <= difference.high
            assert difference.p_value == pytest.approx(2 / 201)


def test_results_of_other_videos_are_not_compared() -> None:
    videos = world(2)
    other = [replace(item, name=f"x{item.name}") for item in videos]
    with pytest.raises(ValueError, match="different videos"):
        compare_results(evaluated(videos), evaluated(other), num_draws=20, rng=np.random.default_rng(0))
