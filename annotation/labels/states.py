"""When an object is heard, in whole seconds, and what follows for its state: the one place of these rules."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import groupby

from avis_data.annotation.labels.records import Interval
from avis_data.records import State

__all__ = ["HEARD_SHARE", "heard_seconds", "intervals_from_seconds", "merged", "states"]

HEARD_SHARE = 0.5
"""A second counts as heard when spans of sound cover at least this part of it."""

_ROUNDING = 1e-9


def heard_seconds(intervals: Iterable[Interval], num_seconds: int, *, share: float = HEARD_SHARE) -> list[bool]:
    """Whether the intervals cover at least `share` of each second [t, t+1); they may overlap."""
    covered = [0.0] * num_seconds
    for interval in merged(intervals):
        last = min(num_seconds, int(interval.end_s) + 1)
        for second in range(int(interval.start_s), last):
            covered[second] += max(0.0, min(interval.end_s, second + 1) - max(interval.start_s, second))
    return [part > 0 and part >= share - _ROUNDING for part in covered]


def states(intervals: Iterable[Interval], mask_seconds: Collection[int], num_seconds: int) -> tuple[State, ...]:
    """What a track does in each second: heard and a mask: sounding; a mask only: silent; no mask: hidden."""
    heard = heard_seconds(intervals, num_seconds)
    found = []
    for second in range(num_seconds):
        in_view = second in mask_seconds
        found.append(State.SOUNDING if in_view and heard[second] else State.SILENT if in_view else State.HIDDEN)
    return tuple(found)


def intervals_from_seconds(heard: Sequence[bool]) -> tuple[Interval, ...]:
    """The longest runs of heard seconds, sorted, not touching."""
    found = []
    for is_heard, run in groupby(range(len(heard)), key=lambda second: bool(heard[second])):
        seconds = list(run)
        if is_heard:
            found.append(Interval(start_s=seconds[0], end_s=seconds[-1] + 1))
    return tuple(found)


def merged(intervals: Iterable[Interval]) -> tuple[Interval, ...]:
    """The same time as spans that are sorted and neither overlap nor touch; empty ones are left out."""
    joined: list[Interval] = []
    for interval in sorted(intervals, key=lambda span: span.start_s):
        if interval.end_s <= interval.start_s:
            continue
        if joined and interval.start_s <= joined[-1].end_s:
            end_s = max(joined[-1].end_s, interval.end_s)
            joined[-1] = Interval(start_s=joined[-1].start_s, end_s=end_s)
        else:
            joined.append(interval)
    return tuple(joined)
