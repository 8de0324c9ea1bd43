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
    Tracks never end.

    Source: CrossVIS (2021), as its code does it.
    """

    def __init__(self, least_similarity: float) -> None:
        self._least = least_similarity
        self._last: Detections | None = None

    def step(self, found: Detections) -> list[int | None]:
        """The track of every detection of the next frame, in their order; None: dropped.

        New tracks are numbered on from 0, by descending score of the detections that start them.
        """
        similarity = self._similarity(found).tolist()
        known = 0 if self._last is None else len(self._last.label_D)
        tracks: list[int | None] = [None] * len(similarity)
        holders: dict[int, int] = {}
        started: list[int] = []
        for detection in found.score_D.sort(descending=True, stable=True).indices.tolist():
            row = similarity[detection]
            track = max(range(known), key=row.__getitem__, default=None)
            if track is None or row[track] < self._least:
                tracks[detection] = known + len(started)
                started.append(detection)
            elif track not in holders or row[track] > similarity[holders[track]][track]:
                if track in holders:
                    tracks[holders[track]] = None
                tracks[detection] = track
                holders[track] = detection
        self._remember(found, holders, started)
        return tracks

    def _similarity(self, found: Detections) -> Tensor:
        """(D, K)."""
        last = self._last
        if last is None:
            return found.score_D.new_zeros(len(found.score_D), 0)
        cosine_DK = functional.normalize(found.embed_DC, dim=1) @ functional.normalize(last.embed_DC, dim=1).T
        same_DK = found.label_D[:, None] == last.label_D
        return torch.where(same_DK, cosine_DK + box_iou(found.box_D4, last.box_D4), _OTHER_CLASS)

    def _remember(self, found: Detections, holders: dict[int, int], started: list[int]) -> None:
        values = {}
        for name in _PARTS:
            new = getattr(found, name)
            if self._last is not None:
                old = getattr(self._last, name).clone()
                old[list(holders)] = new[list(holders.values())]
                values[name] = torch.cat((old, new[started]))
            else:
                values[name] = new[started]
        self._last = Detections(**values)
