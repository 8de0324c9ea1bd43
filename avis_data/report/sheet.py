"""The contact sheet of a clip: stills with their masks, and below them the sound and who sounds when."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from avis_data.errors import DataError
from avis_data.features.arrays import check_finite
from avis_data.io import atomic_path
from avis_data.masks.rle import Rle, decode
from avis_data.media.stills import open_still
from avis_data.report.clips import ClipView

__all__ = ["PALETTE", "colour_of", "contact_sheet", "fitted_text", "loudness", "still_with_masks", "write_sheet"]

PALETTE = (
    (230, 97, 1),
    (43, 140, 220),
    (35, 160, 90),
    (214, 57, 130),
    (150, 105, 220),
    (225, 170, 0),
    (20, 165, 165),
    (165, 95, 45),
    (120, 150, 30),
    (235, 90, 90),
)
"""RGB of the identities; each can be seen on light and on dark paper."""

# The sheet lies on transparent paper; this grey can be read on white and on black.
_GREY = (128, 132, 140)
_WAVE = (128, 132, 140, 230)
_GRID = (128, 132, 140, 80)
_FILL = 0.42
_PALING = 0.4
_GAP_PX = 4
_WAVE_PX = 46
_STRIP_PX = 18
_GUTTER_PX = 108
_ROW_GAP_PX = 18
_TAG_PX = 15
_BARS_PER_STILL = 48
_SHEETS_GAP_PX = 12
_TITLE_PX = 22
_PAPER, _INK = (255, 255, 255), (40, 40, 40)

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
_Rgb = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where things are on a sheet, in pixels."""

    columns: int
    cell_width: int
    cell_height: int
    num_tracks: int

    @property
    def row_height(self) -> int:
        return self.cell_height + _GAP_PX + _WAVE_PX + _GAP_PX + self.num_tracks * _STRIP_PX

    @property
    def width(self) -> int:
        return _GUTTER_PX + self.columns * self.cell_width

    def corner(self, frame: int) -> tuple[int, int]:
        """Top left of the cell of a still."""
        row, column = divmod(frame, self.columns)
        return _GUTTER_PX + column * self.cell_width, row * (self.row_height + _ROW_GAP_PX)


def colour_of(number: int) -> _Rgb:
    """The colour of a clip's track `number`; from the eleventh on they repeat."""
    return PALETTE[number % len(PALETTE)]


def contact_sheet(
    clip: ClipView, *, seconds: range | None = None, columns: int = 10, still_width_px: int = 160
) -> Image.Image:
    """A picture of a clip, on transparent paper.

    Every second has its still, with the masks of the tracks that sound filled and outlined in the colour of the track
    and named; below it the waveform of that second, and for each track a bar where it sounds. Long clips take several
    rows.

    Args:
        clip: what to show; at least one still.
        seconds: the part to show, with step 1; None for the whole clip.
        columns: seconds in a row.
        still_width_px: width of a still, its gap included.

    Raises:
        DataError: if a still is no picture, or the sound no WAV file.
    """
    seconds = range(len(clip.stills)) if seconds is None else seconds
    first = open_still(clip.stills[seconds.start])
    cell_height = round((still_width_px - _GAP_PX) * first.height / first.width)
    layout = _Layout(min(columns, len(seconds)), still_width_px, cell_height, len(clip.tracks))
    rows = math.ceil(len(seconds) / layout.columns)
    sheet = Image.new("RGBA", (layout.width, rows * (layout.row_height + _ROW_GAP_PX) - _ROW_GAP_PX + 2))
    for place, frame in enumerate(seconds):
        sheet.paste(_still(clip, frame, layout), layout.corner(place))
    draw = ImageDraw.Draw(sheet)
    if clip.sound is not None:
        length_s = len(clip.stills) / clip.fps
        peaks = loudness(clip.sound, num_seconds=length_s, bars_per_second=_BARS_PER_STILL * clip.fps)
        peaks = peaks.reshape(-1, _BARS_PER_STILL)
        _draw_sound(draw, peaks[seconds.start : seconds.stop] / max(float(peaks.max()), 0.02), layout)
    for start in range(0, len(seconds), layout.columns):
        _draw_tracks(draw, clip, seconds[start : start + layout.columns], layout, layout.corner(start))
    return sheet


def write_sheet(path: Path, views: Sequence[ClipView], *, seconds: range | None = None) -> None:
    """Write contact sheets of the same clip below each other, each under its title, as PNG on white.

    Args:
        seconds: the part to show; None for the whole clip.

    Raises:
        DataError: if a still is no picture, or the sound no sound file.
    """
    sheets = [contact_sheet(view, seconds=seconds) for view in views]
    titles_px = [_TITLE_PX if view.title else 0 for view in views]
    height = sum(titles_px) + sum(sheet.height + _SHEETS_GAP_PX for sheet in sheets)
    page = Image.new("RGB", (max(sheet.width for sheet in sheets), height), _PAPER)
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(15)
    top = 0
    for view, sheet, title_px in zip(views, sheets, titles_px, strict=True):
        draw.text((2, top), fitted_text(draw, view.title, font, page.width - 4), font=font, fill=_INK)
        page.paste(sheet, (0, top + title_px), sheet)
        top += title_px + sheet.height + _SHEETS_GAP_PX
    with atomic_path(path) as part:
        page.save(part, format="PNG")


def still_with_masks(clip: ClipView, frame: int, *, width_px: int) -> Image.Image:
    """One still of a clip, as it is on the contact sheet, at another width.

    Raises:
        DataError: if it is no picture.
    """
    first = open_still(clip.stills[frame])
    height_px = round(width_px * first.height / first.width)
    return _still(clip, frame, _Layout(1, width_px + _GAP_PX, height_px, len(clip.tracks)))


def loudness(path: Path, *, num_seconds: float, bars_per_second: float) -> NDArray[np.float32]:
    """The peaks of a sound file: float32 (num_seconds * bars_per_second,) in [0, 1]; zeros after its end.

    Raises:
        DataError: if it is no sound file.
    """
    peaks = np.zeros(round(num_seconds * bars_per_second), np.float32)
    try:
        with soundfile.SoundFile(path) as file:
            edges = np.round(np.arange(len(peaks) + 1) * file.samplerate / bars_per_second).astype(int)
            for bar in range(len(peaks)):
                block = file.read(edges[bar + 1] - edges[bar], dtype="float32", always_2d=True)
                if not len(block):
                    break
                check_finite(block, path, what="samples")
                peaks[bar] = min(1.0, float(np.abs(block).max()))
    except soundfile.LibsndfileError as error:
        raise DataError(f"{path}: no sound file ({error})", hint=f"avis-data validate {path.parent.parent}") from None
    return peaks


def fitted_text(draw: ImageDraw.ImageDraw, text: str, font: Font, width: float) -> str:
    """The text on one line, cut where it is wider than so many pixels."""
    text = " ".join(text.split())[:80]
    if draw.textlength(text, font=font) <= width:
        return text
    while text and draw.textlength(f"{text}…", font=font) > width:
        text = text[:-1]
    return f"{text}…"


def _still(clip: ClipView, frame: int, layout: _Layout) -> Image.Image:
    size = (layout.cell_width - _GAP_PX, layout.cell_height)
    picture = open_still(clip.stills[frame]).resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
    # Colour on paled colour, in every still alike: what sounds is seen at once.
    vivid = np.asarray(picture, np.float32)
    pixels = (1 - _PALING) * vivid + _PALING * vivid.mean(axis=2, keepdims=True)
    shapes = [
        (track.label, _scaled(mask, size), colour_of(number))
        for number, track in enumerate(clip.tracks)
        if (mask := track.masks[frame])
    ]
    for _, inside, colour in shapes:
        pixels[inside] = (1 - _FILL) * vivid[inside] + _FILL * np.asarray(colour)
    for _, inside, colour in shapes:
        pixels[_outline(inside)] = colour
    picture = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    _draw_names(picture, shapes)
    draw = ImageDraw.Draw(picture, "RGBA")
    font = _font(11)
    text = f"{round(frame / clip.fps, 2):g} s"
    draw.rounded_rectangle((2, 2, 8 + draw.textlength(text, font=font), 17), 3, fill=(0, 0, 0, 130))
    draw.text((5, 3), text, font=font, fill=(255, 255, 255))
    return picture


def _scaled(mask: Rle, size: tuple[int, int]) -> NDArray[np.bool_]:
    full = Image.fromarray(decode(mask).astype(np.uint8) * 255)
    # Any share of a pixel from a third on, so that thin things do not vanish in the small picture.
    return np.asarray(full.resize(size, Image.Resampling.BOX)) >= 85


def _outline(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The pixels of a shape within two of its border."""
    padded = np.pad(inside, 2, mode="edge")
    height, width = inside.shape
    core = inside.copy()
    for down, right in ((0, 2), (4, 2), (2, 0), (2, 4), (1, 1), (3, 3), (1, 3), (3, 1)):
        core &= padded[down : down + height, right : right + width]
    return inside & ~core


def _draw_names(picture: Image.Image, shapes: list[tuple[str, NDArray[np.bool_], _Rgb]]) -> None:
    """A tag for each shape, beside it where there is room: over no shape and no other tag, as far as can be."""
    draw = ImageDraw.Draw(picture, "RGBA")
    font = _font(11)
    covered = np.zeros((picture.height, picture.width), dtype=bool)
    covered[:_TAG_PX, :30] = True  # the time in the corner
    for _, inside, _ in shapes:
        covered |= inside
    for label, inside, colour in shapes:
        if not inside.any():
            continue
        text = fitted_text(draw, label, font, 90)
        width = min(math.ceil(draw.textlength(text, font=font)) + 6, picture.width)
        x, y, hidden = _free_place(covered, inside, width)
        covered[y : y + _TAG_PX, x : x + width] = True
        # What has to lie on an object lets it be seen through.
        draw.rounded_rectangle((x, y, x + width, y + _TAG_PX - 1), 3, fill=(*colour, 235 if not hidden else 130))
        draw.text((x + 3, y + 1), text, font=font, fill=(255, 255, 255))


def _free_place(covered_HW: NDArray[np.bool_], inside_HW: NDArray[np.bool_], width: int) -> tuple[int, int, int]:
    """Where the tag of a shape hides least, nearest to the middle of its upper border: x, y, pixels that it hides."""
    height_px, width_px = covered_HW.shape
    rows, columns = np.nonzero(inside_HW)
    x_wanted = float(np.clip(columns.mean() - width / 2, 0, width_px - width))
    y_wanted = float(np.clip(rows.min() - _TAG_PX, 0, height_px - _TAG_PX))
    sums = np.pad(covered_HW.astype(np.int64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    y, x = np.mgrid[0 : max(height_px - _TAG_PX, 0) + 1, 0 : width_px - width + 1]
    low, right = np.minimum(y + _TAG_PX, height_px), x + width
    hidden = sums[low, right] - sums[y, right] - sums[low, x] + sums[y, x]
    far = np.hypot(x - x_wanted, y - y_wanted)
    place = int(np.argmin(hidden + far))  # a tag far off is taken for another's, so way counts too
    return int(x.flat[place]), int(y.flat[place]), int(hidden.flat[place])


def _draw_sound(draw: ImageDraw.ImageDraw, peaks: NDArray[np.float32], layout: _Layout) -> None:
    """Bars about a middle line; `peaks` (seconds, bars) are relative to the loudest of the clip."""
    step = layout.cell_width / peaks.shape[1]
    for place, of_still in enumerate(peaks):
        x, y = layout.corner(place)
        middle = y + layout.cell_height + _GAP_PX + _WAVE_PX // 2
        draw.line((x, middle - _WAVE_PX // 2, x, middle + _WAVE_PX // 2), fill=_GRID)
        for bar, peak in enumerate(of_still):
            half = max(0.5, float(peak) * (_WAVE_PX / 2 - 1))
            draw.rectangle((x + bar * step, middle - half, x + (bar + 0.6) * step, middle + half), fill=_WAVE)


def _draw_tracks(
    draw: ImageDraw.ImageDraw, clip: ClipView, seconds: range, layout: _Layout, corner: tuple[int, int]
) -> None:
    """Draw a line for each track below one row of stills, thick where it sounds, and its name in the gutter."""
    font = _font(14)
    left, top = corner
    wave = top + layout.cell_height + _GAP_PX
    right = left + len(seconds) * layout.cell_width - _GAP_PX
    text = "sound" if clip.sound else "no sound file"
    draw.text((0, wave + _WAVE_PX // 2 - 8), text, font=font, fill=_GREY)
    for number, track in enumerate(clip.tracks):
        colour = colour_of(number)
        y = wave + _WAVE_PX + _GAP_PX + number * _STRIP_PX + _STRIP_PX // 2
        draw.ellipse((0, y - 5, 10, y + 5), fill=colour)
        draw.text((16, y - 8), fitted_text(draw, track.label, font, _GUTTER_PX - 22), font=font, fill=_GREY)
        draw.line((left, y, right, y), fill=_GRID, width=1)
        for first, last in _runs(track.masks[seconds.start : seconds.stop]):
            box = (left + first * layout.cell_width, y - 5, left + last * layout.cell_width - _GAP_PX - 1, y + 5)
            draw.rounded_rectangle(box, 4, fill=colour)


def _runs(masks: tuple[Rle | None, ...]) -> list[tuple[int, int]]:
    """First and end of each stretch of seconds with a mask."""
    edges = np.flatnonzero(np.diff([False, *(mask is not None for mask in masks), False]))
    return [(int(first), int(end)) for first, end in edges.reshape(-1, 2)]


def _font(size_px: int) -> Font:
    return ImageFont.load_default(size_px)
