"""The error report: planted errors are named, and the parts sum to what is missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from avis_data.errors import DataError
from avis_data.metrics import TrackInput, VideoInput, attribute_errors, evaluate_avis
from avis_data.report.errors import summarise_errors, write_error_report
from support.metric_world import CATEGORIES, blocks, random_world, still_block, video

FRAMES = 10


def two_dogs() -> tuple[TrackInput, TrackInput]:
    """One dog that always sounds, one that is silent in the last two frames."""
    pausing = still_block(14, 2, frames=FRAMES)
    pausing[8:] = False
    return blocks(still_block(1, 2, frames=FRAMES), track_id=1), blocks(pausing, track_id=2)


def held(track: TrackInput) -> TrackInput:
    return replace(track, masks=[track.masks[0]] * FRAMES)


def gone(track: TrackInput) -> TrackInput:
    """Where it is silent, its mask stands where nothing ever was: told by the partner only."""
    return replace(track, masks=[*track.masks[:8], *still_block(22, 11, frames=2)])


def only(track: TrackInput, frames: list[int]) -> TrackInput:
    return replace(track, masks=[mask if t in frames else None for t, mask in enumerate(track.masks)])


def swapped(a: TrackInput, b: TrackInput) -> list[TrackInput]:
    return [
        replace(a, masks=[*a.masks[:6], *b.masks[6:8], *a.masks[8:]]),
        replace(b, masks=[*b.masks[:6], *a.masks[6:8], *b.masks[8:]]),
    ]


def thinner(track: TrackInput) -> TrackInput:
    return replace(track, masks=[None if m is None else m & np.roll(m, 2, axis=1) for m in track.masks])


PLANTED: dict[str, tuple[Callable[[TrackInput, TrackInput], list[TrackInput]], dict[str, float]]] = {
    "none": (lambda a, b: [a, b], {}),
    "missed": (lambda a, b: [a], {"missed_sounder": 8}),
    "silent thing": (lambda a, b: [a, held(b)], {"wrong_sounder": 2}),
    "silent thing by another track": (lambda a, b: [a, b, only(held(b), [9])], {"wrong_sounder": 1}),
    "silent thing that went elsewhere": (lambda a, b: [a, gone(b)], {"wrong_sounder": 2}),
    "swap": (swapped, {"identity_switch": 2}),
    "class": (lambda a, b: [a, replace(b, category=2)], {"wrong_class": 8}),
    # 4 of 6 columns are left: IoU 2/3, too little for the 6 thresholds from 0.70 to 0.95.
    "outline": (lambda a, b: [a, thinner(b)], {"poor_boundary": 8 * 6 / 19}),
    "duplicate": (lambda a, b: [a, b, only(b, [2, 3])], {"duplicate": 2}),
    "background": (lambda a, b: [a, b, only(blocks(still_block(1, 11, frames=FRAMES)), [1])], {"background": 1}),
    "two at once": (lambda a, b: [only(a, [0, 1, 2]), held(b)], {"missed_sounder": 5 + 1, "wrong_sounder": 1}),
}
"""Error -> the predictions, and how many frames each kind must stand for."""


@pytest.mark.parametrize("error", PLANTED)
def test_planted_errors_are_named_and_sum_to_what_is_missing(error: str) -> None:
    predict, wanted = PLANTED[error]
    truth = two_dogs()
    found, missing = split([video(truth, predict(*truth))])
    assert {kind: pytest.approx(number) for kind, number in wanted.items()} == found
    assert sum(found.values()) == pytest.approx(FRAMES * missing, abs=1e-12)


@pytest.mark.parametrize("seed", range(15))
def test_parts_sum_to_the_whole_of_any_predictions(seed: int) -> None:
    world = random_world(np.random.default_rng(seed))
    found, missing = split(world)
    assert sum(found.values()) == pytest.approx(sum(item.num_frames for item in world) * missing, abs=1e-9)
    summary = summarise_errors([attribute_errors(item) for item in world], CATEGORIES)
    assert summary["missing"].sum() == pytest.approx(missing, abs=1e-12)


def test_parts_are_split_by_class_and_by_number_of_sources() -> None:
    a, b = two_dogs()
    b = replace(b, category=2)
    summary = summarise_errors([attribute_errors(video([a, b], [a, held(b)]))], CATEGORIES)
    assert summary.values.tolist() == [["wrong_sounder", "cello", 1, pytest.approx(0.2)]]
    summary = summarise_errors([attribute_errors(video([a, b], [a]))], CATEGORIES)
    assert summary.values.tolist() == [["missed_sounder", "cello", 2, pytest.approx(0.8)]]


def test_report_holds_tables_plots_and_a_page_that_loads_nothing(tmp_path: Path) -> None:
    truth = two_dogs()
    nasty = {**CATEGORIES, 1: "<script>$x_{$"}
    errors = [attribute_errors(video(truth, [held(truth[1])]))]
    write_error_report(tmp_path / "report", errors, nasty, fsla=0.0, title="Errors of <b>.json")
    files = sorted(path.name for path in (tmp_path / "report").iterdir())
    assert files == ["by_class.png", "by_kind.png", "by_sources.png", "errors.parquet", "index.html", "summary.parquet"]
    rows = pd.read_parquet(tmp_path / "report" / "errors.parquet")
    assert rows["share"].sum() == pytest.approx(FRAMES)
    assert set(rows["kind"]) == {"missed_sounder", "wrong_sounder"}
    page = (tmp_path / "report" / "index.html").read_text()
    assert "<script>" not in page
    assert "<b>.json" not in page
    assert "http" not in page.replace('http-equiv="Content-Security-Policy"', "")


def test_a_folder_with_something_else_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(DataError, match="something else"):
        write_error_report(tmp_path, [attribute_errors(video(two_dogs(), []))], CATEGORIES, fsla=0.0, title="x")
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def split(world: list[VideoInput]) -> tuple[dict[str, float], float]:
    """Frames by kind of error, and 1 - FSLA as the metric has it."""
    counter: Counter[str] = Counter()
    for item in world:
        for error in attribute_errors(item).errors:
            counter[str(error.kind)] += error.share  # type: ignore[assignment]
    result = evaluate_avis(world, categories=CATEGORIES, modes=["strict"]).strict
    assert result is not None
    assert result.figures["FSLA"] is not None
    return dict(counter), 1 - result.figures["FSLA"]
