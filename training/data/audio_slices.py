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
import torch
from numpy.typing import NDArray
from torch.nn import functional

from avis_data.errors import DataError
from avis_data.features.logmel import EXAMPLE_SAMPLES, NUM_BANDS, log_mel, num_columns, samples_of_columns
from avis_data.training.data.audio_sound import SoundFile, read_sound, read_spans
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

    def bounds(columns: int) -> list[tuple[int, int]]:
        if not columns:
            raise DataError(f"{path}: less than 25 ms of sound", hint="avis-data validate DATASET")
        every = slice_bounds(columns, num_frames)
        return [every[frame] for frame in frames]

    parts = read_spans(path, lambda samples: [samples_of_columns(*own) for own in bounds(num_columns(samples))])
    if parts is None:
        log_mel_FM = log_mel(read_sound(path))
        wanted = [log_mel_FM[slice(*own)] for own in bounds(len(log_mel_FM))]
    else:
        wanted = [log_mel(part_N) for part_N in parts]
    slices = np.empty((len(frames), NUM_BANDS, SLICE_MOMENTS), dtype=np.float32)
    for place, columns_FM in enumerate(wanted):
        picture_MF = torch.from_numpy(np.ascontiguousarray(columns_FM.T))
        size = (NUM_BANDS, SLICE_MOMENTS)
        slices[place] = functional.interpolate(picture_MF[None, None], size=size, mode="bilinear")[0, 0].numpy()
    return slices


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
