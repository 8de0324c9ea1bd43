"""AVA active speaker: for each still in which an object is seen, whether it is heard, and the box around it.

`<split>/<clip>-activespeaker.csv`, with a header. The times are seconds after the start of the clip, whose name stands
where AVA has that of the source video, and whose sound lies beside. Boxes of AVA are of faces, these are of whole
masks. A mask of which nobody said whether it sounds has no row; where the object is hidden there is none either.
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
from avis_data.formats.turns.written import PERSON

__all__ = ["AVA_SPEAKER"]

_ENDING = "-activespeaker.csv"


@dataclass(frozen=True, kw_only=True)
class AvaReader:
    """Reads back what is written here; files of others say what sounds in a set that has masks (`--sounding`)."""

    def looks_right(self, path: Path) -> bool:
        """Whether there are such files in folders of splits."""
        return path.is_dir() and any(path.glob(f"*/*{_ENDING}"))

    def read(self, path: Path) -> Iterator[LabelledClip | UnreadClip]:
        """The clips of a folder, as boxes in pictures of 100 x 100."""
        from avis_data.formats.sets.layout import split_of
        from avis_data.formats.turns.ava_rows import clip_of_rows, read_rows

        if not self.looks_right(path):
            raise DataError(f"{path}: holds no <split>/<clip>{_ENDING}", hint="import masks with --sounding FILE")
        for file in sorted(path.glob(f"*/*{_ENDING}"), key=lambda file: file.name.removesuffix(_ENDING)):
            name = file.name.removesuffix(_ENDING)
            try:
                yield clip_of_rows(name, split_of(file.parent.name), read_rows(file))
            except DataError as error:
                yield UnreadClip(name=name, problems=(Problem(str(file), "", str(error)),))


@dataclass(frozen=True, kw_only=True)
class AvaWriter:
    """Writes one CSV for each clip, and its sound."""

    all_objects: Annotated[bool, Option(help="All objects, not only persons.")] = False

    def write_clip(self, folder: Path, clip: LabelledClip, facts: SetFacts) -> list[str]:
        """The rows of a clip and its sound."""
        from avis_data.formats.turns.ava_rows import rows_of, write_rows

        split = clip.split or "all"
        names = [f"{split}/{clip.name}{_ENDING}"]
        write_rows(folder / names[0], rows_of(clip, only=None if self.all_objects else PERSON))
        if clip.sound is not None:
            names.append(f"{split}/{clip.name}{Path(clip.sound.name).suffix.lower() or '.wav'}")
            clip.sound.put(folder / names[1])
        return names

    def write_shared(self, folder: Path, clips: Clips, facts: SetFacts) -> list[str]:
        """What the rows mean, and how many masks have none because nobody said whether they sound."""
        from avis_data.formats.turns.ava_rows import write_readme

        return write_readme(folder, clips, facts, only=None if self.all_objects else PERSON)


def _expected(clip: LabelledClip, spec: SetSpec) -> LabelledClip:
    from avis_data.formats.turns.ava_rows import clip_of_rows, rows_of

    all_objects = isinstance(spec.writer, AvaWriter) and spec.writer.all_objects
    return clip_of_rows(clip.name, clip.split, rows_of(clip, only=None if all_objects else PERSON))


AVA_SPEAKER = SetSpec(
    name="ava-speaker",
    summary="AVA active speaker CSV: who is heard in each still, with boxes.",
    keeps=Keeps(masks="boxes", category=False, stills=False, sound=True),
    reader=AvaReader(),
    writer=AvaWriter(),
    expected=_expected,
)
