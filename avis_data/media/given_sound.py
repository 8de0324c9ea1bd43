"""Sound files that exist already: any rate, any number of channels, to the 16 kHz that clips have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from avis_data.errors import ItemError, Reason
from avis_data.io import raise_unreadable
from avis_data.media.sound import SAMPLE_RATE_HZ

__all__ = ["GivenSound", "sound_decoder", "write_16k"]

_BLOCK_S = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class GivenSound:
    """What a sound file is, before anything was done to it."""

    rate_hz: int
    channels: int


def sound_decoder() -> str:
    """Programs and versions that decode and resample, for `Times.decoder`."""
    return f"soundfile {soundfile.__version__}, {soundfile.__libsndfile_version__}, soxr {soxr.__version__} HQ"


def write_16k(path: Path, raw: Path, *, num_seconds: int, mono: bool = True) -> GivenSound:
    """Decode the first T seconds of a sound file into little-endian 16 bit samples at 16 kHz.

    The channels' mean is taken, or all of them in turn. 16 kHz stays as it is, sample by sample; other rates go
    through soxr's HQ filter: what lies above 8 kHz is gone by more than 130 dB (scipy's `resample_poly` leaves 8.2 kHz
    at -9 dB), and it takes the file piece by piece, so that memory does not grow with its length.

    Args:
        path: whatever libsndfile reads.
        raw: the file to write; shorter than T seconds where the sound is, a little longer where that goes on.
        num_seconds: T.
        mono: whether the mean of the channels is written, or each.

    Raises:
        ItemError: `not_media` if it is no sound file, `corrupt_media` if it holds NaN or infinite values.
    """
    try:
        with soundfile.SoundFile(path) as sound, raw.open("wb") as out:
            blocks = _blocks(sound, num_seconds, path.name)
            if mono:
                blocks = (block_NC.mean(axis=1, keepdims=True) for block_NC in blocks)
            for block_NC in _resampled(blocks, sound.samplerate, channels=1 if mono else sound.channels):
                out.write(np.clip(np.rint(block_NC * 32768.0), -32768, 32767).astype("<i2").tobytes())
            return GivenSound(rate_hz=sound.samplerate, channels=sound.channels)
    except soundfile.SoundFileError as error:
        raise_unreadable(error, path)
        raise ItemError(f"{path.name}: cannot be read as sound ({error!s:.200})", reason=Reason.NOT_MEDIA) from None


def _blocks(sound: soundfile.SoundFile, num_seconds: int, name: str) -> Iterator[NDArray[np.float32]]:
    """Up to a second more than T: the filter then ends in sound, not in silence."""
    left = (num_seconds + 1) * sound.samplerate
    while left > 0:
        block_NC = sound.read(min(left, _BLOCK_S * sound.samplerate), dtype="float32", always_2d=True)
        if not len(block_NC):
            return
        if not np.isfinite(block_NC).all():
            raise ItemError(f"{name}: holds values that are no numbers", reason=Reason.CORRUPT_MEDIA)
        left -= len(block_NC)
        yield block_NC


def _resampled(blocks: Iterator[NDArray[np.float32]], rate_hz: int, *, channels: int) -> Iterator[NDArray[np.float32]]:
    if rate_hz == SAMPLE_RATE_HZ:
        yield from blocks
        return
    stream = soxr.ResampleStream(rate_hz, SAMPLE_RATE_HZ, channels, dtype="float32", quality="HQ")
    for block_NC in blocks:
        yield stream.resample_chunk(block_NC)
    yield stream.resample_chunk(np.zeros((0, channels), dtype=np.float32), last=True)
