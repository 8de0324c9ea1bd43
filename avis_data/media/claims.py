"""How long a file says that its picture is: to be compared with how long it really is, never to be believed."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from avis_data.errors import ItemError, Reason
from avis_data.records import VideoStream

__all__ = ["check_claim", "claimed_duration_s"]

_MIN_EXCESS_S = 1.0
_MIN_EXCESS_SHARE = 0.05
_DURATION_TAG = re.compile(r"^(\d+):(\d\d):(\d\d(?:\.\d+)?)$")
_UNKNOWN = (0, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF)


def claimed_duration_s(path: Path, container: Any, stream: Any, *, longest_end_s: float) -> float | None:
    """What the header says of the picture's length, in seconds, or None where it says nothing of its own.

    MP4 keeps a length per track (with edits applied); libavformat no longer reports it where the samples say
    otherwise, so it is read here. Matroska has a tag per stream. Where there is only one length for the whole file,
    it counts if no other stream (text, sound) lasts that long.

    Args:
        path: the file.
        container: the same, opened with PyAV.
        stream: the picture stream.
        longest_end_s: measured end of the longest stream, relative to the container start.
    """
    if "mp4" in container.format.name:
        return _mp4_track_duration_s(path, stream.id)
    tag = _DURATION_TAG.match(stream.metadata.get("DURATION", ""))
    if tag:
        hours, minutes, secs = tag.groups()
        return int(hours) * 3600 + int(minutes) * 60 + float(secs)
    if stream.duration is not None:
        return float(stream.duration * stream.time_base)
    whole = container.duration / 1e6 if container.duration else None
    return whole if whole is not None and _exceeds(whole, longest_end_s) else None


def check_claim(media: VideoStream, *, name: str) -> None:
    """Refuse a file that promises clearly more picture than it holds: it was cut off, or its header lies.

    Raises:
        ItemError: `duration_mismatch` with both lengths.
    """
    claimed_s = media.claimed_duration_s
    if claimed_s is not None and _exceeds(claimed_s, media.duration_s):
        raise ItemError(
            f"{name} says that its picture lasts {claimed_s:.2f} s, but holds {media.duration_s:.2f} s; "
            "fetch it again, or give the clip an end in the list",
            reason=Reason.DURATION_MISMATCH,
        )


def _exceeds(claimed_s: float, measured_s: float) -> bool:
    return claimed_s - measured_s > max(_MIN_EXCESS_S, _MIN_EXCESS_SHARE * measured_s)


def _mp4_track_duration_s(path: Path, track_id: int) -> float | None:
    """`tkhd.duration / mvhd.timescale` of one track (ISO/IEC 14496-12 §8.2.2, §8.3.2); None where it is unknown."""
    with path.open("rb") as file:
        end = path.stat().st_size
        for kind, start, stop in _boxes(file, 0, end):
            if kind == b"moov":
                return _track_duration_s(file, start, stop, track_id)
    return None


def _track_duration_s(file: BinaryIO, start: int, stop: int, track_id: int) -> float | None:
    timescale, duration = 0, 0
    for kind, box_start, box_stop in _boxes(file, start, stop):
        if kind == b"mvhd":
            timescale = _field(file, box_start, {0: (12, ">I"), 1: (20, ">I")})
        elif kind == b"trak":
            for inner, inner_start, _ in _boxes(file, box_start, box_stop):
                if inner == b"tkhd" and _field(file, inner_start, {0: (12, ">I"), 1: (20, ">I")}) == track_id:
                    duration = _field(file, inner_start, {0: (20, ">I"), 1: (28, ">Q")})
    return duration / timescale if timescale and duration not in _UNKNOWN else None


def _boxes(file: BinaryIO, start: int, stop: int) -> Iterator[tuple[bytes, int, int]]:
    """Type, start and end of the content of every box between two places of the file."""
    while start + 8 <= stop:
        file.seek(start)
        size, kind = struct.unpack(">I4s", file.read(8))
        content = start + 8
        if size == 1:
            size = struct.unpack(">Q", file.read(8).ljust(8, b"\0"))[0]
            content += 8
        end = stop if size == 0 else min(start + size, stop)
        if end < content:
            return
        yield kind, content, end
        start = end


def _field(file: BinaryIO, start: int, places: dict[int, tuple[int, str]]) -> int:
    """One number of a versioned box; 0 where the box is cut off or of a version that we do not know."""
    file.seek(start)
    version = file.read(1)
    if not version or version[0] not in places:
        return 0
    offset, form = places[version[0]]
    file.seek(start + offset)
    data = file.read(struct.calcsize(form))
    return int(struct.unpack(form, data)[0]) if len(data) == struct.calcsize(form) else 0
