"""What a set that is published without its media keeps of them: hashes, and how stills look and sound goes, coarsely.

A still is 8 x 8 grey levels, the sound a loudness for every quarter of a second: enough to say whether a download of
years later shows and plays the same, and nothing that could stand for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field

from avis_data.errors import DataError
from avis_data.io import sha256_file
from avis_data.media.sound import SAMPLE_RATE_HZ
from avis_data.media.stills import UNREADABLE_PICTURE
from avis_data.records import Record, SafeId

__all__ = [
    "MEDIA",
    "VIDEO_LIST",
    "ClipPrint",
    "StillPrint",
    "looks_apart",
    "loudness_apart_db",
    "print_of",
    "print_path",
]

MEDIA = "media"
"""The folder of the prints in a set without media: `media/<clip>.json`."""
VIDEO_LIST = "videos.csv"
"""The list in such a set, as `avis-data fetch` reads it."""
_SIDE = 8
_PER_SECOND = 4
_FLOOR_DB = -96.0
"""Of 16-bit sound: below its last bit there is nothing."""


class StillPrint(Record):
    """One still."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    grey: str = Field(pattern=r"^[0-9a-f]{128}$", description="8 x 8 grey levels, row by row, hexadecimal.")


class ClipPrint(Record):
    """One clip."""

    clip_id: SafeId
    source_sha256: str
    width: int = Field(gt=0)
    height: int = Field(gt=0)
    stills: tuple[StillPrint, ...]
    sound_sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="Of `audio.wav`.")
    loudness: str = Field(
        pattern=r"^([0-9a-f]{2})*$", description="Decibels above -96, one byte a quarter of a second."
    )


def print_path(root: Path, clip_id: str) -> Path:
    """Where the print of a clip is."""
    return root / MEDIA / f"{clip_id}.json"


def print_of(
    clip_id: str, stills: Sequence[Path], samples_N: NDArray[np.int16], *, source_sha256: str, sound_sha256: str
) -> ClipPrint:
    """The print of a clip.

    Args:
        clip_id: of the clip.
        stills: its pictures, in their order; at least one.
        samples_N: its sound, 16 kHz mono.
        source_sha256: of the source video.
        sound_sha256: of `audio.wav`.

    Raises:
        DataError: if a picture cannot be read.
    """
    sizes, prints = set(), []
    for path in stills:
        try:
            with Image.open(path) as picture:
                sizes.add(picture.size)
                small = picture.convert("L").resize((_SIDE, _SIDE), Image.Resampling.BOX)
        except UNREADABLE_PICTURE as error:
            raise DataError(f"{path}: cannot be read as a picture ({error})") from None
        prints.append(StillPrint(sha256=sha256_file(path), grey=small.tobytes().hex()))
    width, height = sizes.pop()
    return ClipPrint(
        clip_id=clip_id,
        source_sha256=source_sha256,
        width=width,
        height=height,
        stills=tuple(prints),
        sound_sha256=sound_sha256,
        loudness=_loudness(samples_N).tobytes().hex(),
    )


def looks_apart(one: ClipPrint, other: ClipPrint) -> float | None:
    """Largest difference between stills, mean grey levels (0 to 255); None where their numbers differ."""
    if len(one.stills) != len(other.stills):
        return None
    return max(_apart(a.grey, b.grey) for a, b in zip(one.stills, other.stills, strict=True))


def loudness_apart_db(one: ClipPrint, other: ClipPrint) -> float | None:
    """Mean difference of loudness, decibels; None where lengths differ."""
    if len(one.loudness) != len(other.loudness):
        return None
    return _apart(one.loudness, other.loudness) if one.loudness else 0.0


def _apart(one: str, other: str) -> float:
    a, b = (np.frombuffer(bytes.fromhex(side), dtype=np.uint8).astype(float) for side in (one, other))
    return float(np.abs(a - b).mean())


def _loudness(samples_N: NDArray[np.int16]) -> NDArray[np.uint8]:
    step = SAMPLE_RATE_HZ // _PER_SECOND
    whole_KS = samples_N[: len(samples_N) // step * step].reshape(-1, step).astype(float) / 32768
    power_K = np.maximum((whole_KS**2).mean(axis=1), 10 ** (_FLOOR_DB / 10))
    decibels_K: NDArray[np.float64] = np.rint(10 * np.log10(power_K) - _FLOOR_DB).clip(0, 255)
    return decibels_K.astype(np.uint8)
