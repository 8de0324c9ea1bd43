"""What a second of sound is like, and from where each of its bands is heard.

Shapes: N samples at 16 kHz, C channels, n frames, F columns of 25 ms, M = 64 mel bands, B = 257 bins.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avis_data.features.logmel import EXAMPLE_FRAMES, EXAMPLE_SAMPLES, NUM_BANDS, mel_weights, spectra
from avis_data.training.data.audio_sound import SoundFile, seconds_of_frames
from avis_data.training.data.audio_summary import log_mel_summary
from avis_data.training.data.frame_times import FrameTimes

__all__ = ["StereoSummaries", "direction_cues"]

_QUIET = 1e-4
"""Power of a band that is as good as silent: what the front end adds to a magnitude before its logarithm, squared."""
_LEVEL_SCALE = 0.25
_MOST_LEVEL = 8.0


class StereoSummaries(SoundFile):
    """The second that begins with each frame's period: its summary, and from where its bands are heard."""

    @property
    def shape(self) -> tuple[int, ...]:
        """128 values of the summary, 192 of the directions."""
        return (5 * NUM_BANDS,)

    @property
    def silence(self) -> NDArray[np.float32]:
        """What silence gives: zeros."""
        return np.zeros(self.shape, dtype=np.float32)

    def read(self, path: Path, frames: Sequence[int], times: FrameTimes) -> NDArray[np.float32]:
        """What is heard in some frames, (n, 320), zeros after the end. Raises DataError for a bad file."""
        rows = np.zeros((len(frames), *self.shape), dtype=np.float32)
        for place, samples_NC in seconds_of_frames(path, frames, times):
            rows[place, : 2 * NUM_BANDS] = log_mel_summary(samples_NC.mean(axis=1))
            if samples_NC.shape[1] == 2 and len(samples_NC) >= EXAMPLE_SAMPLES:
                left_FB, right_FB = (spectra(samples_NC[:, channel])[:EXAMPLE_FRAMES] for channel in (0, 1))
                rows[place, 2 * NUM_BANDS :] = direction_cues(left_FB, right_FB)
        return rows


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
