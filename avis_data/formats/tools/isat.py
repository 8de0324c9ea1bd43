"""ISAT (isat-sam): one JSON file for each still, polygons in layers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from avis_data.formats.sets.clips import LabelledClip, UnreadClip
from avis_data.formats.sets.spec import Keeps, SetSpec
from avis_data.formats.tools.choices import (
    CROSSING,
    IDENTITY,
    KEEP_COVERED,
    MISSING_IS_EMPTY,
    OUTLINES,
    Choices,
    Crossing,
    found_in,
)

__all__ = ["ISAT"]

_DESCRIPTION = re.compile(rb'"description"\s*:\s*"ISAT"')


@dataclass(frozen=True, kw_only=True)
class IsatReader:
    """Reads folders and archives of ISAT's label files."""

    identity: Annotated[str, IDENTITY] = "auto"
    outlines: Annotated[Literal["auto", "border", "centre"], OUTLINES] = "auto"
    crossing_outlines: Annotated[Crossing, CROSSING] = "refuse"
    keep_covered: Annotated[bool, KEEP_COVERED] = False
    missing_is_empty: Annotated[bool, MISSING_IS_EMPTY] = False

    def looks_right(self, path: Path) -> bool:
        """Whether it holds a JSON file that says ISAT."""
        return found_in(path, ".json", lambda start: _DESCRIPTION.search(start) is not None)

    def read(self, path: Path) -> Iterator[LabelledClip | UnreadClip]:
        """The clips of a set, in the order of their names."""
        from avis_data.formats.tools.isat_files import read_isat

        choices = Choices(
            identity=self.identity, sounding_attribute="note", crossing_outlines=self.crossing_outlines
        ).checked("group")
        yield from read_isat(
            path,
            choices,
            self.outlines,
            keep_covered=self.keep_covered,
            missing_is_empty=self.missing_is_empty,
        )


ISAT = SetSpec(
    name="isat",
    summary="ISAT: one JSON file a still, polygons in layers.",
    keeps=Keeps(split=False),
    reader=IsatReader(),
    unsaid=("sounding",),
)
