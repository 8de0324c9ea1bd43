"""A sheet of maps over frames: where a model looked, a row for each frame and a column for each thing that looked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from avis_data.io import atomic_path
from avis_data.report.sheet import fitted_text

__all__ = ["MapCell", "MapRow", "write_map_sheet"]

_CELL_PX, _GAP_PX = 200, 4
_HEADING_PX, _COLUMN_PX, _NOTE_PX = 26, 38, 18
_PALING = 0.75
"""How much of its colour a frame loses below a map."""
_FILL = 0.6
_PAPER, _INK, _GREY = (255, 255, 255), (40, 40, 40), (110, 114, 122)
_COLOURS = "inferno"


@dataclass(frozen=True, kw_only=True)
class MapCell:
    """One map over one frame."""

    values_HW: NDArray[np.float32]
    """At the size of the picture, in [0, 1]: black to yellow."""
    note: str = ""
    """A few words below it."""


@dataclass(frozen=True, kw_only=True)
class MapRow:
    """One frame, and the maps over it."""

    label: str
    picture_HW3: NDArray[np.uint8]
    cells: tuple[MapCell | None, ...]
    """One for each column; None where there is no map in this frame."""


def write_map_sheet(path: Path, heading: str, columns: Sequence[tuple[str, str]], rows: Sequence[MapRow]) -> None:
    """Write a sheet as PNG: frames to the left, their maps beside them.

    Args:
        heading: what all of it is.
        columns: title of each column, and a line below it.
        rows: all pictures of one size, at least one.
    """
    picture_px = rows[0].picture_HW3.shape
    cell_height = max(1, round(_CELL_PX * picture_px[0] / picture_px[1]))
    row_px = cell_height + _NOTE_PX + _GAP_PX
    width = (_CELL_PX + _GAP_PX) * (1 + len(columns))
    page = Image.new("RGB", (width, _HEADING_PX + _COLUMN_PX + row_px * len(rows)), _PAPER)
    draw = ImageDraw.Draw(page)
    title, small = ImageFont.load_default(16), ImageFont.load_default(12)
    draw.text((3, 3), fitted_text(draw, heading, title, width - 6), font=title, fill=_INK)
    for number, (name, below) in enumerate(columns, start=1):
        x = number * (_CELL_PX + _GAP_PX)
        draw.text((x, _HEADING_PX), fitted_text(draw, name, title, _CELL_PX), font=title, fill=_INK)
        draw.text((x, _HEADING_PX + 20), fitted_text(draw, below, small, _CELL_PX), font=small, fill=_GREY)
    for place, row in enumerate(rows):
        top = _HEADING_PX + _COLUMN_PX + place * row_px
        for number, cell in enumerate((MapCell(values_HW=_NOTHING, note=row.label), *row.cells)):
            if cell is None:
                continue
            pixels = row.picture_HW3 if number == 0 else _overlaid(row.picture_HW3, cell.values_HW)
            drawn = Image.fromarray(pixels).resize((_CELL_PX, cell_height), Image.Resampling.LANCZOS)
            x = number * (_CELL_PX + _GAP_PX)
            page.paste(drawn, (x, top))
            draw.text((x, top + cell_height + 1), fitted_text(draw, cell.note, small, _CELL_PX), font=small, fill=_GREY)
    with atomic_path(path) as part:
        page.save(part, format="PNG")


_NOTHING = np.zeros((1, 1), dtype=np.float32)


def _overlaid(picture_HW3: NDArray[np.uint8], values_HW: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A paled frame with a map over it."""
    from matplotlib import colormaps

    vivid = picture_HW3.astype(np.float32)
    paled = (1 - _PALING) * vivid + _PALING * vivid.mean(axis=2, keepdims=True)
    colours = 255 * colormaps[_COLOURS](values_HW)[..., :3]
    mixed: NDArray[np.uint8] = np.clip((1 - _FILL) * paled + _FILL * colours, 0, 255).astype(np.uint8)
    return mixed
