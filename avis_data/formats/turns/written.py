"""Turns of a clip as files have them: which runs of stills are heard, and the same as what comes back of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from avis_data.errors import DataError, Problem
from avis_data.formats.sets.clips import LabelledClip, LabelledTrack, Still
from avis_data.formats.sets.spec import Clips, SetFacts
from avis_data.formats.turns.records import LONGEST_S, turn_names
from avis_data.io import write_lines

__all__ = ["PERSON", "clip_of_spans", "heard_spans", "period_s", "uem_lines", "write_rttm"]

PERSON = "person"
"""The category of what speaks."""
Spans = Mapping[str, Sequence[tuple[float, float]]]
"""Name of a track to its turns, start and end in seconds after the start of the clip."""

_README = """\
{name}: who is heard when.

{split}.rttm has one turn a line: SPEAKER, clip, channel, onset and DURATION in seconds, name, separated by spaces.
{split}.uem has each clip with the span that people labelled; a clip without any turn is silent.

A name is the category and the id of a track. People said for each still whether a track sounds, so no time is finer
than the distance of two stills ({period}). What nobody decided is not listed. {only}
"""


def period_s(clip: LabelledClip) -> float:
    """Seconds that each still of a clip stands for; a second where its rate is not known."""
    return 1 / (clip.fps or 1.0)


def heard_spans(clip: LabelledClip, *, only: str | None = None) -> dict[str, list[tuple[float, float]]]:
    """The runs of stills in which each track of a clip sounds, by the names that files have; not those that never do.

    Args:
        clip: the clip.
        only: a category; tracks of others are left out. None: all tracks.
    """
    names, period = turn_names(clip), period_s(clip)
    spans = {
        names[track.track_id]: [(first * period, last * period) for first, last in _runs(track)]
        for track in clip.tracks
        if only is None or track.category == only
    }
    return {name: found for name, found in spans.items() if found}


def _runs(track: LabelledTrack) -> Iterator[tuple[int, int]]:
    """First still and the one after the last of each run."""
    first: int | None = None
    for place, flag in enumerate([*track.sounding, None]):
        if flag and first is None:
            first = place
        elif not flag and first is not None:
            yield first, place
            first = None


def write_rttm(folder: Path, clips: Clips, facts: SetFacts, *, persons_only: bool) -> list[str]:
    """`<split>.rttm`, `<split>.uem` and `README.txt`.

    Returns:
        Their paths in the folder.
    """
    turns: dict[str, list[str]] = {}
    lengths: dict[str, list[str]] = {}
    for clip in clips():
        split = clip.split or "all"
        lengths.setdefault(split, []).append(f"{clip.name} 1 0.000 {len(clip.stills) * period_s(clip):.3f}")
        found = [
            (start_s, name, f"SPEAKER {clip.name} 1 {start_s:.3f} {end_s - start_s:.3f} <NA> <NA> {name} <NA> <NA>")
            for name, spans in heard_spans(clip, only=PERSON if persons_only else None).items()
            for start_s, end_s in spans
        ]
        turns.setdefault(split, []).extend(line for *_, line in sorted(found))
    period = f"{1 / facts.fps:g} s" if facts.fps else "it differs between the clips"
    only = "Only persons are listed." if persons_only else "Not only persons are listed, but all that sounds."
    files = {"README.txt": _README.format(name=facts.name, split="<split>", period=period, only=only).splitlines()}
    files |= {f"{split}.rttm": lines for split, lines in turns.items()}
    files |= {f"{split}.uem": lines for split, lines in lengths.items()}
    for name, lines in files.items():
        write_lines(folder / name, lines)
    return sorted(files)


def uem_lines(file: Path) -> Iterator[tuple[str, float | Problem]]:
    """Name and length of each clip, in seconds; what is wrong in place of a length that is none.

    Raises:
        DataError: if it cannot be read.
    """
    try:
        lines = file.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except OSError as error:
        raise DataError(f"{file}: cannot be read as text ({error})") from None
    for number, line in enumerate(lines, start=1):
        words = line.split()
        try:
            length_s = float(words[3]) if len(words) == 4 else math.nan
        except ValueError:
            length_s = math.nan
        told = f"must be `clip channel start end`, in seconds (found {line!r:.80})"
        right = 0 <= length_s <= LONGEST_S and "\ufffd" not in line
        yield words[0] if words else "", length_s if right else Problem(f"{file}:{number}", "", told)


def clip_of_spans(name: str, split: str | None, length_s: float, spans: Spans) -> LabelledClip:
    """A clip of one pixel, as a record of times: a still for each span that some track has, and one for the end."""
    from avis_data.masks.rle import Rle

    stills = sorted({(round(a, 3), round(b, 3)) for found in spans.values() for a, b in found})
    there = Rle(1, 1, "01")
    tracks = []
    for track, found in sorted(spans.items()):
        own = {(round(start_s, 3), round(end_s, 3)) for start_s, end_s in found}
        masks = tuple(there if span in own else None for span in stills)
        flags = tuple(None if mask is None else True for mask in masks)
        tracks.append(LabelledTrack(track_id=track, category=None, masks=(*masks, None), sounding=(*flags, None)))
    named = [Still(name=f"{start_s:.3f}-{end_s:.3f}", time_s=start_s) for start_s, end_s in stills]
    return LabelledClip(
        name=name,
        width=1,
        height=1,
        split=split,
        stills=(*named, Still(name="end", time_s=round(length_s, 3))),
        tracks=tuple(tracks),
    )
