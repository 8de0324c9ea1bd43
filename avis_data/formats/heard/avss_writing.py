"""AVSS written: what sounds, each pixel in the colour of its category, as the public loaders read it."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from avis_data.errors import DataError
from avis_data.formats.avsbench import AVSS_CLASSES, AVSS_FRAMES, AVSS_TABLE, avss_paths
from avis_data.formats.avsbench_masks import voc_colours
from avis_data.formats.heard.avsbench import NUM_CLASSES
from avis_data.formats.sets.clips import LabelledClip, LabelledTrack
from avis_data.formats.sets.overlap import painted, painted_tracks
from avis_data.formats.sets.spec import Clips, SetFacts
from avis_data.io import csv_text, write_text
from avis_data.masks.rle import Rle, decode, encode

__all__ = ["as_classes", "write_avss_clip", "write_avss_tables"]

_COLUMNS = ("vid", "uid", "s_min", "s_sec", "a_obj", "split", "label")
_PARTS = {length: part for part, length in AVSS_FRAMES.items() if part != "v1s"}
"""Stills of a clip to its part: v1s labels only the first of a training clip, so five stills are v1m."""


def as_classes(clip: LabelledClip) -> LabelledClip:
    """What AVSS holds of a clip: a track for each category, of what sounds, in which each pixel has one category."""
    by_category: dict[str, list[LabelledTrack]] = defaultdict(list)
    for track in clip.tracks:
        if track.category is not None:
            by_category[track.category].append(track)
    united = []
    for category, tracks in sorted(by_category.items()):
        masks = [_union(tracks, number) for number in range(len(clip.stills))]
        sounding = tuple(None if mask is None else True for mask in masks)
        united.append(LabelledTrack(track_id=category, category=category, masks=tuple(masks), sounding=sounding))
    kept = [track for track in painted_tracks(clip, united) if track.frames]
    return replace(
        clip,
        tracks=tuple(kept),
        has_identity=False,
        fps=1.0,
        embeddings_TD=None,
        license=None,
        source=None,
    )


def _union(tracks: list[LabelledTrack], number: int) -> Rle | None:
    there = [track.masks[number] for track in tracks if track.sounding[number]]
    stack = [decode(mask) for mask in there if mask is not None]
    return encode(np.logical_or.reduce(stack)) if stack else None


def write_avss_clip(folder: Path, clip: LabelledClip, facts: SetFacts) -> list[str]:
    """Stills, masks as RGB, and sound, where the clip has one.

    Returns:
        The paths of the files in the folder.

    Raises:
        DataError: if a category has no number, or one that AVSS has no colour for.
    """
    paths = avss_paths(_PARTS[len(clip.stills)], clip.name, clip.split or "train")
    names = []
    for still, name in zip(clip.stills, paths.frames, strict=True):
        if still.picture is not None:
            still.picture.put(folder / name)
            names.append(name)
    classes = as_classes(clip)
    colours, numbers = voc_colours(NUM_CLASSES).astype(np.uint8), [0, *(_number(t, facts) for t in classes.tracks)]
    for number, name in enumerate(filter(None, paths.masks)):  # v1m and v2 label every still
        stack = [track.masks[number] for track in classes.tracks]
        picture_HW, _ = painted(stack, height=clip.height, width=clip.width)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(colours[np.array(numbers)[picture_HW]]).save(folder / name, format="PNG")
        names.append(name)
    if clip.sound is not None:
        clip.sound.put(folder / paths.sound)
        names.append(paths.sound)
    return names


def write_avss_tables(folder: Path, clips: Clips, facts: SetFacts) -> list[str]:
    """The table of all clips, and the numbers of the categories.

    Returns:
        Their paths in the folder.
    """
    rows: list[tuple[object, ...]] = [_COLUMNS]
    for clip in clips():
        start = 0.0 if clip.start_s is None else clip.start_s
        heard = "_".join(track.category or "" for track in as_classes(clip).tracks)
        part = _PARTS[len(clip.stills)]
        rows.append(
            (clip.source or clip.name, clip.name, f"{start:g}", len(clip.stills), heard, clip.split or "train", part)
        )
    write_text(folder / AVSS_TABLE, csv_text(rows))
    write_text(folder / AVSS_CLASSES, json.dumps(_classes(facts), indent=1, ensure_ascii=False) + "\n")
    return [AVSS_TABLE, AVSS_CLASSES]


def _number(track: LabelledTrack, facts: SetFacts) -> int:
    number = facts.categories.get(track.category or "")
    if number is None or not 0 < number < NUM_CLASSES:
        raise DataError(f"the category {track.category!r:.60} has the number {number}, AVSS has 1 to {NUM_CLASSES - 1}")
    return number


def _classes(facts: SetFacts) -> dict[str, int]:
    """All 71 numbers: the public loaders refuse a table of another length."""
    names = {number: name for name, number in facts.categories.items()}
    every = {number: names.get(number, f"unused_{number:02d}") for number in range(1, NUM_CLASSES)}
    return {"background": 0, **{name: number for number, name in every.items()}}
