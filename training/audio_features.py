"""The audio vector of each frame: VGGish embeddings of an export, or a plain log-mel summary of its sound.

Shapes: T frames of a clip (one a second), n of them asked for, A = 128 values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from avis_data.errors import DataError
from avis_data.features.logmel import SAMPLE_RATE_HZ, second_examples

__all__ = ["AUDIO_CHANNELS", "AudioFeatures", "AudioKind", "log_mel_summary"]

AudioKind = Literal["vggish", "logmel"]

AUDIO_CHANNELS = 128
_SILENCE = float(np.log(0.01))
"""What the front end gives for no sound: its log never goes lower."""
_SCALE = 0.5
"""Brings the summary to about [0, 2.5], the range of VGGish embeddings."""


@dataclass(frozen=True)
class AudioFeatures:
    """Where the audio vectors of an AVISeg-layout split come from."""

    kind: AudioKind
    """`vggish`: FEATAudios/<clip>.npy. `logmel`: computed from WAVAudios/<clip>.wav."""

    def path(self, folder: Path, clip_id: str) -> Path:
        """The file of a clip in the folder of its split."""
        if self.kind == "vggish":
            return folder / "FEATAudios" / f"{clip_id}.npy"
        return folder / "WAVAudios" / f"{clip_id}.wav"

    def problem(self, path: Path, num_frames: int) -> str | None:
        """What is wrong with the file of a clip of T frames; None if it can be used. Reads headers only."""
        if not path.is_file():
            return "no such file"
        if self.kind == "vggish":
            return _npy_problem(path, num_frames)
        try:
            seconds = soundfile.info(path).duration
        except soundfile.LibsndfileError as error:
            return f"no sound file ({error})"
        return None if seconds > num_frames - 2 else f"{seconds:.1f} s of sound for {num_frames} frames"

    def read(self, path: Path, frames: Sequence[int]) -> NDArray[np.float32]:
        """The vectors of some frames, float32 (n, 128). An npy is mapped: only the rows that are asked for are read.

        Raises:
            DataError: if the file cannot be read, or does not hold a frame.
        """
        if self.kind == "logmel":
            return _log_mel_rows(path, frames)
        try:
            rows: NDArray[np.float32] = np.load(path, mmap_mode="r", allow_pickle=False)[list(frames)]
        except (OSError, ValueError, IndexError) as error:
            raise DataError(f"{path}: cannot be read as features of {max(frames) + 1} frames ({error})") from None
        return np.array(rows, dtype=np.float32)


def log_mel_summary(samples_N: NDArray[np.float32]) -> NDArray[np.float32]:
    """What one second sounds like without any trained network: each mel band's mean, and its spread over time.

    Args:
        samples_N: float32 at 16 kHz, mono, in [-1, 1): one second, or less at the end of a clip.

    Returns:
        float32 (128,): 64 means above silence, then 64 standard deviations, both of log-mel values, scaled; zeros for
        silence and for less than 0.975 s of sound.
    """
    example_FM = second_examples(samples_N, 1)[0]
    if not example_FM.any():
        return np.zeros(AUDIO_CHANNELS, dtype=np.float32)
    mean_M, spread_M = example_FM.mean(axis=0) - _SILENCE, example_FM.std(axis=0)
    return np.asarray(_SCALE * np.concatenate((mean_M, spread_M)), dtype=np.float32)


def _npy_problem(path: Path, num_frames: int) -> str | None:
    try:
        features = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        return f"no npy array ({error})"
    if features.ndim != 2 or features.shape[1] != AUDIO_CHANNELS or features.dtype.kind != "f":
        return f"holds {features.dtype} {features.shape}, must be float (T, {AUDIO_CHANNELS})"
    return None if len(features) == num_frames else f"has {len(features)} rows, the clip has {num_frames} frames"


def _log_mel_rows(path: Path, frames: Sequence[int]) -> NDArray[np.float32]:
    """Each second by itself, as the VGGish features are made: no second sees its neighbours."""
    rows = np.zeros((len(frames), AUDIO_CHANNELS), dtype=np.float32)
    try:
        with soundfile.SoundFile(path) as file:
            rate = file.samplerate
            for place, frame in enumerate(frames):
                if frame * rate >= file.frames:
                    continue  # the sound ends before the picture
                file.seek(frame * rate)
                samples_N = file.read(rate, dtype="float32", always_2d=True).mean(axis=1)
                if rate != SAMPLE_RATE_HZ:
                    samples_N = soxr.resample(samples_N, rate, SAMPLE_RATE_HZ)
                rows[place] = log_mel_summary(samples_N)
    except soundfile.LibsndfileError as error:
        raise DataError(f"{path}: cannot be read as sound ({error})") from None
    return rows
