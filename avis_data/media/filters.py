"""What everything that decodes a source has in common: stills, previews, and the pictures between stills.

So all of them begin with the same picture, show it upright, and count time alike.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Any

import ffmpeg

from avis_data.media.clock import seconds
from avis_data.media.container import INPUT_OPTIONS
from avis_data.media.ffmpeg import local_file
from avis_data.media.span import SpanPackets
from avis_data.records import VideoStream

__all__ = ["cut_sound", "on_clip_clock", "picture_filters", "sound_on_clip_clock", "source_input", "still_size"]

_FINER = 1000
_INT32_MAX = 2**31 - 1
_NEARLY_SQUARE = Fraction(3, 100)
"""Encoders round sizes to whole blocks and write 45:44: making that square would cost sharpness and mend nothing."""


def still_size(media: VideoStream, *, square: bool) -> tuple[int, int]:
    """Width and height of upright stills; `square`: other pixels are stretched, never squeezed, until they are."""
    aspect = Fraction(media.form.pixel_aspect)
    if not square or abs(aspect - 1) <= _NEARLY_SQUARE:
        return media.width, media.height
    if aspect > 1:
        return round(media.width * aspect), media.height
    return media.width, round(media.height / aspect)


def picture_filters(media: VideoStream, span: SpanPackets, *, noted: str | None = None) -> list[str]:
    """Filters that give whole pictures of a span on the clip's clock.

    Args:
        media: of the file.
        span: of the clip.
        noted: name of a file in which every decoded picture is noted, before any filter can drop it.
    """
    filters = [_own_time_base(span)]
    if noted is not None:
        filters.append(f"metadata=mode=add:key=met:value=1,metadata=mode=print:file={noted}")
    if media.form.is_interlaced:  # only pictures that say that they are; each stays at its time
        filters += ["bwdif=mode=send_frame:deint=interlaced", _own_time_base(span)]
    return [*filters, _on_clip_clock(span)]


def source_input(path: Path, seek_s: float | None, *, threads: int) -> Any:
    """The file as an ffmpeg input that begins at the last key frame before `seek_s` and keeps its time stamps.

    After a seek, the sound decoder is told to drop nothing: it would take the first packet for the priming at the
    beginning of the file, and move all that follows by the rounding of its length (half a millisecond in WebM).
    ffmpeg 5.1 moves an MPEG-TS that starts at 0 to the start of the streams in use, unless there is an offset: one
    microsecond, less than a tick of any container that it could touch.
    """
    options: dict[str, Any] = {"threads": threads, "copyts": None, "itsoffset": "0.000001", "reinit_filter": 0}
    options |= INPUT_OPTIONS
    if seek_s is not None:
        options |= {"ss": f"{seek_s:.6f}", "noaccurate_seek": None, "flags2:a": "+skip_manual"}
    return ffmpeg.input(local_file(path), **options)


def sound_on_clip_clock(heard: Any, media: VideoStream, span: SpanPackets, *, rate_hz: int) -> Any:
    """The sound of a span, cut out sample by sample, with its start at time 0, and resampled.

    Sound that starts late, and gaps of 10 ms and more, become silence, so that all the rest stays in its place.
    """
    return on_clip_clock(cut_sound(heard, media, span), rate_hz=rate_hz)


def cut_sound(heard: Any, media: VideoStream, span: SpanPackets) -> Any:
    """The sound of a span, with its start at time 0.

    The end of the last packet is the end of the sound: some decoders go on to the end of the last block.
    """
    start_s, end_s = span.start * span.time_base, span.end * span.time_base
    if media.sound is not None:
        end_s = min(end_s, seconds(media.start_s) + seconds(media.sound.end_s))
    cut = heard.filter("atrim", start=f"{float(start_s):.6f}", end=f"{float(end_s):.6f}")
    return cut.filter("asetpts", f"PTS-round({float(start_s):.6f}/TB)")


def on_clip_clock(cut: Any, *, rate_hz: int) -> Any:
    """Cut sound at another rate; what is missing of it is silence."""
    return cut.filter("aresample", rate_hz, min_hard_comp=0.01, first_pts=0, **{"async": 1})


def _on_clip_clock(span: SpanPackets) -> str:
    """Filters that leave out what cannot be decoded, end the pictures with the span and put time 0 at its start.

    In units fine enough to be exact.
    """
    base = span.time_base
    finer = max(1, min(_FINER, _INT32_MAX // base.denominator))
    return (
        f"trim=start_pts={span.first_pts}:end_pts={ceil(span.end)},"
        f"settb=expr={base.numerator}/{base.denominator * finer},setpts=PTS-({round(span.start * finer)})"
    )


def _own_time_base(span: SpanPackets) -> str:
    """Filter that makes sure that time stamps are in the units of the stream."""
    return f"settb=expr={span.time_base.numerator}/{span.time_base.denominator}"
