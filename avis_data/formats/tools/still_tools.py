"""Tools that keep one JSON file for each still: ISAT; labelme and X-AnyLabeling, which are of one skeleton."""

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
    SOUNDING_ATTRIBUTE,
    Choices,
    Crossing,
    found_in,
)

__all__ = ["ISAT", "LABELME", "X_ANYLABELING"]

_DESCRIPTION = re.compile(rb'"description"\s*:\s*"ISAT"')
_SHAPES = re.compile(rb'"shapes"\s*:')
_ANYLABELING = re.compile(rb'"(checked|kie_linking|difficult|attributes|score|chat_history)"\s*:')


def _is_anylabeling(path: Path) -> bool:
    return found_in(path, ".json", lambda start: bool(_SHAPES.search(start) and _ANYLABELING.search(start)))


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


@dataclass(frozen=True, kw_only=True)
class _ShapesReader:
    """What labelme and X-AnyLabeling have in common: X-AnyLabeling grew out of labelme."""

    identity: Annotated[str, IDENTITY] = "auto"
    sounding_attribute: Annotated[str, SOUNDING_ATTRIBUTE] = "sounding"
    outlines: Annotated[Literal["auto", "border", "centre"], OUTLINES] = "border"
    crossing_outlines: Annotated[Crossing, CROSSING] = "refuse"
    missing_is_empty: Annotated[bool, MISSING_IS_EMPTY] = False

    def _choices(self) -> Choices:
        return Choices(
            identity=self.identity,
            sounding_attribute=self.sounding_attribute,
            crossing_outlines=self.crossing_outlines,
        ).checked("group")


@dataclass(frozen=True, kw_only=True)
class LabelmeReader(_ShapesReader):
    """Reads folders and archives of labelme's label files, of versions 3 to 6."""

    keep_covered: Annotated[bool, KEEP_COVERED] = False

    def looks_right(self, path: Path) -> bool:
        """Whether it holds a JSON file with shapes, and none of X-AnyLabeling's."""
        has_shapes = found_in(path, ".json", lambda start: _SHAPES.search(start) is not None)
        return has_shapes and not _is_anylabeling(path)

    def read(self, path: Path) -> Iterator[LabelledClip | UnreadClip]:
        """The clips of a set, in the order of their names."""
        from avis_data.formats.tools.labelme_files import ShapeTool, read_labelme

        tool = ShapeTool(
            name="labelme",
            choices=self._choices(),
            outlines=self.outlines,
            holes=("_background_",),
            left_out=("__ignore__",),
            covers=not self.keep_covered,
            missing_is_empty=self.missing_is_empty,
            groups_in_stills=True,
        )
        yield from read_labelme(path, tool)


@dataclass(frozen=True, kw_only=True)
class AnyLabelingReader(_ShapesReader):
    """Reads folders and archives of X-AnyLabeling's label files, of versions 2 to 4."""

    def looks_right(self, path: Path) -> bool:
        """Whether it holds a JSON file with shapes and keys that only X-AnyLabeling writes."""
        return _is_anylabeling(path)

    def read(self, path: Path) -> Iterator[LabelledClip | UnreadClip]:
        """The clips of a set, in the order of their names."""
        from avis_data.formats.tools.labelme_files import ShapeTool, read_labelme

        tool = ShapeTool(
            name="X-AnyLabeling",
            choices=self._choices(),
            outlines=self.outlines,
            missing_is_empty=self.missing_is_empty,
        )
        yield from read_labelme(path, tool)


ISAT = SetSpec(
    name="isat",
    summary="ISAT: one JSON file a still, polygons in layers.",
    keeps=Keeps(split=False),
    reader=IsatReader(),
)
LABELME = SetSpec(
    name="labelme",
    summary="labelme: one JSON file a still, polygons and masks.",
    keeps=Keeps(split=False),
    reader=LabelmeReader(),
)
X_ANYLABELING = SetSpec(
    name="x-anylabeling",
    summary="X-AnyLabeling: one JSON file a still, outlines.",
    keeps=Keeps(split=False),
    reader=AnyLabelingReader(),
)
