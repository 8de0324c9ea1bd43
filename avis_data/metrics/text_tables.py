"""Results as text for a terminal: percent with two digits, one column per mode."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from avis_data.metrics.bootstrap import Interval
from avis_data.metrics.comparison import Difference
from avis_data.metrics.counting import MEANINGS, Figure, Mode, Rank
from avis_data.metrics.evaluation import AvisResult
from avis_data.metrics.files import FileEvaluation
from avis_data.metrics.t_test import SampleTest
from avis_data.metrics.table import FIGURES, MASK_FIGURES, figures_of

__all__ = ["comparison_table", "evaluation_table", "headline_text", "percent", "text_table"]


def percent(value: float | None) -> str:
    """`52.37`; a dash where there is nothing to measure (None, or -1 in the modes that follow public code)."""
    return "-" if value is None or value < 0 else f"{100 * value:.2f}"


def evaluation_table(
    found: FileEvaluation, intervals: Mapping[Mode, Mapping[str, Interval | None]] | None = None
) -> str:
    """The table of `avis-data evaluate`, with a line per mode that says what it means."""
    result, lines = found.result, []
    for modes in ((Mode.COMPAT, Mode.STRICT), (Mode.YTVIS,)):
        if shown := [mode for mode in modes if mode in result.modes]:
            rows = {figure.name: figure for mode in shown for figure in figures_of(mode)}
            cells = [
                [name, *(_cell(result, figure, mode, intervals) for mode in shown)] for name, figure in rows.items()
            ]
            lines += [text_table(["metric, %", *map(str, shown)], cells), ""]
    lines += [f"{mode}: {MEANINGS[mode]}" for mode in result.modes]
    if found.variants:
        lines.append(f"variants of {Mode.COMPAT}: {', '.join(found.variants)}")
    return "\n".join([*lines, *_left_out(result, found.source.num_ignored)])


def comparison_table(
    differences: Mapping[Mode, Mapping[str, Difference | None]], samples: Sequence[SampleTest], names: tuple[str, str]
) -> str:
    """The tables of `avis-data compare`: figures by the bootstrap over videos, then the t-test of found objects."""
    blocks = []
    for mode, by_metric in differences.items():
        cells = [
            [name, *_difference_cells(item, FIGURES[name])] for name, item in by_metric.items() if item is not None
        ]
        blocks.append(text_table([f"{mode}, %", "A", "B", "B - A", "interval", "p", "verdict"], cells))
    blocks.append(_samples_table(samples))
    return "\n\n".join([*blocks, f"A: {names[0]}\nB: {names[1]}"])


def _samples_table(samples: Sequence[SampleTest]) -> str:
    header = ["t-test, mean IoU % of", "A", "its number", "B", "its number"]
    header += ["p, two samples", "found by both", "B - A", "p, pairs"]
    cells = [
        [
            f"objects found, IoU > {item.above:g}",
            percent(item.mean_a),
            str(item.samples_a),
            percent(item.mean_b),
            str(item.samples_b),
            _p_value(item.p_two_sample),
            str(item.samples_both),
            "-" if item.difference_both is None else f"{100 * item.difference_both:+.2f}",
            _p_value(item.p_paired),
        ]
        for item in samples
    ]
    return text_table(header, cells)


def _p_value(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def headline_text(values: Mapping[str, float | None]) -> str:
    """What a validation found in one line, by the names that training uses: `mAP 12.3, HOTA 34.5, FSLA 56.7`."""
    tracks = [figure for figure in figures_of(Mode.STRICT, Rank.HEADLINE) if figure.called in values]
    masks = [figure for figure in MASK_FIGURES if figure.rank <= Rank.HEADLINE and figure.name in values]
    texts = [f"{figure.called} {figure.text(values[figure.called] or 0.0, digits=1)}" for figure in tracks]
    return ", ".join([*texts, *(f"{figure.name} {100 * (values[figure.name] or 0.0):.1f}" for figure in masks)])


def text_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns side by side, the first to the left, the others to the right."""
    lines = [list(header), *map(list, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(
        "  ".join(text.ljust(width) if column == 0 else text.rjust(width) for column, (text, width) in pairs).rstrip()
        for pairs in (enumerate(zip(line, widths, strict=True)) for line in lines)
    )


def _cell(
    result: AvisResult, figure: Figure[Any], mode: Mode, intervals: Mapping[Mode, Mapping[str, Interval | None]] | None
) -> str:
    value = figure.text(result.modes[mode].figures.get(figure.name))
    interval = intervals[mode].get(figure.name) if intervals else None
    return value if interval is None else f"{value} [{figure.text(interval.low)}, {figure.text(interval.high)}]"


def _difference_cells(item: Difference, figure: Figure[Any]) -> list[str]:
    low, high, difference = (figure.text(value, sign=True) for value in (item.low, item.high, item.difference))
    return [
        figure.text(item.a),
        figure.text(item.b),
        difference,
        f"[{low}, {high}]",
        f"{item.p_value:.4f}",
        item.verdict,
    ]


def _left_out(result: AvisResult, num_ignored: int) -> list[str]:
    lines = [f"{len(result.videos)} videos, {sum(video.num_frames for video in result.videos)} frames"]
    if result.problems:
        number = len({problem.where for problem in result.problems})
        lines.append(f"left out: {number} bad entries, among them")
        lines += [f"  {problem}" for problem in result.problems[:20]]
    if num_ignored:
        lines.append(f"ignored: {num_ignored} predictions for videos that the truth does not have")
    return lines
