"""RTTM: who is heard from when to when, one turn a line, as programs for diarization read it.

`<split>.rttm` has the turns of all clips, `<split>.uem` their lengths (a silent clip has no line in RTTM), `README.txt`
what the names mean. A turn is a run of stills in which a track sounds; its times are those of the stills.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from avis_data.errors import DataError, Problem
from avis_data.formats.sets.clips import LabelledClip, UnreadClip
from avis_data.formats.sets.options import Option
from avis_data.formats.sets.spec import Clips, Keeps, SetFacts, SetSpec
from avis_data.formats.turns.written import PERSON, clip_of_spans, heard_spans, uem_lines

__all__ = ["RTTM"]


@dataclass(frozen=True, kw_only=True)
class RttmReader:
    """Reads back what is written here; turns of others say what sounds in a set that has masks (`--sounding`)."""

    def looks_right(self, path: Path) -> bool:
        """Whether there are turns and lengths of clips."""
        return path.is_dir() and any(path.glob("*.uem")) and any(path.glob("*.rttm"))

    def read(self, path: Path) -> Iterator[LabelledClip | UnreadClip]:
        """The clips of a folder; a still stands for each span of time in which the same is said, and for the end."""
        from avis_data.formats.sets.layout import split_of
        from avis_data.formats.turns.reading import read_turns

        if not self.looks_right(path):
            raise DataError(f"{path}: holds no <split>.rttm and <split>.uem", hint="import masks with --sounding FILE")
        clips: dict[str, LabelledClip | UnreadClip] = {}
        for file in sorted(path.glob("*.uem")):
            turns_file = file.with_suffix(".rttm")
            turns = read_turns(turns_file) if turns_file.is_file() and turns_file.stat().st_size else None
            named_by = {} if turns is None else turns.by_clip
            faults = {} if turns is None else {name: [*found] for name, found in turns.faults.items()}
            for name, length_s in uem_lines(file):
                named = named_by.get(name, {})
                spans = {track: [(turn.start_s, turn.end_s) for turn in found] for track, found in named.items()}
                wrong = [length_s] if isinstance(length_s, Problem) else []
                if wrong := [*wrong, *faults.pop(name, [])]:
                    clips[name] = UnreadClip(name=name or file.name, problems=tuple(wrong))
                elif not isinstance(length_s, Problem):
                    clips[name] = clip_of_spans(name, split_of(file.stem), length_s, spans)
            for name in sorted(named_by.keys() - clips.keys()):
                told = f"{name!r:.60} is in no line of {file.name}, which has the lengths of clips"
                faults.setdefault(name, []).append(Problem(str(turns_file), "", told))
            if lost := [problem for of_clip in faults.values() for problem in of_clip]:
                yield UnreadClip(name=turns_file.name, problems=tuple(lost))
        yield from (clip for _, clip in sorted(clips.items()))


@dataclass(frozen=True, kw_only=True)
class RttmWriter:
    """Writes turns."""

    persons_only: Annotated[bool, Option(help="Only what persons say.")] = False

    def write_clip(self, folder: Path, clip: LabelledClip, facts: SetFacts) -> list[str]:
        """Nothing: turns are in one file a split."""
        return []

    def write_shared(self, folder: Path, clips: Clips, facts: SetFacts) -> list[str]:
        """The turns and lengths of each split."""
        from avis_data.formats.turns.written import write_rttm

        return write_rttm(folder, clips, facts, persons_only=self.persons_only)


def _expected(clip: LabelledClip, spec: SetSpec) -> LabelledClip:
    persons_only = isinstance(spec.writer, RttmWriter) and spec.writer.persons_only
    fps = clip.fps or 1.0
    spans = heard_spans(clip, only=PERSON if persons_only else None)
    return clip_of_spans(clip.name, clip.split, len(clip.stills) / fps, spans)


RTTM = SetSpec(
    name="rttm",
    summary="Who is heard when, as RTTM: no masks, no pictures.",
    keeps=Keeps(masks="no", category=False, sounding="sounding only", stills=False),
    reader=RttmReader(),
    writer=RttmWriter(),
    expected=_expected,
)
