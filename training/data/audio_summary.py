"""What some sound is like without any trained network: mean and spread of its mel bands.

Shapes: N samples at 16 kHz, n frames, F = 96 frames of 25 ms, M = 64 bands; a summary has 2 M = 128 values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avis_data.features.logmel import EXAMPLE_SAMPLES, NUM_BANDS, causal_examples, second_examples
from avis_data.media.sound import SAMPLE_RATE_HZ
from avis_data.training.data.audio_sound import SoundFile, read_sound, read_spans, seconds_of_frames
from avis_data.training.data.frame_times import FrameTimes

__all__ = ["SecondSummaries", "WindowSummaries", "example_summary", "log_mel_summary", "window_ends"]

_SILENCE = float(np.log(0.01))
"""What the front end gives for no sound: its log never goes lower."""
_SCALE = 0.5
"""Brings the summary to about [0, 2.5], the range of VGGish embeddings."""


class SecondSummaries(SoundFile):
    """The second that begins with each frame's period, by itself: at one frame a second none sees its neighbours."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of a summary."""
        return (2 * NUM_BANDS,)

    @property
    def silence(self) -> NDArray[np.float32]:
        """The summary of silence: zeros."""
        return np.zeros(self.shape, dtype=np.float32)

    def read(self, path: Path, frames: Sequence[int], times: FrameTimes) -> NDArray[np.float32]:
        """Summaries of some frames, (n, 128); zeros where the sound ends before. Raises DataError for a bad file."""
        rows = np.zeros((len(frames), 2 * NUM_BANDS), dtype=np.float32)
        for place, samples_NC in seconds_of_frames(path, frames, times):
            rows[place] = log_mel_summary(samples_NC.mean(axis=1))
        return rows


class WindowSummaries(SoundFile):
    """The 15,600 samples before what each frame shows: nothing that a stream would not have heard yet."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of a summary."""
        return (2 * NUM_BANDS,)

    @property
    def silence(self) -> NDArray[np.float32]:
        """The summary of silence: zeros."""
        return np.zeros(self.shape, dtype=np.float32)

    def read(self, path: Path, frames: Sequence[int], times: FrameTimes) -> NDArray[np.float32]:
        """Summaries of some frames, (n, 128). Raises DataError for a bad file."""
        every = window_ends(times)
        ends = [every[frame] for frame in frames]
        starts = [max(0, end - EXAMPLE_SAMPLES) for end in ends]
        parts = read_spans(
            path, lambda length: [(min(s, length), min(e, length)) for s, e in zip(starts, ends, strict=True)]
        )
        if parts is None:
            examples = causal_examples(read_sound(path), ends)
        else:
            own = zip(parts, starts, ends, strict=True)
            examples = np.concatenate([causal_examples(part_N, [end - start]) for part_N, start, end in own])
        return np.stack([example_summary(example_FM) for example_FM in examples])


def window_ends(times: FrameTimes) -> list[int]:
    """One past the last sample that a stream has heard when it sees each frame.

    Source: specification of RCF, section 6.
    """
    return [math.floor(instant * SAMPLE_RATE_HZ + 0.5) for instant in times.instants_s]


def log_mel_summary(samples_N: NDArray[np.float32]) -> NDArray[np.float32]:
    """What one second sounds like.

    Args:
        samples_N: float32 at 16 kHz, mono, in [-1, 1): one second, or less at the end of a clip.

    Returns:
        float32 (128,): 64 means above silence, then 64 standard deviations, both of log-mel values, scaled; zeros for
        silence and for less than 0.975 s of sound.
    """
    return example_summary(second_examples(samples_N, 1)[0])


def example_summary(example_FM: NDArray[np.float32]) -> NDArray[np.float32]:
    """Means above silence and deviations of a log-mel example's bands, scaled, (128,); zeros for one of zeros."""
    if not example_FM.any():
        return np.zeros(2 * NUM_BANDS, dtype=np.float32)
    mean_M, spread_M = example_FM.mean(axis=0) - _SILENCE, example_FM.std(axis=0)
    return np.asarray(_SCALE * np.concatenate((mean_M, spread_M)), dtype=np.float32)
