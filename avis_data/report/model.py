"""The part of a dataset's page that shows a model: its curves, what it scores, what it predicts."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

from avis_data.errors import DataError
from avis_data.metrics.counting import MEANINGS, Figure, Mode, Rank
from avis_data.metrics.files import evaluate_files
from avis_data.metrics.table import figures_of, most_telling_first
from avis_data.report.curves import Curve, line_chart
from avis_data.report.html import table, text
from avis_data.report.run_log import read_run_log

__all__ = ["ModelFiles", "model_section"]

_MODES = (Mode.STRICT, Mode.COMPAT)
_COLOURS = ("var(--train)", "var(--val)", "var(--test)", "var(--accent)", "var(--other)")
_MOST_VIDEO_BYTES = 40_000_000
"""A page with more becomes a burden for browsers."""


@dataclass(frozen=True, kw_only=True)
class ModelFiles:
    """Where a model's results lie; None: that part is left out."""

    run: Path | None = None
    """The folder of a training run."""
    truth: Path | None = None
    predictions: Path | None = None
    """A result file for that truth."""
    shown: Path | None = None
    """Folder of what `avis-data visualize` wrote."""


def model_section(files: ModelFiles) -> str:
    """HTML of the section; the empty text if no file is given.

    Raises:
        DataError: if a file is missing or cannot be read, or the videos are too large for a page.
        ProblemsError: if predictions do not fit their truth.
    """
    parts = []
    if files.run is not None:
        parts.append(_curves(files.run))
    if files.truth is not None and files.predictions is not None:
        parts.append(_figures(files.truth, files.predictions))
    if files.shown is not None:
        parts.append(_videos(files.shown))
    return f"<h2>Model</h2>{''.join(parts)}" if parts else ""


def _curves(run: Path) -> str:
    lines = read_run_log(run)
    losses = [(line.iteration, line.loss) for line in lines if line.loss is not None]
    validated = [(line.iteration, line.validation["strict"]) for line in lines if "strict" in line.validation]
    curves = [
        Curve(name=f"{figure.called} on val (strict)", colour=colour, points=_points(validated, figure))
        for figure, colour in zip(most_telling_first(figures_of(Mode.STRICT, Rank.HEADLINE)), cycle(_COLOURS))
    ]
    charts = (
        line_chart("Training loss", [Curve(name="loss", colour="var(--accent)", points=losses)]),
        line_chart("On clips that it was not trained on", curves, unit=" %"),
    )
    if not losses:
        raise DataError(
            f"{run / 'log.jsonl'}: holds no losses", hint="avis-data train-baseline --data EXPORT --out RUN"
        )
    return f'<p class="soft">Run {text(run.name)}.</p><div class="two">{"".join(charts)}</div>'


def _points(
    validated: Sequence[tuple[int, Mapping[str, float | None]]], figure: Figure[Any]
) -> list[tuple[float, float]]:
    scale = 100 if figure.is_share else 1
    return [(iteration, scale * (figures.get(figure.called) or 0.0)) for iteration, figures in validated]


def _figures(truth: Path, predictions: Path) -> str:
    found = evaluate_files(truth, predictions, modes=_MODES)
    figures = {figure.name: figure for mode in _MODES for figure in figures_of(mode, Rank.OVERVIEW)}
    modes = found.result.modes
    rows = [
        (figure.name, *(figure.text(modes[mode].figures.get(figure.name)) for mode in _MODES))
        for figure in most_telling_first(list(figures.values()))
    ]
    meanings = "".join(f'<p class="soft">{text(mode)}: {text(MEANINGS[mode])}.</p>' for mode in _MODES)
    head = (f"{truth.stem}, {len(found.source.videos)} clips, %", *map(str, _MODES))
    return f"<h3>Figures</h3>{table(head, rows)}{meanings}"


def _videos(folder: Path) -> str:
    videos = sorted(folder.glob("*.mp4"))
    if not videos:
        raise DataError(
            f"{folder}: has no videos", hint="avis-data visualize --data EXPORT --pred results.json --out DIR"
        )
    size = sum(path.stat().st_size for path in videos)
    if size > _MOST_VIDEO_BYTES:
        raise DataError(
            f"{folder}: {size / 1e6:.0f} MB of video, a page holds {_MOST_VIDEO_BYTES / 1e6:.0f} MB",
            hint="avis-data visualize --clips A,B renders only some clips",
        )
    return "<h3>What it predicts</h3>" + "".join(_video(path) for path in videos)


def _video(path: Path) -> str:
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    return (
        f'<article><div class="top"><h3>{text(path.stem)}</h3></div>'
        f'<video controls preload="metadata" src="data:video/mp4;base64,{data}"></video></article>'
    )
