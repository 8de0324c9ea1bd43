"""Figures of a dataset: videos, frames, masks, sounding objects in each frame, lengths, categories.

The fields are those of the published table of AVISeg (specs of AVISM, §1.1), so the two can be compared by number.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any

from avis_data.formats.sets.files import opened_dataset
from avis_data.formats.ytvis_file import open_ytvis
from avis_data.formats.ytvis_records import WITHHELD, YtvisTrack, YtvisTruth, YtvisVideo
from avis_data.masks.rle import area
from avis_data.quality import truth_files

__all__ = [
    "CategoryStats",
    "SplitStats",
    "aligned",
    "dataset_stats",
    "figures_of_splits",
    "split_stats",
    "stats_json",
    "stats_table",
]


@dataclass(frozen=True, kw_only=True)
class CategoryStats:
    """What there is of one category."""

    tracks: int
    masks: int
    videos: int


@dataclass(frozen=True, kw_only=True)
class SplitStats:
    """Figures of one split, or of all together."""

    videos: int
    frames: int
    masks: int
    """Masks with at least one pixel: seconds in which a track sounds (in a set of all that is seen: is seen)."""
    tracks: int
    silent_frames: int
    """Frames in which nothing is said to sound; with one and with more sounding objects:"""
    single_frames: int
    multi_frames: int
    length_min: int
    """Frames of the shortest video (0 where there is none)."""
    length_median: float
    length_max: int
    length_mean: float
    mean_seconds: float
    """The same in seconds: frames over the rate."""
    sources_max: int
    """Most objects that sound in one frame."""
    frames_by_sources: dict[int, int]
    """How many frames have 0, 1, 2 ... sounding objects; no gaps."""
    videos_with_silent_frame: int
    videos_silent_throughout: int
    maskless_tracks: int
    """Tracks without a mask."""
    videos_without_labels: int
    """Videos whose labels are withheld, as of hidden test sets; they count in `videos`, `frames` and lengths only."""
    categories: dict[str, CategoryStats]
    """The categories by name, in the order of the file; those without any object too."""


def dataset_stats(path: Path) -> dict[str, SplitStats]:
    """The figures of each split and, where there is more than one, of all together under `all`.

    Args:
        path: a folder with train.json, val.json, test.json (those there are), an archive NAME.zip of it, or one truth
            file.

    Raises:
        DataError: if there is no such dataset.
        ProblemsError: if a truth file cannot be read, with all that is wrong in it.
    """
    with opened_dataset(path) as root, ExitStack() as stack:
        return figures_of_splits((file.stem, stack.enter_context(open_ytvis(file))) for file in truth_files(root))


def figures_of_splits(splits: Iterable[tuple[str, YtvisTruth]]) -> dict[str, SplitStats]:
    """The same of splits that are open; each is gone through once, and one video is in memory.

    Raises:
        ProblemsError: as `dataset_stats`.
    """
    found: dict[str, SplitStats] = {}
    total = _Counts()
    for name, split in splits:
        counts = _Counts()
        _count(split, (counts, total))
        found[name] = counts.stats()
    if len(found) > 1:
        found["all"] = total.stats()
    return found


def split_stats(datasets: Iterable[YtvisTruth]) -> SplitStats:
    """The figures of one dataset, or of several taken together (categories are then joined by name)."""
    counts = _Counts()
    for dataset in datasets:
        _count(dataset, (counts,))
    return counts.stats()


@dataclass(kw_only=True)
class _Counts:
    """What is counted, video by video."""

    lengths: Counter[int] = field(default_factory=Counter)
    seconds: float = 0.0
    by_sources: Counter[int] = field(default_factory=Counter)
    with_silence: int = 0
    silent_throughout: int = 0
    maskless: int = 0
    unlabelled: int = 0
    categories: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, video: YtvisVideo, tracks: Sequence[_Seen], *, has_labels: bool) -> None:
        """One video."""
        self.lengths[video.length] += 1
        self.seconds += video.length / video.fps
        for track in tracks:
            numbers = self.categories[track.category]
            numbers["tracks"] += 1
            numbers["masks"] += sum(track.seen)
            self.maskless += not any(track.seen)
        for name in {track.category for track in tracks}:
            self.categories[name]["videos"] += 1
        if not has_labels:
            self.unlabelled += 1
            return
        sounding = [sum(sounds) for sounds in zip(*(track.sounds for track in tracks), strict=True)]
        sounding = sounding or [0] * video.length
        self.by_sources.update(sounding)
        self.with_silence += 0 in sounding
        self.silent_throughout += not any(sounding)

    def stats(self) -> SplitStats:
        """What is printed."""
        lengths, categories, number = self.lengths, self.categories.values(), self.lengths.total()
        most = max(self.by_sources, default=0)
        return SplitStats(
            videos=number,
            frames=sum(length * count for length, count in lengths.items()),
            masks=sum(numbers["masks"] for numbers in categories),
            tracks=sum(numbers["tracks"] for numbers in categories),
            silent_frames=self.by_sources[0],
            single_frames=self.by_sources[1],
            multi_frames=sum(frames for sources, frames in self.by_sources.items() if sources > 1),
            length_min=min(lengths, default=0),
            length_median=_median(lengths),
            length_max=max(lengths, default=0),
            length_mean=sum(length * count for length, count in lengths.items()) / number if number else 0.0,
            mean_seconds=self.seconds / number if number else 0.0,
            sources_max=most,
            frames_by_sources={sources: self.by_sources[sources] for sources in range(most + 1)},
            videos_with_silent_frame=self.with_silence,
            videos_silent_throughout=self.silent_throughout,
            maskless_tracks=self.maskless,
            videos_without_labels=self.unlabelled,
            categories={
                name: CategoryStats(tracks=numbers["tracks"], masks=numbers["masks"], videos=numbers["videos"])
                for name, numbers in self.categories.items()
            },
        )


@dataclass(frozen=True, slots=True)
class _Seen:
    """In which frames a track has a mask with pixels, and in which of these it sounds."""

    category: str
    seen: list[bool]
    sounds: list[bool]

    @classmethod
    def of(cls, track: YtvisTrack, category: str) -> _Seen:
        seen = [mask is not None and area(mask) > 0 for mask in track.masks]
        flags = track.sounding or (True,) * len(seen)
        return cls(category, seen, [is_seen and flag is True for is_seen, flag in zip(seen, flags, strict=True)])


def _count(dataset: YtvisTruth, counts: Iterable[_Counts]) -> None:
    names = {category.id: category.name for category in dataset.categories}
    for of in counts:
        for name in names.values():
            of.categories.setdefault(name, Counter())
    for video, tracks in dataset.by_video():
        found = [_Seen.of(track, names[track.category_id]) for track in tracks]
        for of in counts:
            of.add(video, found, has_labels=dataset.has_annotations)


def _median(lengths: Mapping[int, int]) -> float:
    """The middle one, or the mean of the two in the middle; 0 of none."""
    ordered = sorted(lengths)
    ends = list(accumulate(lengths[length] for length in ordered))
    if not ends:
        return 0.0
    low, high = (ordered[bisect_right(ends, place)] for place in ((ends[-1] - 1) // 2, ends[-1] // 2))
    return low if ends[-1] % 2 else (low + high) / 2


def stats_table(figures: dict[str, SplitStats]) -> str:
    """The figures as text: one line a split, then the categories of all."""
    rows = [["split", "videos", "frames", "masks", "tracks", "silent/single/multi", "length min/median/max", "sources"]]
    for split, found in figures.items():
        rows.append(
            [
                split,
                f"{found.videos:,}",
                f"{found.frames:,}",
                f"{found.masks:,}",
                f"{found.tracks:,}",
                f"{found.silent_frames:,} / {found.single_frames:,} / {found.multi_frames:,}",
                f"{found.length_min} / {found.length_median:g} / {found.length_max}",
                f"<= {found.sources_max}",
            ]
        )
    whole = list(figures.values())[-1]
    kinds = (whole.silent_frames, whole.single_frames, whole.multi_frames)
    shares = " / ".join(f"{100 * number / max(sum(kinds), 1):.2f} %" for number in kinds)
    lines = [
        aligned(rows),
        "",
        f"frames silent / single / multi: {shares}; mean length {whole.mean_seconds:.1f} s",
        f"videos with a silent frame: {whole.videos_with_silent_frame}, silent throughout: "
        f"{whole.videos_silent_throughout}; tracks without a mask: {whole.maskless_tracks}",
        *(
            f"{split}: annotations: {WITHHELD}; of {found.videos_without_labels} videos only the lengths are counted"
            for split, found in figures.items()
            if found.videos_without_labels and (split != "all" or len(figures) == 1)
        ),
        "",
        aligned([["category", "tracks", "masks", "videos"], *_category_rows(whole)]),
    ]
    return "\n".join(lines)


def stats_json(figures: dict[str, SplitStats]) -> dict[str, Any]:
    """The figures as JSON values, by split."""
    return {split: asdict(found) for split, found in figures.items()}


def _category_rows(found: SplitStats) -> list[list[str]]:
    return [
        [name, f"{numbers.tracks:,}", f"{numbers.masks:,}", f"{numbers.videos:,}"]
        for name, numbers in found.categories.items()
        if numbers.tracks
    ]


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows as text, columns one below the other: the first to the left, the others to the right."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        first, *others = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
        lines.append("  ".join([first.strip().ljust(widths[0]), *others]))
    return "\n".join(lines)
