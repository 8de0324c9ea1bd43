"""What a moment of sound is like, and from where it is heard: bands of both channels, several moments a second.

Shapes: N samples at 16 kHz, C channels, n frames, K moments of a second, F columns of a moment, M = 64 mel bands,
    B = 257 bins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avis_data.features.logmel import EXAMPLE_FRAMES, EXAMPLE_SAMPLES, NUM_BANDS, mel_weights, second_examples, spectra
from avis_data.training.data.audio_sound import SoundFile, seconds_of_frames
from avis_data.training.data.audio_summary import example_summary
from avis_data.training.data.frame_times import FrameTimes

__all__ = ["MomentSummaries", "direction_cues"]

_QUIET = 1e-4
"""Power of a band that is as good as silent: what the front end adds to a magnitude before its logarithm, squared."""
_LEVEL_SCALE = 0.25
_MOST_LEVEL = 8.0


@dataclass(frozen=True, kw_only=True)
class MomentSummaries(SoundFile):
    """The second that begins with each frame's period, in one or several even moments."""

    moments: int
    """K; a divisor of 96."""
    stereo: bool
    """Whether the differences between the channels are said too."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of what is heard in a frame: (K, 128), or (K, 320) with directions; without K where that is 1."""
        width = (5 if self.stereo else 2) * NUM_BANDS
        return (width,) if self.moments == 1 else (self.moments, width)

    @property
    def silence(self) -> NDArray[np.float32]:
        """What silence gives: zeros."""
        return np.zeros(self.shape, dtype=np.float32)

    def read(self, path: Path, frames: Sequence[int], times: FrameTimes) -> NDArray[np.float32]:
        """What is heard in some frames; zeros where the sound ends before. Raises DataError for a bad file."""
        rows = np.zeros((len(frames), *self.shape), dtype=np.float32)
        for place, samples_NC in seconds_of_frames(path, frames, times):
            rows[place] = self._second(samples_NC).reshape(self.shape)
        return rows

    def _second(self, samples_NC: NDArray[np.float32]) -> NDArray[np.float32]:
        example_FM = second_examples(samples_NC.mean(axis=1), 1)[0]
        columns = EXAMPLE_FRAMES // self.moments
        parts = [slice(first, first + columns) for first in range(0, EXAMPLE_FRAMES, columns)]
        said = np.stack([example_summary(example_FM[part]) for part in parts])
        if not self.stereo:
            return said
        cues: NDArray[np.float32] = np.zeros((self.moments, 3 * NUM_BANDS), dtype=np.float32)
        if samples_NC.shape[1] == 2 and len(samples_NC) >= EXAMPLE_SAMPLES:
            left_FB, right_FB = (spectra(samples_NC[:, channel])[:EXAMPLE_FRAMES] for channel in (0, 1))
            cues = np.stack([direction_cues(left_FB[part], right_FB[part]) for part in parts])
        return np.concatenate((said, cues), axis=1)


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
