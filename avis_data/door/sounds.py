"""The sound of a clip as samples, which plays in a notebook."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from avis_data.errors import DataError
from avis_data.features.arrays import check_finite

__all__ = ["Sound", "read_sound"]


@dataclass(frozen=True, kw_only=True)
class Sound:
    """Mono sound. Shown as a player in a notebook.

    Example:
        >>> sound = avis.open("example/exports/ytvis")[0].sound()
        >>> sound
        Sound(sample_rate_hz=16000, duration_s=4.0)
        >>> sound.samples_N.shape, sound.samples_N.dtype
        ((64000,), dtype('float32'))
    """

    samples_N: NDArray[np.float32] = field(repr=False)
    """float32 (N,), in [-1, 1)."""
    sample_rate_hz: int

    @property
    def duration_s(self) -> float:
        """Its length."""
        return len(self.samples_N) / self.sample_rate_hz

    def __repr__(self) -> str:
        return f"Sound(sample_rate_hz={self.sample_rate_hz}, duration_s={self.duration_s:.1f})"

    def _repr_html_(self) -> str:
        data = io.BytesIO()
        soundfile.write(data, self.samples_N, self.sample_rate_hz, format="WAV", subtype="PCM_16")
        coded = base64.b64encode(data.getvalue()).decode("ascii")
        return f'<audio controls src="data:audio/wav;base64,{coded}"></audio>'


def read_sound(path: Path) -> Sound:
    """The mean of the channels of a sound file, at its own rate. Raises DataError if it cannot be read."""
    try:
        samples_NC, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError, MemoryError) as error:  # a damaged header says any length
        raise DataError(f"{path}: cannot be read as sound ({error})") from None
    check_finite(samples_NC, path, what="samples")
    samples_N: NDArray[np.float32] = samples_NC.mean(axis=1)
    return Sound(samples_N=samples_N, sample_rate_hz=int(rate_hz))
