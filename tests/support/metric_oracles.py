"""Slow programs for the metrics that share no code with ours: sets of pixels and definitions."""

from __future__ import annotations

from typing import Any

import numpy as np

from avis_data.metrics import TrackInput

__all__ = ["ALPHAS", "Pixels", "interpolated", "iou", "pixels", "track_iou"]

ALPHAS = [0.05 * k for k in range(1, 20)]
Pixels = list[set[tuple[int, int]]]


def pixels(track: TrackInput) -> Pixels:
    return [set() if mask is None else set(map(tuple, np.argwhere(mask).tolist())) for mask in track.masks]


def iou(a: set[Any], b: set[Any]) -> float:
    return len(a & b) / len(a | b) if a | b else 0.0


def track_iou(a: Pixels, b: Pixels) -> float:
    shared, union = (sum(len(op(x, y)) for x, y in zip(a, b, strict=True)) for op in (set.intersection, set.union))
    return shared / union


def interpolated(ranked: list[tuple[float, bool]], total: int) -> float:
    points = []
    hits = 0
    for number, (_, hit) in enumerate(ranked, start=1):
        hits += hit
        points.append((hits, hits / number))
    best = [
        max((precision for found, precision in points if 100 * found >= k * total), default=0.0) for k in range(101)
    ]
    return sum(best) / 101
