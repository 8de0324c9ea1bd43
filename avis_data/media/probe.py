"""What a source video file really holds, measured packet by packet (nothing is decoded but the first of each kind)."""

from __future__ import annotations

import statistics
import struct
from array import array
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av

from avis_data.errors import ItemError, Reason
from avis_data.media.claims import claimed_duration_s
from avis_data.media.container import is_default, open_media, packets, picture_streams, sound_streams
from avis_data.records import PictureForm, SoundTrack, VideoStream

__all__ = ["probe"]

_TRIES = 60
"""Packets given to a decoder until its first picture or sound must have come out."""

_ABSURD = 10
"""A last picture is not on display for more than so many times the longest distance between two pictures."""


_MAX_ASPECT = 4
"""Wider or narrower pixels are made by nobody."""

_TRANSFERS = {
    1: "bt709",
    4: "gamma22",
    5: "gamma28",
    6: "smpte170m",
    8: "linear",
    13: "iec61966-2-1",
    14: "bt2020-10",
    15: "bt2020-12",
    16: "smpte2084",
    18: "arib-std-b67",
}
"""Names of transfer functions by their numbers in H.273, as ffmpeg writes them."""


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
        pictures = picture_streams(container, path)
        sounds = sound_streams(container)
        streams = [stream for stream in container.streams if stream.type in ("video", "audio", "subtitle")]
        found = {stream.index: _Measured(stream.time_base) for stream in streams}
        first: dict[int, Any] = {}
        tries = {stream.index: _TRIES for stream in (pictures[0], *sounds)}
        for packet in packets(container, streams):
            found[packet.stream.index].add(packet)
            if tries.get(packet.stream.index, 0) > 0:
                tries[packet.stream.index] = _try_decode(packet, first, tries[packet.stream.index])
        return _summary(path, container, pictures, sounds, found, first)


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
    path: Path,
    container: Any,
    pictures: list[Any],
    sounds: list[Any],
    found: dict[int, _Measured],
    first: dict[int, Any],
) -> VideoStream:
    picture = pictures[0]
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
    heard = {
        stream: _heard(found[stream.index], first.get(stream.index)) for stream in sounds if found[stream.index].pts
    }
    origin = _origin(container, min([video_start, *(start for start, _ in heard.values())]))
    tracks = [_sound_track(stream, span, origin) for stream, span in heard.items()]
    ends = [measured.end * measured.time_base for measured in found.values() if measured.end is not None]
    form = _form(pictures, first.get(picture.index))
    width, height = _upright_size(picture, first.get(picture.index), form)
    return VideoStream(
        duration_s=float(video_end - origin),
        claimed_duration_s=claimed_duration_s(path, container, picture, longest_end_s=float(max(ends) - origin)),
        start_s=float(origin),
        video_index=picture.index,
        video_start_s=float(video_start - origin),
        width=width,
        height=height,
        form=form,
        fps=_mean_rate(ordered, typical, shown.time_base),
        video_codec=picture.codec_context.name,
        sound=tracks[0] if tracks else None,
        other_sounds=tuple(tracks[1:]),
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


def _form(pictures: list[Any], frame: Any | None) -> PictureForm:
    """How the pictures are stored, from the stream and the first of them that could be decoded."""
    picture = pictures[0]
    rotation = 0 if frame is None else -frame.rotation % 360
    aspect = _pixel_aspect(picture, is_turned=rotation in (90, 270))
    depth = max((component.bits for component in picture.format.components), default=8) if picture.format else 8
    return PictureForm(
        pixel_aspect=f"{aspect.numerator}/{aspect.denominator}",
        rotation_deg=rotation,
        is_mirrored=frame is not None and _is_mirrored(frame),
        is_interlaced=frame is not None and bool(frame.interlaced_frame),
        bit_depth=depth,
        transfer=_TRANSFERS.get(picture.codec_context.color_trc),
        num_streams=len(pictures),
    )


def _pixel_aspect(picture: Any, *, is_turned: bool) -> Fraction:
    """Width to height of an upright pixel; what no camera makes is a damaged header, and taken for square."""
    aspect = Fraction(picture.sample_aspect_ratio or 1)
    if not 1 / _MAX_ASPECT <= aspect <= _MAX_ASPECT:
        return Fraction(1)
    return 1 / aspect if is_turned else aspect


def _is_mirrored(frame: Any) -> bool:
    """Whether the display matrix (nine 32-bit numbers, row by row) turns left and right around."""
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return False
    across, skew, _, lean, down = struct.unpack("=5i", bytes(data)[:20])
    return bool(across * down - skew * lean < 0)


def _upright_size(picture: Any, frame: Any | None, form: PictureForm) -> tuple[int, int]:
    """Width and height in stored pixels, turned upright."""
    stored = picture.codec_context if frame is None else frame
    width, height = stored.width, stored.height
    if width <= 0 or height <= 0:
        raise ItemError(f"the picture stream has no size ({width}x{height})", reason=Reason.BAD_MEDIA)
    return (height, width) if form.rotation_deg in (90, 270) else (width, height)


def _heard(measured: _Measured, frame: Any | None) -> tuple[Fraction, Fraction]:
    """Start and end of a sound on the file's own clock."""
    start = min(measured.pts) * measured.time_base
    if frame is not None and frame.pts is not None:  # later than the packet by the priming that the decoder drops
        start = max(start, frame.pts * frame.time_base)
    end = measured.end if measured.end is not None else max(measured.pts)
    return start, end * measured.time_base


def _sound_track(stream: Any, span: tuple[Fraction, Fraction], origin: Fraction) -> SoundTrack:
    return SoundTrack(
        index=stream.index,
        language=None if stream.language == "und" else stream.language,  # undetermined
        is_default=is_default(stream),
        start_s=float(span[0] - origin),
        end_s=float(span[1] - origin),
        codec=stream.codec_context.name,
        channels=stream.codec_context.channels,
        rate_hz=stream.codec_context.sample_rate,
    )
