"""Turns: who is heard from when to when; and what they say of a still.

**A still's second.** A still stands for the time from its instant to that of the next one; where stills are left out
in between, for as long as the two closest ones are apart. It sounds if turns of its track cover half of that time or
more; so a file that is rounded to a millisecond, or begins a breath late, says the same.

**Silence and not said.** RTTM and the plain CSV list all that is heard in the clips that they name: what no turn covers
there is silent, and of clips that they do not name they say nothing. AVA's CSV has a row for each instant that it
speaks of: what has no row is not said.
"""

from __future__ import annotations

import difflib
import math
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Literal

from avis_data.errors import Problem
from avis_data.formats.sets.clips import LabelledClip, LabelledTrack

__all__ = [
    "LONGEST_S",
    "Turn",
    "Turns",
    "flags_by",
    "names_of",
    "sounding_flags",
    "still_times",
    "turn_names",
    "unmatched",
]

TurnsForm = Literal["rttm", "ava", "csv"]
LONGEST_S = 1e7
"""No sound is so long: a time beyond is none."""
_HALF = 0.5
_ROUNDING_S = 1e-6
"""Sums of seconds are not exact."""


@dataclass(frozen=True, kw_only=True)
class Turn:
    """A track is heard, or (AVA) seen and not heard, from one second to another."""

    clip: str
    track: str
    start_s: float
    """Seconds after the start of the clip."""
    end_s: float
    is_sounding: bool = True
    where: str = field(default="", compare=False)
    """File and line."""


@dataclass(frozen=True, kw_only=True)
class Turns:
    """All turns of a file, in its order, and the lines that could not be read."""

    form: TurnsForm
    turns: tuple[Turn, ...]
    problems: tuple[Problem, ...] = ()
    faults: Mapping[str, Sequence[Problem]] = field(default_factory=dict)
    """The problems by the clip that their line names; "" where none can be told from it."""

    @property
    def says_silence(self) -> bool:
        """Whether what no turn covers is silent, in clips that it names; else that is not said."""
        return self.form != "ava"

    @cached_property
    def by_clip(self) -> dict[str, dict[str, list[Turn]]]:
        """The turns of each clip and track, by the names in the file."""
        found: dict[str, dict[str, list[Turn]]] = defaultdict(lambda: defaultdict(list))
        for turn in self.turns:
            found[turn.clip][turn.track].append(turn)
        return found


def sounding_flags(
    turns: Turns, clip: str, tracks: Sequence[str], times_s: Sequence[float], *, period_s: float | None = None
) -> tuple[bool | None, ...]:
    """Whether a track is heard in each still of a clip; None where the turns do not say.

    Args:
        turns: of a file.
        clip: its name in the file.
        tracks: the names that the track may have in the file; the first that is there counts.
        times_s: the beginning of the time that each still stands for, seconds after the start of the clip, ascending.
        period_s: how long that is; None: as long as the two closest stills are apart, or a second if there is one only.

    Example:
        >>> turns = Turns(form="rttm", turns=(Turn(clip="a", track="dog_1", start_s=0.4, end_s=2.1),))
        >>> sounding_flags(turns, "a", ["dog_1"], [0, 1, 2]), sounding_flags(turns, "b", ["dog_1"], [0, 1, 2])
        ((True, True, False), (None, None, None))
    """
    if clip not in turns.by_clip:
        return (None,) * len(times_s)
    named = turns.by_clip[clip]
    own = next((named[name] for name in tracks if name in named), [])
    heard, said = _Covered([turn for turn in own if turn.is_sounding]), _Covered(own)
    return tuple(_flag(turns, heard, said, start_s, end_s) for start_s, end_s in _spans(times_s, period_s))


def still_times(clip: LabelledClip, *, fps: float | None = None) -> list[float]:
    """The beginning of the time that each still of a clip stands for, in seconds after the start of the clip.

    The times of its stills count where all have one, else their numbers, counted from the first, else their order.

    Args:
        clip: the clip.
        fps: how many numbers make a second; None: as the clip says, else stills, or the steps in which their numbers
            go, are a second apart.

    Example:
        >>> from avis_data.formats.sets.clips import Still
        >>> stills = tuple(Still(name=str(number), number=number) for number in (0, 5, 15))
        >>> clip = LabelledClip(name="a", width=1, height=1, stills=stills, tracks=())
        >>> still_times(clip), still_times(clip, fps=10)
        ([0.0, 1.0, 3.0], [0.0, 0.5, 1.5])
    """
    times = [still.time_s for still in clip.stills if still.time_s is not None]
    if len(times) == len(clip.stills) and times == sorted(times):
        return times
    numbers = [still.number for still in clip.stills if still.number is not None]
    if len(numbers) != len(clip.stills) or any(after <= before for before, after in pairwise(numbers)):
        numbers = list(range(len(clip.stills)))
    rate = fps or clip.fps or math.gcd(*(after - before for before, after in pairwise(numbers))) or 1
    return [(number - numbers[0]) / rate for number in numbers]


def flags_by(
    turns: Turns, *, fps: float | None = None
) -> Callable[[LabelledClip, LabelledTrack], tuple[bool | None, ...]]:
    """What says of a track of a set whether it is heard in each still."""

    def flags(clip: LabelledClip, track: LabelledTrack) -> tuple[bool | None, ...]:
        return sounding_flags(turns, clip.name, names_of(clip, track), still_times(clip, fps=fps))

    return flags


def names_of(clip: LabelledClip, track: LabelledTrack) -> list[str]:
    """What a track may be called in a file of turns, the likeliest first; names there have no spaces.

    Its id; its category and id, as our own files have it; with the name of its clip before, as AVA's CSV has it.
    """
    with_category = f"{track.category}_{track.track_id}"
    plain = [track.track_id, *([with_category] if track.category is not None else [])]
    names = [*plain, *(f"{clip.name}{sign}{name}" for sign in "_:" for name in plain)]
    return list(dict.fromkeys([*names, *(_spaceless(name) for name in names)]))


def turn_names(clip: LabelledClip) -> dict[str, str]:
    """What each track of a clip is called in the files that are written: category and id, without spaces, unique."""
    full = {track.track_id: _spaceless(f"{track.category or 'unknown'}_{track.track_id}") for track in clip.tracks}
    short = {
        track.track_id: _spaceless(track.track_id)
        if track.category is not None and track.track_id.startswith(f"{track.category}_")
        else full[track.track_id]
        for track in clip.tracks
    }
    names = short if len(set(short.values())) == len(short) else full
    taken: set[str] = set()
    for track_id, name in names.items():
        names[track_id] = name if name not in taken else f"{name}_{len(taken)}"
        taken.add(names[track_id])
    return names


def unmatched(turns: Turns, clips: Iterable[LabelledClip]) -> list[Problem]:
    """Names in a file of turns that no track has, in clips that there are: a name that is typed wrongly would silently
    make a track silent. Each is told with the nearest name that there is.
    """
    problems = []
    for clip in clips:
        known = {name for track in clip.tracks for name in names_of(clip, track)}
        for name, found in turns.by_clip.get(clip.name, {}).items():
            if name not in known:
                ids = [track.track_id for track in clip.tracks]
                near = difflib.get_close_matches(name, sorted(known), n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                message = f"{name!r:.60} is no track of clip {clip.name}, which has {', '.join(ids) or 'none'}{hint}"
                problems.append(Problem(found[0].where, "track", message))
    return problems


def _spaceless(name: str) -> str:
    return "_".join(name.split()) or "_"


def _spans(times_s: Sequence[float], period_s: float | None) -> list[tuple[float, float]]:
    gaps = [after - before for before, after in pairwise(times_s) if after > before]
    period_s = period_s or min(gaps, default=1.0)
    return [(start_s, start_s + period_s) for start_s in times_s]


def _flag(turns: Turns, heard: _Covered, said: _Covered, start_s: float, end_s: float) -> bool | None:
    """Whether half of a span or more is heard; None where less than half of it is said at all."""
    half_s = _HALF * (end_s - start_s) - _ROUNDING_S
    heard_s = heard.within(start_s, end_s)
    if heard_s >= half_s and heard_s > 0:
        return True
    if turns.says_silence:
        return False
    said_s = said.within(start_s, end_s)
    return False if said_s >= half_s and said_s > 0 else None


class _Covered:
    """The time that turns cover, each second counted once; looked up by halving, for hours of rows."""

    def __init__(self, turns: Iterable[Turn]) -> None:
        self._starts: list[float] = []
        self._ends: list[float] = []
        for turn in sorted(turns, key=lambda turn: turn.start_s):
            if self._ends and turn.start_s <= self._ends[-1]:
                self._ends[-1] = max(self._ends[-1], turn.end_s)
            else:
                self._starts.append(turn.start_s)
                self._ends.append(turn.end_s)

    def within(self, start_s: float, end_s: float) -> float:
        """Seconds of a span that are covered."""
        first, last = bisect_right(self._ends, start_s), bisect_left(self._starts, end_s)
        pairs = zip(self._starts[first:last], self._ends[first:last], strict=True)
        return sum(min(after_s, end_s) - max(before_s, start_s) for before_s, after_s in pairs)
