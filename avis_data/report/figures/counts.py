"""What the figures of a dataset are made of: counted in one pass over its truth, without decoding a mask."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from avis_data.categories import category_set, category_set_names
from avis_data.formats.ytvis_records import YtvisTrack, YtvisTruth, YtvisVideo
from avis_data.masks.rle import area, box
from avis_data.records import SCENARIOS

__all__ = ["GRID", "SIZE_STEPS", "DatasetCounts", "SplitCounts", "count_dataset", "scenarios_of_categories"]

GRID = 12
"""Masks are counted in GRID x GRID cells of the picture."""
SIZE_STEPS = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
"""Upper ends of the classes of mask sizes: shares of the picture."""


@dataclass(kw_only=True)
class SplitCounts:
    """Counts of one split."""

    videos: int = 0
    unlabelled: int = 0
    """Videos whose labels are withheld; of these only the lengths are counted."""
    frames_by_sources: Counter[int] = field(default_factory=Counter)
    videos_of: Counter[str] = field(default_factory=Counter)
    """By category: videos with at least one object of it; objects and masks likewise."""
    tracks_of: Counter[str] = field(default_factory=Counter)
    masks_of: Counter[str] = field(default_factory=Counter)


@dataclass(kw_only=True)
class DatasetCounts:
    """Counts of a dataset."""

    categories: list[str] = field(default_factory=list)
    """All names, by their ids in the files."""
    splits: dict[str, SplitCounts] = field(default_factory=dict)
    lengths_s: list[float] = field(default_factory=list)
    """Of every video."""
    mask_rates: list[float] = field(default_factory=list)
    """Masks in a second, of every video with labels."""
    videos_by_scenario: Counter[str] = field(default_factory=Counter)
    videos_by_tracks: Counter[int] = field(default_factory=Counter)
    """By the number of objects in a video: videos."""
    frames_together: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By two categories in the order of the alphabet: frames in which both sound. Twice the same: in which two objects
    of it do."""
    videos_together: Counter[tuple[str, str]] = field(default_factory=Counter)
    masks_by_size: Counter[int] = field(default_factory=Counter)
    """By the place in SIZE_STEPS."""
    masks_by_cell: Counter[tuple[int, int]] = field(default_factory=Counter)
    """By row and column of the cell in which the middle of the mask's box lies."""
    tracks_by_share: Counter[int] = field(default_factory=Counter)
    """By tenths of the frames of its video in which an object sounds: 1 is up to a tenth; 0 is never."""

    @property
    def videos(self) -> int:
        """All videos."""
        return sum(split.videos for split in self.splits.values())


def count_dataset(
    datasets: Iterable[tuple[str, YtvisTruth]],
    scenarios: Mapping[str, Sequence[str]],
    of_category: Mapping[str, str],
) -> DatasetCounts:
    """Count what the figures show.

    Args:
        datasets: the name of a split, and its truth; a split may come in several parts.
        scenarios: what a list says of videos, by their names; the others get those of their categories.
        of_category: the scenario of a category, by its name; categories that are not in it have none.

    Raises:
        DataError: if a mask is corrupt.
    """
    counts = DatasetCounts()
    known: dict[str, None] = {}
    for name, dataset in datasets:
        names = {category.id: category.name for category in sorted(dataset.categories, key=lambda one: one.id)}
        known |= dict.fromkeys(names.values())
        split = counts.splits.setdefault(name, SplitCounts())
        for video, tracks in dataset.by_video():
            split.videos += 1
            counts.lengths_s.append(video.length / video.fps)
            if not dataset.has_annotations:
                split.unlabelled += 1
                counts.videos_by_scenario.update(scenarios.get(video.name, ()))
                continue
            found = [_Seen.of(track, names[track.category_id]) for track in tracks]
            _count_video(counts, split, video, found)
            said = scenarios.get(video.name) or _derived(found, of_category)
            counts.videos_by_scenario.update(said)
    counts.categories = list(known)
    return counts


def scenarios_of_categories(own: Mapping[str, str] | None = None) -> dict[str, str]:
    """The scenario of every category of the sets that ship, by its name; `own`: of a recipe, which count more."""
    found = {
        category.name: category.supercategory
        for name in category_set_names()
        for category in category_set(name).categories
        if category.supercategory in SCENARIOS
    }
    return {**found, **(own or {})}


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """One object of a video."""

    category: str
    has_mask: list[bool]
    sounds: list[bool]
    """One for each frame."""
    track: YtvisTrack

    @classmethod
    def of(cls, track: YtvisTrack, category: str) -> _Seen:
        has_mask = [mask is not None and area(mask) > 0 for mask in track.masks]
        flags = track.sounding
        sounds = [seen and (flags is None or flags[frame] is True) for frame, seen in enumerate(has_mask)]
        return cls(category=category, has_mask=has_mask, sounds=sounds, track=track)


def _count_video(counts: DatasetCounts, split: SplitCounts, video: YtvisVideo, found: Sequence[_Seen]) -> None:
    masks = sum(sum(item.has_mask) for item in found)
    counts.mask_rates.append(masks * video.fps / max(video.length, 1))
    counts.videos_by_tracks[len(found)] += 1
    split.videos_of.update({item.category for item in found})
    for item in found:
        split.tracks_of[item.category] += 1
        split.masks_of[item.category] += sum(item.has_mask)
        counts.tracks_by_share[_tenths(sum(item.sounds), video.length)] += 1
        _count_masks(counts, item.track)
    pairs_in_video: set[tuple[str, str]] = set()
    for frame in range(video.length):
        heard = Counter(item.category for item in found if item.sounds[frame])
        split.frames_by_sources[heard.total()] += 1
        pairs = _pairs(heard)
        counts.frames_together.update(pairs)
        pairs_in_video.update(pairs)
    counts.videos_together.update(pairs_in_video)


def _pairs(heard: Mapping[str, int]) -> list[tuple[str, str]]:
    """Every two categories that sound, each once; a category with itself where two objects of it do."""
    names = sorted(heard)
    different = [(one, other) for place, one in enumerate(names) for other in names[place + 1 :]]
    return different + [(name, name) for name in names if heard[name] > 1]


def _count_masks(counts: DatasetCounts, track: YtvisTrack) -> None:
    for mask in track.masks:
        if mask is None or not (pixels := area(mask)):
            continue
        share = pixels / (mask.height * mask.width)
        counts.masks_by_size[next(n for n, step in enumerate(SIZE_STEPS) if share <= step)] += 1
        x, y, width, height = box(mask)
        row = int((y + height / 2) / mask.height * GRID)
        column = int((x + width / 2) / mask.width * GRID)
        counts.masks_by_cell[min(row, GRID - 1), min(column, GRID - 1)] += 1


def _tenths(sounding: int, frames: int) -> int:
    """0 for never, else 1 to 10: in whole numbers, so that no rounding moves a share over an edge."""
    return -(-10 * sounding // frames) if frames else 0


def _derived(found: Iterable[_Seen], of_category: Mapping[str, str]) -> set[str]:
    """The scenarios of what is in a video; people count as speaking where nothing else is in it."""
    scenarios = {of_category[item.category] for item in found if item.category in of_category}
    return scenarios - {"speaking"} if len(scenarios) > 1 else scenarios
