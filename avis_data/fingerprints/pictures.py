"""Whether the pictures of two clips are the same, looked at still by still.

What stands still is no evidence: two clips of one camera, or with the same title card, are no copies of each other. So
the mean picture is taken away, and what is left must change in the same way in both.

Legend: T U stills, H W pixels, P = H x W.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avis_data.fingerprints.index import PARTS, part_weights
from avis_data.fingerprints.making import SIDE, Fingerprint

__all__ = ["PictureMatch", "compare_pictures", "scenes_alike"]

_SPEEDS = (0.95, 0.975, 1.0, 1.025, 1.05)
_OFFSET_STEP = 0.25
"""Stills."""
_LEAST_STILLS = 3
_LEAST_CHANGE = 2.5
"""Grey levels, standard deviation of what changes; less is noise of coding."""
_NUM_LINES = 5
_LEAST_PART = 0.5
"""Of a side; smaller parts are not looked for."""
_HOPELESS = 0.15
"""Chance gives changes of different clips about this likeness, at their best line; below, no part is fitted."""
_MOVES = 4
"""Rounds in which the part is fitted, each with half the step."""


@dataclass(frozen=True, kw_only=True)
class PictureMatch:
    """How well two clips go together, at the best times and the best part of the picture."""

    alike: float
    """Mean correlation of the stills themselves, in [-1, 1]."""
    changes_alike: float
    """Correlation of what changes in them; 0 where nothing does."""
    num_stills: int
    offset_s: float
    """Time in the first clip at which the second begins."""


def compare_pictures(whole: Fingerprint, other: Fingerprint, *, part: int, mirrored: bool) -> PictureMatch | None:
    """Look whether `other` shows a part of what `whole` shows.

    Args:
        whole: the clip of which a part may have been cut out.
        other: the clip that may be that part, or the same.
        part: of the stills, an index of `PARTS`: where to begin.
        mirrored: whether `other` is mirrored.

    Returns:
        The best match; None where they have fewer than three stills in common, or nothing goes together.
    """
    stills_UHW = other.stills_THW[:, :, ::-1] if mirrored else other.stills_THW
    other_UP = stills_UHW.reshape(len(stills_UHW), -1).astype(np.float32)
    box = np.array(PARTS[part])
    ratio = whole.period_s / other.period_s
    rough = _lines(_cut(whole.stills_THW, box), other_UP, ratio)
    if not rough or rough[0].score < _HOPELESS:
        return None
    fitted_TP = _cut(whole.stills_THW, _fit(whole.stills_THW, stills_UHW, rough[0], box))
    found = [_match(fitted_TP, other_UP, line, whole.period_s) for line in _lines(fitted_TP, other_UP, ratio)]
    return max(found, key=lambda match: match.changes_alike)


def scenes_alike(one: Fingerprint, two: Fingerprint, *, offset_s: float) -> float:
    """How alike stills of the same moments are, movement or not: one camera is enough, so it is no proof of a copy.

    Args:
        one: the clip by whose clock the offset is.
        two: the other clip; it may be mirrored.
        offset_s: time in the first at which the second begins.

    Returns:
        Mean correlation, in [-1, 1]; 0 where no still of the one has one of the other within half a second, and for
        stills in which nothing is seen.
    """
    places_T = (np.arange(len(one.stills_THW)) * one.period_s - offset_s) / two.period_s
    (rows_T,) = np.nonzero((places_T >= -0.5) & (places_T <= len(two.stills_THW) - 0.5))
    if len(rows_T) == 0:
        return 0.0
    others_T = np.clip(np.rint(places_T[rows_T]).astype(int), 0, len(two.stills_THW) - 1)
    one_TP = one.stills_THW[rows_T].reshape(len(rows_T), -1).astype(np.float32)
    others_THW = two.stills_THW[others_T].astype(np.float32)
    return max(_alike(one_TP, side_THW.reshape(len(rows_T), -1)) for side_THW in (others_THW, others_THW[:, :, ::-1]))


@dataclass(frozen=True)
class _Line:
    """Which stills go together: still t of one with the place u of the other, between two stills."""

    rows_T: NDArray[np.int64]
    places_T: NDArray[np.float64]
    score: float


def _cut(stills_THW: NDArray[np.uint8], box: NDArray[np.float64], size: int = SIDE) -> NDArray[np.float32]:
    left, top, right, bottom = box.tolist()
    down_SP, across_SP = part_weights((left, top, right, bottom), size)
    cut = down_SP @ stills_THW.astype(np.float32) @ across_SP.T
    flat_TP: NDArray[np.float32] = cut.reshape(len(stills_THW), size * size)
    return flat_TP


def _lines(whole_TP: NDArray[np.float32], other_UP: NDArray[np.float32], ratio: float) -> list[_Line]:
    """The lines on which changes go together best, best first; empty where no line has enough stills."""
    one_TP, two_UP = whole_TP - whole_TP.mean(axis=0), other_UP - other_UP.mean(axis=0)
    together_TU = one_TP @ two_UP.T
    power_T, power_U = (one_TP**2).sum(axis=1), (two_UP**2).sum(axis=1)
    next_U = np.append((two_UP[:-1] * two_UP[1:]).sum(axis=1), 0)
    num_whole, num_other = together_TU.shape
    rows_T = np.arange(num_whole)
    found = []
    for speed in _SPEEDS if num_whole > 4 else (1.0,):
        offset_O = np.arange(-num_other / ratio, num_whole, _OFFSET_STEP)
        places_OT = (rows_T - offset_O[:, None]) * (speed * ratio)
        inside_OT = (places_OT >= 0) & (places_OT <= num_other - 1)
        places_OT = np.clip(places_OT, 0, num_other - 1)
        low_OT = places_OT.astype(int)
        high_OT, f_OT = np.minimum(low_OT + 1, num_other - 1), places_OT - low_OT
        num_OT = (1 - f_OT) * together_TU[rows_T, low_OT] + f_OT * together_TU[rows_T, high_OT]
        power_OT = (1 - f_OT) ** 2 * power_U[low_OT] + f_OT**2 * power_U[high_OT]
        power_OT += 2 * f_OT * (1 - f_OT) * next_U[low_OT]
        power_O = (inside_OT * power_T).sum(axis=1) * (inside_OT * power_OT).sum(axis=1)
        count_O = inside_OT.sum(axis=1)
        score_O = (inside_OT * num_OT).sum(axis=1) / np.sqrt(np.maximum(power_O, 1.0))
        score_O = np.where(count_O >= _LEAST_STILLS, score_O - 0.5 / np.sqrt(np.maximum(count_O, 1)), -np.inf)
        for at in np.argsort(-score_O)[:2].tolist():
            if np.isfinite(score_O[at]):
                inside_T = inside_OT[at]
                found.append(_Line(rows_T[inside_T], places_OT[at][inside_T], float(score_O[at])))
    return sorted(found, key=lambda line: -line.score)[:_NUM_LINES]


def _at(stills_UP: NDArray[np.float32], places_T: NDArray[np.float64]) -> NDArray[np.float32]:
    low_T = places_T.astype(int)
    f_T1 = (places_T - low_T)[:, None].astype(np.float32)
    mixed_TP: NDArray[np.float32] = (1 - f_T1) * stills_UP[low_T] + f_T1 * stills_UP[
        np.minimum(low_T + 1, len(stills_UP) - 1)
    ]
    return mixed_TP


def _fit(
    stills_THW: NDArray[np.uint8], other_UHW: NDArray[np.uint8], line: _Line, box: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The part of the stills of which the other's are most like a copy; looked for in pictures of half the size."""
    chosen = np.unique(np.linspace(0, len(line.rows_T) - 1, 3).astype(int))
    some_THW = stills_THW[line.rows_T[chosen]]
    wanted_TP = _at(_cut(other_UHW, np.array(PARTS[0]), SIDE // 2), line.places_T[chosen])
    best, step = _alike(_cut(some_THW, box, SIDE // 2), wanted_TP), 0.06
    for _ in range(_MOVES):
        for side, move in itertools.product(range(4), (-step, step)):
            tried = box.copy()
            tried[side] = np.clip(tried[side] + move, 0, 1)
            if min(tried[2] - tried[0], tried[3] - tried[1]) < _LEAST_PART:
                continue
            alike = _alike(_cut(some_THW, tried, SIDE // 2), wanted_TP)
            if alike > best:
                best, box = alike, tried
        step /= 2
    return box


def _alike(one_TP: NDArray[np.float32], two_TP: NDArray[np.float32]) -> float:
    one_TP = one_TP - one_TP.mean(axis=1, keepdims=True)
    two_TP = two_TP - two_TP.mean(axis=1, keepdims=True)
    power_T = np.sqrt((one_TP**2).sum(axis=1) * (two_TP**2).sum(axis=1))
    return float(((one_TP * two_TP).sum(axis=1) / np.maximum(power_T, 1.0)).mean())


def _match(fitted_TP: NDArray[np.float32], other_UP: NDArray[np.float32], line: _Line, period_s: float) -> PictureMatch:
    fitted_TP, wanted_TP = fitted_TP[line.rows_T], _at(other_UP, line.places_T)
    one_TP, two_TP = fitted_TP - fitted_TP.mean(axis=0), wanted_TP - wanted_TP.mean(axis=0)
    least = min(float(one_TP.std()), float(two_TP.std()))
    power = float(np.sqrt((one_TP**2).sum() * (two_TP**2).sum()))
    return PictureMatch(
        alike=_alike(fitted_TP, wanted_TP),
        changes_alike=float((one_TP * two_TP).sum()) / power if least >= _LEAST_CHANGE else 0.0,
        num_stills=len(line.rows_T),
        offset_s=float((line.rows_T[0] - line.places_T[0]) * period_s),
    )
