"""MOTS (KITTI MOTS, MOTSChallenge): each object of a frame as a line of text, or as a value of a 16-bit picture.

An object is `class * 1000 + instance`, and no pixel is of two. What is written counts frames from 0, as KITTI does, and
`labels.txt` says what the classes are, as datumaro has it. Class 10 is left out: evaluators ignore it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from avis_data.formats.sets.clips import LabelledClip, UnreadClip
from avis_data.formats.sets.options import Option
from avis_data.formats.sets.spec import Clips, Keeps, SetFacts, SetSpec

__all__ = ["MOTS"]

_MOST_INSTANCES = 999
"""Of one class in a clip: the next id is the next class's."""


@dataclass(frozen=True, kw_only=True)
class MotsReader:
    """Reads text and PNG, whichever is there."""

    def looks_right(self, path: Path) -> bool:
        """Whether it has text files or 16-bit pictures of that form."""
        from avis_data.formats.boards.mots_sequences import find_sequences
        from avis_data.formats.sets.files import is_zip

        if is_zip(path):
            return False  # it would have to be unpacked
        try:
            return bool(find_sequences(path, path))
        except OSError:
            return False

    def read(self, path: Path) -> Iterator[LabelledClip | UnreadClip]:
        """The clips of a set, in the order of their names."""
        from avis_data.formats.boards.mots_files import read_mots

        yield from read_mots(path)


@dataclass(frozen=True, kw_only=True)
class MotsWriter:
    """Writes `<split>/instances_txt/<clip>.txt` or `<split>/instances/<clip>/000000.png`, and `<split>/images`."""

    mots_form: Annotated[Literal["text", "png"], Option(help="How MOTS has masks.")] = "text"

    def write_clip(self, folder: Path, clip: LabelledClip, facts: SetFacts) -> list[str]:
        """The masks and the stills of a clip."""
        from avis_data.formats.boards.mots_writing import write_clip

        return write_clip(folder, clip, facts, self.mots_form)

    def write_shared(self, folder: Path, clips: Clips, facts: SetFacts) -> list[str]:
        """The names of classes and of objects, and the lengths of clips: a frame without objects has no line."""
        from avis_data.formats.boards.mots_writing import write_shared

        return write_shared(folder, clips, facts, self.mots_form)


def _unfit(clip: LabelledClip) -> str | None:
    of_category: dict[str | None, int] = {}
    for track in clip.tracks:
        of_category[track.category] = of_category.get(track.category, 0) + 1
    if max(of_category.values(), default=0) > _MOST_INSTANCES:
        return f"more than {_MOST_INSTANCES} objects of one category"
    return None


MOTS = SetSpec(
    name="mots",
    summary="MOTS as text or 16-bit PNG, in the layout of KITTI MOTS.",
    keeps=Keeps(masks="painted", sounding="no"),
    reader=MotsReader(),
    writer=MotsWriter(),
    layout=2,
    unfit="with more objects of one category than MOTS can number",
    fits=_unfit,
)
