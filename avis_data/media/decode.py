"""One ffmpeg run that turns a span of a file into stills and sound, and says which pictures it met on the way."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Any

import ffmpeg
import numpy as np

from avis_data.media.clock import rate
from avis_data.media.ffmpeg import Ffmpeg, FfmpegLog, run_ffmpeg
from avis_data.media.filters import cut_sound, on_clip_clock, picture_filters, source_input, still_size
from avis_data.media.sound import SAMPLE_RATE_HZ
from avis_data.media.span import SpanPackets
from avis_data.records import FrameAt, SoundTrack, VideoStream

__all__ = [
    "FRAMES",
    "SOUND",
    "STEREO",
    "Decoded",
    "RunLimits",
    "StillOptions",
    "decode_span",
]

FRAMES = "frames"
SOUND = "sound.raw"
STEREO = "stereo.raw"
_THREE = "left_right_mono.raw"
_BLOCK_S = 60
_PICTURES_MET = "pictures.txt"
_SOUND_MET = "sounds.txt"
_ROUND: dict[FrameAt, str] = {"start": "up", "mid": "near", "end": "down"}
_PTS = re.compile(r"^frame:\d+ +pts:(-?\d+) ", re.MULTILINE)
_PTS_TIME = re.compile(r"^frame:\d+ +pts:-?\d+ +pts_time:(-?[\d.]+(?:e[+-]?\d+)?)$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True, slots=True)
class StillOptions:
    """How stills are taken."""

    num_frames: int
    fps: float
    frame_at: FrameAt
    jpeg_quality: int
    """ffmpeg's -q:v."""
    square: bool = True
    """Whether pixels that are not square are made so."""
    stereo: bool = False
    """Whether two channels of the sound are written too, where it has more than one."""


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

    Where two channels are wanted, and there are as many or more, `stereo.raw` has them, on the same clock.

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
    if span.num_sound and media.sound is not None:
        outputs.append(_sound(path, media, media.sound, span, stereo=options.stereo and media.sound.channels > 1))
    command = ffmpeg.merge_outputs(*outputs).compile(cmd=program.program)
    log = run_ffmpeg(command, cwd=folder, timeout_s=limits.timeout_s, source=path.name)
    if (folder / _THREE).exists():
        _divide_sound(folder)
    pictures = _noted(folder / _PICTURES_MET, _PTS)
    sounds = _noted(folder / _SOUND_MET, _PTS_TIME)
    first_s, last_s = span.start * span.time_base, span.end * span.time_base
    end_pts = ceil(span.end)
    return Decoded(
        picture_pts=tuple(sorted({pts for pts in map(int, pictures) if span.first_pts <= pts < end_pts})),
        num_sound=sum(first_s <= Fraction(time) < last_s for time in sounds),
        log=log,
    )


def _stills(path: Path, media: VideoStream, span: SpanPackets, options: StillOptions, threads: int) -> Any:
    width, height = still_size(media, square=options.square)
    filters = ",".join(
        [
            *picture_filters(media, span, noted=_PICTURES_MET),
            # `pass`: the last picture is given out even where the pictures end within its period.
            f"fps=fps={rate(options.fps)}:start_time=0:round={_ROUND[options.frame_at]}:eof_action=pass",
            f"trim=end_frame={options.num_frames}",
            # JPEG files are read as full-range BT.601, whatever the video's matrix was.
            f"scale=w={width}:h={height}:out_color_matrix=bt601:out_range=pc",
            # Only where they were stretched: it adds a header to the JPEG.
            *(["setsar=1"] if (width, height) != (media.width, media.height) else []),
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


def _sound(path: Path, media: VideoStream, sound: SoundTrack, span: SpanPackets, *, stereo: bool) -> Any:
    """The mono sound, or, in one file, left, right and mono: a second file made some ffmpeg wait for ever."""
    heard = source_input(path, span.sound_seek_s, threads=1)[str(sound.index)]
    noted = heard.filter("ametadata", mode="add", key="met", value=1)
    cut = cut_sound(noted.filter("ametadata", mode="print", file=_SOUND_MET), media, span)
    if not stereo:
        form = {"ac": 1, "ar": SAMPLE_RATE_HZ, "c:a": "pcm_s16le"}
        return ffmpeg.output(on_clip_clock(cut, rate_hz=SAMPLE_RATE_HZ), SOUND, f="s16le", **form)
    twice = cut.filter_multi_output("asplit")
    layouts = [
        on_clip_clock(twice[place], rate_hz=SAMPLE_RATE_HZ).filter("aformat", sample_fmts="s16", channel_layouts=layout)
        for place, layout in enumerate(("stereo", "mono"))
    ]
    return ffmpeg.output(ffmpeg.filter(layouts, "amerge", inputs=2), _THREE, f="s16le", **{"c:a": "pcm_s16le"})


def _divide_sound(folder: Path) -> None:
    """Of left, right and mono, in turn, make the file of both channels and that of the mono sound."""
    three, mono, both = (folder / name for name in (_THREE, SOUND, STEREO))
    with three.open("rb") as file, mono.open("wb") as mono_file, both.open("wb") as both_file:
        while block := file.read(_BLOCK_S * SAMPLE_RATE_HZ * 6):
            samples_N3 = np.frombuffer(block[: len(block) // 6 * 6], dtype="<i2").reshape(-1, 3)
            both_file.write(samples_N3[:, :2].tobytes())
            mono_file.write(samples_N3[:, 2].tobytes())
    three.unlink()


def _noted(path: Path, pattern: re.Pattern[str]) -> list[str]:
    """What the filter `metadata=print` noted; the file is missing where nothing came out of the decoder."""
    return pattern.findall(path.read_text(encoding="ascii")) if path.exists() else []
