"""Predictions as a video with the original sound, and as a contact sheet.

A labelled still is shown for the time that it stands for (a second, usually) with the predicted masks in the colour of
their identity; below it the waveform, for each identity a bar where it sounds, and a line that moves with the sound.
Predictions of several models are panels of one video, each under its title.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import ffmpeg
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from avis_data.errors import DataError, ItemError, Problem, ProblemsError
from avis_data.io import atomic_path
from avis_data.masks.rle import decode
from avis_data.media.ffmpeg import find_ffmpeg, local_file, run_ffmpeg
from avis_data.media.stills import open_still
from avis_data.report.clips import ClipView
from avis_data.report.sheet import colour_of, fitted_text, loudness, write_sheet

__all__ = ["render_video", "told_together", "write_views"]

_FPS = 5
"""Pictures of the video per second, about: the line moves in fifths of a second. A still is shown a whole number of
times."""
_LEAST_WIDTH, _MOST_WIDTH, _MOST_TOGETHER = 640, 1280, 1920
"""Of a panel, and of all in a row as long as each has its least."""
_MOST_IN_A_ROW = 3
_TITLE_PX, _PANEL_GAP_PX = 26, 4
_FILL = 0.45
_ROW_PX, _WAVE_PX, _MARGIN_PX = 22, 44, 6
_GUTTER_PX = 150
_PAPER, _INK, _GRID = (24, 26, 30), (225, 228, 232), (70, 74, 82)
_MOVING = (255, 255, 255)


def write_views(
    names: Sequence[str], panels_of: Callable[[str], Sequence[ClipView]], out: Path, *, on_clip: Callable[[], None]
) -> list[Path]:
    """Video and contact sheet of each clip, `<name>.mp4` and `<name>.png`; what was written, in this order.

    Args:
        names: of the clips.
        panels_of: the views of a clip that are shown beside each other; may raise DataError.
        on_clip: called after each clip.

    Raises:
        DataError: if a file of a clip is bad; all other clips are written before.
        ToolError: if ffmpeg is missing.
    """
    written, bad = [], list[DataError]()
    for name in names:
        video, sheet = out / f"{name}.mp4", out / f"{name}.png"
        try:
            views = panels_of(name)
            render_video(views, video)
            write_sheet(sheet, views)
            written += [video, sheet]
        except DataError as error:
            bad.append(error)
        on_clip()
    if bad:
        raise told_together(bad, num_written=len(written) // 2, of=len(names), out=out)
    return written


def render_video(views: Sequence[ClipView], target: Path) -> None:
    """Write the video of one clip: H.264, and AAC where the clip has sound; as long as the clip.

    Args:
        views: the panels, at most three in a row; the stills and the sound are those of the first.

    Raises:
        DataError: if a still or the sound cannot be read, or the video cannot be encoded.
        ToolError: if ffmpeg is missing.
    """
    first = views[0]
    repeats = max(1, round(_FPS / first.fps))
    rate = first.fps * repeats
    columns = math.ceil(len(views) / math.ceil(len(views) / _MOST_IN_A_ROW))
    with tempfile.TemporaryDirectory() as scratch, atomic_path(target) as part:
        strips: list[_Strip] = []
        for frame in range(len(first.stills)):
            pictures = [_overlay(view, frame, columns) for view in views]
            strips = strips or [_Strip(view, picture.width) for view, picture in zip(views, pictures, strict=True)]
            for number in range(frame * repeats, (frame + 1) * repeats):
                panels = [strip.below(picture, number / rate) for strip, picture in zip(strips, pictures, strict=True)]
                _page(panels, columns).save(Path(scratch) / f"{number:06d}.png", compress_level=1)
        _encode(first, Path(scratch), part, rate)


def told_together(bad: Sequence[DataError], *, num_written: int, of: int, out: Path) -> DataError:
    """One error of all clips that could not be shown."""
    if of == 1:
        return bad[0]
    problems = [Problem("", "", str(error.args[0])) for error in bad]
    return ProblemsError(f"{num_written} of {of} clips are in {out}; not the others:", problems, hint=bad[0].hint)


def _page(panels: Sequence[Image.Image], columns: int) -> Image.Image:
    """Panels in rows; even sides, as H.264 needs."""
    rows = [panels[start : start + columns] for start in range(0, len(panels), columns)]
    width = max(sum(panel.width + _PANEL_GAP_PX for panel in row) for row in rows) - _PANEL_GAP_PX
    height = sum(max(panel.height for panel in row) + _PANEL_GAP_PX for row in rows) - _PANEL_GAP_PX
    page = Image.new("RGB", (width // 2 * 2, height // 2 * 2), _PAPER)
    top = 0
    for row in rows:
        for column, panel in enumerate(row):
            page.paste(panel, (column * (row[0].width + _PANEL_GAP_PX), top))
        top += max(panel.height for panel in row) + _PANEL_GAP_PX
    return page


class _Strip:
    """Waveform and sounding periods of a whole clip."""

    def __init__(self, view: ClipView, width: int) -> None:
        self._seconds = len(view.stills) / view.fps
        self._width = width
        height = _WAVE_PX + _ROW_PX * len(view.tracks) + 2 * _MARGIN_PX
        self._picture = Image.new("RGB", (width, height), _PAPER)
        draw = ImageDraw.Draw(self._picture)
        for second in range(int(self._seconds) + 1):
            draw.line((self._x(second), 0, self._x(second), height), fill=_GRID)
        if view.sound is not None:
            self._draw_wave(draw, loudness(view.sound, num_seconds=self._seconds, bars_per_second=20))
        draw.text((_MARGIN_PX, _MARGIN_PX + _WAVE_PX // 2 - 7), "sound" if view.sound else "no sound", fill=_INK)
        self._draw_tracks(draw, view)

    def below(self, picture: Image.Image, time_s: float) -> Image.Image:
        """The strip under a picture, with the line at a time."""
        height = picture.height + self._picture.height
        page = Image.new("RGB", (self._width, height), _PAPER)
        page.paste(picture, (0, 0))
        page.paste(self._picture, (0, picture.height))
        x = self._x(time_s)
        ImageDraw.Draw(page).line((x, picture.height, x, height), fill=_MOVING, width=2)
        return page

    def _x(self, time_s: float) -> float:
        return _GUTTER_PX + (self._width - _GUTTER_PX - _MARGIN_PX) * time_s / self._seconds

    def _draw_wave(self, draw: ImageDraw.ImageDraw, peaks: NDArray[np.float32]) -> None:
        middle = _MARGIN_PX + _WAVE_PX / 2
        scale = (_WAVE_PX / 2 - 2) / max(float(peaks.max()), 0.02)
        for bar, peak in enumerate(peaks):
            x = self._x(bar * self._seconds / len(peaks))
            draw.line((x, middle - peak * scale, x, middle + peak * scale), fill=_INK)

    def _draw_tracks(self, draw: ImageDraw.ImageDraw, view: ClipView) -> None:
        font = ImageFont.load_default(13)
        for number, track in enumerate(view.tracks):
            top = _MARGIN_PX + _WAVE_PX + number * _ROW_PX
            draw.text((_MARGIN_PX, top + 3), track.label[:20], font=font, fill=colour_of(number))
            for frame, mask in enumerate(track.masks):
                if mask is not None:
                    ends = self._x(frame / view.fps), self._x((frame + 1) / view.fps)
                    box = (ends[0], top + 4, max(ends[0], ends[1] - 1), top + _ROW_PX - 4)
                    draw.rectangle(box, fill=colour_of(number))


def _overlay(view: ClipView, frame: int, columns: int) -> Image.Image:
    """A still with the masks that sound, at a width at which names can be read, under the title of the view."""
    picture = open_still(view.stills[frame])
    pixels = np.asarray(picture, dtype=np.float32).copy()
    for number, track in enumerate(view.tracks):
        rle = track.masks[frame]
        if rle is not None:
            inside = decode(rle)
            pixels[inside] = (1 - _FILL) * pixels[inside] + _FILL * np.asarray(colour_of(number))
            pixels[_border(inside)] = colour_of(number)
    drawn = Image.fromarray(pixels.astype(np.uint8))
    most = max(_LEAST_WIDTH, min(_MOST_WIDTH, _MOST_TOGETHER // columns))
    width = min(max(drawn.width, _LEAST_WIDTH), most)
    height = round(drawn.height * width / drawn.width)
    sized = drawn if width == drawn.width else drawn.resize((width, height), Image.Resampling.LANCZOS)
    return _titled(sized, view.title) if view.title else sized


def _titled(picture: Image.Image, title: str) -> Image.Image:
    """A picture under a bar with words."""
    page = Image.new("RGB", (picture.width, picture.height + _TITLE_PX), _PAPER)
    page.paste(picture, (0, _TITLE_PX))
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(16)
    text = fitted_text(draw, title, font, picture.width - 2 * _MARGIN_PX)
    draw.text((_MARGIN_PX, 3), text, font=font, fill=_INK)
    return page


def _border(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels of a shape with a neighbour outside."""
    padded = np.pad(inside, 1)
    core = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return inside & ~core


def _encode(view: ClipView, folder: Path, target: Path, rate: float) -> None:
    seconds = len(view.stills) / view.fps
    streams = [ffmpeg.input("%06d.png", framerate=rate, f="image2")]
    options = {"c:v": "libx264", "pix_fmt": "yuv420p", "preset": "veryfast", "crf": 20, "movflags": "+faststart"}
    if view.sound is not None:
        streams.append(ffmpeg.input(local_file(view.sound)))
        options |= {"c:a": "aac", "b:a": "128k"}
    command = ffmpeg.output(*streams, str(target.absolute()), f="mp4", t=seconds, threads=2, **options)
    try:
        run_ffmpeg(
            command.compile(cmd=find_ffmpeg().program), cwd=folder, timeout_s=120 + 10 * seconds, source=view.name
        )
    except ItemError as error:
        raise DataError(error.message) from None
