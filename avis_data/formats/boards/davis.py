"""DAVIS and YouTube-VOS: one indexed picture for each still, whose values are the objects of its sequence.

Ids are no categories. What is written has the folders of DAVIS 2017 and, beside them, `meta.json` in the form of
YouTube-VOS, which says the category and our id of each object.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from avis_data.formats.sets.clips import LabelledClip, UnreadClip
from avis_data.formats.sets.spec import Clips, Keeps, SetFacts, SetSpec

__all__ = ["DAVIS"]

_MOST = 254
"""Objects of a clip: 255 means a region to ignore."""


@dataclass(frozen=True, kw_only=True)
class DavisReader:
    """Reads DAVIS, YouTube-VOS, and sets like them (MOSE, LVOS)."""

    def looks_right(self, path: Path) -> bool:
        """Whether there are folders of pictures below `Annotations`."""
        from avis_data.formats.boards.davis_files import find_annotations

        try:
            return path.is_dir() and any(folder.is_dir() for top in find_annotations(path) for folder in top.iterdir())
        except OSError:
            return False

    def read(self, path: Path) -> Iterator[LabelledClip | UnreadClip]:
        """The clips of a set, in the order of their names."""
        from avis_data.formats.boards.davis_files import read_davis

        yield from read_davis(path)


@dataclass(frozen=True, kw_only=True)
class DavisWriter:
    """Writes the folders of DAVIS 2017 and `meta.json`."""

    def write_clip(self, folder: Path, clip: LabelledClip, facts: SetFacts) -> list[str]:
        """The pictures of objects and the stills of a clip."""
        from avis_data.formats.boards.davis_files import write_clip

        return write_clip(folder, clip)

    def write_shared(self, folder: Path, clips: Clips, facts: SetFacts) -> list[str]:
        """The lists of splits, and what the objects are."""
        from avis_data.formats.boards.davis_files import write_shared

        return write_shared(folder, clips)


DAVIS = SetSpec(
    name="davis",
    summary="DAVIS 2017 / YouTube-VOS: indexed PNG folders, with categories beside them.",
    keeps=Keeps(masks="painted", sounding="no"),
    reader=DavisReader(),
    writer=DavisWriter(),
    unfit=f"with more than {_MOST} objects",
    fits=lambda clip: f"more than {_MOST} objects" if len(clip.tracks) > _MOST else None,
)
