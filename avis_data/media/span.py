"""The packets of one span of a file: what must be decoded, where reading has to begin, and what should come out."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from pathlib import Path
from typing import Any

import av

from avis_data.media.clock import seconds, ticks
from avis_data.media.container import open_media, packets
from avis_data.records import VideoStream

__all__ = ["SpanPackets", "read_span"]

_STEPS_BACK_S = (0, 2, 10, 30)
"""How far before the span reading is tried. Containers without an index (MPEG-TS) land between key frames."""

_SOUND_PREROLL_S = 0.5
"""Sound decoders need some packets before the first good sample (Opus: 80 ms, AAC: one packet)."""

_REORDER_S = 1
"""Packets are read so much beyond the span: pictures are not stored in the order in which they are shown."""


_MICROSECOND = Fraction(1, 1_000_000)
"""Measured ends are floats: a packet that begins so near to one lies behind it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SpanPackets:
    """What the container says is in the span."""

    time_base: Fraction
    """Seconds per time stamp unit of the picture stream."""
    start: Fraction
    """Start of the span in those units, on the file's own clock."""
    end: Fraction
    """End of the span, likewise."""
    first_pts: int
    """No picture before it is taken, though a decoder may give some: they lack the key frame that they build on."""
    picture_pts: tuple[int, ...]
    """Ascending, without duplicates; from the picture on display at the start."""
    num_sound: int
    """Packets of sound that begin in the span."""
    picture_seek_s: float | None
    """Value for `-ss`, from which all pictures of the span can be decoded; None: from the beginning."""
    sound_seek_s: float | None
    """The same for the sound."""


def read_span(path: Path, media: VideoStream, *, start_s: float, end_s: float) -> SpanPackets:
    """Read the packets of `[start_s, end_s)` (seconds after the container start), nothing else of the file.

    Raises:
        ItemError: as `open_media`.
    """
    origin = seconds(media.start_s)
    start, end = origin + seconds(start_s), origin + seconds(end_s)
    with open_media(path) as container:
        picture = container.streams[media.video_index]
        sound = None if media.sound is None else container.streams[media.sound.index]
        base = Fraction(picture.time_base)
        first, last = ticks(start, base), ticks(end, base)
        zero = Fraction(container.start_time or 0, 1_000_000)
        earliest = origin + seconds(media.video_start_s)
        is_stamped = _is_stamped(container, picture)
        seek = _seek_point(container, picture, start, zero, first=earliest)
        _go_to(container, zero if seek is None else seek)
        until = min(end, origin + seconds(media.duration_s))
        sound_until = min(end, origin + seconds(media.sound.end_s if media.sound else 0.0)) - _MICROSECOND
        streams = [picture] if sound is None else [picture, sound]
        shown, num_sound = _collect(container, streams, end=until, sound_start=start, sound_end=sound_until)
    first_pts, until_pts = ceil(ticks(earliest, base)), ceil(ticks(until, base))
    shown = [pts for pts in shown if first_pts <= pts < until_pts]
    begin = max(bisect_right(shown, first) - 1, 0)
    return SpanPackets(
        time_base=base,
        start=first,
        end=last,
        first_pts=first_pts,
        picture_pts=tuple(shown[begin:]),
        num_sound=num_sound,
        picture_seek_s=_picture_seek_s(seek, is_stamped=is_stamped, first=earliest, zero=zero),
        sound_seek_s=None if seek is None else max(0.0, float(start - zero - seconds(_SOUND_PREROLL_S))),
    )


def _is_stamped(container: Any, picture: Any) -> bool:
    """Whether the first picture that is stored has a time stamp; a cut file may begin with some that have none."""
    first = next(packets(container, [picture]), None)
    return first is None or first.pts is not None or first.dts is not None


def _picture_seek_s(seek: Fraction | None, *, is_stamped: bool, first: Fraction, zero: Fraction) -> float | None:
    """Pictures without time stamps are passed over: ffmpeg would make times up, and give what follows wrong ones."""
    if seek is None and is_stamped:
        return None
    return float((first if seek is None else seek) - zero)


def _seek_point(container: Any, picture: Any, start: Fraction, zero: Fraction, *, first: Fraction) -> Fraction | None:
    """A time from which a seek finds the key frame that the picture on display at `start` needs.

    None where reading has to begin at the beginning, or would anyway: a decoder that starts there without a seek
    knows best which of the first samples are priming.
    """
    for step_s in _STEPS_BACK_S:
        seek = start - step_s
        if seek <= zero:
            return None
        key = _key_frame_after(container, picture, seek)
        if key is not None and key <= start:
            return seek if key > first else None
    return None


def _key_frame_after(container: Any, picture: Any, seek: Fraction) -> Fraction | None:
    """Time of the first key frame that is met after a seek."""
    if not _go_to(container, seek):
        return None
    for packet in packets(container, [picture]):
        stamp = packet.pts if packet.pts is not None else packet.dts
        if packet.is_keyframe and stamp is not None:
            return Fraction(stamp * packet.time_base)
    return None


def _go_to(container: Any, time: Fraction) -> bool:
    """Seek backward; False where the container cannot, and is still where it was."""
    try:
        container.seek(int(time * 1_000_000), backward=True)
    except av.error.FFmpegError:
        return False
    return True


def _collect(
    container: Any, streams: list[Any], *, end: Fraction, sound_start: Fraction, sound_end: Fraction
) -> tuple[list[int], int]:
    """Time stamps of the pictures up to `end`, and how many sound packets begin in their part (file's clock)."""
    shown: set[int] = set()
    num_sound = 0
    picture = streams[0].index
    of_sound = Fraction(streams[-1].time_base)  # that of the picture where there is no sound: then it is not asked
    first_stamp, end_stamp = ceil(sound_start / of_sound), ceil(sound_end / of_sound)
    for packet, stamp in _until(container, streams, end + _REORDER_S):
        if packet.is_discard:
            continue
        if packet.stream.index == picture:
            shown.add(stamp)
        else:
            num_sound += first_stamp <= stamp < end_stamp
    return sorted(shown), num_sound


def _until(container: Any, streams: list[Any], end: Fraction) -> Iterator[tuple[Any, int]]:
    """Packets and their time stamps until a picture is stored that is decoded after `end`."""
    picture = streams[0].index
    last = floor(end / Fraction(streams[0].time_base))  # stamps are whole, and so much cheaper to compare
    for packet in packets(container, streams):
        stamp = packet.pts if packet.pts is not None else packet.dts
        if stamp is None:
            continue
        yield packet, stamp
        decoded = packet.dts if packet.dts is not None else stamp
        if packet.stream.index == picture and decoded > last:
            return
