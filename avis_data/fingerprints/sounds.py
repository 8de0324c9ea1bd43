"""Whether the sound of two clips is the same around a moment at which it may be.

The mean of each band is taken away, so that silence and constant tones are no evidence, and loudness and room neither.
A copy at another speed is found whether its pitch changed or not: that moves it by half a band.

Legend: N steps, B bands, H hypotheses.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avis_data.fingerprints.making import STEPS_PER_S, Fingerprint

__all__ = ["SoundMatch", "compare_sounds"]

_SPEEDS = np.arange(0.95, 1.0501, 0.01)
_SHIFTS = np.arange(-0.2, 0.2001, 0.1)
"""Seconds."""
_PART_STEPS = (-0.5, -0.25, 0.0, 0.25, 0.5)
"""Where copies begin between two steps; half of it is taken from the one, half given to the other, for both to blur."""
_BAND_MOVES = (-0.5, -0.25, 0.0, 0.25, 0.5)
_REACH_S = 6.0
"""So far before and after the moment is looked."""
_LEAST_S = 1.5
_RANGE_LEVELS = 70.0
_LEAST_STD = 2.0
"""Levels of half a dB."""


@dataclass(frozen=True, kw_only=True)
class SoundMatch:
    """How well two sounds go together."""

    alike: float
    """Correlation of how the energy of the bands changes, in [-1, 1]; 0 where it does not."""
    levels_alike: float
    """Correlation of the energies themselves: whether the same bands are loud."""
    richness: float
    """In how many ways of its own the sound changes: 1 for one instrument that swells and fades, several for speech."""
    moments: float
    """Among how many steps the changes are spread: few for one click in silence."""
    seconds: float
    """How much of both was compared."""
    offset_s: float
    """Time in the first clip at which the second begins."""


def compare_sounds(one: Fingerprint, two: Fingerprint, *, at_one_s: float, at_two_s: float) -> SoundMatch | None:
    """Compare what is heard around a moment of each clip.

    Returns:
        The best of eleven speeds and small shifts; None where less than one and a half seconds are in both.
    """
    before_s = min(at_one_s, at_two_s / 1.05, _REACH_S)
    after_s = min(
        (len(one.sound_NB) - 1) / STEPS_PER_S - at_one_s,
        ((len(two.sound_NB) - 1) / STEPS_PER_S - at_two_s) / 1.05,
        _REACH_S + 2,
    )
    first, last = -int(max(before_s, 0) * STEPS_PER_S), int(max(after_s, 0) * STEPS_PER_S)
    if last - first < _LEAST_S * STEPS_PER_S:
        return None
    middle = round(at_one_s * STEPS_PER_S)
    rows_N = np.arange(max(middle + first, 0), min(middle + last + 1, len(one.sound_NB)))
    steps_N = rows_N - middle
    one_NB = _changes(one.sound_NB[rows_N].astype(np.float32))
    if float(one_NB.std()) < _LEAST_STD:
        return SoundMatch(
            alike=0.0,
            levels_alike=0.0,
            richness=0.0,
            moments=0.0,
            seconds=len(steps_N) / STEPS_PER_S,
            offset_s=at_one_s - at_two_s,
        )
    speed_H, shift_H = (grid.ravel() for grid in np.meshgrid(_SPEEDS, _SHIFTS))
    places_HN = (at_two_s + shift_H[:, None]) * STEPS_PER_S + speed_H[:, None] * steps_N
    score_H = _scores(one_NB, _at(two.sound_NB, places_HN))
    best = int(np.argmax(score_H))
    offset_s = at_one_s - at_two_s - float(shift_H[best])
    tried = [
        _compared(
            _at(one.sound_NB, rows_N[None].astype(np.float64) - part / 2)[0],
            _at(two.sound_NB, places_HN[best : best + 1] + part / 2)[0],
            offset_s - part / STEPS_PER_S,
        )
        for part in _PART_STEPS
    ]
    return max(tried, key=lambda match: match.alike)


def _compared(one_NB: NDArray[np.float32], two_NB: NDArray[np.float32], offset_s: float) -> SoundMatch:
    changes_NB = _changes(one_NB)
    moved_MNB = np.stack([_moved(two_NB, move) for move in _BAND_MOVES])
    alike_M = _scores(changes_NB, moved_MNB)
    at = int(np.argmax(alike_M))
    return SoundMatch(
        alike=float(alike_M[at]),
        levels_alike=_levels_alike(one_NB, moved_MNB[at]),
        richness=min(_richness(changes_NB), _richness(_changes(moved_MNB[at]))),
        moments=min(_moments(changes_NB), _moments(_changes(moved_MNB[at]))),
        seconds=len(one_NB) / STEPS_PER_S,
        offset_s=offset_s,
    )


def _richness(changes_NB: NDArray[np.float32]) -> float:
    """Among how many directions the power of the changes is spread: (sum of powers)² / sum of squares."""
    power_B = np.linalg.svd(changes_NB, compute_uv=False) ** 2
    return float(power_B.sum() ** 2 / max(float((power_B**2).sum()), 1e-9))


def _moments(changes_NB: NDArray[np.float32]) -> float:
    power_N = (changes_NB**2).sum(axis=1)
    return float(power_N.sum() ** 2 / max(float((power_N**2).sum()), 1e-9))


def _levels_alike(one_NB: NDArray[np.float32], two_NB: NDArray[np.float32]) -> float:
    one_NB = np.maximum(one_NB, one_NB.max() - _RANGE_LEVELS)
    two_NB = np.maximum(two_NB, two_NB.max() - _RANGE_LEVELS)
    one_NB, two_NB = one_NB - one_NB.mean(), two_NB - two_NB.mean()
    return float((one_NB * two_NB).sum() / np.sqrt(max(float((one_NB**2).sum() * (two_NB**2).sum()), 1.0)))


def _changes(sound_XNB: NDArray[np.float32]) -> NDArray[np.float32]:
    floored = np.maximum(sound_XNB, sound_XNB.max(axis=(-2, -1), keepdims=True) - _RANGE_LEVELS)
    changes: NDArray[np.float32] = floored - floored.mean(axis=-2, keepdims=True)
    return changes


def _scores(one_NB: NDArray[np.float32], two_HNB: NDArray[np.float32]) -> NDArray[np.float32]:
    changes_HNB = _changes(two_HNB)
    power_H = (changes_HNB**2).sum(axis=(1, 2))
    score_H = (changes_HNB * one_NB).sum(axis=(1, 2)) / np.sqrt(np.maximum(power_H * (one_NB**2).sum(), 1.0))
    kept_H: NDArray[np.float32] = np.where(power_H / one_NB.size >= _LEAST_STD**2, score_H, 0.0)
    return kept_H


def _at(sound_NB: NDArray[np.uint8], places_HN: NDArray[np.float64]) -> NDArray[np.float32]:
    places_HN = np.clip(places_HN, 0, len(sound_NB) - 1)
    low_HN = places_HN.astype(int)
    f_HN1 = (places_HN - low_HN)[..., None].astype(np.float32)
    high_HN = np.minimum(low_HN + 1, len(sound_NB) - 1)
    mixed: NDArray[np.float32] = (1 - f_HN1) * sound_NB[low_HN] + f_HN1 * sound_NB[high_HN]
    return mixed


def _moved(sound_NB: NDArray[np.float32], bands: float) -> NDArray[np.float32]:
    """The sound with every band taken from a place between two bands."""
    beside_NB = np.roll(sound_NB, -1 if bands > 0 else 1, axis=1)
    edge = -1 if bands > 0 else 0
    beside_NB[:, edge] = sound_NB[:, edge]
    return (1 - abs(bands)) * sound_NB + abs(bands) * beside_NB
