"""The AVISeg layout as a format of sets: a truth file for each split beside the folder of its stills and sound.

Also plain YouTube-VIS: a truth file, with or without a folder JPEGImages. A workspace exports this layout by a writer
of its own (avis_data.pipelines.exports.ytvis); this one needs no workspace.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from avis_data.formats.sets.clips import LabelledClip, UnreadClip
from avis_data.formats.sets.options import Option
from avis_data.formats.sets.spec import Clips, Keeps, SetFacts, SetSpec
from avis_data.formats.ytvis_records import MaskForm

__all__ = ["YTVIS_SET"]


@dataclass(frozen=True, kw_only=True)
class YtvisReader:
    """Reads a truth file, or a folder or ZIP archive with those of several splits."""

    def looks_right(self, path: Path) -> bool:
        """Whether it is such a file, or a folder or archive that holds one for a split."""
        from avis_data.formats.ytvis_set_files import looks_like_ytvis

        return looks_like_ytvis(path)

    def read(self, path: Path) -> Iterator[LabelledClip | UnreadClip]:
        """The videos of all splits, in the order of their names."""
        from avis_data.formats.ytvis_set_files import read_ytvis_set

        yield from read_ytvis_set(path)


@dataclass(frozen=True, kw_only=True)
class YtvisWriter:
    """Writes `<split>.json`, and `JPEGImages`, `WAVAudios` and `FEATAudios` in the folder of the split."""

    masks: Annotated[
        MaskForm,
        Option(help="How masks are written: rle is much smaller; the official evaluation reads polygons only."),
    ] = "polygons"

    def write_clip(self, folder: Path, clip: LabelledClip, facts: SetFacts) -> list[str]:
        """Stills, sound and embeddings."""
        from avis_data.formats.ytvis_set_writing import write_media

        return write_media(folder, clip)

    def write_shared(self, folder: Path, clips: Clips, facts: SetFacts) -> list[str]:
        """The truth file of each split."""
        from avis_data.formats.ytvis_set_writing import write_truth

        return write_truth(folder, clips, facts, form=self.masks)


YTVIS_SET = SetSpec(
    name="ytvis",
    summary="YouTube-VIS / AVISeg: whole clips, one truth file for each split.",
    keeps=Keeps(sound=True, embeddings=True, fps=True, license=True, source=True),
    reader=YtvisReader(),
    writer=YtvisWriter(),
)
