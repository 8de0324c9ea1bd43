"""The rows of AVA's active speaker CSV: out of a clip, into a file, and back."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avis_data.errors import DataError
from avis_data.formats.sets.clips import LabelledClip, LabelledTrack, Still
from avis_data.formats.sets.spec import Clips, SetFacts
from avis_data.formats.turns.records import turn_names
from avis_data.formats.turns.written import period_s
from avis_data.io import csv_text, write_text
from avis_data.masks.rle import Rle, box, encode

__all__ = ["AvaRow", "clip_of_rows", "read_rows", "rows_of", "write_readme", "write_rows"]

_HEADER = (
    *("video_id", "frame_timestamp", "entity_box_x1", "entity_box_y1", "entity_box_x2", "entity_box_y2"),
    *("label", "entity_id"),
)
_AUDIBLE, _QUIET = "SPEAKING_AUDIBLE", "NOT_SPEAKING"
_GRID = 100
"""Boxes are compared to a hundredth of the picture."""
_README = """\
{name}: who is heard in each still, in the form of AVA active speaker.

{labelled} rows in {num_clips} clips. video_id is a clip, frame_timestamp seconds after its start; its sound lies
beside its CSV. A row is a still in which people drew the object: SPEAKING_AUDIBLE where they said that it sounds,
NOT_SPEAKING where not. {unsaid} masks have no row, because nobody said it. SPEAKING_NOT_AUDIBLE does not occur.

Boxes go around whole masks, not around faces. {only} Stills are {period} apart; AVA has about 25 a second.
"""


@dataclass(frozen=True, kw_only=True)
class AvaRow:
    """One object in one still."""

    clip: str
    time_s: float
    corners: tuple[float, float, float, float]
    """x1, y1, x2, y2 as parts of width and height."""
    is_sounding: bool
    entity: str


def rows_of(clip: LabelledClip, *, only: str | None) -> list[AvaRow]:
    """The rows of a clip: by objects, and by time.

    Args:
        clip: the clip.
        only: a category; other objects are left out. None: all objects.
    """
    names, period = turn_names(clip), period_s(clip)
    return [
        AvaRow(
            clip=clip.name,
            time_s=place * period,
            corners=_corners(track, place),
            is_sounding=bool(track.sounding[place]),
            entity=f"{clip.name}_{names[track.track_id]}",
        )
        for track in clip.tracks
        if only is None or track.category == only
        for place in track.frames
        if track.sounding[place] is not None
    ]


def _corners(track: LabelledTrack, place: int) -> tuple[float, float, float, float]:
    mask = track.masks[place]
    assert mask is not None
    x, y, width, height = box(mask)
    return (x / mask.width, y / mask.height, (x + width) / mask.width, (y + height) / mask.height)


def write_rows(path: Path, rows: Iterable[AvaRow]) -> None:
    """Write a CSV; clips without rows have its header only."""
    lines: list[tuple[str, ...]] = [_HEADER]
    for row in rows:
        corners = (f"{value:.6f}" for value in row.corners)
        label = _AUDIBLE if row.is_sounding else _QUIET
        lines.append((row.clip, _time(row.time_s), *corners, label, row.entity))
    write_text(path, csv_text(lines))


def _time(time_s: float) -> str:
    """AVA has two decimals; more where stills are not a hundredth apart."""
    return f"{time_s:.2f}" if abs(round(time_s, 2) - time_s) < 1e-9 else f"{time_s:.6f}"


def read_rows(path: Path) -> list[AvaRow]:
    """The rows of a CSV that `write_rows` wrote.

    Raises:
        DataError: if it is not one.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file)
        if tuple(header) != _HEADER:
            raise DataError(f"the columns are {', '.join(header)}")
        return [_row(values) for values in rows]
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"cannot be read as such a CSV ({error})") from None


def _row(values: list[str]) -> AvaRow:
    clip, time, *corners, label, entity = values
    if label not in (_AUDIBLE, _QUIET):
        raise ValueError(f"label {label!r:.40}")
    time_s, left, top, right, bottom = (float(value) for value in (time, *corners))
    if not all(map(math.isfinite, (time_s, left, top, right, bottom))):
        raise ValueError(f"times and corners must be numbers, these are {time!r:.40} and {corners!r:.80}")
    return AvaRow(
        clip=clip,
        time_s=time_s,
        corners=(left, top, right, bottom),
        is_sounding=label == _AUDIBLE,
        entity=entity,
    )


def clip_of_rows(name: str, split: str | None, rows: list[AvaRow]) -> LabelledClip:
    """A clip of boxes in pictures of 100 x 100, with a still for each time that has a row."""
    times = sorted({_time(row.time_s) for row in rows}, key=float)
    by_entity: dict[str, dict[str, AvaRow]] = {}
    for row in rows:
        by_entity.setdefault(row.entity, {})[_time(row.time_s)] = row
    tracks = [
        LabelledTrack(
            track_id=entity,
            category=None,
            masks=tuple(_boxed(own[time]) if time in own else None for time in times),
            sounding=tuple(own[time].is_sounding if time in own else None for time in times),
        )
        for entity, own in sorted(by_entity.items())
    ]
    stills = tuple(Still(name=time, time_s=float(time)) for time in times)
    return LabelledClip(name=name, width=_GRID, height=_GRID, split=split, stills=stills, tracks=tuple(tracks))


def _boxed(row: AvaRow) -> Rle:
    left, top, right, bottom = (int(np.clip(round(value, 5) * _GRID, 0, _GRID - 1)) for value in row.corners)
    inside_HW = np.zeros((_GRID, _GRID), bool)
    inside_HW[top : bottom + 1, left : right + 1] = True
    return encode(inside_HW)


def write_readme(folder: Path, clips: Clips, facts: SetFacts, *, only: str | None) -> list[str]:
    """`README.txt`, with what was left out; gives its path in the folder."""
    num_clips = labelled = unsaid = 0
    for clip in clips():
        num_clips += 1
        chosen = [track for track in clip.tracks if only is None or track.category == only]
        labelled += sum(track.sounding[place] is not None for track in chosen for place in track.frames)
        unsaid += sum(track.sounding[place] is None for track in chosen for place in track.frames)
    told = f"Only objects of the category {only} have rows." if only else "All objects have rows, not only persons."
    period = f"{1 / facts.fps:g} s" if facts.fps else "not equally far"
    text = _README.format(
        name=facts.name, labelled=labelled, num_clips=num_clips, unsaid=unsaid, only=told, period=period
    )
    write_text(folder / "README.txt", text)
    return ["README.txt"]
