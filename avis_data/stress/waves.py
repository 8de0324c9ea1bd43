"""Sound as arrays, and what is done to it: silence, noise, another time, other channels.

Shapes: N samples, C channels; values in [-1, 1).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from avis_data.errors import DataError
from avis_data.features.arrays import check_finite
from avis_data.io import atomic_path

__all__ = [
    "Wave",
    "fitted",
    "noise_for",
    "pcm_of",
    "read_wave",
    "rms",
    "shifted",
    "silent",
    "swapped",
    "wave_sha256",
    "with_noise",
    "write_wave",
]

_QUIET_RMS = 10 ** (-30 / 20)
"""How loud a sound of zeros is taken to be (-30 dB of full scale): noise is told by what it stands beside."""


@dataclass(frozen=True, kw_only=True)
class Wave:
    """The sound of a clip."""

    samples_NC: NDArray[np.float64]
    rate_hz: int

    @property
    def is_mono(self) -> bool:
        """Whether all channels hold the same."""
        return bool((self.samples_NC == self.samples_NC[:, :1]).all())

    @property
    def duration_s(self) -> float:
        """Its length."""
        return len(self.samples_NC) / self.rate_hz


def read_wave(path: Path) -> Wave:
    """All samples of a sound file, at its own rate and with its own channels.

    Raises:
        DataError: if it is missing, cannot be read, holds no sample or one that is no number.
    """
    try:
        samples_NC, rate_hz = soundfile.read(path, dtype="float64", always_2d=True)
    except (soundfile.LibsndfileError, OSError, MemoryError) as error:  # a damaged header says any length
        raise DataError(f"{path}: cannot be read as sound ({error})", hint="avis-data validate DATASET") from None
    check_finite(samples_NC, path, what="samples")
    if not len(samples_NC):
        raise DataError(f"{path}: holds no sample", hint="avis-data validate DATASET")
    return Wave(samples_NC=samples_NC, rate_hz=int(rate_hz))


def write_wave(path: Path, wave: Wave) -> None:
    """Write a sound as 16 bit PCM, whole or not at all."""
    with atomic_path(path) as part:
        soundfile.write(part, pcm_of(wave), wave.rate_hz, subtype="PCM_16", format="WAV")


def pcm_of(wave: Wave) -> NDArray[np.int16]:
    """Its samples as 16 bit numbers, rounded, what is too loud cut: int16 (N, C)."""
    found: NDArray[np.int16] = np.clip(np.rint(wave.samples_NC * 32768), -32768, 32767).astype(np.int16)
    return found


def wave_sha256(wave: Wave) -> str:
    """Hex SHA-256 of a sound as 16 bit PCM, whatever file holds it: rate and channels, then the samples."""
    form = f"{wave.rate_hz} Hz, {wave.samples_NC.shape[1]} channels, PCM_16\n".encode()
    return hashlib.sha256(form + pcm_of(wave).astype("<i2").tobytes()).hexdigest()


def rms(wave: Wave) -> float:
    """Root of the mean square over all samples and channels."""
    return float(np.sqrt(np.square(wave.samples_NC).mean()))


def silent(wave: Wave) -> Wave:
    """As many zeros."""
    return Wave(samples_NC=np.zeros_like(wave.samples_NC), rate_hz=wave.rate_hz)


def noise_for(wave: Wave, *, below_db: float, rng: np.random.Generator) -> Wave:
    """White noise of the length of a sound, exactly `below_db` quieter than it by its root of the mean square.

    Channels that are the same get the same noise, others each their own.
    """
    count, channels = wave.samples_NC.shape
    own = rng.standard_normal((count, 1 if wave.is_mono else channels))
    noise_NC = np.repeat(own, channels // own.shape[1], axis=1)
    wanted = (rms(wave) or _QUIET_RMS) * 10 ** (-below_db / 20)
    return Wave(samples_NC=noise_NC * (wanted / np.sqrt(np.square(noise_NC).mean())), rate_hz=wave.rate_hz)


def with_noise(wave: Wave, *, below_db: float, rng: np.random.Generator) -> Wave:
    """The sound and white noise together, at a signal-to-noise ratio of `below_db`."""
    noise = noise_for(wave, below_db=below_db, rng=rng)
    return Wave(samples_NC=wave.samples_NC + noise.samples_NC, rate_hz=wave.rate_hz)


def shifted(wave: Wave, *, seconds: float) -> Wave:
    """The sound, that much later: it begins with zeros, and what goes beyond the end is cut."""
    late = min(round(seconds * wave.rate_hz), len(wave.samples_NC))
    samples_NC = np.zeros_like(wave.samples_NC)
    samples_NC[late:] = wave.samples_NC[: len(samples_NC) - late]
    return Wave(samples_NC=samples_NC, rate_hz=wave.rate_hz)


def swapped(wave: Wave) -> Wave:
    """The channels in the opposite order."""
    return Wave(samples_NC=wave.samples_NC[:, ::-1].copy(), rate_hz=wave.rate_hz)


def fitted(donor: Wave, to: Wave) -> Wave:
    """Another sound with the length, the rate and the channels of `to`.

    It begins at its own beginning, and is played again from there where it is shorter. With another number of channels,
    or where those of `to` are all the same, the mean of its channels is taken for each.
    """
    samples_NC = donor.samples_NC
    channels = to.samples_NC.shape[1]
    if samples_NC.shape[1] != channels or to.is_mono:
        samples_NC = np.repeat(samples_NC.mean(axis=1, keepdims=True), channels, axis=1)
    if donor.rate_hz != to.rate_hz:
        samples_NC = soxr.resample(samples_NC, donor.rate_hz, to.rate_hz)
    count = len(to.samples_NC)
    times = -(-count // len(samples_NC))
    return Wave(samples_NC=np.tile(samples_NC, (times, 1))[:count], rate_hz=to.rate_hz)
