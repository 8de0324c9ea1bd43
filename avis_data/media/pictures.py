"""The pictures of a clip between its stills, on the very clock that the stills were taken by, one at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import ffmpeg
import numpy as np
from numpy.typing import NDArray

from avis_data.errors import ItemError, Reason
from avis_data.media.clock import INSTANT
from avis_data.media.ffmpeg import find_ffmpeg, stream_ffmpeg
from avis_data.media.filters import picture_filters, source_input
from avis_data.media.span import SpanPackets, read_span
from avis_data.records import FrameAt, VideoStream

__all__ = ["stream_pictures"]

_TIMEOUT_S = 120.0
"""Between two pictures; a seek into a long group of pictures comes first."""


def stream_pictures(
    path: Path,
    media: VideoStream,
    *,
    size_wh: tuple[int, int] | None = None,
    start_s: float,
    first: int,
    last: int,
    fps: int,
    frame_at: FrameAt,
) -> Iterator[NDArray[np.uint8]]:
    """Decode from the picture of one still to the picture of another, `fps` pictures a second.

    Every `fps`-th picture is the one on display at the instant of a still. Where the source has fewer pictures, they
    are repeated; one is in memory at a time.

    Args:
        path: source video.
        media: what `probe` says of it.
        size_wh: width and height to give them; None: as they are stored.
        start_s: start of the clip in it, seconds after the container start.
        first: second of the first still.
        last: second of the last still, at least `first`.
        fps: pictures per second, 1 or more.
        frame_at: which instant of a second its still stands for.

    Yields:
        (last - first) * fps + 1 pictures: uint8 (height, width, 3), RGB, upright.

    Raises:
        ItemError: `source_missing`, `bad_media`, `span_outside_video`, `timeout`.
    """
    # The filter `fps` rounds to the middle (or, for `start`, to the beginning) of its own seconds, of 1 / fps.
    shift = INSTANT[frame_at] - (Fraction(1, 2 * fps) if frame_at != "start" else 0)
    from_s = start_s + first + float(shift)
    wanted = (last - first) * fps + 1
    span = read_span(path, media, start_s=from_s, end_s=from_s + wanted / fps)
    if not span.picture_pts:
        message = f"{path.name}: no picture is shown after {from_s:.2f} s"
        raise ItemError(message, reason=Reason.SPAN_OUTSIDE_VIDEO)
    width, height = size_wh or (media.width, media.height)
    end = [
        f"fps=fps={fps}:start_time=0:round={'up' if frame_at == 'start' else 'near'}",
        "tpad=stop_mode=clone:stop=-1",
        f"trim=end_frame={wanted}",
        f"scale=w={width}:h={height}",
    ]
    command = _command(path, media, span, [*picture_filters(media, span), *end])
    size = (height, width, 3)
    pieces = stream_ffmpeg(
        command, piece_bytes=math.prod(size), cwd=path.parent, timeout_s=_TIMEOUT_S, source=path.name
    )
    number = 0
    with closing(pieces):
        for piece in pieces:
            yield np.frombuffer(piece, np.uint8).reshape(size)
            number += 1
    if number != wanted:
        message = f"{path.name}: {number} pictures came out instead of {wanted}; they cannot be decoded"
        raise ItemError(message, reason=Reason.BAD_MEDIA)


def _command(path: Path, media: VideoStream, span: SpanPackets, filters: list[str]) -> list[str]:
    source = source_input(path, span.picture_seek_s, threads=1)
    output = ffmpeg.output(
        source[str(media.video_index)],
        "pipe:1",
        f="rawvideo",
        pix_fmt="rgb24",
        vf=",".join(filters),
        fps_mode="passthrough",
        threads=1,
    )
    arguments: list[str] = output.compile(cmd=find_ffmpeg().program)
    return arguments
