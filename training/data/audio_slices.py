"""The sound of a clip as pictures, one per frame: even slices of its log-mel spectrogram.

Shapes: T frames of a clip, n of them asked for, M = 64 mel bands, F columns of the spectrogram (one every 10 ms),
    S = 64 moments of a slice.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from torch.nn import functional

from avis_data.errors import DataError
from avis_data.features.arrays import check_finite
from avis_data.features.logmel import EXAMPLE_SAMPLES, NUM_BANDS, log_mel, num_columns, samples_of_columns
from avis_data.media.sound import SAMPLE_RATE_HZ
from avis_data.training.data.audio_sound import SoundFile, mono_16k, read_sound
from avis_data.training.data.frame_times import FrameTimes

__all__ = ["SLICE_MOMENTS", "SpectrogramSlices", "log_mel_moments", "read_slices", "slice_bounds"]

SLICE_MOMENTS = 64
"""Columns of a slice, stretched or squeezed to that many."""


class SpectrogramSlices(SoundFile):
    """Even parts of the log-mel spectrogram of a clip, one per frame."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of a slice."""
        return (NUM_BANDS, SLICE_MOMENTS)

    @property
    def silence(self) -> NDArray[np.float32]:
        """The slice of silence: what the front end gives for no sound, everywhere."""
        quiet = log_mel(np.zeros(EXAMPLE_SAMPLES, dtype=np.float32))[0, 0]
        return np.full(self.shape, quiet, dtype=np.float32)

    def read(self, path: Path, frames: Sequence[int], times: FrameTimes) -> NDArray[np.float32]:
        """The slices of some frames, (n, 64, 64). Raises DataError for a bad file."""
        return read_slices(path, frames, len(times))


def slice_bounds(columns: int, num_frames: int) -> list[tuple[int, int]]:
    """First column of each frame's slice, and the one after its last.

    The slices cover all columns and differ in length by one at most; where there are more frames than columns, a frame
    gets the column that is there at its moment.

    Source: the report of Audio Fusion CrossVIS: "divided evenly along time".
    """
    starts = [frame * columns // num_frames for frame in range(num_frames + 1)]
    return [(first, max(last, first + 1)) for first, last in itertools.pairwise(starts)]


def read_slices(path: Path, frames: Sequence[int], num_frames: int) -> NDArray[np.float32]:
    """The slices of some frames, float32 (n, 64, 64): bands from low to high, then moments.

    Args:
        path: the sound of the whole clip.
        frames: which of the T frames.
        num_frames: T.

    Raises:
        DataError: if the file cannot be read, or has less than 25 ms of sound.
    """
    wanted = _columns_of(path, frames, num_frames)
    if wanted is None:
        log_mel_FM = log_mel(read_sound(path))
        if not len(log_mel_FM):
            raise DataError(f"{path}: less than 25 ms of sound", hint="avis-data validate DATASET")
        bounds = slice_bounds(len(log_mel_FM), num_frames)
        wanted = [log_mel_FM[slice(*bounds[frame])] for frame in frames]
    slices = np.empty((len(frames), NUM_BANDS, SLICE_MOMENTS), dtype=np.float32)
    for place, columns_FM in enumerate(wanted):
        picture_MF = torch.from_numpy(np.ascontiguousarray(columns_FM.T))
        size = (NUM_BANDS, SLICE_MOMENTS)
        slices[place] = functional.interpolate(picture_MF[None, None], size=size, mode="bilinear")[0, 0].numpy()
    return slices


def _columns_of(path: Path, frames: Sequence[int], num_frames: int) -> list[NDArray[np.float32]] | None:
    """The columns of the slices, of which no other sound is read.

    None where the whole file has to be: it has another rate, no slice at all, or ends before its header says.
    """
    try:
        with soundfile.SoundFile(path) as file:
            columns = num_columns(file.frames)
            if file.samplerate != SAMPLE_RATE_HZ or not columns or not file.seekable():
                return None
            bounds = slice_bounds(columns, num_frames)
            found = []
            for first, last in (samples_of_columns(*bounds[frame]) for frame in frames):
                file.seek(first)
                samples_NC = file.read(last - first, dtype="float32", always_2d=True)
                if len(samples_NC) < last - first:
                    return None
                check_finite(samples_NC, path, what="samples")
                found.append(log_mel(mono_16k(samples_NC, SAMPLE_RATE_HZ)))
            return found
    except (soundfile.LibsndfileError, OSError, MemoryError):
        return None  # reading it whole says why


def log_mel_moments(paths: Iterable[Path]) -> tuple[float, float]:
    """Mean and standard deviation of the log-mel values of some recordings.

    Raises:
        DataError: if a file cannot be read, or none has any sound.
    """
    count, total, squares = 0, 0.0, 0.0
    for path in paths:
        values = log_mel(read_sound(path)).astype(np.float64)
        count, total, squares = count + values.size, total + values.sum(), squares + np.square(values).sum()
    if not count:
        raise DataError("no clip has any sound", hint="--set model.audio=false")
    mean = total / count
    return float(mean), math.sqrt(max(squares / count - mean**2, 0.0))
