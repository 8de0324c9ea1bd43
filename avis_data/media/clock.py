"""The clock of a clip: how many seconds and stills it has, and which picture each still is.

Still i of a clip with `fps` stills a second stands for the period [i / fps, (i + 1) / fps). Sound is whole seconds: as
many as cover all periods. At one still per second, periods are seconds and T is the number of both.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from fractions import Fraction

from avis_data.errors import ItemError, Reason
from avis_data.records import FrameAt

__all__ = [
    "INSTANT",
    "frame_instants",
    "num_frames",
    "on_display",
    "rate",
    "seconds",
    "seconds_of_sound",
    "ticks",
]

INSTANT: dict[FrameAt, Fraction] = {"start": Fraction(0), "mid": Fraction(1, 2), "end": Fraction(1)}
"""The instant of its period that a still shows, in periods after its begin."""

_MICRO = 1_000_000


def seconds(value: float) -> Fraction:
    """A time in seconds as an exact number of microseconds: what a person wrote, free of binary rounding."""
    return Fraction(round(value * _MICRO), _MICRO)


def rate(fps: float) -> Fraction:
    """A rate as an exact number of millionths: 29.97 is 2997/100."""
    return Fraction(round(fps * _MICRO), _MICRO)


def num_frames(duration_s: float, *, fps: float = 1.0) -> int:
    """How many stills a clip of that length has. A last partial period counts if half of it or more is there.

    Raises:
        ItemError: `span_outside_video` if there is less than half a period.

    Source: what ffmpeg's filter `fps` does (specs/environment.md §7).
    """
    count = math.floor(seconds(duration_s) * rate(fps) + Fraction(1, 2))
    if count < 1:
        raise ItemError(
            f"only {duration_s:.3f} s of picture in the span; a clip needs at least {0.5 / fps:.3g} s",
            reason=Reason.SPAN_OUTSIDE_VIDEO,
        )
    return count


def seconds_of_sound(frames: int, *, fps: float = 1.0) -> int:
    """The whole seconds of sound that cover the periods of so many stills."""
    return math.ceil(frames / rate(fps))


def frame_instants(frames: int, *, fps: float, frame_at: FrameAt | None) -> list[Fraction]:
    """The instant that each still shows, seconds on the clip's clock; `frame_at` None (not known): mid-period."""
    return [(index + INSTANT[frame_at or "mid"]) / rate(fps) for index in range(frames)]


def ticks(time: Fraction, time_base: Fraction) -> Fraction:
    """A time in units of `time_base`; within a microsecond of a whole tick it is that tick.

    Times are written with six decimals at most, time stamps are not: 10.677333 s is meant to be 32032/3000 s.
    """
    exact = time / time_base
    nearest = round(exact)
    return Fraction(nearest) if abs(exact - nearest) * time_base < Fraction(1, _MICRO) else exact


def on_display(
    pts: Sequence[int], *, start: Fraction, time_base: Fraction, num_frames: int, frame_at: FrameAt, fps: float = 1.0
) -> list[int]:
    """Which picture each still is.

    For `start` that is the last picture at or before the start of the period; for `mid` and `end` the last one before
    its middle or its end. Where nothing is on display yet, it is the first picture.

    Args:
        pts: time stamps of the pictures, ascending, not empty.
        start: start of the clip in the same units, not necessarily whole.
        time_base: seconds per unit.
        num_frames: how many stills.
        frame_at: which instant of its period a still shows.
        fps: stills a second.

    Returns:
        One index into `pts` for each still.

    Source: ffmpeg's filter `fps` with `round=up`, `near` and `down`, measured at `fps=1` in specs/environment.md §7.
    """
    find = bisect_right if frame_at == "start" else bisect_left
    instants = (start + instant / time_base for instant in frame_instants(num_frames, fps=fps, frame_at=frame_at))
    return [max(find(pts, instant) - 1, 0) for instant in instants]
