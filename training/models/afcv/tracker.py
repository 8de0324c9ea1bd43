"""Detections of successive frames, linked to tracks by what they look like and where they were.

Shapes: D detections of a frame, K tracks so far, C channels.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.nn import functional

from avis_data.training.models.afcv.boxes import box_iou

__all__ = ["Detections", "SimilarityTracker"]

_OTHER_CLASS = -1.0


@dataclass(frozen=True, kw_only=True)
class Detections:
    """What was found in one frame."""

    label_D: Tensor
    """int64, 0-based class."""
    score_D: Tensor
    """In [0, 1]."""
    box_D4: Tensor
    """Left, top, right, bottom."""
    embed_DC: Tensor
    """What they look like; of any length."""


_PARTS = tuple(field.name for field in fields(Detections))


class SimilarityTracker:
    """Links each frame's detections to the tracks before it. What it remembers of a track is its last detection.

    A detection takes the track of its class that it resembles most, if that is enough, else it starts a new one. Of
    several that take the same track the most similar stays and the others are dropped: they get no second choice.
    Tracks never end, but only so many are remembered.

    Source: CrossVIS (2021), as its code does it; the limit is ours.
    """

    def __init__(self, least_similarity: float, remembered: int) -> None:
        """`remembered`: at most so many tracks; those that were not seen for longest are forgotten."""
        self._least = least_similarity
        self._remembered = remembered
        self._last: Detections | None = None
        self._tracks: list[int] = []
        """Tracks of the remembered detections, in the order in which they were seen."""
        self._next = 0

    @property
    def known(self) -> frozenset[int]:
        """Tracks that are remembered; the others never come back."""
        return frozenset(self._tracks)

    def step(self, found: Detections) -> list[int | None]:
        """The track of every detection of the next frame, in their order; None: dropped.

        New tracks are numbered on from 0, by descending score of the detections that start them.
        """
        similarity = self._similarity(found).tolist()
        tracks: list[int | None] = [None] * len(similarity)
        holders: dict[int, int] = {}
        started: list[int] = []
        for detection in found.score_D.sort(descending=True, stable=True).indices.tolist():
            row = similarity[detection]
            place = self._most_similar(row)
            if place is None or row[place] < self._least:
                tracks[detection] = self._next + len(started)
                started.append(detection)
            elif place not in holders or row[place] > similarity[holders[place]][place]:
                if place in holders:
                    tracks[holders[place]] = None
                tracks[detection] = self._tracks[place]
                holders[place] = detection
        self._remember(found, holders, started)
        return tracks

    def _most_similar(self, row_K: list[float]) -> int | None:
        """The remembered track of the highest similarity, of equal ones the oldest; None where there is no track."""
        return max(range(len(row_K)), key=lambda place: (row_K[place], -self._tracks[place]), default=None)

    def _similarity(self, found: Detections) -> Tensor:
        """(D, K)."""
        last = self._last
        if last is None:
            return found.score_D.new_zeros(len(found.score_D), 0)
        cosine_DK = functional.normalize(found.embed_DC, dim=1) @ functional.normalize(last.embed_DC, dim=1).T
        same_DK = found.label_D[:, None] == last.label_D
        return torch.where(same_DK, cosine_DK + box_iou(found.box_D4, last.box_D4), _OTHER_CLASS)

    def _remember(self, found: Detections, holders: dict[int, int], started: list[int]) -> None:
        """`holders`: place of a remembered detection -> the one of this frame that goes on with its track."""
        unseen = [place for place in range(len(self._tracks)) if place not in holders]
        new = [*range(self._next, self._next + len(started))]
        tracks = [self._tracks[place] for place in (*unseen, *holders)] + new
        rows = [*holders.values(), *started]
        values = {name: getattr(found, name)[rows] for name in _PARTS}
        if self._last is not None:
            values = {name: torch.cat((getattr(self._last, name)[unseen], values[name])) for name in _PARTS}
        self._last = Detections(**{name: value[-self._remembered :] for name, value in values.items()})
        self._tracks = tracks[-self._remembered :]
        self._next += len(started)
