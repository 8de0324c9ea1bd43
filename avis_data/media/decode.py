"""One ffmpeg run that turns a span of a file into stills and sound, and says which pictures it met on the way."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Any

import ffmpeg

from avis_data.media.clock import rate, seconds
from avis_data.media.container import INPUT_OPTIONS
from avis_data.media.ffmpeg import Ffmpeg, FfmpegLog, local_file, run_ffmpeg
from avis_data.media.sound import SAMPLE_RATE_HZ
from avis_data.media.span import SpanPackets
from avis_data.records import FrameAt, VideoStream

__all__ = [
    "FRAMES",
    "SOUND",
    "Decoded",
    "RunLimits",
    "StillOptions",
    "decode_span",
    "on_clip_clock",
    "own_time_base",
    "sound_on_clip_clock",
    "source_input",
]

FRAMES = "frames"
SOUND = "sound.raw"
_PICTURES_MET = "pictures.txt"
_SOUND_MET = "sounds.txt"
_ROUND: dict[FrameAt, str] = {"start": "up", "mid": "near", "end": "down"}
_PTS = re.compile(r"^frame:\d+ +pts:(-?\d+) ", re.MULTILINE)
_PTS_TIME = re.compile(r"^frame:\d+ +pts:-?\d+ +pts_time:(-?[\d.]+(?:e[+-]?\d+)?)$", re.MULTILINE)
_FINER = 1000
_INT32_MAX = 2**31 - 1


@dataclass(frozen=True, kw_only=True, slots=True)
class StillOptions:
    """How stills are taken."""

    num_frames: int
    fps: float
    frame_at: FrameAt
    jpeg_quality: int
    """ffmpeg's -q:v."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunLimits:
    """What one ffmpeg run may use."""

    timeout_s: float
    threads: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Decoded:
    """What came out of the decoders."""

    picture_pts: tuple[int, ...]
    """Time stamps of every picture before the end of the span, ascending, in the stream's own units; some lie before
    its start."""
    num_sound: int
    """Blocks of sound that begin in the span."""
    log: FfmpegLog


def decode_span(
    path: Path,
    media: VideoStream,
    span: SpanPackets,
    options: StillOptions,
    *,
    program: Ffmpeg,
    folder: Path,
    limits: RunLimits,
) -> Decoded:
    """Write `frames/%05d.jpg` and, where the span has sound, `sound.raw` (16 kHz mono, 16 bit) into `folder`.

    Picture and sound are read through two inputs of the same file, as each needs another run-up, and `-copyts` keeps
    both on the file's own clock. Every picture is noted before any filter can drop it.

    Raises:
        ItemError: as `run_ffmpeg`.
    """
    decoded = _decode(path, media, span, options, program=program, folder=folder, limits=limits)
    late = not decoded.picture_pts or decoded.picture_pts[0] > span.picture_pts[0]
    if late and span.picture_seek_s is not None:  # this program's demuxer sought past the key frame that ours found
        span = replace(span, picture_seek_s=None)
        decoded = _decode(path, media, span, options, program=program, folder=folder, limits=limits)
    return decoded


def _decode(
    path: Path,
    media: VideoStream,
    span: SpanPackets,
    options: StillOptions,
    *,
    program: Ffmpeg,
    folder: Path,
    limits: RunLimits,
) -> Decoded:
    (folder / FRAMES).mkdir(exist_ok=True)
    outputs = [_stills(path, media, span, options, limits.threads)]
    if span.num_sound:
        outputs.append(_sound(path, media, span))
    command = ffmpeg.merge_outputs(*outputs).compile(cmd=program.program)
    log = run_ffmpeg(command, cwd=folder, timeout_s=limits.timeout_s, source=path.name)
    pictures = _noted(folder / _PICTURES_MET, _PTS)
    sounds = _noted(folder / _SOUND_MET, _PTS_TIME)
    first_s, last_s = span.start * span.time_base, span.end * span.time_base
    return Decoded(
        picture_pts=tuple(sorted({int(pts) for pts in pictures if span.first_pts <= int(pts) < span.end})),
        num_sound=sum(first_s <= Fraction(time) < last_s for time in sounds),
        log=log,
    )


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


def on_clip_clock(span: SpanPackets) -> str:
    """Filters that leave out what cannot be decoded, end the pictures with the span and put time 0 at its start.

    In units fine enough to be exact.
    """
    base = span.time_base
    finer = max(1, min(_FINER, _INT32_MAX // base.denominator))
    return (
        f"trim=start_pts={span.first_pts}:end_pts={ceil(span.end)},"
        f"settb=expr={base.numerator}/{base.denominator * finer},setpts=PTS-({round(span.start * finer)})"
    )


def sound_on_clip_clock(media: VideoStream, span: SpanPackets, *, rate_hz: int) -> str:
    """Filters that cut the span out of the sound, sample by sample, put its start at time 0, and resample it.

    Sound that starts late, and gaps of 10 ms and more, become silence, so that all the rest stays in its place.
    The end of the last packet is the end of the sound: some decoders go on to the end of the last block.
    """
    start_s, end_s = span.start * span.time_base, span.end * span.time_base
    if media.audio_end_s is not None:
        end_s = min(end_s, seconds(media.start_s) + seconds(media.audio_end_s))
    return (
        f"atrim=start={float(start_s):.6f}:end={float(end_s):.6f},asetpts=PTS-round({float(start_s):.6f}/TB),"
        f"aresample={rate_hz}:async=1:min_hard_comp=0.01:first_pts=0"
    )


def own_time_base(span: SpanPackets) -> str:
    """Filter that makes sure that time stamps are in the units of the stream."""
    return f"settb=expr={span.time_base.numerator}/{span.time_base.denominator}"


def _stills(path: Path, media: VideoStream, span: SpanPackets, options: StillOptions, threads: int) -> Any:
    filters = ",".join(
        [
            own_time_base(span),
            f"metadata=mode=add:key=met:value=1,metadata=mode=print:file={_PICTURES_MET}",
            on_clip_clock(span),
            # `pass`: the last picture is given out even where the pictures end within its period.
            f"fps=fps={rate(options.fps)}:start_time=0:round={_ROUND[options.frame_at]}:eof_action=pass",
            f"trim=end_frame={options.num_frames}",
            # JPEG files are read as full-range BT.601, whatever the video's matrix was.
            f"scale=w={media.width}:h={media.height}:out_color_matrix=bt601:out_range=pc",
        ]
    )
    source = source_input(path, span.picture_seek_s, threads=threads)
    return ffmpeg.output(
        source[str(media.video_index)],
        f"{FRAMES}/%05d.jpg",
        f="image2",
        start_number=0,
        vf=filters,
        fps_mode="passthrough",
        threads=1,
        **{"c:v": "mjpeg", "q:v": options.jpeg_quality},
    )


def _sound(path: Path, media: VideoStream, span: SpanPackets) -> Any:
    filters = ",".join(
        [
            f"ametadata=mode=add:key=met:value=1,ametadata=mode=print:file={_SOUND_MET}",
            sound_on_clip_clock(media, span, rate_hz=SAMPLE_RATE_HZ),
        ]
    )
    source = source_input(path, span.sound_seek_s, threads=1)
    return ffmpeg.output(
        source[str(media.audio_index)], SOUND, f="s16le", af=filters, ac=1, ar=SAMPLE_RATE_HZ, **{"c:a": "pcm_s16le"}
    )


def _noted(path: Path, pattern: re.Pattern[str]) -> list[str]:
    """What the filter `metadata=print` noted; the file is missing where nothing came out of the decoder."""
    return pattern.findall(path.read_text(encoding="ascii")) if path.exists() else []
