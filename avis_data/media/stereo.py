"""The two channels of a clip's sound, kept where they differ: from where in the picture something is heard.

Shapes: N samples at 16 kHz.
"""

from __future__ import annotations

import math
import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avis_data.errors import DataError
from avis_data.media.sound import SAMPLE_RATE_HZ

__all__ = ["LEAST_DIFFERENCE_DB", "channel_difference_db", "read_stereo", "write_stereo"]

LEAST_DIFFERENCE_DB = -60.0
"""Channels whose difference is quieter than that beside their sum are one: rounding and coding leave as much."""
_ROUNDING = 2
"""Left, right and mono are rounded each; twice the mono sound is that much off at most."""


def channel_difference_db(samples_N2: NDArray[np.int16] | NDArray[np.float32]) -> float | None:
    """How loud the difference of two channels is beside their sum; None where they are the same.

    0 where nothing is common to them, and more where one is the other turned upside down; at most 120.

    Example:
        >>> import numpy as np
        >>> only_left = np.array([[8000, 0], [-8000, 0]], dtype=np.int16)
        >>> channel_difference_db(only_left)
        0.0
        >>> channel_difference_db(only_left[:, [0, 0]]) is None
        True
    """
    wide_N2 = samples_N2.astype(np.float64)
    between = float(np.square(wide_N2[:, 0] - wide_N2[:, 1]).sum())
    together = float(np.square(wide_N2[:, 0] + wide_N2[:, 1]).sum())
    if not between:
        return None
    return round(min(10 * math.log10(between / together), 120.0), 1) if together else 120.0


def write_stereo(raw: Path, wav: Path, *, num_seconds: int, mono: Path | None = None) -> float | None:
    """Write exactly T seconds of 16 kHz, 16 bit sound in two channels, where these differ.

    Args:
        raw: little-endian 16 bit samples of both channels in turn; may be missing, which is a clip without them.
        wav: the file to write.
        num_seconds: T.
        mono: samples of the mono sound that was mixed of them. Where it is their mean but for rounding, the right
            channel takes that up: who reads the mean of a set's two channels then hears what VGGish heard, to the bit.

    Returns:
        Their difference in dB, as `channel_difference_db`; None where nothing was written.
    """
    if not raw.exists():
        return None
    wanted = num_seconds * SAMPLE_RATE_HZ
    samples = np.fromfile(raw, dtype="<i2")[: 2 * wanted]
    samples_N2: NDArray[np.int16] = samples[: len(samples) // 2 * 2].reshape(-1, 2)
    if mono is not None:
        samples_N2 = _around(np.fromfile(mono, dtype="<i2")[: len(samples_N2)], samples_N2)
    difference_db = channel_difference_db(samples_N2)
    if difference_db is None or difference_db < LEAST_DIFFERENCE_DB:
        return None
    with wave.open(str(wav), "wb") as out:
        out.setparams((2, 2, SAMPLE_RATE_HZ, wanted, "NONE", "not compressed"))
        out.writeframesraw(samples_N2.tobytes())
        out.writeframesraw(bytes((wanted - len(samples_N2)) * 4))
    return difference_db


def _around(mono_N: NDArray[np.int16], samples_N2: NDArray[np.int16]) -> NDArray[np.int16]:
    """The two channels with the mono sound as their exact mean, where they are within rounding of that."""
    left_N = samples_N2[:, 0].astype(np.int32)
    right_N = 2 * mono_N.astype(np.int32) - left_N
    limits = np.iinfo(np.int16)
    is_rounding = np.abs(right_N - samples_N2[:, 1]) <= _ROUNDING
    if not (is_rounding & (right_N >= limits.min) & (right_N <= limits.max)).all():
        return samples_N2
    return np.asarray(np.stack((left_N, right_N), axis=1), dtype="<i2")


def read_stereo(wav: Path, *, num_seconds: int) -> NDArray[np.int16]:
    """What `write_stereo` wrote, int16 (T * 16000, 2). Raises DataError if it is no such file."""
    try:
        with wave.open(str(wav), "rb") as file:
            form = (file.getnchannels(), file.getsampwidth(), file.getframerate(), file.getnframes())
            samples_N2 = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2").reshape(-1, 2)
    except (OSError, wave.Error, EOFError, ValueError) as error:
        raise DataError(f"{wav}: no PCM WAV of two channels ({error or 'too short'})") from None
    wanted = (2, 2, SAMPLE_RATE_HZ, num_seconds * SAMPLE_RATE_HZ)
    if form != wanted or len(samples_N2) != wanted[3]:
        raise DataError(f"{wav}: channels, bytes, Hz, samples are {form}, must be {wanted}")
    return samples_N2
