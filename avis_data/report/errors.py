"""The error report: where the missing FSLA went, as tables, plots and a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from avis_data.errors import DataError
from avis_data.io import atomic_dir
from avis_data.metrics.attribution import ErrorKind, VideoErrors
from avis_data.report.html import document, image, table, text

__all__ = ["summarise_errors", "write_error_report"]

_MANY = 3
"""Frames with so many sources or more are shown together."""
_COLOURS = {  # Okabe and Ito's, which colour-blind readers can tell apart
    ErrorKind.WRONG_SOUNDER: "#d55e00",
    ErrorKind.MISSED_SOUNDER: "#0072b2",
    ErrorKind.IDENTITY_SWITCH: "#cc79a7",
    ErrorKind.WRONG_CLASS: "#e69f00",
    ErrorKind.POOR_BOUNDARY: "#009e73",
    ErrorKind.DUPLICATE: "#56b4e9",
    ErrorKind.BACKGROUND: "#8a8f99",
}
_KINDS = list(_COLOURS)
_MEANINGS = {
    ErrorKind.WRONG_SOUNDER: "a mask of a thing of the truth that is silent in this frame",
    ErrorKind.MISSED_SOUNDER: "the object sounds and has no mask",
    ErrorKind.IDENTITY_SWITCH: "the mask is there, but of another track than this object has elsewhere",
    ErrorKind.WRONG_CLASS: "the mask is there, its class is another",
    ErrorKind.POOR_BOUNDARY: "right track and class, the outline is not good enough for the threshold",
    ErrorKind.DUPLICATE: "one mask more on an object that sounds",
    ErrorKind.BACKGROUND: "a mask of nothing that ever sounds",
}


def summarise_errors(videos: Sequence[VideoErrors], categories: Mapping[int, str]) -> pd.DataFrame:
    """One row for each kind, class and number of sources that occurs.

    Returns:
        Columns kind, category (name), sources (3: three or more), missing: the share of all frames that went wrong for
        it, mean over the thresholds. The column `missing` sums to 1 - FSLA (strict).
    """
    num_frames = sum(len(video.sources_T) for video in videos)
    rows = [
        {
            "kind": str(error.kind),
            "category": categories.get(error.category, str(error.category)),
            "sources": min(error.sources, _MANY),
            "missing": error.share / num_frames,
        }
        for video in videos
        for error in video.errors
    ]
    frame = pd.DataFrame(rows, columns=["kind", "category", "sources", "missing"])
    return frame.groupby(["kind", "category", "sources"], sort=True)["missing"].sum().reset_index()


def write_error_report(
    folder: Path, videos: Sequence[VideoErrors], categories: Mapping[int, str], *, fsla: float, title: str
) -> None:
    """Write errors.parquet, summary.parquet, three plots and index.html; the folder is replaced whole.

    Args:
        folder: where.
        videos: of `attribute_errors`.
        categories: id -> name.
        fsla: of the strict mode, of the same videos.
        title: of the page.

    Raises:
        DataError: if the folder holds something else than an error report.
    """
    if folder.exists() and not (folder / "summary.parquet").is_file() and (folder.is_file() or any(folder.iterdir())):
        raise DataError(f"{folder}: holds something else than an error report", hint="name a new folder")
    summary = summarise_errors(videos, categories)
    frames = pd.Series([min(number, _MANY) for video in videos for number in video.sources_T], dtype="int64")
    with atomic_dir(folder) as part:
        _errors_frame(videos, categories).to_parquet(part / "errors.parquet", index=False)
        summary.to_parquet(part / "summary.parquet", index=False)
        by_kind, by_sources, by_class = (_shares(summary, column) for column in ("kind", "sources", "category"))
        by_sources = by_sources.reindex(range(_MANY + 1), fill_value=0.0)
        by_sources = by_sources.div(frames.value_counts().reindex(by_sources.index), axis=0).fillna(0.0) * len(frames)
        by_sources.index = pd.Index([*map(str, range(_MANY)), f"{_MANY}+"])
        plots = [
            _plot(part / "by_kind.png", by_kind, "Kind of error", "% of all frames"),
            _plot(part / "by_sources.png", by_sources, "Objects that sound", "% of the frames with so many"),
            _plot(part / "by_class.png", by_class, "Class", "% of all frames"),
        ]
        counts = frames.value_counts().reindex(range(_MANY + 1), fill_value=0).tolist()
        page = _page(title, fsla, summary, (by_sources, counts), plots)
        (part / "index.html").write_text(page, encoding="utf-8")


def _errors_frame(videos: Sequence[VideoErrors], categories: Mapping[int, str]) -> pd.DataFrame:
    """Every error: video, frame, sources, kind, category (name), truth_id, predicted, share (of that frame)."""
    columns = ["video", "frame", "sources", "kind", "category", "truth_id", "predicted", "share"]
    rows = [asdict(error) for video in videos for error in video.errors]
    found = pd.DataFrame(rows, columns=columns)
    found["kind"] = found["kind"].astype(str)
    found["category"] = found["category"].map(lambda number: categories.get(number, str(number)))
    return found.astype({"truth_id": "Int64", "predicted": "Int64", "share": "float64"})


def _shares(summary: pd.DataFrame, column: str) -> pd.DataFrame:
    """Rows: the values of a column, the largest sum first; columns: kinds."""
    kinds = [str(kind) for kind in _KINDS]
    rows: dict[Any, dict[str, float]] = {}
    for name, kind, missing in zip(summary[column], summary["kind"], summary["missing"], strict=True):
        row = rows.setdefault(name, dict.fromkeys(kinds, 0.0))
        row[kind] += missing
    names = sorted(rows, key=lambda name: -sum(rows[name].values()))
    return pd.DataFrame([rows[name] for name in names], index=names, columns=kinds, dtype="float64")


def _plot(path: Path, shares: pd.DataFrame, ylabel: str, xlabel: str) -> Image.Image:
    """A bar per row, split by kind, in percent."""
    from matplotlib.figure import Figure  # without pyplot: no display, no state

    figure = Figure(figsize=(8.0, 1.6 + 0.32 * max(len(shares), 1)), layout="constrained", facecolor="white")
    axes: Any = figure.subplots()
    rows = list(range(len(shares)))[::-1]
    left = pd.Series(0.0, index=shares.index)
    for kind in _KINDS:
        values = 100 * shares[str(kind)]
        axes.barh(rows, values, left=left, color=_COLOURS[kind], label=_name(kind), height=0.7)
        left = left + values
    axes.set_yticks(rows, [str(name) for name in shares.index], parse_math=False)
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize="small", frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    figure.savefig(path, dpi=120)
    with Image.open(path) as picture:
        return picture.convert("RGB")


def _name(kind: ErrorKind) -> str:
    return kind.replace("_", " ")


def _page(
    title: str,
    fsla: float,
    summary: pd.DataFrame,
    by_sources: tuple[pd.DataFrame, Sequence[int]],
    plots: Sequence[Image.Image],
) -> str:
    totals = summary.groupby("kind")["missing"].sum()
    kinds = [[_name(kind), _percent(float(totals.get(str(kind), 0.0))), _MEANINGS[kind]] for kind in _KINDS]
    kinds.append(["all", _percent(float(totals.sum())), f"1 - FSLA, FSLA (strict) = {_percent(fsla)}"])
    shares, counts = by_sources
    sources = [
        [name, count, _percent(float(row.sum())), *(_percent(float(value)) for value in row)]
        for (name, row), count in zip(shares.iterrows(), counts, strict=True)
    ]
    by_class = summary.groupby("category")["missing"].sum().sort_values(ascending=False, kind="stable")
    classes = [[name, _percent(float(value))] for name, value in by_class.items()]
    pictures = [
        image(picture, alternative=name) for picture, name in zip(plots, ("kind", "sources", "class"), strict=True)
    ]
    return document(
        title,
        [
            f"<header><h1>{text(title)}</h1><p>A frame is right if exactly the sounding objects are found, each by the "
            "partner track, the class and the outline. This is what went wrong in the others, in percent of frames, "
            "mean over the 19 thresholds. Errors of one frame share it equally, so the parts sum to the whole.</p>"
            "</header>",
            "<h2>By kind</h2>",
            table(["kind", "missing, %", "meaning"], kinds, total=True),
            f"<article>{pictures[0]}</article>",
            "<h2>By number of sounding objects</h2>",
            table(["objects", "frames", "wrong, %", *(_name(kind) for kind in _KINDS)], sources),
            f"<article>{pictures[1]}</article>",
            "<h2>By class</h2>",
            table(["class", "missing, %"], classes),
            f"<article>{pictures[2]}</article>",
            '<footer class="soft">Rows of every error: errors.parquet; sums: summary.parquet.</footer>',
        ],
    )


def _percent(value: float) -> str:
    return f"{100 * value:.2f}"
