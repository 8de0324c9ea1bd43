"""Figures of a dataset: videos, frames, masks, sounding objects in each frame, lengths, categories.

The fields are those of the published table of AVISeg (specs of AVISM, §1.1), so the two can be compared by number.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from avis_data.formats.sets.files import opened_dataset
from avis_data.formats.ytvis import YtvisDataset, YtvisTrack, read_ytvis
from avis_data.formats.ytvis_records import WITHHELD
from avis_data.masks.rle import area
from avis_data.quality import truth_files

__all__ = ["CategoryStats", "SplitStats", "dataset_stats", "split_stats", "stats_json", "stats_table"]


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
    with opened_dataset(path) as root:
        datasets = {file.stem: read_ytvis(file) for file in truth_files(root)}
    figures = {split: split_stats([dataset]) for split, dataset in datasets.items()}
    if len(figures) > 1:
        figures["all"] = split_stats(datasets.values())
    return figures


def split_stats(datasets: Iterable[YtvisDataset]) -> SplitStats:
    """The figures of one dataset, or of several taken together (categories are then joined by name)."""
    lengths: list[int] = []
    seconds = 0.0
    by_sources: Counter[int] = Counter()
    with_silence = silent_throughout = maskless = unlabelled = 0
    categories: dict[str, Counter[str]] = {}
    for dataset in datasets:
        seen = {track.track_id: _seen(track) for track in dataset.tracks}
        _count_categories(dataset, seen, categories)
        sounding = _sounding_objects(dataset, seen)
        for video in dataset.videos:
            counts = sounding[video.video_id]
            lengths.append(video.length)
            seconds += video.length / video.fps
            if not dataset.has_annotations:
                unlabelled += 1
                continue
            by_sources.update(counts)
            with_silence += 0 in counts
            silent_throughout += not any(counts)
        maskless += sum(not any(frames) for frames in seen.values())
    most = max(by_sources, default=0)
    return SplitStats(
        videos=len(lengths),
        frames=sum(lengths),
        masks=sum(numbers["masks"] for numbers in categories.values()),
        tracks=sum(numbers["tracks"] for numbers in categories.values()),
        silent_frames=by_sources[0],
        single_frames=by_sources[1],
        multi_frames=sum(frames for number, frames in by_sources.items() if number > 1),
        length_min=min(lengths, default=0),
        length_median=statistics.median(lengths) if lengths else 0.0,
        length_max=max(lengths, default=0),
        length_mean=statistics.fmean(lengths) if lengths else 0.0,
        mean_seconds=seconds / len(lengths) if lengths else 0.0,
        sources_max=most,
        frames_by_sources={number: by_sources[number] for number in range(most + 1)},
        videos_with_silent_frame=with_silence,
        videos_silent_throughout=silent_throughout,
        maskless_tracks=maskless,
        videos_without_labels=unlabelled,
        categories={
            name: CategoryStats(tracks=numbers["tracks"], masks=numbers["masks"], videos=numbers["videos"])
            for name, numbers in categories.items()
        },
    )


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
        _aligned(rows),
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
        _aligned([["category", "tracks", "masks", "videos"], *_category_rows(whole)]),
    ]
    return "\n".join(lines)


def stats_json(figures: dict[str, SplitStats]) -> dict[str, Any]:
    """The figures as JSON values, by split."""
    return {split: asdict(found) for split, found in figures.items()}


def _seen(track: YtvisTrack) -> list[bool]:
    return [mask is not None and area(mask) > 0 for mask in track.masks]


def _sounding_objects(dataset: YtvisDataset, seen: dict[int, list[bool]]) -> dict[int, list[int]]:
    """How many objects sound in each frame of each video; those of which the file does not say so do not count."""
    counts = {video.video_id: [0] * video.length for video in dataset.videos}
    for track in dataset.tracks:
        of_video, flags = counts[track.video_id], track.sounding
        for frame, is_seen in enumerate(seen[track.track_id]):
            of_video[frame] += is_seen and (flags is None or flags[frame] is True)
    return counts


def _count_categories(dataset: YtvisDataset, seen: dict[int, list[bool]], categories: dict[str, Counter[str]]) -> None:
    names = {category.id: category.name for category in dataset.categories}
    for name in names.values():
        categories.setdefault(name, Counter())
    counted: set[tuple[str, int]] = set()
    for track in dataset.tracks:
        name = names[track.category_id]
        categories[name]["tracks"] += 1
        categories[name]["masks"] += sum(seen[track.track_id])
        categories[name]["videos"] += (name, track.video_id) not in counted
        counted.add((name, track.video_id))


def _category_rows(found: SplitStats) -> list[list[str]]:
    return [
        [name, f"{numbers.tracks:,}", f"{numbers.masks:,}", f"{numbers.videos:,}"]
        for name, numbers in found.categories.items()
        if numbers.tracks
    ]


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        first, *others = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
        lines.append("  ".join([first.strip().ljust(widths[0]), *others]))
    return "\n".join(lines)
