"""What a figure is made of: counts of one video under the rules of a mode, and their sum over videos.

Shapes: B draws of videos, V videos, X numbers of a video.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any, Generic, TypeVar, cast

import numpy as np

from avis_data.errors import Problem
from avis_data.metrics.tracks import VideoTracks

__all__ = [
    "MEANINGS",
    "Counting",
    "Drawn",
    "Figure",
    "Mode",
    "Rank",
    "Rules",
    "Variant",
    "VideoStats",
    "added_up",
    "modes_named",
    "weighted_sums",
]


class Mode(StrEnum):
    """Whose definition of the metrics; the value is printed beside every number."""

    COMPAT = "aviseg_compat"
    """What the public evaluation code computes: for comparison with published tables."""
    STRICT = "strict"
    """What the papers describe: a perfect prediction has 1 everywhere, in any order, resolution and export form."""
    YTVIS = "ytvis"
    """AP and AR as the YouTube-VIS API gives them."""


class Variant(StrEnum):
    """Deviations of `aviseg_compat` that the specification of the public code describes."""

    IDS_FROM_ONE = "official_ids_from_one"
    """Predicted tracks are numbered from 1: the public code, numbering from 0, lets what track 0 matched be matched
    again, which changes AP by one track and recall above 1 is possible on tiny sets."""
    EMPTY_AS_NULL = "empty_as_null"
    """Empty masks are no detections in HOTA: the public code counts each as a false positive."""
    LITERAL_CONSTANT = "official_literal_constant"
    """FSLA tells empty masks by the text of an empty mask of 1280 x 720, as the public code does: at any other size
    they count as objects."""
    OFFICIAL_INPUT = "official_input"
    """Read what the official loader lets pass: predictions for unknown videos are ignored, those of unknown classes
    only count in FSLA, entries beyond the end of the video only in mAP."""


MEANINGS = {
    Mode.COMPAT: "what the public AVIS evaluation code computes; for comparison with published tables only",
    Mode.STRICT: "what the papers describe; a perfect prediction has 100, in any order, resolution or export form",
    Mode.YTVIS: "AP and AR as the YouTube-VIS API gives them",
}


def modes_named(choice: str) -> list[Mode]:
    """The modes behind a choice on the command line: a mode, `both` (compat and strict) or `all`."""
    several = {"both": [Mode.COMPAT, Mode.STRICT], "all": [Mode.COMPAT, Mode.STRICT, Mode.YTVIS]}
    return several.get(choice) or [Mode(choice)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The rules by which a video is judged."""

    mode: Mode
    variants: Sequence[Variant] = ()
    """Deviations of `aviseg_compat`."""
    has_id_zero: bool = False
    """The first predicted track of this video is the first of the whole set (see `track_ap.match_video`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoStats:
    """What one video adds to the metrics: small, picklable, and enough to draw videos again later."""

    name: str
    video_id: int
    num_frames: int
    num_truth: int
    num_predicted: int
    counts: Mapping[Mode, Mapping[str, object]]
    """Mode -> name of a `Counting` -> its counts; `Counting.of` gives them by their type."""
    problems: Sequence[Problem]
    """Why tracks of it were left out."""
    fits: Mapping[tuple[int, int], int]
    """(true class, predicted class) -> true tracks that fit, see `doubts.fitting_classes`."""
    own_ious: Sequence[float]
    """The IoU of each true track with the predicted one that answers for it, see `t_test.own_ious`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A set of videos, drawn once or many times."""

    mode: Mode
    categories: Mapping[int, str]
    """All classes of the truth, id -> name."""
    weights_BV: np.ndarray
    """float64: how often each video is in each draw; one row of ones for the figures themselves."""


Counts = TypeVar("Counts")
Pool = TypeVar("Pool")


def _no_details(pool: object, drawn: Drawn) -> Mapping[str, object]:
    return {}


def _no_classes(pool: object, drawn: Drawn) -> Mapping[int, Mapping[str, float | None]]:
    return {}


@dataclass(frozen=True, kw_only=True)
class Counting(Generic[Counts, Pool]):
    """What is counted in a video, and how the counts of many videos become one pool, of which figures are made.

    It goes to worker processes: its functions stand at the top of a module, and are no lambdas.
    """

    name: str
    of_video: Callable[[VideoTracks, Rules], Counts]
    """Counts of one video; must be picklable."""
    pooled: Callable[[Sequence[Counts], Drawn], Pool]
    """The counts of all videos, each as often as it was drawn; `added_up` where counts are arrays to be added."""
    details: Callable[[Pool, Drawn], Mapping[str, object]] = _no_details
    """What JSON says besides the figures, of a pool of one draw: curves over thresholds, numbers of frames."""
    per_class: Callable[[Pool, Drawn], Mapping[int, Mapping[str, float | None]]] = _no_classes
    """Class -> what JSON says of it, of a pool of one draw."""

    def of(self, video: VideoStats, mode: Mode) -> Counts:
        """What was counted in a video under a mode."""
        return cast(Counts, video.counts[mode][self.name])


class Rank(IntEnum):
    """Where a figure is shown: at its own rank, and wherever more figures are shown."""

    HEADLINE = 1
    """Shown in the line and the curves of a training run; may choose the best weights."""
    OVERVIEW = 2
    """Shown in each validation of a run, and in the report's table of a model."""
    FULL = 3
    """Shown in evaluations, with intervals, and in comparisons."""


@dataclass(frozen=True, kw_only=True)
class Figure(Generic[Pool]):
    """One figure of a metric."""

    name: str
    """The name of its row in tables, and its key in JSON."""
    counting: Counting[Any, Pool]
    """What is counted of a video."""
    value: Callable[[Pool], np.ndarray]
    """The figure of a pool, float64 (B,); NaN where there is nothing to measure."""
    modes: tuple[Mode, ...]
    """Under which it is defined."""
    title: str = ""
    """What configs and logs of training call it; empty: its name."""
    rank: Rank = Rank.FULL
    of_one_video: bool = False
    """Whether it says something of a video alone (AP ranks the tracks of all videos)."""
    higher_is_better: bool = True
    is_share: bool = True
    """Whether it is a fraction, within [0, 1] and shown in percent."""
    missing: float | None = None
    """What the modes that follow public code write where there is nothing to measure; `strict` writes null."""

    @property
    def called(self) -> str:
        """What configs and logs of training call it."""
        return self.title or self.name

    def number(self, value: float, mode: Mode) -> float | None:
        """A value as JSON has it."""
        nothing = None if mode is Mode.STRICT else self.missing
        return nothing if np.isnan(value) else float(value)

    def text(self, value: float | None, *, digits: int = 2, sign: bool = False) -> str:
        """The figure as a person reads it: `52.37` (percent) or `0.5237`; a dash where there is nothing to measure."""
        if value is None or (self.is_share and not sign and value < 0):
            return "-"
        plus = "+" if sign else ""
        return f"{100 * value:{plus}.{digits}f}" if self.is_share else f"{value:{plus}.{digits + 2}f}"


def added_up(counts: Sequence[np.ndarray], drawn: Drawn) -> np.ndarray:
    """A pool for counts that are arrays of one shape (X...): their sums in each draw, float64 (B, X...).

    Where every video counts once they are added in the order of the videos, so that a figure is the same to the last
    bit however many draws are made beside it.

    Example:
        >>> weights_BV = np.array([[1.0, 1.0], [2.0, 0.0]])  # both videos; the first one twice
        >>> drawn = Drawn(mode=Mode.STRICT, categories={}, weights_BV=weights_BV)
        >>> added_up([np.array([3.0, 1.0]), np.array([2.0, 2.0])], drawn)
        array([[5., 3.],
               [6., 2.]])
    """
    return weighted_sums(np.array(counts, dtype=np.float64), drawn.weights_BV)


def weighted_sums(counts_NX: np.ndarray, weights_BN: np.ndarray) -> np.ndarray:
    """Sums over the first axis, float64 (B, X...); rows of ones add up in order."""
    flat_NX = counts_NX.reshape(len(counts_NX), math.prod(counts_NX.shape[1:]))
    sums_BX: np.ndarray = (weights_BN @ flat_NX).reshape(len(weights_BN), *counts_NX.shape[1:])
    sums_BX[(weights_BN == 1).all(axis=1)] = counts_NX.sum(axis=0)
    return sums_BX
