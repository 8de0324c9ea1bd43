"""The t-test of found objects: against its closed forms, and by which pairs the IoUs are."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from avis_data.cli.main import main
from avis_data.metrics import AvisResult, TrackInput, VideoInput, evaluate_avis
from avis_data.metrics.t_test import compare_samples
from support.metric_world import CATEGORIES, blocks, pred_json, still_block, video, write_files


def found(width: int, *, x: int = 0, category: int = 1, score: float = 0.9, number: int = 0) -> TrackInput:
    """A track of which tenths are found: the true one is 10 pixels wide, so its IoU is `width` / 10."""
    return blocks(still_block(x, 0, frames=2, width=width), category=category, score=score, track_id=number)


def world(widths: Sequence[int]) -> list[VideoInput]:
    """A video for each true track, and how much of it is found."""
    return [
        video([found(10, number=n)], [found(width)] if width else [], name=f"v{n}", video_id=n, frames=2)
        for n, width in enumerate(widths, start=1)
    ]


def evaluated(videos: Sequence[VideoInput]) -> AvisResult:
    return evaluate_avis(videos, categories=CATEGORIES)


def test_values_are_those_of_a_calculation_by_hand() -> None:
    a, b = evaluated(world([6, 7, 8, 4])), evaluated(world([7, 9, 9, 8]))
    half, three_quarters = compare_samples(a.videos, b.videos)
    assert (half.above, half.samples_a, half.samples_b, half.samples_both) == (0.5, 3, 4, 3)
    assert (half.mean_a, half.mean_b) == (pytest.approx(0.7), pytest.approx(0.825))
    assert half.difference_both == pytest.approx(0.4 / 3)
    # Differences .1, .2, .1: t = 4 with two degrees of freedom, whose distribution has a closed form.
    assert half.p_paired == pytest.approx(1 - 4 / math.sqrt(18), abs=1e-9)
    # Squares around the means: .02 of three and .0275 of four, so a common variance of .0475 / 5.
    t = 0.125 / math.sqrt(0.0475 / 5 * (1 / 3 + 1 / 4))
    angle = math.atan(t / math.sqrt(5))
    share = 2 / math.pi * (angle + math.sin(angle) * math.cos(angle) * (1 + 2 / 3 * math.cos(angle) ** 2))
    assert half.p_two_sample == pytest.approx(1 - share, abs=1e-9)
    assert (three_quarters.samples_a, three_quarters.samples_b, three_quarters.samples_both) == (1, 3, 1)
    assert three_quarters.p_paired is None  # one pair says nothing of its scatter


def test_an_iou_of_the_threshold_itself_is_no_sample() -> None:
    result = evaluated(world([5, 6]))
    assert compare_samples(result.videos, result.videos)[0].samples_a == 1


def test_the_same_results_have_no_p_value() -> None:
    result = evaluated(world([6, 7, 8]))
    half = compare_samples(result.videos, result.videos)[0]
    assert (half.difference_both, half.p_paired, half.p_two_sample) == (0.0, None, 1.0)


def test_what_is_found_by_none_is_said_in_numbers() -> None:
    nothing = evaluated(world([0, 0]))
    half = compare_samples(nothing.videos, nothing.videos)[0]
    assert (half.samples_a, half.mean_a, half.difference_both, half.p_paired, half.p_two_sample) == (0, *[None] * 4)


def test_one_prediction_answers_for_one_object_of_its_class() -> None:
    truth = [found(10), found(10, x=12), found(10, category=2)]
    crowd = replace(found(10, x=12), crowd=True)
    unseen = blocks(np.zeros_like(still_block(0, 0, frames=2)))
    # 8 of the first; 7 of the second, though with the higher score; the cello's place is said to be a car's.
    told = [found(8, score=0.1), found(7, x=12, score=0.9), found(6, score=0.95), found(10, category=3)]
    result = evaluated([video([*truth, crowd, unseen], told)])
    assert result.videos[0].own_ious == pytest.approx((0.8, 0.7, 0.0))


def test_other_truth_is_refused() -> None:
    with pytest.raises(ValueError, match="different videos"):
        compare_samples(evaluated(world([6])).videos, evaluated(world([6, 7])).videos)


def test_compare_prints_it_beside_the_bootstrap(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth, first = write_files(tmp_path, world([6, 7, 8, 4]))
    second = tmp_path / "second.json"
    second.write_text(json.dumps(pred_json(world([7, 9, 9, 8]))))
    arguments = ["compare", str(first), str(second), "--truth", str(truth), "--bootstrap", "20"]
    assert main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    row = next(line for line in lines if line.startswith("objects found, IoU > 0.5 "))
    assert row.split()[5:] == ["70.00", "3", "82.50", "4", "0.1540", "3", "+13.33", "0.0572"]
    assert main([*arguments, "--json"]) == 0
    half, three_quarters = json.loads(capsys.readouterr().out)["t_test"]
    assert half["p_paired"] == pytest.approx(1 - 4 / math.sqrt(18))
    assert three_quarters["p_paired"] is None
