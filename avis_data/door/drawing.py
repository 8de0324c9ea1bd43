"""Pictures of clips: one still, a contact sheet, a video with sound. Each shows itself in a notebook."""

from __future__ import annotations

import base64
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from avis_data.door.clips import Clip
from avis_data.errors import ConfigError

__all__ = ["Video", "draw_sheet", "draw_still", "draw_video"]

_MOST_INLINE_BYTES = 40_000_000
"""A notebook with more becomes a burden for browsers."""


def draw_still(clip: Clip, frame: int, *, width_px: int = 640) -> Image.Image:
    """One still with the masks of its tracks, filled and outlined in the colour of the track and named.

    Args:
        clip: with truth, or with predicted tracks; without tracks it is the plain still.
        frame: which one, from 0.
        width_px: of the picture.

    Returns:
        An RGB picture; `picture.save("still.png")` keeps it.

    Raises:
        ConfigError: if the clip has no such frame.
        DataError: if the still is missing or no picture.

    Example:
        >>> clips = avis.open("example/exports/ytvis")
        >>> avis.draw_still(clips[0], 2, width_px=320).size
        (320, 213)
    """
    from avis_data.report.sheet import still_with_masks

    clip.picture(frame)
    return still_with_masks(clip.view(), frame, width_px=width_px)


def draw_sheet(clip: Clip, *, frames: range | None = None, columns: int = 10, still_width_px: int = 160) -> Image.Image:
    """The contact sheet of a clip: stills with masks, below them the sound, and who is heard when.

    Args:
        clip: with truth, or with predicted tracks.
        frames: the part to show, step 1; None: all.
        columns: stills in a row.
        still_width_px: of a still, its gap included.

    Returns:
        A picture on transparent paper; `sheet.save("sheet.png")` keeps it.

    Raises:
        DataError: if a still is missing or no picture, or the sound no sound file.

    Example:
        >>> clips = avis.open("example/exports/ytvis")
        >>> avis.draw_sheet(clips[0]).mode
        'RGBA'
    """
    from avis_data.report.sheet import contact_sheet

    return contact_sheet(clip.view(), seconds=frames, columns=columns, still_width_px=still_width_px)


@dataclass(frozen=True)
class Video:
    """A video file that plays in a notebook."""

    path: Path

    def _repr_html_(self) -> str:
        size = self.path.stat().st_size
        if size > _MOST_INLINE_BYTES:
            return f"<p>{self.path.name}: {size / 1e6:.0f} MB, too large to show here</p>"
        data = base64.b64encode(self.path.read_bytes()).decode("ascii")
        return f'<video controls width="640" src="data:video/mp4;base64,{data}"></video>'


def draw_video(clip: Clip, out: str | Path) -> Video:
    """Write a clip as a video: its stills with masks, its sound, and below them who is heard when.

    Args:
        clip: with truth, or with predicted tracks.
        out: the file, `.mp4`.

    Raises:
        ConfigError: if `out` is no name of an mp4 file.
        DataError: if a still or the sound cannot be read.
        ToolError: if ffmpeg is missing.

    Example:
        >>> avis.draw_video(avis.open("example/exports/ytvis")[0], "clip.mp4")
        Video(path=PosixPath('clip.mp4'))
    """
    from avis_data.report.render import render_video

    path = Path(out)
    if path.suffix != ".mp4":
        raise ConfigError(f"{path}: a video is written as .mp4", hint=f"{path.with_suffix('.mp4')}")
    render_video([replace(clip.view(), name=path.stem)], path)
    return Video(path)
