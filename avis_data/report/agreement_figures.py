"""How far annotators agree, as plain data: what `avis-data agreement` prints, and what its page shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "AgreementFigures",
    "AgreementReport",
    "CategoryAgreement",
    "ClipRow",
    "ClipStrips",
    "Estimate",
    "SpanFigures",
    "StripRow",
    "TrackStrips",
]


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A figure; None where there is nothing to measure."""

    value: float | None
    low: float | None = None
    """95 % interval over clips (percentile bootstrap); None with fewer than 5 clips."""
    high: float | None = None

    def as_dict(self) -> dict[str, object]:
        """What `--json` prints."""
        return dict(self.__dict__)


@dataclass(frozen=True, kw_only=True)
class CategoryAgreement:
    """One category."""

    category: str
    kappa: float | None
    hota: float | None
    track_seconds: int
    """What kappa is over."""
    heard_by_one: int
    """Track-seconds that only one of the two hears."""

    def as_dict(self) -> dict[str, object]:
        """What `--json` prints."""
        return dict(self.__dict__)


@dataclass(frozen=True, kw_only=True)
class SpanFigures:
    """Errors of the borders of sounding intervals, seconds; None without a pair of intervals."""

    num_pairs: int
    num_unpaired: int
    onset_mean_abs_s: float | None
    offset_mean_abs_s: float | None
    onset_bias_s: float | None
    """Mean of second minus first person; for one annotator: of theirs minus the others'. Above 0: later."""
    offset_bias_s: float | None

    def as_dict(self) -> dict[str, object]:
        """What `--json` prints."""
        return dict(self.__dict__)


@dataclass(frozen=True, kw_only=True)
class AgreementFigures:
    """Agreement over clips."""

    num_clips: int
    num_comparisons: int
    num_matched: int
    """Tracks that both have; tracks that only one has:"""
    num_unmatched: int
    mask_iou: Estimate
    boundary_f: Estimate
    hota: Estimate
    det_a: Estimate
    ass_a: Estimate
    kappa: Estimate
    """Kappa of all track-seconds together."""
    disagreement: float | None
    categories: tuple[CategoryAgreement, ...]
    spans: SpanFigures

    def as_dict(self) -> dict[str, object]:
        """What `--json` prints."""
        values = dict(self.__dict__)
        for name in ("mask_iou", "boundary_f", "hota", "det_a", "ass_a", "kappa", "spans"):
            values[name] = values[name].as_dict()
        return values | {"categories": [category.as_dict() for category in self.categories]}


@dataclass(frozen=True, kw_only=True)
class ClipRow:
    """Two people's labels of one clip, in a row of the queue."""

    clip_id: str
    round: str
    a: str
    """E-mail; the next one likewise."""
    b: str
    disagreement: float
    """Share of the sounding track-seconds on which they differ, in [0, 1]."""
    seconds_differing: int
    seconds_sounding: int
    tracks_of_one: int
    """Objects that only one of the two marked."""
    verdicts: tuple[str | None, str | None]
    confused: Sequence[tuple[str, str]] = ()
    """Objects of one place to which they give other categories, by the names that the two give them."""
    swaps: Sequence[tuple[str, str, Sequence[int]]] = ()
    """Names of an object of the one and of the other whose identity is exchanged, and in which seconds."""
    state: str | None
    """Where the clip stands now: what is `to review` or in `review` is still to be decided."""

    def as_dict(self) -> dict[str, object]:
        """What `--json` prints."""
        return {
            "clip_id": self.clip_id,
            "round": self.round,
            "annotators": [self.a, self.b],
            "disagreement": self.disagreement,
            "seconds_differing": self.seconds_differing,
            "seconds_sounding": self.seconds_sounding,
            "tracks_of_one": self.tracks_of_one,
            "verdicts": list(self.verdicts),
            "confused": [list(pair) for pair in self.confused],
            "identity_swaps": [{"a": a, "b": b, "seconds": list(seconds)} for a, b, seconds in self.swaps],
            "state": self.state,
        }


@dataclass(frozen=True, kw_only=True)
class AgreementReport:
    """All figures of agreement."""

    total: AgreementFigures
    rounds: Mapping[str, AgreementFigures]
    annotators: Mapping[str, AgreementFigures]
    confusion: Sequence[tuple[str, str, int]] = ()
    """Two categories, and how many objects that both marked one calls the first and the other the second."""
    queue: Sequence[ClipRow]
    """Every comparison, the one in which people differ most first."""
    is_blind: bool
    """Whether it is of people who labelled without knowing of each other."""

    def as_dict(self) -> dict[str, object]:
        """What `--json` prints."""
        return {
            "blind": self.is_blind,
            "total": self.total.as_dict(),
            "rounds": {name: figures.as_dict() for name, figures in self.rounds.items()},
            "annotators": {name: figures.as_dict() for name, figures in self.annotators.items()},
            "confusion": [{"categories": [one, other], "objects": number} for one, other, number in self.confusion],
            "queue": [row.as_dict() for row in self.queue],
        }


@dataclass(frozen=True, kw_only=True)
class StripRow:
    """One object as one person sees it."""

    name: str
    """Empty where this person did not mark it."""
    masked_T: NDArray[np.bool_]
    """Whether it has a mask in each second; the next one: whether it is heard."""
    heard_T: NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class TrackStrips:
    """One object as both see it."""

    upper: StripRow
    lower: StripRow
    differing_T: NDArray[np.bool_]
    """The seconds in which they differ in what would be published."""


@dataclass(frozen=True, kw_only=True)
class ClipStrips:
    """A clip as two people see it, second by second."""

    clip_id: str
    a: str
    b: str
    num_seconds: int
    tracks: Sequence[TrackStrips]
