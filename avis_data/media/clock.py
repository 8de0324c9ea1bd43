"""The clock of a clip: how many seconds it has, and which picture stands for each of them."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from fractions import Fraction

from avis_data.errors import ItemError, Reason
from avis_data.records import FrameAt

__all__ = ["INSTANT", "num_seconds", "on_display", "seconds", "ticks"]

INSTANT: dict[FrameAt, Fraction] = {"start": Fraction(0), "mid": Fraction(1, 2), "end": Fraction(1)}
"""The instant of second t that its still stands for, in seconds after t."""

_MICRO = 1_000_000


def seconds(value: float) -> Fraction:
    """A time in seconds as an exact number of microseconds: what a person wrote, free of binary rounding."""
    return Fraction(round(value * _MICRO), _MICRO)


def num_seconds(duration_s: float) -> int:
    """T: how many seconds a clip of that length has. A last partial second counts if half of it or more is there.

    Raises:
        ItemError: `span_outside_video` if there is less than half a second.

    Source: what ffmpeg's `fps=1` does (specs/environment.md §7).
    """
    count = math.floor(seconds(duration_s) + Fraction(1, 2))
    if count < 1:
        raise ItemError(
            f"only {duration_s:.3f} s of picture in the span; a clip needs at least half a second",
            reason=Reason.SPAN_OUTSIDE_VIDEO,
        )
    return count


def ticks(time: Fraction, time_base: Fraction) -> Fraction:
    """A time in units of `time_base`; within a microsecond of a whole tick it is that tick.

    Times are written with six decimals at most, time stamps are not: 10.677333 s is meant to be 32032/3000 s.
    """
    exact = time / time_base
    nearest = round(exact)
    return Fraction(nearest) if abs(exact - nearest) * time_base < Fraction(1, _MICRO) else exact


def on_display(
    pts: Sequence[int], *, start: Fraction, time_base: Fraction, num_seconds: int, frame_at: FrameAt
) -> list[int]:
    """Which picture stands for each second.

    For `start` that is the last picture at or before the start of the second; for `mid` and `end` the last one before
    its middle or its end. Where nothing is on display yet, it is the first picture.

    Args:
        pts: time stamps of the pictures, ascending, not empty.
        start: start of second 0 in the same units, not necessarily whole.
        time_base: seconds per unit.
        num_seconds: T.
        frame_at: which instant of a second its still stands for.

    Returns:
        T indices into `pts`.

    Source: ffmpeg's `fps=1` with `round=up`, `near` and `down`, measured in specs/environment.md §7.
    """
    find = bisect_right if frame_at == "start" else bisect_left
    instants = (start + (second + INSTANT[frame_at]) / time_base for second in range(num_seconds))
    return [max(find(pts, instant) - 1, 0) for instant in instants]
