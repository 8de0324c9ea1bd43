"""Label Studio's JSON export: brush masks, rectangles, polygons, ellipses, with what is said of each region."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from avis_data.formats.sets.clips import LabelledClip, UnreadClip
from avis_data.formats.sets.spec import Keeps, SetSpec
from avis_data.formats.tools.choices import CROSSING, IDENTITY, SOUNDING_ATTRIBUTE, Choices, Crossing, found_in

__all__ = ["LABEL_STUDIO"]

_TASK = re.compile(rb'"(completed_by|was_cancelled|file_upload|total_annotations|annotation_id|completions)"\s*:')


@dataclass(frozen=True, kw_only=True)
class LabelStudioReader:
    """Reads an export, or a folder or archive with one; also of our own projects."""

    identity: Annotated[str, IDENTITY] = "auto"
    sounding_attribute: Annotated[str, SOUNDING_ATTRIBUTE] = "sounding"
    crossing_outlines: Annotated[Crossing, CROSSING] = "refuse"

    def looks_right(self, path: Path) -> bool:
        """Whether it holds a JSON file with tasks."""
        return found_in(path, ".json", lambda start: _TASK.search(start) is not None)

    def read(self, path: Path) -> Iterator[LabelledClip | UnreadClip]:
        """The clips of a set, in the order of their names."""
        from avis_data.formats.tools.label_studio_files import read_label_studio

        choices = Choices(
            identity=self.identity,
            sounding_attribute=self.sounding_attribute,
            crossing_outlines=self.crossing_outlines,
        )
        yield from read_label_studio(path, choices.checked())


LABEL_STUDIO = SetSpec(
    name="label-studio",
    summary="Label Studio's JSON export, masks as brush run lengths.",
    keeps=Keeps(split=False),
    reader=LabelStudioReader(),
)
