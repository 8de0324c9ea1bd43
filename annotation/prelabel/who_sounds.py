"""Which of the things that are seen makes the sound that is heard: an association by rule, nothing is learned.

A thing may sound in the seconds in which its category is heard and it is seen. Of several things of one category all
sound, or one: the largest, the most central, or the one that moves most, over a run of seconds without a pause.

Shapes: S seconds, C categories.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from avis_data.annotation.prelabel.engine import Box
from avis_data.features.sound_classes import is_voice

__all__ = ["Candidate", "Choice", "heard_when", "who_sounds"]


class Choice(StrEnum):
    """Who of several things of one category sounds."""

    LARGEST = "largest"
    CENTRAL = "central"
    MOVING = "moving"
    ALL = "all"


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A thing that may sound."""

    category: str
    boxes: Mapping[int, Box]
    """Where it is, by still."""
    motion: Mapping[int, float]
    """How much its upper half changes around a still, as `moved.py` measures it; may be empty."""


def heard_when(
    chances_SC: NDArray[np.float64],
    categories: Sequence[str],
    *,
    heard_from: float,
    speech_S: NDArray[np.bool_] | None,
) -> NDArray[np.bool_]:
    """In which seconds each category is heard.

    Args:
        chances_SC: of a tagger.
        categories: C names.
        heard_from: the chance from which on the tagger's word counts.
        speech_S: seconds in which somebody speaks; None: nothing told that, so the tagger alone does.

    Returns:
        bool (S, C). A voice is heard where speech is found, or, in a clip in which none is found at all, where the
        tagger hears it: wind and machines drown speech for the one, short words for the other.
    """
    heard_SC = chances_SC >= heard_from
    if speech_S is not None and speech_S.any():
        for column, category in enumerate(categories):
            if is_voice(category):
                heard_SC[:, column] = speech_S
    return heard_SC


def who_sounds(
    candidates: Sequence[Candidate],
    heard_SC: NDArray[np.bool_],
    categories: Sequence[str],
    *,
    choice: Choice,
    size_hw: tuple[int, int],
) -> NDArray[np.bool_]:
    """In which seconds each thing sounds.

    Args:
        candidates: what is seen.
        heard_SC: from `heard_when`.
        categories: C names.
        choice: among several of one category.
        size_hw: of the stills, in pixels.

    Returns:
        bool (number of candidates, S).
    """
    sounding = np.zeros((len(candidates), len(heard_SC)), dtype=np.bool_)
    for column, category in enumerate(categories):
        rivals = [number for number, one in enumerate(candidates) if one.category == category]
        for first, last in _runs(heard_SC[:, column]):
            run = range(first, last)
            there = {number: [t for t in run if t in candidates[number].boxes] for number in rivals}
            there = {number: stills for number, stills in there.items() if stills}
            if choice is Choice.ALL:
                for number, stills in there.items():
                    sounding[number, stills] = True
                continue
            worth = {number: _worth(candidates[number], stills, choice, size_hw) for number, stills in there.items()}
            for t in run:
                seen = [number for number, stills in there.items() if t in stills]
                if seen:
                    sounding[max(seen, key=lambda number: (worth[number], -number)), t] = True
    return sounding


def _worth(one: Candidate, stills: Sequence[int], choice: Choice, size_hw: tuple[int, int]) -> float:
    """What speaks for a thing over some stills in which it is seen; comparable within one choice."""
    boxes = np.array([one.boxes[still] for still in stills])
    sides = boxes[:, 2:] - boxes[:, :2]
    if choice is Choice.MOVING:
        return float(np.mean([one.motion.get(still, 0.0) for still in stills]))
    if choice is Choice.CENTRAL:
        middle = np.array([size_hw[1], size_hw[0]]) / 2
        return -float(np.linalg.norm(boxes[:, :2] + sides / 2 - middle, axis=1).mean())
    return float(sides.prod(axis=1).mean())


def _runs(heard_S: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """The longest runs of heard seconds, from the first to the one after the last."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], heard_S, [False]]).astype(np.int8)))
    return [(int(first), int(last)) for first, last in edges.reshape(-1, 2)]
