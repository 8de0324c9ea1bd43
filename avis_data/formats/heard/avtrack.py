"""AVTrack: who speaks in a video, a folder of masks for each person. Read.

A mask is there only where that person is heard; one that is missing says neither silent nor hidden. The layout of the
truth is that of the public demo and of the loader (FudanCVL/AVTrack).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from avis_data.formats.sets.clips import LabelledClip, UnreadClip
from avis_data.formats.sets.spec import Keeps, SetSpec

__all__ = ["AVTRACK", "META"]

META = "avtrack_meta.json"
"""Lists the videos and the names of their stills."""


@dataclass(frozen=True, kw_only=True)
class AvtrackReader:
    """Reads `Instance_Masks`, or where that is not there, `Instance_Masks_merged`."""

    def looks_right(self, path: Path) -> bool:
        """Whether a folder has the list of videos of AVTrack."""
        return (path / META).is_file()

    def read(self, path: Path) -> Iterator[LabelledClip | UnreadClip]:
        """The videos, in the order of their names."""
        from avis_data.formats.heard.avtrack_files import read_avtrack

        yield from read_avtrack(path)


AVTRACK = SetSpec(
    name="avtrack",
    summary="AVTrack: who speaks, a mask for each person and still in which the person is heard.",
    keeps=Keeps(sounding="sounding only", sound=True),
    reader=AvtrackReader(),
)
