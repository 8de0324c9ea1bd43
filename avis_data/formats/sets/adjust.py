"""What people say of a set that its format cannot: names of categories, what sounds, the name of its one clip."""

from __future__ import annotations

import csv
import difflib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from avis_data.errors import ConfigError, DataError, Problem
from avis_data.formats.sets.clips import LabelledClip, LabelledTrack, UnreadClip

__all__ = [
    "NO_CATEGORY",
    "Adjustment",
    "adjusted",
    "all_sounding",
    "category_problems",
    "read_category_map",
    "sounding_problems",
    "sounding_said",
]

NO_CATEGORY = "unknown"
"""What stands for the category of formats that have none, on the left of `--map`."""

Flags = Callable[[LabelledClip, LabelledTrack], tuple[bool | None, ...]]
"""Says of a track, for each still, whether it sounds; None where that is not known."""


@dataclass(frozen=True, kw_only=True)
class Adjustment:
    """What is said of a whole set."""

    categories: Mapping[str, str] = field(default_factory=dict)
    """Name in the set to name here; `unknown` for objects without a category. Others keep their names."""
    flags: Flags | None = None
    """For masks of which the set does not say whether they sound; None: that stays unknown."""
    wrong_names: Callable[[LabelledClip], list[Problem]] | None = None
    """What is said of tracks of a clip that it does not have."""
    asked_sounding: bool = True
    """Whether people said what of sound the set does not; False: a clip that does not say it is refused."""
    clip: str | None = None
    """The name of the only clip of the set."""


def adjusted(
    clips: Iterable[LabelledClip | UnreadClip], adjustment: Adjustment, *, with_sounding: bool = True
) -> Iterator[LabelledClip | UnreadClip]:
    """The clips with what is said of them.

    Args:
        clips: of a set.
        adjustment: what is said.
        with_sounding: False: `sounding_said` comes later, when it is known at which instants the stills were taken.

    Raises:
        DataError: if a name is given and the set has several clips.
    """
    for number, clip in enumerate(clips):
        if adjustment.clip is not None and number:
            raise DataError(f"the set has several clips: {clip.name!r:.60} is another one", hint="leave --clip out")
        if isinstance(clip, UnreadClip):
            yield clip if adjustment.clip is None else replace(clip, name=adjustment.clip)
        else:
            renamed = _renamed(clip, adjustment)
            yield sounding_said(renamed, adjustment) if with_sounding else renamed


def sounding_said(clip: LabelledClip, adjustment: Adjustment) -> LabelledClip:
    """The clip with flags for those masks of which the set does not say whether they sound."""
    flags = adjustment.flags
    if flags is None:
        return clip
    tracks = (replace(track, sounding=_filled(track, flags(clip, track))) for track in clip.tracks)
    return replace(clip, tracks=tuple(tracks))


def all_sounding(_clip: LabelledClip, track: LabelledTrack) -> tuple[bool | None, ...]:
    """Everything that has a mask sounds."""
    return (True,) * len(track.masks)


def sounding_problems(clip: LabelledClip, adjustment: Adjustment) -> Iterator[Problem]:
    """That nobody says whether masks of a clip sound, unless people said so of the whole set; what was said wrongly."""
    unsaid = sum(track.sounding[number] is None for track in clip.tracks for number in track.frames)
    if unsaid and not adjustment.asked_sounding:
        message = f"of {unsaid} masks the set does not say whether they sound: --sounding all, unknown, or FILE"
        yield Problem(f"clip {clip.name}", "sounding", message)
    if adjustment.wrong_names is not None:
        yield from adjustment.wrong_names(clip)


def category_problems(clip: LabelledClip, known: Collection[str]) -> Iterator[Problem]:
    """Tracks whose category a category set does not have, each name once, with the nearest one that it has."""
    seen: set[str | None] = set()
    for track in clip.tracks:
        if track.category in known or track.category in seen:
            continue
        seen.add(track.category)
        if track.category is None:
            there = f", of: {', '.join(sorted(known)[:8])} ..." if known else ""
            message = f"the format has no categories: --map {NO_CATEGORY}=NAME{there}"
        else:
            near = difflib.get_close_matches(track.category.lower(), known, n=1)
            hint = near[0] if near else "NAME"
            message = f"{track.category!r:.60} is not in the category set: --map '{track.category:.60}={hint}'"
        yield Problem(f"clip {clip.name}", f"track {track.track_id}", message)


def read_category_map(pairs: Iterable[str], file: Path | None) -> dict[str, str]:
    """What `--map old=new` (several) and `--map-file` say together.

    Args:
        pairs: `old=new`.
        file: a CSV with the columns `old` and `new`, in any order, with or without others.

    Raises:
        ConfigError: if a pair has no `=`, or a name is given twice with different values.
        DataError: if the file cannot be read, or has not these columns.
    """
    found: dict[str, str] = {}
    for where, old, new in [*_pairs(pairs), *(_rows(file) if file is not None else ())]:
        if not old or not new:
            raise ConfigError(f"{where}: must be old=new", hint="--map 'cello player=person'")
        if found.setdefault(old, new) != new:
            raise ConfigError(f"{where}: {old!r} becomes {found[old]!r} already")
    return found


def _pairs(pairs: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    for pair in pairs:
        old, _, new = pair.rpartition("=")
        yield f"--map {pair!r:.80}", old.strip(), new.strip()


def _rows(file: Path) -> Iterator[tuple[str, str, str]]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.DictReader(lines, strict=True)
            if not {"old", "new"} <= set(reader.fieldnames or ()):
                raise DataError(f"{file}: the first line must name the columns old and new")
            for row in reader:
                yield f"{file}:{reader.line_num}", (row["old"] or "").strip(), (row["new"] or "").strip()
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{file}: cannot be read as CSV ({error})") from None


def _renamed(clip: LabelledClip, adjustment: Adjustment) -> LabelledClip:
    tracks = []
    for track in clip.tracks:
        name = NO_CATEGORY if track.category is None else track.category
        tracks.append(replace(track, category=adjustment.categories.get(name, track.category)))
    return replace(clip, name=adjustment.clip or clip.name, tracks=tuple(tracks))


def _filled(track: LabelledTrack, flags: tuple[bool | None, ...]) -> tuple[bool | None, ...]:
    """What the set says stays; the rest is filled in where there is a mask."""
    return tuple(
        (flag if said is None else said) if mask is not None else None
        for mask, said, flag in zip(track.masks, track.sounding, flags, strict=True)
    )
