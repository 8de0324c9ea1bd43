"""How many stills, how much sound, and which instants: counted by hand and by walking."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from avis_data.errors import ItemError, Reason
from avis_data.media.clock import frame_instants, num_frames, on_display, seconds_of_sound


@pytest.mark.parametrize(
    ("duration_s", "fps", "stills", "seconds"),
    [
        (10.0, 6, 60, 10),
        (3.6, 6, 22, 4),  # 21.6 periods: the last one is more than half there
        (3.57, 6, 21, 4),  # 21.42
        (0.1, 6, 1, 1),  # 0.6 of a period
        (4.0, 2.5, 10, 4),
        (1.0, 2.5, 3, 2),  # 2.5 periods, half counts; three periods are 1.2 s
        (9.0, 0.5, 5, 10),  # 4.5 periods of two seconds
        (10.0, 29.97, 300, 11),  # 299.7 periods; 300 of them are 10.01 s
        (4.5, 1, 5, 5),
    ],
)
def test_stills_and_seconds_of_a_length(duration_s: float, fps: float, stills: int, seconds: int) -> None:
    assert num_frames(duration_s, fps=fps) == stills
    assert seconds_of_sound(stills, fps=fps) == seconds


def test_less_than_half_a_period_is_no_clip() -> None:
    with pytest.raises(ItemError, match=r"0\.0833 s") as error:
        num_frames(0.08, fps=6)
    assert error.value.reason is Reason.SPAN_OUTSIDE_VIDEO


def test_the_instants_of_six_stills_a_second() -> None:
    assert frame_instants(3, fps=6, frame_at="start") == [Fraction(0), Fraction(1, 6), Fraction(2, 6)]
    assert frame_instants(3, fps=6, frame_at="mid") == [Fraction(1, 12), Fraction(3, 12), Fraction(5, 12)]
    assert frame_instants(3, fps=6, frame_at="end") == [Fraction(1, 6), Fraction(2, 6), Fraction(3, 6)]
    assert frame_instants(2, fps=2.5, frame_at=None) == [Fraction(1, 5), Fraction(3, 5)]


@pytest.mark.parametrize("frame_at", ["start", "mid", "end"])
@pytest.mark.parametrize(("seed", "fps"), [(0, 6), (1, 2.5), (2, 29.97), (3, 0.5)])
def test_the_picture_on_display_equals_a_walk(frame_at: str, seed: int, fps: float) -> None:
    rng = np.random.default_rng(seed)
    pts = sorted({int(value) for value in rng.integers(0, 9000, 90)})
    exact = Fraction(str(fps))
    chosen = on_display(
        pts, start=Fraction(700), time_base=Fraction(1, 1000), num_frames=20, frame_at=frame_at, fps=fps
    )
    for number, index in enumerate(chosen):
        instant = 700 + 1000 * (number + {"start": 0, "mid": Fraction(1, 2), "end": 1}[frame_at]) / exact
        before = [k for k, value in enumerate(pts) if value < instant or (frame_at == "start" and value == instant)]
        assert index == (before[-1] if before else 0)
