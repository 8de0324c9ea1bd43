"""What a source video file really holds, measured packet by packet (nothing is decoded but the first of each kind)."""

from __future__ import annotations

import statistics
from array import array
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av

from avis_data.errors import ItemError, Reason
from avis_data.media.claims import claimed_duration_s
from avis_data.media.container import first_picture_stream, first_sound_stream, open_media, packets
from avis_data.records import VideoStream

__all__ = ["probe"]

_TRIES = 60
"""Packets given to a decoder until its first picture or sound must have come out."""

_ABSURD = 10
"""A last picture is not on display for more than so many times the longest distance between two pictures."""


@dataclass(slots=True)
class _Measured:
    """The packets of one stream that are meant to be seen or heard, in time stamp units."""

    time_base: Fraction
    pts: array[int] = field(default_factory=lambda: array("q"))
    last_duration: int = 0
    end: int | None = None
    first_key: int | None = None
    has_unstamped: bool = False

    def add(self, packet: Any) -> None:
        pts = packet.pts if packet.pts is not None else packet.dts
        self.has_unstamped |= pts is None
        if pts is None or packet.is_corrupt:  # the file breaks off within the packet
            return
        if self.first_key is None and packet.is_keyframe:  # also one that is only decoded, as edit lists have them
            self.first_key = pts
        if packet.is_discard:
            return
        self.pts.append(pts)
        end = pts + (packet.duration or 0)
        if self.end is None or end > self.end:
            self.end, self.last_duration = end, packet.duration or 0


def probe(path: Path) -> VideoStream:
    """Measure a file: length of picture and sound, size upright, codecs.

    Headers are not believed: every packet is read (about 0.1 s for ten minutes of video), and lengths come from
    their time stamps. All times are relative to the container start, as `ffmpeg -ss` and players count.

    Raises:
        ItemError: `empty_file`, `not_media`, `bad_media` (cannot be opened, or no picture in it), `no_video`,
            `no_time_stamps`.
    """
    with open_media(path) as container:
        picture = first_picture_stream(container, path)
        sound = first_sound_stream(container)
        streams = [stream for stream in container.streams if stream.type in ("video", "audio", "subtitle")]
        found = {stream.index: _Measured(stream.time_base) for stream in streams}
        first: dict[int, Any] = {}
        wanted = [stream for stream in (picture, sound) if stream is not None]
        tries = {stream.index: _TRIES for stream in wanted}
        for packet in packets(container, streams):
            found[packet.stream.index].add(packet)
            if tries.get(packet.stream.index, 0) > 0:
                tries[packet.stream.index] = _try_decode(packet, first, tries[packet.stream.index])
        return _summary(path, container, picture, sound, found, first)


def _try_decode(packet: Any, first: dict[int, Any], tries_left: int) -> int:
    """Decode until one frame is out: it knows the rotation, and where audible sound begins after codec priming."""
    try:
        frames = packet.decode()
    except av.error.FFmpegError:
        return tries_left - 1
    if not frames:
        return tries_left - 1
    first[packet.stream.index] = frames[0]
    return 0


def _summary(
    path: Path, container: Any, picture: Any, sound: Any | None, found: dict[int, _Measured], first: dict[int, Any]
) -> VideoStream:
    shown = found[picture.index]
    if not shown.pts and shown.has_unstamped:
        message = (
            f"{path.name} is a raw stream: its pictures have no time stamps; put it into a container that has them"
        )
        raise ItemError(message, reason=Reason.NO_TIME_STAMPS)
    if not shown.pts:
        raise ItemError(f"{path.name} holds no picture: cut off or damaged; fetch it again", reason=Reason.BAD_MEDIA)
    # Before the first key frame nothing can be decoded: a recording may begin in the middle of a group of pictures.
    ordered = sorted(pts for pts in shown.pts if shown.first_key is None or pts >= shown.first_key)
    typical = _typical_distance(ordered, shown, picture)
    video_start = ordered[0] * shown.time_base
    video_end = (ordered[-1] + _last_duration(ordered, shown, typical)) * shown.time_base
    heard = _heard(sound, found, first)
    origin = _origin(container, min(video_start, heard[0]) if heard else video_start)
    ends = [measured.end * measured.time_base for measured in found.values() if measured.end is not None]
    width, height, rotation = _upright(picture, first.get(picture.index))
    return VideoStream(
        duration_s=float(video_end - origin),
        claimed_duration_s=claimed_duration_s(path, container, picture, longest_end_s=float(max(ends) - origin)),
        start_s=float(origin),
        video_index=picture.index,
        video_start_s=float(video_start - origin),
        width=width,
        height=height,
        rotation_deg=rotation,
        fps=_mean_rate(ordered, typical, shown.time_base),
        video_codec=picture.codec_context.name,
        **_sound_fields(sound, heard, origin),
    )


def _origin(container: Any, first_presented: Fraction) -> Fraction:
    """The container start on the file's own clock: what libavformat and players count from.

    A start before zero is the priming of a sound codec, which nobody hears: there the first thing presented counts.
    """
    if container.start_time is None or container.start_time < 0:
        return first_presented
    return Fraction(container.start_time, 1_000_000)


def _typical_distance(ordered: list[int], shown: _Measured, picture: Any) -> int:
    distances = [b - a for a, b in pairwise(ordered) if b > a]
    if distances:
        return int(statistics.median_low(distances))
    if shown.last_duration > 0:
        return shown.last_duration
    rate = picture.average_rate or Fraction(25)
    return max(1, round(1 / (rate * shown.time_base)))


def _last_duration(ordered: list[int], shown: _Measured, typical: int) -> int:
    """How long the last picture is on display: as its packet says, unless that is absurd."""
    longest = max((b - a for a, b in pairwise(ordered)), default=typical)
    return shown.last_duration if 0 < shown.last_duration <= _ABSURD * longest else typical


def _mean_rate(ordered: list[int], typical: int, time_base: Fraction) -> float:
    span = ordered[-1] - ordered[0]
    return float((len(ordered) - 1) / (span * time_base)) if span else float(1 / (typical * time_base))


def _upright(picture: Any, frame: Any | None) -> tuple[int, int, int]:
    """Width, height, and by how many degrees clockwise the stored picture is turned to stand upright."""
    width, height, rotation = picture.codec_context.width, picture.codec_context.height, 0
    if frame is not None:
        width, height, rotation = frame.width, frame.height, -frame.rotation % 360
    if width <= 0 or height <= 0:
        raise ItemError(f"the picture stream has no size ({width}x{height})", reason=Reason.BAD_MEDIA)
    return (height, width, rotation) if rotation in (90, 270) else (width, height, rotation)


def _heard(sound: Any | None, found: dict[int, _Measured], first: dict[int, Any]) -> tuple[Fraction, Fraction] | None:
    """Start and end of the sound on the file's own clock; None where there is no sound packet."""
    if sound is None or not found[sound.index].pts:
        return None
    measured = found[sound.index]
    start = min(measured.pts) * measured.time_base
    frame = first.get(sound.index)
    if frame is not None and frame.pts is not None:  # later than the packet by the priming that the decoder drops
        start = max(start, frame.pts * frame.time_base)
    end = measured.end if measured.end is not None else max(measured.pts)
    return start, end * measured.time_base


def _sound_fields(sound: Any | None, heard: tuple[Fraction, Fraction] | None, origin: Fraction) -> dict[str, Any]:
    if sound is None or heard is None:
        return {}
    return {
        "audio_index": sound.index,
        "audio_start_s": float(heard[0] - origin),
        "audio_end_s": float(heard[1] - origin),
        "audio_codec": sound.codec_context.name,
        "audio_channels": sound.codec_context.channels,
        "audio_rate_hz": sound.codec_context.sample_rate,
    }
