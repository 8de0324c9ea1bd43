"""The figures of a dataset, made of its counts."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise

from avis_data.report.agreement_figures import AgreementFigures
from avis_data.report.datasheet import Labour
from avis_data.report.figures.charts import Bars, Columns, Figure, Matrix, Points, Series
from avis_data.report.figures.counts import GRID, SIZE_STEPS, DatasetCounts

__all__ = ["dataset_figures", "work_figures"]

_SOURCES = ("none", "one", "several")
_MOST_BINS = 20


def dataset_figures(counts: DatasetCounts) -> list[Figure]:
    """The figures of what is in a dataset, in the order of a paper; those of nothing have a table without rows."""
    return [make(counts) for make in _MAKERS]


def work_figures(labour: Mapping[str, Labour], agreement: Mapping[str, AgreementFigures]) -> list[Figure]:
    """The figures of the work of people, by round.

    Args:
        labour: who labelled, and for how long, by round.
        agreement: how far they agree, by round.
    """
    return [_labour(labour), _agreement(agreement)]


def _sources(counts: DatasetCounts) -> Figure:
    rows: list[tuple[str, str, int, float]] = []
    shares: dict[str, list[float]] = {}
    for name, frames in _of_splits({name: split.frames_by_sources for name, split in counts.splits.items()}).items():
        total = frames.total()
        if not total:
            continue
        found = (frames[0], frames[1], total - frames[0] - frames[1])
        shares[name] = [100 * number / total for number in found]
        rows += [(name, kind, number, _share(number, total)) for kind, number in zip(_SOURCES, found, strict=True)]
    series = [
        Series(name=kind, values=[of_split[place] for of_split in shares.values()])
        for place, kind in enumerate(_SOURCES)
    ]
    chart = Bars(labels=list(shares), series=series, axis="% of all stills", stacked=True)
    return _figure("sources", "Objects that sound at once", ("split", "sources", "stills", "share"), rows, chart)


def _scenarios(counts: DatasetCounts) -> Figure:
    rows = _largest_first(counts.videos_by_scenario)
    chart = Bars(
        labels=[name for name, _ in rows], series=[Series(name="videos", values=[n for _, n in rows])], axis="videos"
    )
    return _figure("scenarios", "Videos of each scenario", ("scenario", "videos"), rows, chart)


def _lengths(counts: DatasetCounts) -> Figure:
    step = _step(max(counts.lengths_s, default=0.0))
    rows = _in_steps(counts.lengths_s, step, first=int(min(counts.lengths_s, default=0.0) / step))
    chart = _columns_of_steps(rows, f"length from, seconds (steps of {step:g})")
    return _figure("lengths", "Lengths of the videos", ("from_s", "below_s", "videos"), rows, chart)


def _categories(counts: DatasetCounts) -> Figure:
    videos, tracks, masks = (
        _summed([getattr(split, name) for split in counts.splits.values()])
        for name in ("videos_of", "tracks_of", "masks_of")
    )
    rows = [(name, videos[name], tracks[name], masks[name]) for name in _by_size(counts.categories, tracks)]
    there = [row for row in rows if row[2]]
    chart = Bars(
        labels=[row[0] for row in there],
        series=[
            Series(name="videos", values=[row[1] for row in there]),
            Series(name="objects", values=[row[2] for row in there]),
        ],
        axis="how many",
    )
    head = ("category", "videos", "objects", "masks")
    return _figure("categories", "Videos and objects of each category", head, rows, chart if there else None)


def _together(counts: DatasetCounts) -> Figure:
    rows = [
        (one, other, counts.videos_together[one, other], frames)
        for (one, other), frames in sorted(counts.frames_together.items(), key=lambda item: (-item[1], item[0]))
    ]
    seen = {name for pair in counts.frames_together for name in pair}
    names = [name for name in counts.categories if name in seen]
    values = [[counts.videos_together[min(a, b), max(a, b)] for b in names] for a in names]
    chart = Matrix(rows=names, columns=names, values=values, meaning="videos in which both sound in one still")
    head = ("category", "with", "videos", "stills")
    return _figure("together", "Categories that sound together", head, rows, chart)


def _mask_rates(counts: DatasetCounts) -> Figure:
    step = _step(max(counts.mask_rates, default=0.0), least=0.5)
    rows = _in_steps(counts.mask_rates, step)
    chart = _columns_of_steps(rows, f"masks in a second, from (steps of {step:g})")
    return _figure("masks_per_second", "Masks in a second", ("from", "below", "videos"), rows, chart)


def _sizes(counts: DatasetCounts) -> Figure:
    total = counts.masks_by_size.total()
    ends = (0.0, *SIZE_STEPS)
    rows = [
        (low, high, counts.masks_by_size[place], _share(counts.masks_by_size[place], total))
        for place, (low, high) in enumerate(pairwise(ends))
        if total
    ]
    chart = Columns(
        labels=[f"{100 * high:g}" for _, high, *_ in rows],
        values=[number for _, _, number, _ in rows],
        below="size of the mask, up to so many % of the picture",
        beside="masks",
    )
    return _figure("mask_sizes", "Sizes of the masks", ("above_share", "up_to_share", "masks", "share"), rows, chart)


def _positions(counts: DatasetCounts) -> Figure:
    cells = range(GRID)
    rows = [(row, column, counts.masks_by_cell[row, column]) for row in cells for column in cells]
    values = [[counts.masks_by_cell[row, column] for column in cells] for row in cells]
    chart = Matrix(rows=[], columns=[], values=values, meaning="masks whose middle lies here", is_picture=True)
    there = any(counts.masks_by_cell.values())
    head = ("row", "column", "masks")
    return _figure("mask_positions", "Where masks lie in the picture", head, rows if there else [], chart)


def _sounding(counts: DatasetCounts) -> Figure:
    found = counts.tracks_by_share
    rows = [("never" if n == 0 else f"{10 * (n - 1)} to {10 * n} %", found[n]) for n in range(11) if found.total()]
    chart = Columns(
        labels=[str(10 * n) for n in range(len(rows))],
        values=[number for _, number in rows],
        below="sounds in up to so many % of its video's stills",
        beside="objects",
    )
    return _figure("sounding_share", "How much of its video an object sounds", ("sounds_in", "objects"), rows, chart)


def _tracks(counts: DatasetCounts) -> Figure:
    found = counts.videos_by_tracks
    rows = [(number, found[number]) for number in range(max(found, default=-1) + 1)]
    chart = Columns(
        labels=[str(number) for number, _ in rows],
        values=[videos for _, videos in rows],
        below="objects in a video",
        beside="videos",
    )
    return _figure("objects_per_video", "Objects in a video", ("objects", "videos"), rows, chart)


def _balance(counts: DatasetCounts) -> Figure:
    splits = counts.splits
    whole = {name: split.videos for name, split in splits.items()}
    by_name: dict[str, dict[str, int]] = {"all videos": whole}
    tracks = _summed([split.tracks_of for split in splits.values()])
    for category in _by_size(counts.categories, tracks):
        by_name[category] = {name: split.videos_of[category] for name, split in splits.items()}
    there = {name: found for name, found in by_name.items() if any(found.values())}
    rows = [
        (category, split, number, _share(number, sum(found.values())))
        for category, found in there.items()
        for split, number in found.items()
    ]
    series = [
        Series(name=split, values=[100 * found[split] / sum(found.values()) for found in there.values()])
        for split in splits
    ]
    chart = Bars(labels=list(there), series=series, axis="% of the videos with it", stacked=True)
    return _figure(
        "splits", "How the splits divide each category", ("category", "split", "videos", "share"), rows, chart
    )


_MAKERS: tuple[Callable[[DatasetCounts], Figure], ...] = (
    _sources,
    _scenarios,
    _lengths,
    _categories,
    _together,
    _mask_rates,
    _sizes,
    _positions,
    _sounding,
    _tracks,
    _balance,
)
"""What makes each figure, in their order."""


def _labour(labour: Mapping[str, Labour]) -> Figure:
    rows = [
        (name, of.people, of.answers, of.timed, of.hours, round(60 * of.hours / of.timed, 2) if of.timed else None)
        for name, of in labour.items()
    ]
    series = [
        Series(name="hours", values=[of.hours for of in labour.values()]),
        Series(name="finished tasks", values=[of.answers for of in labour.values()]),
    ]
    chart = Bars(labels=list(labour), series=series, axis="", own_axes=True)
    head = ("round", "people", "tasks", "timed_tasks", "hours", "minutes_per_timed_task")
    return _figure("labour", "Work in each round", head, rows, chart)


def _agreement(agreement: Mapping[str, AgreementFigures]) -> Figure:
    measures = {"mask IoU": "mask_iou", "boundary F": "boundary_f", "HOTA": "hota", "kappa": "kappa"}
    rows = []
    for name, found in agreement.items():
        for label, field in measures.items():
            estimate = getattr(found, field)
            rows.append((name, label, estimate.value, estimate.low, estimate.high, found.num_clips))
    series = [
        (label, [(e.value, e.low, e.high) for e in (getattr(found, field) for found in agreement.values())])
        for label, field in measures.items()
    ]
    chart = Points(labels=list(agreement), series=series, axis="agreement (1: the same)")
    head = ("round", "measure", "value", "low", "high", "clips")
    return _figure("agreement", "Agreement of annotators in each round", head, rows, chart)


def _figure(
    name: str,
    title: str,
    head: tuple[str, ...],
    rows: Sequence[tuple[str | int | float | None, ...]],
    chart: Bars | Columns | Matrix | Points | None,
) -> Figure:
    return Figure(name=name, title=title, head=head, rows=rows, chart=chart if rows else None)


def _of_splits(found: Mapping[str, Counter[int]]) -> dict[str, Counter[int]]:
    """Each split, and all together where there are several."""
    every = dict(found)
    if len(every) > 1:
        every["all"] = _summed(list(found.values()))
    return every


def _summed(counters: Sequence[Counter]) -> Counter:
    total: Counter = Counter()
    for counter in counters:
        total.update(counter)
    return total


def _by_size(names: Sequence[str], sizes: Mapping[str, int]) -> list[str]:
    return sorted(names, key=lambda name: (-sizes[name], name))


def _largest_first(counter: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counter.items(), key=lambda item: (-item[1], item[0]))


def _share(number: int, total: int) -> float:
    return round(number / total, 6) if total else 0.0


def _in_steps(values: Sequence[float], step: float, *, first: int = 0) -> list[tuple[float, float, int]]:
    """Begin and end of each class, from a first one to that of the largest value, and how many videos are in it."""
    found = Counter(int(value / step) for value in values)
    return [(_short(n * step), _short((n + 1) * step), found[n]) for n in range(first, max(found, default=-1) + 1)]


def _columns_of_steps(rows: Sequence[tuple[float, float, int]], below: str) -> Columns:
    return Columns(
        labels=[f"{low:g}" for low, _, _ in rows],
        values=[number for *_, number in rows],
        below=below,
        beside="videos",
    )


def _step(largest: float, *, least: float = 1.0) -> float:
    """The width of a class: of 1, 2, 5 times a power of ten the first that gives few enough classes."""
    return next(step for step in _steps(least) if largest / step < _MOST_BINS)


def _steps(least: float) -> Iterator[float]:
    power = 10.0 ** math.floor(math.log10(least))
    while True:
        yield from (step * power for step in (1, 2, 5) if step * power >= least)
        power *= 10


def _short(value: float) -> float:
    return float(f"{value:.6g}")
