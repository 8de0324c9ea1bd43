"""Opening a media file, and saying in plain words why it cannot be opened."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av

from avis_data.errors import ItemError, Reason
from avis_data.io import raise_unreadable

__all__ = ["is_default", "open_media", "packets", "picture_streams", "sound_streams"]

FORMATS = (
    "mov,matroska,webm,avi,mpegts,mpeg,flv,asf,ogg,mxf,nut,ivf,rm,dv,gxf,wtv,gif,apng,mpegvideo,m4v,h264,hevc,"
    "mp3,wav,flac,aac"
)
"""Real containers only: play lists (hls, concat, dash) could name other files, and text is read as a film by `tty`."""

INPUT_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": FORMATS}
"""What every reader of a source is given, ours and the ffmpeg program."""

_SIGNATURES = (  # (offset, bytes) of the containers people meet
    (4, b"ftyp"),
    (4, b"moov"),
    (4, b"mdat"),
    (4, b"free"),
    (4, b"wide"),
    (0, b"\x1aE\xdf\xa3"),
    (0, b"RIFF"),
    (0, b"OggS"),
    (0, b"FLV"),
    (0, b"0&\xb2u\x8ef\xcf\x11"),
    (0, b"\x00\x00\x01\xba"),
)


@contextmanager
def open_media(path: Path) -> Iterator[Any]:
    """Open a local media file with PyAV; play lists and everything that is not a file are refused.

    Raises:
        ItemError: `source_missing`, `empty_file`, `not_media` (text, a web page, a picture) or `bad_media` (cut off).
    """
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        raise ItemError(f"{path.name}: no such file; fetch it again", reason=Reason.SOURCE_MISSING) from None
    if size == 0:
        raise ItemError(f"{path.name} is empty (0 bytes); fetch it again", reason=Reason.EMPTY_FILE)
    try:
        container = av.open(f"file:{path.absolute()}", container_options=INPUT_OPTIONS)
    except (av.error.FFmpegError, ValueError) as error:
        raise_unreadable(error, path)
        raise _unreadable(path, error) from None
    with container:
        yield container


def packets(container: Any, streams: list[Any]) -> Iterator[Any]:
    """The packets of the streams that hold data, in file order; a file that breaks off ends there.

    Raises:
        ItemError: `bad_media` where a stream appears that the header did not name: PyAV has no place for it.
    """
    reader = container.demux(streams)
    while True:
        try:
            packet = next(reader)
        except StopIteration:
            return
        except av.error.FFmpegError as error:
            raise_unreadable(error, _path_of(container))
            return
        except IndexError:
            name = _path_of(container).name
            message = f"{name} is damaged: a stream appears in it that its header does not name; fetch it again"
            raise ItemError(message, reason=Reason.BAD_MEDIA) from None
        if packet.size:
            yield packet


def picture_streams(container: Any, path: Path) -> list[Any]:
    """The streams of moving pictures, the one to show first: that which the file marks as default, else the first.

    Attached pictures (covers) are left out.

    Raises:
        ItemError: `no_video` if there is none.
    """
    attached = av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails
    found = [stream for stream in container.streams.video if not stream.disposition & attached]
    if not found:
        message = f"{path.name} has no moving picture, only {_kinds(container)}; check its link"
        raise ItemError(message, reason=Reason.NO_VIDEO)
    return sorted(found, key=_rank)


def sound_streams(container: Any) -> list[Any]:
    """The streams of sound, the one to play first: that marked as default, not made for some listeners only."""
    return sorted(container.streams.audio, key=_rank)


def is_default(stream: Any) -> bool:
    """Whether the file marks the stream as the one to show or play."""
    return bool(stream.disposition & av.stream.Disposition.default)


def _path_of(container: Any) -> Path:
    return Path(container.name.removeprefix("file:"))


def _rank(stream: Any) -> tuple[bool, bool, int]:
    kind = av.stream.Disposition
    special = kind.comment | kind.hearing_impaired | kind.visual_impaired | kind.karaoke | kind.lyrics
    return (not is_default(stream), bool(stream.disposition & special), stream.index)


def _kinds(container: Any) -> str:
    names = {"audio": "sound", "video": "a cover picture", "subtitle": "text"}
    return ", ".join(sorted({names.get(stream.type, stream.type) for stream in container.streams})) or "nothing"


def _unreadable(path: Path, error: Exception) -> ItemError:
    with path.open("rb") as file:
        head = file.read(512)
    known = any(head[offset:].startswith(mark) for offset, mark in _SIGNATURES) or head[0::188][:3] == b"GGG"
    if known:
        message = f"{path.name} cannot be opened: cut off or damaged ({_cause(error)}); fetch it again"
        return ItemError(message, reason=Reason.BAD_MEDIA)
    text = head.lstrip()[:1] in (b"<", b"{", b"#") or head.isascii()
    what = "text or a web page" if text else "no video container that we know"
    return ItemError(f"{path.name} is not a video ({what}); check its link", reason=Reason.NOT_MEDIA)


def _cause(error: Exception) -> str:
    log = getattr(error, "log", None)
    return str(log[2]) if log else type(error).__name__
