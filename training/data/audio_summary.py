"""What some sound is like without any trained network: mean and spread of its mel bands, and from where they are heard.

Shapes: N samples at 16 kHz, n frames, F = 96 columns of 25 ms, M = 64 bands, B = 257 bins, K = 32 places from left to
    right; a summary has 128 values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avis_data.features.logmel import (
    EXAMPLE_FRAMES,
    EXAMPLE_SAMPLES,
    NUM_BANDS,
    causal_examples,
    mel_weights,
    second_examples,
    spectra,
)
from avis_data.media.sound import SAMPLE_RATE_HZ
from avis_data.training.data.audio_sound import SoundFile, read_sound, read_spans, seconds_of_frames
from avis_data.training.data.frame_times import FrameTimes

__all__ = [
    "PANORAMA_PLACES",
    "SecondSummaries",
    "StereoSummaries",
    "WindowSummaries",
    "direction_cues",
    "example_summary",
    "log_mel_summary",
    "panorama",
    "window_ends",
]

_SILENCE = float(np.log(0.01))
"""What the front end gives for no sound: its log never goes lower."""
_SCALE = 0.5
"""Brings the summary to about [0, 2.5], the range of VGGish embeddings."""
_QUIET = 1e-4
"""Power of a band that is as good as silent: what the front end adds to a magnitude before its logarithm, squared."""
_LEVEL_SCALE = 0.25
_MOST_LEVEL = 8.0
PANORAMA_PLACES = 32
"""So many places from left to right a panorama has."""
_POWER_SCALE = 0.125
_DIRECTION = 0.05
"""What two equal channels differ by is rounding, and below this."""


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


@dataclass(frozen=True)
class StereoSummaries(SoundFile):
    """The second that begins with each frame's period, or its parts: what they are like, and where they are heard."""

    parts: int = 1
    """Of a second, equal in length: of its 96 columns."""
    has_panorama: bool = False
    """Whether each part ends with one."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of each part, one after the other: 128 values of the summary, 192 of the directions, 64 of the panorama."""
        return (self.parts * self._rows * NUM_BANDS,)

    @property
    def _rows(self) -> int:
        """Of 64 values, of each part."""
        return 6 if self.has_panorama else 5

    @property
    def silence(self) -> NDArray[np.float32]:
        """What silence gives: zeros."""
        return np.zeros(self.shape, dtype=np.float32)

    def read(self, path: Path, frames: Sequence[int], times: FrameTimes) -> NDArray[np.float32]:
        """What is heard in some frames, (n, *shape), zeros after the end. Raises DataError for a bad file."""
        rows = np.zeros((len(frames), *self.shape), dtype=np.float32)
        for place, samples_NC in seconds_of_frames(path, frames, times):
            rows_PX = rows[place].reshape(self.parts, -1)
            example_FM = second_examples(samples_NC.mean(axis=1), 1)[0]
            for row, part_FM in zip(rows_PX, np.split(example_FM, self.parts), strict=True):
                row[: 2 * NUM_BANDS] = example_summary(part_FM)
            is_whole = samples_NC.shape[1] == 2 and len(samples_NC) >= EXAMPLE_SAMPLES
            if is_whole and not np.array_equal(samples_NC[:, 0], samples_NC[:, 1]):  # equal ones leave rounding errors
                left_FB, right_FB = (spectra(samples_NC[:, channel])[:EXAMPLE_FRAMES] for channel in (0, 1))
                both = zip(np.split(left_FB, self.parts), np.split(right_FB, self.parts), strict=True)
                for row, (left, right) in zip(rows_PX, both, strict=True):
                    row[2 * NUM_BANDS : 5 * NUM_BANDS] = cues = direction_cues(left, right)
                    if self.has_panorama and np.abs(cues).max() > _DIRECTION:
                        row[5 * NUM_BANDS :] = panorama(left, right)
        return rows

    def mirrored(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """The same with its directions turned round: differences of level, imaginary parts of cross spectra, places."""
        turned_nPXM = self._parted(rows)
        turned_nPXM[:, :, [2, 4]] *= -1
        if self.has_panorama:
            both_nP2K = turned_nPXM[:, :, 5].reshape(len(rows), self.parts, 2, PANORAMA_PLACES)
            turned_nPXM[:, :, 5] = both_nP2K[..., ::-1].reshape(len(rows), self.parts, NUM_BANDS)
        return turned_nPXM.reshape(rows.shape)

    def mixed(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """The same without directions."""
        without_nPXM = self._parted(rows)
        without_nPXM[:, :, 2:] = 0
        return without_nPXM.reshape(rows.shape)

    def placed(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """The same with nothing but directions; what comes from none, as of one channel, stays as it is."""
        only_nPXM = self._parted(rows)
        if np.abs(only_nPXM[:, :, 2:5]).max() > _DIRECTION:
            only_nPXM[:, :, :2] = 0
        return only_nPXM.reshape(rows.shape)

    def _parted(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """A copy, (n, parts, rows of a part, 64)."""
        return rows.reshape(len(rows), self.parts, self._rows, NUM_BANDS).copy()


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


def direction_cues(left_FB: NDArray[np.complex64], right_FB: NDArray[np.complex64]) -> NDArray[np.float32]:
    """From where each band is heard, float32 (192,): zeros for two channels that are the same.

    64 differences of level (positive: louder on the left), in logarithms of power, at most 8, scaled to at most 2. Then
    the cross spectrum of each band over the root of both powers, its real part less than what equal phases would give,
    and its imaginary part: a difference in time turns it, a little more from band to band.

    Args:
        left_FB: spectra of the left channel, as `features.logmel.spectra`.
        right_FB: of the right one.
    """
    weights_BM = mel_weights()
    left_M, right_M = (np.square(np.abs(part_FB)).mean(axis=0) @ weights_BM for part_FB in (left_FB, right_FB))
    cross_M = (left_FB * right_FB.conj()).mean(axis=0) @ weights_BM
    level_M = np.log((left_M + _QUIET) / (right_M + _QUIET)).clip(-_MOST_LEVEL, _MOST_LEVEL) * _LEVEL_SCALE
    both_M = np.sqrt(left_M * right_M)
    turned_M = (cross_M.real - both_M) / (both_M + _QUIET), cross_M.imag / (both_M + _QUIET)
    cues: NDArray[np.float32] = np.concatenate((level_M, *turned_M)).astype(np.float32)
    return cues


def panorama(left_FB: NDArray[np.complex64], right_FB: NDArray[np.complex64]) -> NDArray[np.float32]:
    """How much is heard from each of 32 places from left to right, float32 (64,); zeros for silence.

    Each bin of each column is heard from one place: where equal-power panning puts something that is so loud on either
    side. So two things that sound at once show in two places, as far as no bin has much of both (Yilmaz and Rickard
    2004 separate by that). Bins that no band has are left out. 32 powers, in logarithms, scaled to about [0, 2], then
    the same powers over the largest.

    Args:
        left_FB: spectra of the left channel, as `features.logmel.spectra`.
        right_FB: of the right one.

    Example:
        A tone that is only on the left gives `panorama(tone, 0 * tone)[32:]` a 1 and 31 zeros.
    """
    is_heard_B = mel_weights().any(axis=1)
    left_FX, right_FX = np.abs(left_FB[:, is_heard_B]), np.abs(right_FB[:, is_heard_B])
    power_N = (np.square(left_FX) + np.square(right_FX)).ravel() / max(len(left_FB), 1)
    place_N = np.arctan2(right_FX, left_FX).ravel() * ((PANORAMA_PLACES - 1) / (np.pi / 2))
    first_N = np.minimum(place_N.astype(np.int64), PANORAMA_PLACES - 2)
    after_N = place_N - first_N
    power_K = np.bincount(first_N, power_N * (1 - after_N), PANORAMA_PLACES)
    power_K += np.bincount(first_N + 1, power_N * after_N, PANORAMA_PLACES)
    loudest = max(float(power_K.max()), _QUIET)
    both = np.concatenate((np.log1p(power_K / _QUIET) * _POWER_SCALE, power_K / loudest))
    return both.astype(np.float32)
