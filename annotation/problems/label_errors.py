"""Tracks in the order in which they should be looked at: those against which most speaks come first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from avis_data.annotation.problems.evidence import Evidence

__all__ = ["Suspect", "rank"]

_MOST = 12.0
"""So much one kind of evidence weighs at most."""
_OTHERS = 0.15
"""Weight of all other kinds beside the strongest."""


@dataclass(frozen=True)
class _Kind:
    weight: float
    """How many usual deviations of other tracks it weighs for one."""
    least: float
    """A smaller deviation is taken for this one, so that what is the same everywhere does not count as odd."""
    words: str


_KINDS = {
    "step": _Kind(0.25, 0.25, "jumps"),
    "bend": _Kind(0.3, 0.15, "leaves its way for one still"),
    "size": _Kind(0.25, 0.12, "changes its size at once"),
    "frozen": _Kind(0.8, 0.5, "is the same to the pixel on several stills"),
    "gap": _Kind(0.5, 0.5, "has no mask in between"),
    "exchange": _Kind(1.5, 0.25, "goes a shorter way as another object"),
    "overlap": _Kind(0.4, 0.1, "lies over another object"),
    "foreign": _Kind(1.6, 0.04, "has other colours than on its other stills"),
    "heard in silence": _Kind(2.0, 0.4, "is heard where nothing is to be heard"),
    "unclaimed sound": _Kind(0.8, 0.35, "is seen where something sounds that nobody claims"),
    "model misses it": _Kind(0.5, 0.25, "is not seen by the model"),
    "model sees more": _Kind(3.0, 0.15, "is seen by the model and not labelled"),
    "model: category": _Kind(2.4, 0.15, "is another category for the model"),
    "model: sound": _Kind(3.0, 0.1, "sounds in other seconds for the model"),
    "model: outline": _Kind(0.8, 0.08, "has another outline for the model"),
}


@dataclass(frozen=True, kw_only=True)
class Suspect:
    """One track with what speaks against it."""

    clip_id: str
    identity: str | None
    category: str
    suspicion: float
    """How far it is from the other tracks; 0: in nothing. Comparable within one list only."""
    still: int | None
    """Where most speaks against it."""
    reasons: tuple[str, ...]
    """The strongest first."""


def rank(evidence: Iterable[Evidence]) -> list[Suspect]:
    """The most suspicious track first; how far a number is from those of the other tracks decides, not the number.

    Args:
        evidence: of all tracks of a dataset; one alone has nothing to be compared with.
    """
    every = list(evidence)
    usual = {kind: _usual([item.found[kind][0] for item in every if kind in item.found], kind) for kind in _KINDS}
    return sorted(
        (_suspect(item, usual) for item in every),
        key=lambda item: (-item.suspicion, item.clip_id, item.identity or ""),
    )


def _usual(values: Sequence[float], kind: str) -> tuple[float, float]:
    """Median, and usual deviation from it."""
    if not values or kind == "model sees more":  # there is no track that it is usual for
        return 0.0, _KINDS[kind].least
    median = float(np.median(values))
    spread = 1.4826 * float(np.median(np.abs(np.asarray(values) - median)))
    return median, max(spread, _KINDS[kind].least)


def _suspect(item: Evidence, usual: dict[str, tuple[float, float]]) -> Suspect:
    weights = []
    for kind, (amount, still) in item.found.items():
        median, spread = usual[kind]
        weight = min(_MOST, max(0.0, (amount - median) / spread * _KINDS[kind].weight))
        weights.append((weight, kind, still))
    weights.sort(key=lambda entry: (-entry[0], entry[1]))
    strongest = weights[0] if weights else (0.0, "", None)
    return Suspect(
        clip_id=item.clip_id,
        identity=item.identity,
        category=item.category,
        suspicion=round(strongest[0] + _OTHERS * sum(weight for weight, _, _ in weights[1:]), 4),
        still=strongest[2],
        reasons=tuple(_KINDS[kind].words for weight, kind, _ in weights if weight >= 1.5),
    )
