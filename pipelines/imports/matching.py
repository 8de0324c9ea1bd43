"""Which still of a set is which still of a clip: by order, number, name or time, and never shifted silently.

Legend: T stills of the clip in the workspace, S stills of the set.
"""

from __future__ import annotations

import io
import math
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from avis_data.errors import DataError
from avis_data.formats.sets.clips import LabelledClip, Media, Still
from avis_data.media.clock import INSTANT, frame_instants, rate, seconds
from avis_data.media.stills import UNREADABLE_PICTURE
from avis_data.paths import Workspace
from avis_data.pipelines.engine.bucket import bring_clip
from avis_data.records import Clip

__all__ = ["MatchBy", "Matching", "match_stills", "shown_otherwise"]

MatchBy = Literal["auto", "number", "name", "time"]


@dataclass(frozen=True, kw_only=True)
class Matching:
    """How the stills of a set are found among those of clips."""

    by: MatchBy = "auto"
    fps: float | None = None
    """How many of its numbers (or stills, where they have none) make a second, where the set does not say."""
    start_s: float | None = None
    """When the first still of the set was taken, seconds after the start of the clip; None: at the clip's start."""
    name_pattern: str | None = None
    """A regular expression whose group `number`, or whose first group, is the number in the name of a still."""
    first_number: int | None = None
    """What the set calls the first still; None: 0 or 1, where that is clear."""


def match_stills(found: LabelledClip, clip: Clip, matching: Matching) -> tuple[int | None, ...]:
    """For each of the T stills of a clip the place in the set of the still that shows it; None: the set has none.

    `auto` takes the order where both have as many stills at one rate, the numbers where the set leaves some out, and
    the time where it says another rate.

    Raises:
        DataError: if there is no way, or more than one, to tell; the hint names the option that says it.
    """
    fps, by = matching.fps or found.fps, matching.by
    if by == "name" or matching.name_pattern is not None:
        found = _named(found, matching.name_pattern or _OWN_NAME)
    if by == "auto":
        other_rate = fps is not None and abs(fps - clip.fps) > 1e-6 * clip.fps
        by = "time" if other_rate or matching.start_s is not None else "number"
    return _by_time(found, clip, fps, matching) if by == "time" else _by_number(found, clip, matching)


_OWN_NAME = r"^(\d{5})(?:\.\w+)?$"
"""How stills are named in a workspace, `00012`."""


def _by_number(found: LabelledClip, clip: Clip, matching: Matching) -> tuple[int | None, ...]:
    numbers = [still.number for still in found.stills]
    in_order = matching.by == "auto" and matching.first_number is None and len(numbers) == clip.num_frames
    if in_order and _is_run(numbers):
        return tuple(range(clip.num_frames))
    known = [number for number in numbers if number is not None]
    if len(known) != len(numbers):
        raise DataError(f"the set has {len(numbers)} stills without numbers, the clip {clip.num_frames}", hint=_RATE)
    if len(set(known)) != len(known):
        raise DataError("two stills of the set have one number")
    step = _step(known)
    if matching.by == "auto" and matching.first_number is None and step > 1:
        raise DataError(
            f"the stills of the set are numbered in steps of {step}, the clip has {clip.num_frames}: "
            "whether these are numbers of the clip's stills is not clear",
            hint="they are: --match number; the set is of another rate: --match time --set-fps RATE",
        )
    first = _first(known, clip.num_frames) if matching.first_number is None else matching.first_number
    places = {number - first: place for place, number in enumerate(known)}
    outside = sorted(number + first for number in places if not 0 <= number < clip.num_frames)
    if outside:
        raise DataError(
            f"the set has a still {outside[0]}, the clip has {clip.num_frames} stills, from {first} on", hint=_RATE
        )
    return tuple(places.get(number) for number in range(clip.num_frames))


_RATE = "where the set is of another rate: --set-fps 5; its first still later: --set-start 2.5; or --first-number 1"


def _step(numbers: Sequence[int]) -> int:
    """The greatest step in which numbers go."""
    return math.gcd(*(after - before for before, after in pairwise(sorted(numbers)))) or 1


def _is_run(numbers: Sequence[int | None]) -> bool:
    """Whether the stills have no numbers, or numbers that follow each other at equal steps."""
    if all(number is None for number in numbers):
        return True
    known = [number for number in numbers if number is not None]
    steps = {after - before for before, after in pairwise(known)}
    return len(known) == len(numbers) and len(steps) <= 1 and all(step > 0 for step in steps)


def _first(numbers: Sequence[int], length: int) -> int:
    """0 or 1, whichever the numbers of a set begin with."""
    if not numbers or 0 in numbers:
        return 0
    if max(numbers) == length:
        return 1
    raise DataError(
        f"the stills of the set are numbered {min(numbers)} to {max(numbers)}, the clip has {length}: "
        "from 0 or from 1 is not clear",
        hint="--first-number 0, or --first-number 1",
    )


def _named(found: LabelledClip, pattern: str) -> LabelledClip:
    """The clip with the numbers that the names of its stills have."""
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise DataError(f"--name-pattern {pattern!r:.60}: {error}", hint=r"--name-pattern 'img_(\d+)'") from None
    if not compiled.groups:
        raise DataError(f"--name-pattern {pattern!r:.60} has no group", hint=r"--name-pattern 'img_(\d+)'")
    stills = []
    for still in found.stills:
        match = compiled.search(still.name)
        digits = match and (match["number"] if "number" in compiled.groupindex else match[1])
        if not digits or not digits.isdecimal() or len(digits) > _DIGITS:
            raise DataError(f"the name of still {still.name!r:.60} does not fit {pattern!r:.60}")
        stills.append(replace(still, number=int(digits)))
    return replace(found, stills=tuple(stills))


_DIGITS = 12


def _by_time(found: LabelledClip, clip: Clip, fps: float | None, matching: Matching) -> tuple[int | None, ...]:
    """The picture of the set that is on display at the instant of each still, by the rule of `extract`."""
    times = list(_times(found.stills, fps, matching))
    if not times or any(after <= before for before, after in pairwise(times)):
        raise DataError("the stills of the set are not in the order of time" if times else "the set has not a still")
    if clip.frame_at is None:
        raise DataError("at which instants the stills of the clip were taken is not known", hint="--match number")
    steps = sorted(after - before for before, after in pairwise(times))
    period = steps[len(steps) // 2] if steps else 1 / rate(fps or clip.fps)
    if period > Fraction(1001, 1000) / rate(clip.fps):
        slower = f"{float(1 / period):g}"
        raise DataError(
            f"the set has {slower} stills a second, the clip {clip.fps:g}: there are stills without labels",
            hint=f"set extract.fps to {slower} in recipe.yaml, then avis-data extract",
        )
    is_finer = period < Fraction(999, 1000) / rate(clip.fps)
    find = bisect_left if clip.frame_at != "start" and is_finer else bisect_right
    rounding = -_MICROSECOND if find is bisect_left else _MICROSECOND
    ends = [
        times[place + 1] if still.time_s is not None and place + 1 < len(times) else times[place] + period
        for place, still in enumerate(found.stills)
    ]
    ends[-1] += max(Fraction(0), INSTANT[clip.frame_at] - INSTANT["mid"]) / rate(clip.fps)
    places: list[int | None] = []
    for instant in frame_instants(clip.num_frames, fps=clip.fps, frame_at=clip.frame_at):
        place = find(times, instant + rounding) - 1
        places.append(place if place >= 0 and instant <= ends[place] + _MICROSECOND else None)
    if matching.start_s is None:
        _check_span(times, ends[-1], places, clip)
    if all(place is None for place in places):
        raise DataError("no still of the set is on display at a still of the clip", hint="--set-start SECONDS")
    return tuple(places)


_MICROSECOND = Fraction(1, 1_000_000)


def _times(stills: Sequence[Still], fps: float | None, matching: Matching) -> Iterator[Fraction]:
    """Seconds on the clip's clock."""
    start = seconds(matching.start_s or 0.0)
    numbers = [still.number for still in stills if still.number is not None]
    first = _origin(numbers, matching) if len(numbers) == len(stills) and stills else 0
    for place, still in enumerate(stills):
        if still.time_s is not None:
            yield start + seconds(still.time_s)
        elif fps is not None:
            number = still.number if len(numbers) == len(stills) else None
            yield start + (place if number is None else number - first) / rate(fps)
        else:
            raise DataError(f"when still {still.name!r:.60} was taken is not known", hint="--set-fps RATE")


def _origin(numbers: Sequence[int], matching: Matching) -> int:
    """The number of the still that was taken at the start."""
    if matching.first_number is not None:
        return matching.first_number
    first = min(numbers)
    if first in (0, 1) or matching.start_s is not None:
        return first
    raise DataError(
        f"the stills of the set are numbered from {first} on: when that one was taken is not clear",
        hint=f"counted from the start of the clip: --first-number 0; {first} is at second S: --set-start S",
    )


def _check_span(times: Sequence[Fraction], end: Fraction, places: Sequence[int | None], clip: Clip) -> None:
    """Raises DataError if a set is longer or shorter than its clip: then its rate, or its start, may be another."""
    last_s, length_s = float(times[-1]), clip.num_frames / clip.fps
    hint = "how many of its numbers make a second: --set-fps RATE; when its first still was taken: --set-start S"
    if last_s > length_s + 1 / clip.fps:
        raise DataError(f"the set goes on to second {last_s:.2f}, the clip has {length_s:g} s", hint=hint)
    if places[0] is None or places[-1] is None:
        raise DataError(
            f"the set goes from second {float(times[0]):.2f} to {float(end):.2f}, the clip has {length_s:g} s",
            hint=f"{hint} (0: it is as it should, and nothing is in the other stills)",
        )


def shown_otherwise(found: LabelledClip, clip: Clip, matched: Sequence[int | None], workspace: Workspace) -> str | None:
    """What is wrong where the pictures of a set are not those of the clip's stills; None: they are, or it has none.

    A set is often labelled on pictures that were extracted by somebody else: another encoder's pictures differ a
    little, those of another instant much. Pictures are compared as 24 x 24 grey dots.
    """
    pairs = [(number, found.stills[place].picture) for number, place in enumerate(matched) if place is not None][
        :_COMPARED
    ]
    with_pictures = [(number, picture) for number, picture in pairs if picture is not None]
    if not with_pictures:
        return None
    bring_clip(workspace, clip.clip_id)
    theirs = np.stack([_dots(picture) for _, picture in with_pictures])
    here = {
        number: _dots(Media(name="", path=workspace.frame(clip.clip_id, number)))
        for number in range(min(clip.num_frames, with_pictures[-1][0] + _SHIFTS + 1))
    }
    distance = {shift: _distance(theirs, [number for number, _ in with_pictures], here, shift) for shift in _shifts()}
    if distance[0] <= _SAME:
        return None
    nearest = min(distance, key=lambda shift: distance[shift])
    if nearest and distance[nearest] < distance[0] / 2:
        side = "later" if nearest > 0 else "earlier"
        return f"its pictures are those {abs(nearest)} still(s) {side} in the clip"
    if distance[0] > _OTHER:
        return "its pictures show something else than the stills of the clip"
    return None


_COMPARED, _SHIFTS = 30, 2
_SAME, _OTHER = 3.0, 40.0
"""Mean differences of 255 grey values: two encoders are 0.5 to 2 apart; unrelated pictures 50 and more."""


def _shifts() -> range:
    return range(-_SHIFTS, _SHIFTS + 1)


def _distance(
    theirs: NDArray[np.float32], numbers: Sequence[int], here: dict[int, NDArray[np.float32]], shift: int
) -> float:
    pairs = [(index, number + shift) for index, number in enumerate(numbers) if number + shift in here]
    if len(pairs) < max(1, len(numbers) - _SHIFTS):
        return float("inf")
    return float(np.mean([np.abs(theirs[index] - here[number]).mean() for index, number in pairs]))


def _dots(picture: Media) -> NDArray[np.float32]:
    try:
        with Image.open(io.BytesIO(picture.read())) as image:
            return np.asarray(image.convert("L").resize((24, 24), Image.Resampling.BOX), np.float32)
    except UNREADABLE_PICTURE as error:
        raise DataError(f"{picture.path or picture.name}: no picture ({error!s:.80})") from None
