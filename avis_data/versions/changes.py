"""What changed between two versions of a dataset: videos, tracks, masks, sounding seconds, categories, splits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from avis_data.formats.ytvis_records import YtvisTrack, YtvisVideo
from avis_data.versions.pairs import TrackPairs, pair_by_category, pair_by_pixels
from avis_data.versions.version import Place, Side, Version

__all__ = [
    "IOU_BINS",
    "Changes",
    "Kind",
    "TrackChange",
    "VideoChange",
    "compare_versions",
]

Kind = Literal["added", "removed", "changed", "same"]
IOU_BINS = 10
"""Of the histogram, each 0.1 wide; masks that are equal to the pixel are counted apart."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrackChange:
    """One object; ids are those of `annotations` in the file of its split, None where that version has none."""

    kind: Kind
    old_id: int | None = None
    new_id: int | None = None
    old_category: str | None = None
    new_category: str | None = None
    masks_added: int = 0
    masks_removed: int = 0
    masks_changed: int = 0
    """In both, with other pixels."""
    masks_same: int = 0
    mean_iou: float | None = None
    """Over the frames in which both versions have a mask; None without any, or where they cannot be compared."""
    onset_shift_s: float = 0.0
    """How much later it begins to sound."""
    offset_shift_s: float = 0.0
    """How much later it ends to sound for good."""
    seconds_added: float = 0.0
    """In which it sounds only in the new version."""
    seconds_removed: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoChange:
    """One video, found by its name."""

    name: str
    kind: Kind
    old_id: int | None = None
    new_id: int | None = None
    old_split: str | None = None
    new_split: str | None = None
    fields: tuple[str, ...] = ()
    """What else is different: length, size, fps, source."""
    compared: bool = True
    """False where stills have another size or rate, so that pixels cannot be compared."""
    tracks: tuple[TrackChange, ...] = ()
    merged: tuple[tuple[tuple[int, ...], int], ...] = ()
    """(old ids, new id): tracks that became one."""
    divided: tuple[tuple[int, tuple[int, ...]], ...] = ()
    """(old id, new ids): a track that became several."""


@dataclass(frozen=True, kw_only=True)
class Changes:
    """All that changed."""

    old: Path
    new: Path
    videos: tuple[VideoChange, ...]
    """The videos that are not the same, in the order of names; those that are too, where that was asked for."""
    same: Mapping[str, int]
    """How many videos, tracks and masks are the same of those that are not in `videos`."""
    categories_added: tuple[str, ...]
    categories_removed: tuple[str, ...]
    categories_renumbered: tuple[str, ...]
    """The same name under another id."""
    iou_histogram: tuple[int, ...] = field(default=(0,) * IOU_BINS)
    """Of masks in both versions that are not equal, by IoU: [0, 0.1), ... [0.9, 1)."""

    @cached_property
    def counts(self) -> dict[str, dict[str, float]]:
        """What was added, removed, changed and stayed the same: videos, tracks, masks, sounding seconds."""
        tracks = [track for video in self.videos for track in video.tracks]
        kinds: tuple[Kind, ...] = ("added", "removed", "changed", "same")
        moved = sum(_differ(video.old_split, video.new_split) for video in self.videos)
        counts: dict[str, dict[str, float]] = {
            "videos": {kind: sum(video.kind == kind for video in self.videos) for kind in kinds} | {"moved": moved},
            "tracks": {kind: sum(track.kind == kind for track in tracks) for kind in kinds}
            | {
                "other_category": sum(_differ(track.old_category, track.new_category) for track in tracks),
                "merged": sum(len(video.merged) for video in self.videos),
                "divided": sum(len(video.divided) for video in self.videos),
            },
            "masks": {
                "added": sum(track.masks_added for track in tracks),
                "removed": sum(track.masks_removed for track in tracks),
                "changed": sum(track.masks_changed for track in tracks),
                "same": sum(track.masks_same for track in tracks),
            },
            "sounding_seconds": {
                "added": round(sum(track.seconds_added for track in tracks), 3),
                "removed": round(sum(track.seconds_removed for track in tracks), 3),
            },
        }
        for what, number in self.same.items():
            counts[what]["same"] += number
        return counts

    @property
    def is_empty(self) -> bool:
        """True if both versions say the same."""
        categories = self.categories_added + self.categories_removed + self.categories_renumbered
        return not categories and all(video.kind == "same" for video in self.videos)

    def as_dict(self) -> dict[str, object]:
        """What `--json` prints; videos that are the same are only counted."""
        return {
            "old": str(self.old),
            "new": str(self.new),
            "counts": self.counts,
            "categories": {
                "added": list(self.categories_added),
                "removed": list(self.categories_removed),
                "renumbered": list(self.categories_renumbered),
            },
            "iou_histogram": list(self.iou_histogram),
            "videos": [_video_dict(video) for video in self.videos if video.kind != "same"],
        }


def compare_versions(old: Version, new: Version, *, keep_same: bool = False) -> Changes:
    """Say what changed. Videos are found by name (first part of file names), categories by name, tracks by pixels.

    Args:
        old: what it was.
        new: what it is now.
        keep_same: list the videos that are the same too.

    Raises:
        ProblemsError: if a video or a track of one of the versions cannot be read.
    """
    sides = [Side(version) for version in (old, new)]
    histogram = np.zeros(IOU_BINS, dtype=np.int64)
    videos, same = [], Counter[str]()
    for name in sorted(sides[0].names | sides[1].names):
        video = _video(name, sides[0].get(name), sides[1].get(name), histogram)
        if video.kind != "same" or keep_same:
            videos.append(video)
            continue
        same.update(videos=1, tracks=len(video.tracks), masks=sum(track.masks_same for track in video.tracks))
    for split in (*old.splits.values(), *new.splits.values()):
        split.warn()
    ids = [version.categories for version in (old, new)]
    return Changes(
        old=old.path,
        new=new.path,
        videos=tuple(videos),
        same=dict(same),
        categories_added=tuple(sorted(ids[1].keys() - ids[0])),
        categories_removed=tuple(sorted(ids[0].keys() - ids[1])),
        categories_renumbered=tuple(sorted(name for name in ids[0].keys() & ids[1] if ids[0][name] != ids[1][name])),
        iou_histogram=tuple(int(count) for count in histogram),
    )


def _video(name: str, old: Place | None, new: Place | None, histogram: np.ndarray) -> VideoChange:
    if old is None or new is None:
        kind: Kind = "added" if old is None else "removed"
        place = new or old
        assert place is not None  # a name comes from one of them
        tracks = tuple(_lone(kind, place, track) for track in place.tracks)
        there, split = place.video.video_id, place.split
        if old is None:
            return VideoChange(name=name, kind=kind, new_id=there, new_split=split, tracks=tracks)
        return VideoChange(name=name, kind=kind, old_id=there, old_split=split, tracks=tracks)
    fields = _other_fields(old.video, new.video)
    compared = not {"size", "fps"} & set(fields)
    tracks, pairs = _tracks(old, new, compared, histogram)
    same = not fields and old.split == new.split and all(track.kind == "same" for track in tracks)
    old_ids, new_ids = [track.track_id for track in old.tracks], [track.track_id for track in new.tracks]
    return VideoChange(
        name=name,
        kind="same" if same else "changed",
        old_id=old.video.video_id,
        new_id=new.video.video_id,
        old_split=old.split,
        new_split=new.split,
        fields=fields,
        compared=compared,
        tracks=tracks,
        merged=tuple((tuple(old_ids[o] for o in several), new_ids[n]) for several, n in pairs.merged),
        divided=tuple((old_ids[o], tuple(new_ids[n] for n in several)) for o, several in pairs.divided),
    )


def _other_fields(old: YtvisVideo, new: YtvisVideo) -> tuple[str, ...]:
    values = {
        "length": (old.length, new.length),
        "size": ((old.width, old.height), (new.width, new.height)),
        "fps": (old.fps, new.fps),
        "source": (old.source, new.source),
    }
    return tuple(name for name, (before, after) in values.items() if before != after)


def _tracks(
    old: Place, new: Place, compared: bool, histogram: np.ndarray
) -> tuple[tuple[TrackChange, ...], TrackPairs]:
    if compared:
        pairs = pair_by_pixels(old.tracks, new.tracks, min(old.video.length, new.video.length))
    else:
        pairs = pair_by_category(list(map(old.category, old.tracks)), list(map(new.category, new.tracks)))
    partners = dict(pairs.pairs)
    changes = []
    for o, track in enumerate(old.tracks):
        if o not in partners:
            changes.append(_lone("removed", old, track))
            continue
        n = partners[o]
        iou_T = None if pairs.iou_TON is None else pairs.iou_TON[:, o, n]
        changes.append(_pair(old, new, track, new.tracks[n], iou_T, histogram))
    taken = set(partners.values())
    changes += [_lone("added", new, track) for n, track in enumerate(new.tracks) if n not in taken]
    return tuple(changes), pairs


def _lone(kind: Kind, place: Place, track: YtvisTrack) -> TrackChange:
    masks = sum(mask is not None for mask in track.masks)
    seconds = round(float(_sounds(track).sum()) / place.video.fps, 3)
    name = place.category(track)
    if kind == "added":
        return TrackChange(
            kind=kind, new_id=track.track_id, new_category=name, masks_added=masks, seconds_added=seconds
        )
    return TrackChange(
        kind=kind, old_id=track.track_id, old_category=name, masks_removed=masks, seconds_removed=seconds
    )


def _pair(
    old: Place, new: Place, before: YtvisTrack, after: YtvisTrack, iou_T: np.ndarray | None, histogram: np.ndarray
) -> TrackChange:
    there_O, there_N = (np.array([mask is not None for mask in track.masks]) for track in (before, after))
    added = removed = differ = same_masks = 0
    mean = None
    if iou_T is not None:
        frames = len(iou_T)
        both = there_O[:frames] & there_N[:frames]
        changed = iou_T[both][iou_T[both] < 1]
        np.add.at(histogram, np.minimum((changed * IOU_BINS).astype(int), IOU_BINS - 1), 1)
        added, removed = (int(there.sum() - both.sum()) for there in (there_N, there_O))
        differ, same_masks = len(changed), int(both.sum()) - len(changed)
        mean = round(float(iou_T[both].mean()), 6) if both.any() else None
    sounds_O, sounds_N = _sounds(before), _sounds(after)
    time = _time(sounds_O, sounds_N, old.video.fps, new.video.fps)
    categories = (old.category(before), new.category(after))
    same = (
        iou_T is not None
        and not added + removed + differ
        and categories[0] == categories[1]
        and before.sounding == after.sounding
        and before.iscrowd == after.iscrowd
    )
    return TrackChange(
        kind="same" if same else "changed",
        old_id=before.track_id,
        new_id=after.track_id,
        old_category=categories[0],
        new_category=categories[1],
        mean_iou=mean,
        masks_added=added,
        masks_removed=removed,
        masks_changed=differ,
        masks_same=same_masks,
        onset_shift_s=time.onset_shift_s,
        offset_shift_s=time.offset_shift_s,
        seconds_added=time.seconds_added,
        seconds_removed=time.seconds_removed,
    )


def _sounds(track: YtvisTrack) -> np.ndarray:
    """bool (T,): whether it is heard; a mask without a word about it is of something that sounds."""
    flags = track.sounding or (None,) * len(track.masks)
    return np.array([mask is not None and flag is not False for mask, flag in zip(track.masks, flags, strict=True)])


@dataclass(frozen=True, kw_only=True, slots=True)
class _Time:
    """How the time changed in which a track sounds; fields as those of TrackChange."""

    onset_shift_s: float = 0.0
    offset_shift_s: float = 0.0
    seconds_added: float = 0.0
    seconds_removed: float = 0.0


def _time(old_T: np.ndarray, new_T: np.ndarray, old_fps: float, new_fps: float) -> _Time:
    """Edges at any rates; second by second only at equal ones."""
    onset = offset = added = removed = 0.0
    if old_T.any() and new_T.any():
        old_at, new_at = np.flatnonzero(old_T), np.flatnonzero(new_T)
        onset = float(new_at[0] / new_fps - old_at[0] / old_fps)
        offset = float((new_at[-1] + 1) / new_fps - (old_at[-1] + 1) / old_fps)
    if old_fps == new_fps:
        frames = max(len(old_T), len(new_T))
        old_T, new_T = (np.pad(side, (0, frames - len(side))) for side in (old_T, new_T))
        added, removed = (float(side.sum() / new_fps) for side in (new_T & ~old_T, old_T & ~new_T))
    return _Time(
        onset_shift_s=round(onset, 3),
        offset_shift_s=round(offset, 3),
        seconds_added=round(added, 3),
        seconds_removed=round(removed, 3),
    )


def _differ(before: str | None, after: str | None) -> bool:
    """Whether both versions have it, and have it otherwise."""
    return before is not None and after is not None and before != after


def _video_dict(video: VideoChange) -> dict[str, object]:
    found = {key: value for key, value in asdict(video).items() if key != "tracks"}
    return found | {"tracks": [asdict(track) for track in video.tracks if track.kind != "same"]}
