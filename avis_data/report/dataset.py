"""The report page of an exported dataset."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from avis_data import __version__
from avis_data.errors import ConfigError
from avis_data.formats.ytvis_records import WITHHELD
from avis_data.io import write_text
from avis_data.quality.stats import SplitStats, figures_of_splits
from avis_data.report.clips import ClipView, DatasetClips
from avis_data.report.figures.charts import Figure
from avis_data.report.figures.page import figures_section
from avis_data.report.html import colour_key, document, image, large_figures, share_bar, table, text
from avis_data.report.model import ModelFiles, model_section
from avis_data.report.sheet import colour_of, contact_sheet

__all__ = ["PageSummary", "write_dataset_page"]

_SPLIT_COLOURS = {"train": "var(--train)", "val": "var(--val)", "test": "var(--test)"}
_STILLS_PX = 1400
_SECONDS_PER_PICTURE = 120
"""WebP pictures end at 16,383 pixels; 120 seconds stay below that with 50 tracks."""
_NO_MODEL = ModelFiles()


@dataclass(frozen=True, kw_only=True, slots=True)
class PageSummary:
    """What the page shows."""

    path: Path
    clips_shown: int
    clips_in_all: int
    size_bytes: int


def write_dataset_page(
    dataset: DatasetClips,
    out: Path,
    *,
    max_clips: int,
    model: ModelFiles = _NO_MODEL,
    figures: Sequence[Figure] = (),
    on_clip: Callable[[int], None] = lambda _: None,
) -> PageSummary:
    """Write one HTML file with the figures of a dataset and the contact sheets of some of its clips.

    Args:
        dataset: what `open_dataset` gives, or the clips of a workspace.
        out: the page.
        max_clips: how many clips are shown at most, spread evenly over the splits; 0 for figures only.
        figures: of the dataset, shown after the numbers.
        model: results of a model trained on it, shown before the contact sheets.
        on_clip: called with the number of clips to show, once for each, after it is drawn.

    Raises:
        DataError: if there is no such dataset, or a still, a sound or a file of the model is missing or damaged.
        ProblemsError: if a truth file or predictions cannot be read.
        ConfigError: if `out` is a folder.
    """
    if out.is_dir():
        raise ConfigError(f"{out}: is a folder", hint=f"--out {out / 'report.html'}")
    name = dataset.root.resolve().name
    counts = figures_of_splits(dataset.splits.items())
    total = counts.pop("all") if len(counts) > 1 else next(iter(counts.values()))
    clips = dataset.choose(max_clips) if max_clips else []
    of_model = model_section(model)  # before the figures, which take seconds: a file of it may be damaged
    sections = [_header(name, total), _split_table(counts, total), _bars(counts, total)]
    sections += [figures_section(figures), of_model]
    sections.append(_intro(dataset, clips))
    for clip in clips:
        sections.append(_clip(clip))
        on_clip(len(clips))
    sections.append(
        f"<footer>Written by avis-data {text(__version__)}. This page loads nothing from a network.</footer>"
    )
    write_text(out, document(f"{name} · dataset report", sections))
    return PageSummary(path=out, clips_shown=len(clips), clips_in_all=dataset.num_clips, size_bytes=out.stat().st_size)


def _header(name: str, total: SplitStats) -> str:
    used = sum(category.masks > 0 for category in total.categories.values())
    figures = (
        (f"{total.videos:,}", "clips"),
        (f"{total.frames:,}", "labelled seconds" if total.mean_seconds == total.length_mean else "labelled stills"),
        (f"{total.tracks:,}", "tracks"),
        (f"{total.masks:,}", "masks"),
        (f"{used} of {len(total.categories)}", "categories"),
        (str(total.sources_max), "most sources at once"),
    )
    return (
        f'<header><h1>{text(name)}</h1><p class="soft">Audio-visual instance segmentation: '
        "one mask for each object and second in which it sounds.</p>"
        f"{large_figures(figures)}</header>"
    )


def _split_table(figures: dict[str, SplitStats], total: SplitStats) -> str:
    head = (
        "split",
        "clips",
        "seconds",
        "tracks",
        "masks",
        "silent",
        "one source",
        "several",
        "length min / median / max",
    )
    rows = [_split_row(split, stats) for split, stats in figures.items()]
    if len(rows) > 1:
        rows.append(_split_row("all", total))
    withheld = [split for split, stats in figures.items() if stats.videos_without_labels]
    note = f'<p class="soft">{text(", ".join(withheld))}: annotations: {text(WITHHELD)}.</p>' if withheld else ""
    return f"<h2>Splits</h2>{table(head, rows, total=len(rows) > 1)}{note}"


def _split_row(name: str, stats: SplitStats) -> tuple[str, ...]:
    counts = (stats.videos, stats.frames, stats.tracks, stats.masks)
    shares = (stats.silent_frames, stats.single_frames, stats.multi_frames)
    return (
        name,
        *(f"{count:,}" for count in counts),
        *(f"{count:,} ({100 * count / max(sum(shares), 1):.1f} %)" for count in shares),
        f"{stats.length_min} / {stats.length_median:g} / {stats.length_max}",
    )


def _bars(figures: dict[str, SplitStats], total: SplitStats) -> str:
    parts = (_category_bars(figures, total), _source_bars(figures))
    return f'<div class="two">{"".join(f"<section>{part}</section>" for part in parts)}</div>'


def _category_bars(figures: dict[str, SplitStats], total: SplitStats) -> str:
    ranked = sorted(total.categories.items(), key=lambda item: -item[1].masks)
    most = max((stats.masks for _, stats in ranked), default=0)
    rows = []
    for name, stats in ranked:
        if stats.masks:
            parts = [
                (of_split.masks / most, _SPLIT_COLOURS.get(split, "var(--other)"), f"{split}: {of_split.masks} masks")
                for split, split_figures in figures.items()
                if (of_split := split_figures.categories.get(name))
            ]
            rows.append(_bar_row(name, share_bar(parts), f"{stats.masks:,} in {stats.videos:,} clips"))
    absent = [name for name, stats in ranked if not stats.masks]
    note = f'<p class="soft">No masks of: {text(", ".join(absent))}.</p>' if absent else ""
    key = colour_key([(split, _SPLIT_COLOURS.get(split, "var(--other)")) for split in figures])
    return f"<h2>Masks per category</h2>{key}{_bar_list(rows)}{note}"


def _source_bars(figures: dict[str, SplitStats]) -> str:
    names = (("silent", "var(--silent)"), ("one source", "var(--single)"), ("several sources", "var(--multi)"))
    rows = []
    for split, stats in figures.items():
        counts = (stats.silent_frames, stats.single_frames, stats.multi_frames)
        parts = [
            (count / max(sum(counts), 1), colour, f"{name}: {count}")
            for count, (name, colour) in zip(counts, names, strict=True)
        ]
        rows.append(_bar_row(split, share_bar(parts), f"{stats.frames:,} seconds"))
    return f"<h2>How many sound at once</h2>{colour_key(names)}{_bar_list(rows)}"


def _bar_row(name: str, bar: str, count: str) -> str:
    return f'<span class="name">{text(name)}</span>{bar}<span class="count">{text(count)}</span>'


def _bar_list(rows: list[str]) -> str:
    return f'<div class="bars">{"".join(rows)}</div>'


def _intro(dataset: DatasetClips, clips: list[ClipView]) -> str:
    if not clips:
        return ""
    shown = (
        f"{len(clips)} of {dataset.num_clips} clips" if len(clips) < dataset.num_clips else f"All {len(clips)} clips"
    )
    return (
        f"<h2>Contact sheets</h2><p>{text(shown)}. One still for each second; what sounds in it is coloured, one "
        "colour for each identity throughout the clip. Below, the waveform of the same seconds, and a bar wherever "
        "a track sounds.</p>"
    )


def _clip(clip: ClipView) -> str:
    colour = _SPLIT_COLOURS.get(clip.split, "var(--other)")
    items = "".join(
        _track(number, track.label, sum(mask is not None for mask in track.masks))
        for number, track in enumerate(clip.tracks)
    )
    tracks = f'<ul class="tracks">{items}</ul>' if items else '<p class="soft">Nothing in view sounds.</p>'
    # Short clips take two rows of large stills, long ones rows of ten small ones; both fill the width of the page.
    columns = 10 if len(clip.stills) > 12 else max(4, math.ceil(len(clip.stills) / 2))
    sheets = []
    for start in range(0, len(clip.stills), _SECONDS_PER_PICTURE):
        seconds = range(start, min(start + _SECONDS_PER_PICTURE, len(clip.stills)))
        alternative = f"Contact sheet of {clip.name}, seconds {seconds.start} to {seconds[-1]}"
        sheets.append(
            image(
                contact_sheet(clip, seconds=seconds, columns=columns, still_width_px=_STILLS_PX // columns),
                alternative=alternative,
            )
        )
    pictures = f'<div class="scroll">{"".join(sheets)}</div>'
    return (
        f'<article><div class="top"><h3>{text(clip.name)}</h3>'
        f'<span class="badge" style="background:{colour}">{text(clip.split)}</span>'
        f'<span class="soft">{len(clip.stills)} seconds</span></div>{pictures}{tracks}</article>'
    )


def _track(number: int, label: str, num_sounding: int) -> str:
    red, green, blue = colour_of(number)
    chip = f'<i class="chip" style="background:rgb({red},{green},{blue})"></i>'
    return f"<li>{chip}<b>{text(label)}</b> sounds in {num_sounding} s</li>"
