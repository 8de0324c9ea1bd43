"""Fingerprints out of stills and sound: what is left of a clip when size, coding, borders and loudness are taken away.

Legend: T stills, N steps of sound, B bands, H W pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from avis_data.media.sound import SAMPLE_RATE_HZ
from avis_data.media.stills import UNREADABLE_PICTURE

__all__ = [
    "DB_PER_LEVEL",
    "METHOD",
    "NUM_BANDS",
    "SIDE",
    "STEPS_PER_S",
    "Fingerprint",
    "clip_fingerprint",
    "picture_fingerprint",
    "sound_fingerprint",
]

METHOD = "stills-32-bands-32-v1"
"""Name of how fingerprints are made; others are not compared with these."""

SIDE = 32
NUM_BANDS = 32
STEPS_PER_S = 10
DB_PER_LEVEL = 0.5
"""Of a level of a band: 0 is -100 dB or less, 200 is full scale."""

_READ_SIDE = 96
"""Side at which borders are looked for: a hundredth of the picture is seen."""
_FLAT = 20
"""Grey levels between the darkest and the brightest of a border that was coded with losses."""
_LEAST_KEPT = 0.3
"""A border is taken away only if so much of the side is left."""

_WINDOW = 2048
_LOWEST_HZ, _HIGHEST_HZ = 150.0, 6500.0


@dataclass(frozen=True, kw_only=True)
class Fingerprint:
    """What is kept of one clip to know it again."""

    clip_id: str
    period_s: float
    """Time from one of its stills to the next."""
    stills_THW: NDArray[np.uint8]
    """(T, 32, 32), grey, without borders, the shape of the picture not kept."""
    sound_NB: NDArray[np.uint8]
    """(N, 32), ten steps a second, in levels of half a dB; N is 0 where there is no sound."""


def clip_fingerprint(clip_id: str, stills: Sequence[Path], wav: Path | None, *, fps: float) -> Fingerprint:
    """The fingerprint of a clip in files.

    Args:
        clip_id: its name.
        stills: all of them, in order; about one a second is looked at.
        wav: 16 kHz, one channel or the mean of two; None where there is no sound.
        fps: stills per second.

    Raises:
        OSError: if a file is missing or unreadable.
        ValueError: if there are no stills, or the sound has another form.
    """
    stride = max(1, round(fps))
    if not stills:
        raise ValueError("there are no stills")
    return Fingerprint(
        clip_id=clip_id,
        period_s=stride / fps,
        stills_THW=picture_fingerprint(stills[::stride]),
        sound_NB=sound_fingerprint(_samples(wav)) if wav is not None else np.zeros((0, NUM_BANDS), dtype=np.uint8),
    )


def _samples(wav: Path) -> NDArray[np.float32]:
    import soundfile

    try:
        samples_N, rate_hz = soundfile.read(wav, dtype="float32")
    except (soundfile.LibsndfileError, MemoryError) as error:  # a damaged header says any length
        raise OSError(str(error)) from None
    if not np.isfinite(samples_N).all():
        raise ValueError(f"{wav.name} holds samples that are NaN or infinite")
    if samples_N.ndim == 2 and samples_N.shape[1] == 2:  # as exports have it
        samples_N = samples_N.mean(axis=1)
    if rate_hz != SAMPLE_RATE_HZ or samples_N.ndim != 1:
        raise ValueError(f"{wav.name} is not 16 kHz of one or two channels")
    found_N: NDArray[np.float32] = samples_N
    return found_N


def picture_fingerprint(stills: Sequence[Path]) -> NDArray[np.uint8]:
    """The small grey copies of stills, uint8 (T, 32, 32), without what is the same colour at the borders of all.

    Raises:
        OSError: if a still cannot be read.
    """
    small_THW = np.stack([_small(path) for path in stills])
    top, bottom = _kept(small_THW.max(axis=2), small_THW.min(axis=2))
    left, right = _kept(small_THW.max(axis=1), small_THW.min(axis=1))
    box = (left, top, right, bottom)
    return np.stack(
        [
            np.asarray(Image.fromarray(small_HW).resize((SIDE, SIDE), Image.Resampling.BILINEAR, box=box))
            for small_HW in small_THW
        ]
    )


def _small(path: Path) -> NDArray[np.uint8]:
    try:
        with Image.open(path) as picture:
            picture.draft("L", (2 * _READ_SIDE, 2 * _READ_SIDE))  # JPEG gives a half, a quarter, an eighth at no cost
            grey = picture.convert("L")
            return np.asarray(grey.resize((_READ_SIDE, _READ_SIDE), Image.Resampling.BOX))
    except UNREADABLE_PICTURE as error:
        if isinstance(error, OSError):  # with its code, which says whether it is the machine's fault
            raise
        raise OSError(f"{path.name}: no picture ({error})") from None


def _kept(most_TN: NDArray[np.uint8], least_TN: NDArray[np.uint8]) -> tuple[int, int]:
    """The lines [first, last) that are no border: a border has one colour along the line and all the time."""
    is_border_N = most_TN.max(axis=0).astype(int) - least_TN.min(axis=0) <= _FLAT
    (inside,) = np.nonzero(~is_border_N)
    size = len(is_border_N)
    if len(inside) == 0 or inside[-1] + 1 - inside[0] < _LEAST_KEPT * size:
        return 0, size
    # The line beside a border is a mixture of both.
    first = int(inside[0]) + (1 if inside[0] > 0 else 0)
    last = int(inside[-1]) + 1 - (1 if inside[-1] + 1 < size else 0)
    return first, last


def sound_fingerprint(samples_N: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The energy of sound in 32 bands, ten times a second, in levels of half a dB above -100 dB.

    Args:
        samples_N: float32 in [-1, 1), 16 kHz, mono.

    Returns:
        uint8 (N, 32); N = 0 for sound of less than a fifth of a second.
    """
    hop = SAMPLE_RATE_HZ // STEPS_PER_S // 2
    num_steps = (len(samples_N) - _WINDOW) // (2 * hop)
    if num_steps < 1:
        return np.zeros((0, NUM_BANDS), dtype=np.uint8)
    window_W = np.hanning(_WINDOW).astype(np.float32)
    bands_FB = _bands()
    frames_NW = np.lib.stride_tricks.sliding_window_view(samples_N, _WINDOW)[::hop][: 2 * num_steps]
    power_NB = np.concatenate(
        [
            (np.abs(np.fft.rfft(block_NW * window_W, axis=1)).astype(np.float32) ** 2) @ bands_FB
            for block_NW in np.array_split(frames_NW, max(1, len(frames_NW) // 512))
        ]
    )
    mean_NB = power_NB.reshape(num_steps, 2, NUM_BANDS).mean(axis=1) / (window_W.sum() / 2) ** 2
    level_NB = (10 * np.log10(np.maximum(mean_NB, 1e-10)) + 100) / DB_PER_LEVEL
    found_NB: NDArray[np.uint8] = np.clip(np.rint(level_NB), 0, 255).astype(np.uint8)
    return found_NB


def _bands() -> NDArray[np.float32]:
    """(F, B): triangles on the axis of octaves, so that another pitch is a move by part of a band."""
    hertz_F = np.fft.rfftfreq(_WINDOW, 1 / SAMPLE_RATE_HZ)
    span = np.log2(_HIGHEST_HZ / _LOWEST_HZ)
    place_F = np.log2(np.maximum(hertz_F, 1.0) / _LOWEST_HZ) / span * (NUM_BANDS - 1)
    weight_FB: NDArray[np.float32] = np.maximum(0, 1 - np.abs(place_F[:, None] - np.arange(NUM_BANDS)) / 1.25)
    return weight_FB.astype(np.float32)
