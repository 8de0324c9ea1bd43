"""The masks of one track as compressed counts, whatever form they were given in; what is wrong is collected."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from avis_data.errors import DataError, Problem
from avis_data.masks.rle import Rle, encode, rle_from_segmentation
from avis_data.metrics.inputs import MaskLike, TrackInput
from avis_data.metrics.run_lengths import empty_counts

__all__ = ["TrackEntries", "read_entries"]

_FAR = 16
_MAX_VALUES = 10_000
"""Polygons with more values, or further away than `_FAR` picture sides, take the path that checks one by one."""


@dataclass(slots=True, kw_only=True)
class TrackEntries:
    """One text of compressed counts per entry; absent entries have the text of an empty mask."""

    counts: list[str]
    present: list[bool]
    problems: list[Problem] = field(default_factory=list)


def read_entries(track: TrackInput, *, height: int, width: int, num_entries: int) -> TrackEntries:
    """The counts of a track's masks, filled up with absent entries to `num_entries`.

    Compressed counts are passed on unchecked (`decode_runs` checks them, many at once); all else is sound.
    """
    size = [height, width]
    entries = TrackEntries(counts=[empty_counts(height * width)] * num_entries, present=[False] * num_entries)
    polygons: list[tuple[int, list[Any]]] = []
    for index, entry in enumerate(track.masks):
        if entry is None:
            continue
        if type(entry) is dict and entry.get("size") == size and type(entry.get("counts")) is str:
            entries.counts[index] = entry["counts"]
            entries.present[index] = True
        elif isinstance(entry, list) and entry and isinstance(entry[0], list):
            polygons.append((index, entry))
        else:
            _read_one(entries, track, (index, entry), size)
    _read_polygons(entries, track, polygons, size)
    return entries


def _read_one(entries: TrackEntries, track: TrackInput, item: tuple[int, MaskLike], size: list[int]) -> None:
    index, entry = item
    try:
        rle = _rle(entry, height=size[0], width=size[1])
    except DataError as error:
        entries.problems.append(Problem(track.where, f"segmentations[{index}]", str(error)))
        return
    if rle is not None:
        entries.counts[index] = rle.counts
        entries.present[index] = True


def _rle(entry: MaskLike, *, height: int, width: int) -> Rle | None:
    if isinstance(entry, np.ndarray):
        if entry.shape != (height, width):
            raise DataError(f"mask array has shape {entry.shape}, the picture has {(height, width)} (height, width)")
        return encode(entry)
    if isinstance(entry, Rle):
        entry = {"size": [entry.height, entry.width], "counts": entry.counts}
    if isinstance(entry, Mapping):
        size, counts = entry.get("size"), entry.get("counts")
        text = counts.decode("utf-8", "replace") if isinstance(counts, bytes) else counts
        entry = {"size": list(size) if isinstance(size, (list, tuple)) else size, "counts": text}
    return rle_from_segmentation(entry, height=height, width=width)


def _read_polygons(
    entries: TrackEntries, track: TrackInput, items: list[tuple[int, list[Any]]], size: list[int]
) -> None:
    """Rasterise all polygons of a track in one call, or one entry at a time where one of them looks odd."""
    if not items:
        return
    parts = [part for _, entry in items for part in entry]
    if not _plain_polygons(parts, limit=_FAR * max(size)):
        for item in items:
            _read_one(entries, track, item, size)
        return
    coded = iter(coco_mask.frPyObjects(parts, *size))
    for index, entry in items:
        rles = list(itertools.islice(coded, len(entry)))
        merged = rles[0] if len(rles) == 1 else coco_mask.merge(rles)
        counts = merged["counts"]
        entries.counts[index] = counts.decode("ascii") if isinstance(counts, bytes) else counts
        entries.present[index] = True


def _plain_polygons(parts: list[Any], *, limit: float) -> bool:
    """True if all are lists of at least 3 points with finite numbers for coordinates that are not far outside."""
    if not all(type(part) is list and 6 <= len(part) <= _MAX_VALUES and len(part) % 2 == 0 for part in parts):
        return False
    kinds = set(map(type, itertools.chain.from_iterable(parts)))
    if not kinds <= {int, float}:
        return False
    try:
        values = np.fromiter(itertools.chain.from_iterable(parts), dtype=np.float64)
    except OverflowError:
        return False
    return bool((np.abs(values) <= limit).all())
