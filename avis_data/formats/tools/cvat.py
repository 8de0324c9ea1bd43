"""CVAT's XML 1.1, for video (tracks) and for images, as a task, a job or a project is exported.

Who is who: a track of boxes, polygons or ellipses is one object. CVAT has no tracks of masks, so a mask is joined to
others by its group, or by an attribute `identity`, `track_id` or `instance_id`; so are all shapes of an images file.
Whether an object sounds is what the attribute `sounding` says, a checkbox for example.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from avis_data.formats.sets.clips import LabelledClip, UnreadClip
from avis_data.formats.sets.spec import Keeps, SetSpec
from avis_data.formats.tools.choices import CROSSING, IDENTITY, SOUNDING_ATTRIBUTE, Choices, Crossing, found_in

__all__ = ["CVAT"]


@dataclass(frozen=True, kw_only=True)
class CvatReader:
    """Reads `annotations.xml`, or folders and archives with such files."""

    identity: Annotated[str, IDENTITY] = "auto"
    sounding_attribute: Annotated[str, SOUNDING_ATTRIBUTE] = "sounding"
    crossing_outlines: Annotated[Crossing, CROSSING] = "refuse"

    def looks_right(self, path: Path) -> bool:
        """Whether it is such a file, or holds one."""
        return found_in(path, ".xml", lambda start: b"<annotations" in start)

    def read(self, path: Path) -> Iterator[LabelledClip | UnreadClip]:
        """The clips of a set, in the order of their names."""
        from avis_data.formats.tools.cvat_files import read_cvat

        choices = Choices(
            identity=self.identity,
            sounding_attribute=self.sounding_attribute,
            crossing_outlines=self.crossing_outlines,
        )
        yield from read_cvat(path, choices.checked("track", "group"))


CVAT = SetSpec(
    name="cvat",
    summary="CVAT 1.1 XML, for video or for images, also zipped.",
    keeps=Keeps(split=False),
    reader=CvatReader(),
)
