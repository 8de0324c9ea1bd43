"""Pictures and sound into an MP4 file (H.264 and AAC), streamed through ffmpeg."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

import ffmpeg
import numpy as np
import soundfile
from numpy.typing import NDArray

from avis_data.errors import ToolError
from avis_data.io import atomic_path
from avis_data.media.ffmpeg import find_ffmpeg, local_file
from avis_data.platforms import die_with_parent
from avis_data.synth.timbres import RATE_HZ

__all__ = ["write_mp4"]


def write_mp4(
    target: Path,
    pictures: Iterable[NDArray[np.uint8]],
    sound: NDArray[np.float32],
    *,
    size_hw: tuple[int, int],
    fps: int,
) -> None:
    """Write a media file whole or not at all; the pictures are taken one at a time.

    Args:
        target: `.mp4`.
        pictures: uint8 (height, width, 3), RGB; picture k is shown at k / fps.
        sound: float32 (samples, 2) in [-1, 1] at `timbres.RATE_HZ`.
        size_hw: even.
        fps: pictures per second.

    Raises:
        ToolError: if there is no ffmpeg, or it fails; with the end of what it said.
    """
    with atomic_path(target) as part, tempfile.TemporaryDirectory() as folder:
        wave = Path(folder) / "sound.wav"
        soundfile.write(wave, sound, RATE_HZ, subtype="PCM_16")
        with (Path(folder) / "errors.txt").open("w+b") as errors:
            code = _stream(_arguments(part, wave, size_hw, fps), pictures, errors.fileno())
            if code:
                errors.seek(0)
                said = errors.read().decode(errors="replace").strip()[-600:]
                raise ToolError(f"{target.name}: ffmpeg ended with code {code}: {said}", hint="avis-data doctor")


def _arguments(part: Path, wave: Path, size_hw: tuple[int, int], fps: int) -> list[str]:
    pictures = ffmpeg.input("pipe:", format="rawvideo", pix_fmt="rgb24", s=f"{size_hw[1]}x{size_hw[0]}", r=fps)
    output = ffmpeg.output(
        pictures.video,
        ffmpeg.input(local_file(wave)).audio,
        local_file(part),
        vcodec="libx264",
        preset="veryfast",
        crf=20,
        pix_fmt="yuv420p",
        acodec="aac",
        audio_bitrate="160k",
        # One thread and no encoder names: equal input gives equal bytes on one version of ffmpeg.
        threads=1,
        map_metadata=-1,
        fflags="+bitexact",
        movflags="+faststart",
        format="mp4",
    )
    arguments: list[str] = output.global_args("-v", "error", "-y").compile(cmd=find_ffmpeg().program)
    return arguments


def _stream(arguments: list[str], pictures: Iterable[NDArray[np.uint8]], errors: int) -> int:
    """Run ffmpeg with the pictures on its standard input; its exit code. It never outlives this call."""
    process = subprocess.Popen(
        arguments,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=errors,
        start_new_session=True,
        preexec_fn=die_with_parent(),
    )
    assert process.stdin is not None
    try:
        try:
            for picture in pictures:
                process.stdin.write(picture.tobytes())
            process.stdin.close()
        except BrokenPipeError:  # it gave up early; its exit code and its words say why
            pass
        return process.wait()
    finally:
        process.kill()
        process.wait()
