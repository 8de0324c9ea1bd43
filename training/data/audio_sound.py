"""The sound of a clip as training reads it: a WAV of any rate and channels, as mono at 16 kHz.

Shapes: N samples, C channels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from avis_data.errors import DataError
from avis_data.features.arrays import check_finite
from avis_data.formats.aviseg_folders import sound_path
from avis_data.media.sound import SAMPLE_RATE_HZ
from avis_data.training.data.frame_times import FrameTimes

__all__ = ["SoundFile", "mono_16k", "read_sound", "read_spans", "seconds_of_frames"]


@dataclass(frozen=True)
class SoundFile:
    """`WAVAudios/<clip>.wav`, which several kinds of audio are computed from."""

    @property
    def hint(self) -> str:
        """What to do where files are missing or bad."""
        return "avis-data validate DATASET"

    def path(self, folder: Path, clip_id: str) -> Path:
        """The file of a clip in the folder of its split."""
        return sound_path(folder.parent, folder.name, clip_id)

    def mirrored(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """What is heard in some frames if left and right change places: the same, where channels are mixed."""
        return rows

    def mixed(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """What is heard in some frames if both channels have the mean of the two: the same, where they are mixed."""
        return rows

    def placed(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """From where something is heard in some frames, without what: as it is, where nothing says from where."""
        return rows

    def problem(self, path: Path, times: FrameTimes) -> str | None:
        """What is wrong with a file: no sound file, or two seconds shorter than its frames."""
        try:
            seconds = soundfile.info(path).duration
        except soundfile.LibsndfileError as error:
            return f"no sound file ({error})"
        return None if seconds > times.duration_s - 2 else f"{seconds:.1f} s of sound for {len(times)} frames"


def read_sound(path: Path) -> NDArray[np.float32]:
    """All samples, float32 (N,), in [-1, 1). Raises DataError if it cannot be read, or a sample is no number."""
    try:
        samples_NC, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError, MemoryError) as error:  # a damaged header says any length
        raise DataError(f"{path}: cannot be read as sound ({error})") from None
    check_finite(samples_NC, path, what="samples")
    return mono_16k(samples_NC, rate)


def read_spans(path: Path, spans: Callable[[int], Sequence[tuple[int, int]]]) -> list[NDArray[np.float32]] | None:
    """The samples of some spans, of which no other sound is read; None where the whole file has to be.

    That is where it has another rate, or ends before its header says, or cannot be read (then reading it whole says
    why).

    Args:
        spans: first sample and the one after the last of each span, of a file of so many samples.

    Raises:
        DataError: if a sample is no number.
    """
    try:
        with soundfile.SoundFile(path) as file:
            if file.samplerate != SAMPLE_RATE_HZ or not file.seekable():
                return None
            found = []
            for first, last in spans(file.frames):
                file.seek(first)
                samples_NC = file.read(last - first, dtype="float32", always_2d=True)
                if len(samples_NC) < last - first:
                    return None
                check_finite(samples_NC, path, what="samples")
                found.append(mono_16k(samples_NC, SAMPLE_RATE_HZ))
            return found
    except (soundfile.LibsndfileError, OSError, MemoryError):
        return None


def seconds_of_frames(
    path: Path, frames: Sequence[int], times: FrameTimes
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """The second of sound that begins with the period of each of some frames, with its place in `frames`.

    Frames after the end of the sound are left out.

    Yields:
        The place, and float32 (16000, C), less at the end of the sound.

    Raises:
        DataError: for a bad file.
    """
    try:
        with soundfile.SoundFile(path) as file:
            rate_hz = file.samplerate
            for place, frame in enumerate(frames):
                begin = math.floor(frame / times.fps * rate_hz + 0.5)
                if begin < file.frames:
                    file.seek(begin)
                    samples_NC = file.read(rate_hz, dtype="float32", always_2d=True)
                    check_finite(samples_NC, path, what=f"samples of frame {frame}")
                    yield place, _at_16k(samples_NC, rate_hz)
    except soundfile.LibsndfileError as error:
        raise DataError(f"{path}: cannot be read as sound ({error})") from None


def mono_16k(samples_NC: NDArray[np.float32], rate_hz: int) -> NDArray[np.float32]:
    """The mean of the channels at 16 kHz, float32."""
    return _at_16k(samples_NC.mean(axis=1), rate_hz)


def _at_16k(samples: NDArray[np.float32], rate_hz: int) -> NDArray[np.float32]:
    if rate_hz == SAMPLE_RATE_HZ:
        return samples
    resampled: NDArray[np.float32] = soxr.resample(samples, rate_hz, SAMPLE_RATE_HZ)
    return resampled
