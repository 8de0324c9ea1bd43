"""When there is something to hear: a first suggestion for annotators, from loudness and onsets of the 16 kHz sound.

It does not say who sounds. A span begins where the sound rises over the clip's own quiet and ends where it falls back;
the quiet is what the clip's softest parts are like, so that a hum or a street does not count all through.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avis_data.errors import DataError, raise_fault
from avis_data.features.arrays import check_finite
from avis_data.media.sound import SAMPLE_RATE_HZ

__all__ = ["ActivityOptions", "active_spans", "clip_activity", "clip_sound"]

_HOP, _FRAME = 160, 400  # 10 ms steps, 25 ms windows: the grid of the log-mel front end
_FLOOR_DB = -100.0


@dataclass(frozen=True, kw_only=True)
class ActivityOptions:
    """What counts as heard."""

    quiet_db: float = -55.0
    """Softer than this (re full scale) is never heard: the noise of a good recording in a quiet room."""
    rise_db: float = 9.0
    """A span begins where the loudness is so much over the clip's quiet ..."""
    fall_db: float = 5.0
    """... and goes on until it is less than this over it."""
    loud_db: float = -30.0
    """Louder than this is heard however loud the clip's softest part is: a clip may sound from end to end."""
    bridge_s: float = 0.4
    """Shorter gaps between spans are filled: breaths, rests between strokes."""
    shortest_s: float = 0.12
    """Shorter spans are clicks of the recording and left out."""


def clip_activity(path: Path, options: ActivityOptions | None = None) -> tuple[tuple[float, float], ...]:
    """The spans of a clip's `audio.wav` in which something is heard, as `active_spans`. Raises as `clip_sound`."""
    return active_spans(clip_sound(path), options)


def clip_sound(path: Path) -> NDArray[np.float32]:
    """The samples of a clip's `audio.wav`, mono, 16 kHz, in [-1, 1].

    Raises:
        DataError: if it is no sound file of 16 kHz, or holds values that are no numbers.
    """
    import soundfile

    hint = "avis-data extract --verify"
    try:
        with path.open("rb") as file:  # opened here: the library does not say why it could not open one
            samples_N, rate_hz = soundfile.read(file, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError, MemoryError) as error:  # a damaged header says any length
        if isinstance(error, OSError):
            raise_fault(error)
        raise DataError(f"{path}: cannot be read as sound ({error})", hint=hint) from None
    if rate_hz != SAMPLE_RATE_HZ:
        raise DataError(f"{path}: {rate_hz} Hz, must be {SAMPLE_RATE_HZ}", hint=hint)
    check_finite(samples_N, path, what="samples", hint=hint)
    mono_N: NDArray[np.float32] = samples_N.mean(axis=1)
    return mono_N


def active_spans(
    samples_N: NDArray[np.floating], options: ActivityOptions | None = None
) -> tuple[tuple[float, float], ...]:
    """Spans in which something is heard.

    Args:
        samples_N: mono, 16 kHz, in [-1, 1]; may be empty.
        options: thresholds.

    Returns:
        (start_s, end_s), sorted, not touching, within the sound.
    """
    chosen = options or ActivityOptions()
    if len(samples_N) < _FRAME:
        return ()
    loudness_db_F, onset_F = _loudness_and_onsets(np.asarray(samples_N, dtype=np.float32))
    quiet_db = min(max(float(np.percentile(loudness_db_F, 10)), chosen.quiet_db), chosen.loud_db - chosen.rise_db)
    heard_F = _with_hysteresis(loudness_db_F, onset_F, quiet_db + chosen.rise_db, quiet_db + chosen.fall_db)
    end_s = len(samples_N) / SAMPLE_RATE_HZ
    spans = [
        (first * _HOP / SAMPLE_RATE_HZ, min(last * _HOP / SAMPLE_RATE_HZ, end_s)) for first, last in _runs(heard_F)
    ]
    return tuple(span for span in _bridged(spans, chosen.bridge_s) if span[1] - span[0] >= chosen.shortest_s)


def _loudness_and_onsets(samples_N: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Per 10 ms step: RMS in dB of full scale, and whether librosa finds an onset there."""
    import librosa

    rms_F = librosa.feature.rms(y=samples_N, frame_length=_FRAME, hop_length=_HOP, center=True)[0]
    loudness_db_F = np.maximum(20 * np.log10(np.maximum(rms_F, 1e-10)), _FLOOR_DB)
    onsets = librosa.onset.onset_detect(y=samples_N, sr=SAMPLE_RATE_HZ, hop_length=_HOP, units="frames")
    onset_F = np.zeros(len(loudness_db_F), dtype=bool)
    onset_F[onsets[onsets < len(onset_F)]] = True
    return loudness_db_F.astype(np.float64), onset_F


def _with_hysteresis(
    loudness_db_F: NDArray[np.float64], onset_F: NDArray[np.bool_], rise_db: float, fall_db: float
) -> NDArray[np.bool_]:
    """Stretches over the lower threshold that somewhere pass the upper one, or begin with an onset and stay over the
    lower one: a soft note that is struck is heard, a slow swell of the room is not."""
    over_F = loudness_db_F >= fall_db
    heard_F = np.zeros_like(over_F)
    for first, last in _runs(over_F):
        struck = onset_F[max(0, first - 2) : first + 5].any()
        if struck or (loudness_db_F[first:last] >= rise_db).any():
            heard_F[first:last] = True
    return heard_F


def _runs(flags_F: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and one past the last index of every run of True."""
    borders = np.flatnonzero(np.diff(np.concatenate(([False], flags_F, [False])).astype(np.int8)))
    return [(int(first), int(last)) for first, last in borders.reshape(-1, 2)]


def _bridged(spans: Sequence[tuple[float, float]], gap_s: float) -> list[tuple[float, float]]:
    joined: list[tuple[float, float]] = []
    for start_s, end_s in spans:
        if joined and start_s - joined[-1][1] < gap_s:
            joined[-1] = (joined[-1][0], end_s)
        else:
            joined.append((start_s, end_s))
    return joined
