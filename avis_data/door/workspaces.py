"""The clips of a workspace as a set, with the truth that an export of it would take."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avis_data.door.clip_sets import ClipSet, Part
from avis_data.door.clips import Clip
from avis_data.door.tracks import Track
from avis_data.features.store import bucket, part_name, read_embeddings
from avis_data.manifest import read_manifest
from avis_data.masks.rle import Rle
from avis_data.masks.table import read_masks
from avis_data.paths import Workspace
from avis_data.records import Clip as ClipRecord
from avis_data.records import MaskRow, SoundState, State
from avis_data.records import Track as TrackRecord

__all__ = ["open_workspace"]

_SOUNDS: dict[State, bool | None] = {State.SOUNDING: True, State.SILENT: False, State.HIDDEN: False}


def open_workspace(root: Path) -> ClipSet:
    """All clips of a workspace; those that are not extracted yet are no clips.

    Raises:
        ConfigError: if its recipe is not in order.
        DataError: if it is of a format that this version does not read.
        ProblemsError: if a manifest is damaged.
    """
    from avis_data.categories import category_set
    from avis_data.ledger import Ledger
    from avis_data.recipe import load_recipe

    workspace = Workspace(root)
    recipe = load_recipe(workspace)
    with Ledger(workspace.ledger, read_only=True):  # refuses a workspace of another format
        pass
    categories = {category.id: category.name for category in category_set(recipe.categories).categories}
    rounds = _rounds(workspace)
    tracks = _tracks(workspace, rounds)
    by_split: dict[str | None, list[Clip]] = defaultdict(list)
    for record in read_manifest(workspace.manifest / "clips.jsonl", ClipRecord):
        reader = _ReadTracks(workspace, record, tracks.get(record.clip_id, ()), categories, recipe.truth == "visible")
        has_truth = record.clip_id in rounds or record.clip_id in tracks
        by_split[record.split].append(_clip(workspace, record, categories, reader if has_truth else None))
    return ClipSet(root=root, kind="workspace", parts={split: Part.of(clips) for split, clips in by_split.items()})


def _clip(workspace: Workspace, record: ClipRecord, categories: Mapping[int, str], reader: _ReadTracks | None) -> Clip:
    embedded = (workspace.features / part_name(bucket(record.clip_id))).is_file()
    return Clip(
        clip_id=record.clip_id,
        split=record.split,
        size_hw=(record.height, record.width),
        fps=record.fps,
        still_paths=tuple(workspace.frame(record.clip_id, number) for number in range(record.num_frames)),
        sound_path=None if record.sound is SoundState.NONE else workspace.clip_dir(record.clip_id) / "audio.wav",
        categories=categories,
        truth_path=None,
        video_id=None,
        read_embeddings=_ReadEmbeddings(workspace.features, record.clip_id) if embedded else None,
        read_tracks=reader,
    )


def _rounds(workspace: Workspace) -> dict[str, str]:
    """The round of the tables that holds the truth of each clip: accepted, else imported, else a draft."""
    from avis_data.pipelines.truth_records import ACCEPTED, DRAFT, IMPORTED, imported_clips, labelled_truth

    labels = labelled_truth(workspace)
    found = {clip_id: DRAFT for clip_id, entry in labels.items() if entry.state == "draft"}
    found |= dict.fromkeys(imported_clips(workspace), IMPORTED)
    return found | {clip_id: ACCEPTED for clip_id, entry in labels.items() if entry.state == "accepted"}


def _tracks(workspace: Workspace, rounds: Mapping[str, str]) -> dict[str, list[TrackRecord]]:
    found: dict[str, list[TrackRecord]] = defaultdict(list)
    for track in read_manifest(workspace.manifest / "tracks.jsonl", TrackRecord):
        if rounds.get(track.clip_id) == track.round:
            found[track.clip_id].append(track)
    return found


@dataclass(frozen=True)
class _ReadEmbeddings:
    """Reads the embeddings of one clip."""

    features: Path
    clip_id: str

    def __call__(self) -> NDArray[np.float32]:
        return next(rows_TD for _, rows_TD in read_embeddings(self.features, [self.clip_id]))


@dataclass(frozen=True)
class _ReadTracks:
    """Reads the tracks of one clip from the masks table."""

    workspace: Workspace
    record: ClipRecord
    tracks: tuple[TrackRecord, ...] | list[TrackRecord]
    categories: Mapping[int, str] = field(repr=False)
    with_silent: bool
    """Whether objects have masks while they are seen and not heard, as the recipe says."""

    def __call__(self) -> tuple[Track, ...]:
        rows: dict[tuple[str, str], list[MaskRow]] = defaultdict(list)
        for _, found in read_masks(self.workspace.masks, [self.record.clip_id]):
            for row in found:
                rows[row.track_id, row.round].append(row)
        ordered = sorted(self.tracks, key=lambda track: track.track_id)
        return tuple(self._track(track, rows[track.track_id, track.round]) for track in ordered)

    def _track(self, track: TrackRecord, rows: list[MaskRow]) -> Track:
        masks: list[Rle | None] = [None] * self.record.num_frames
        sounding: list[bool | None] = [None] * self.record.num_frames
        for row in rows:
            sounding[row.frame] = _SOUNDS.get(row.state)
            if row.counts is not None and row.area_px > 0 and (self.with_silent or row.state is State.SOUNDING):
                masks[row.frame] = Rle(row.height, row.width, row.counts)
        ids = {name: number for number, name in self.categories.items()}
        return Track(
            track_id=track.track_id,
            category=track.category,
            category_id=ids.get(track.category, 0),
            size_hw=(self.record.height, self.record.width),
            masks=tuple(masks),
            sounding=tuple(sounding),
        )
