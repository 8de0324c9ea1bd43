"""The clock: how many seconds a clip has, and which picture stands for each, against brute force."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from avis_data.errors import ItemError, Reason
from avis_data.media.clock import num_frames, on_display, ticks

OFFSET = {"start": 0.0, "mid": 0.5, "end": 1.0}


@pytest.mark.parametrize(
    ("duration_s", "count"),
    [(0.5, 1), (1.0, 1), (1.49, 1), (1.5, 2), (9.4999999999, 10), (9.499, 9), (9.5, 10), (10.01, 10), (12.012, 12)],
)
def test_last_partial_second_counts_from_half(duration_s: float, count: int) -> None:
    assert num_frames(duration_s) == count


def test_less_than_half_a_second_is_no_clip() -> None:
    with pytest.raises(ItemError, match=r"0\.499 s") as caught:
        num_frames(0.499)
    assert caught.value.reason is Reason.SPAN_OUTSIDE_VIDEO


@pytest.mark.parametrize("frame_at", ["start", "mid", "end"])
@pytest.mark.parametrize("seed", range(5))
def test_on_display_equals_a_walk_through_the_pictures(frame_at: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    pts = np.unique(rng.integers(-3000, 10_000, size=40)).tolist()  # milliseconds
    chosen = on_display(pts, start=Fraction(500), time_base=Fraction(1, 1000), num_frames=9, frame_at=frame_at)
    for second, index in enumerate(chosen):
        instant = 500 + 1000 * (second + OFFSET[frame_at])
        shown = [p for p in pts if (p <= instant if frame_at == "start" else p < instant)]
        assert pts[index] == (shown[-1] if shown else pts[0])


def test_a_picture_exactly_on_the_instant() -> None:
    """At the start of a second the new picture is on display; a middle or an end belongs to what was shown before."""
    grid = {"pts": [0, 500, 1000], "start": Fraction(0), "time_base": Fraction(1, 1000), "num_frames": 1}
    assert on_display(frame_at="start", **grid) == [0]
    assert on_display(frame_at="mid", **grid) == [0]
    assert on_display(frame_at="end", **grid) == [1]


def test_a_time_with_six_decimals_is_the_tick_that_was_meant() -> None:
    base = Fraction(1001, 30000)
    assert ticks(Fraction(10_677_333, 1_000_000), base) == 320
    assert ticks(Fraction(10_676_000, 1_000_000), base) != 320
