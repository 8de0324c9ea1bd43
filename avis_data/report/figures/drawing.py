"""Drawing one figure: without a display, in the colours of Okabe and Ito, the same bytes each time."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from avis_data.report.figures.charts import Bars, Columns, Figure, Matrix, Points

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

__all__ = ["FORMS", "Form", "draw"]

logger = logging.getLogger(__name__)

Form = Literal["png", "svg", "pdf"]
FORMS: tuple[Form, ...] = ("png", "svg", "pdf")

_COLUMN_IN = 3.5
"""The width of a column of a two-column paper, and of a small screen: text of 8 points can be read on both."""
_LONGEST_LABEL = 26
_MOST_NUMBERS = 16
"""A matrix with more rows has no number in its fields."""
_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8a8f99")
_NO_DATES: dict[Form, dict[str, None]] = {
    "png": {"Software": None},
    "svg": {"Date": None},
    "pdf": {"CreationDate": None, "Producer": None, "Creator": None},
}


def draw(figure: Figure, forms: Sequence[Form] = FORMS) -> dict[Form, bytes]:
    """The figure as files. One of nothing says so."""
    import matplotlib

    with matplotlib.rc_context(), _quiet():
        _set_style(_families(_letters(figure)))
        canvas = _drawn(figure)
        canvas.draw_without_rendering()
        canvas.set_layout_engine("none")  # laid out once, for all forms
        files: dict[Form, bytes] = {}
        for form in forms:
            data = io.BytesIO()
            canvas.savefig(data, format=form, dpi=300, metadata=_NO_DATES[form])
            files[form] = data.getvalue()
    return files


def _set_style(families: Sequence[str]) -> None:
    import matplotlib

    matplotlib.rcdefaults()  # whatever the user's own style file says
    matplotlib.rcParams.update(
        {
            "font.size": 8.0,
            "axes.titlesize": 8.0,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "legend.frameon": False,
            "pdf.fonttype": 42,  # letters stay letters: found by a search, changed by an editor
            "svg.fonttype": "path",
            "svg.hashsalt": "avis-data",
            "text.parse_math": False,  # a category is named as it is, with its `$`
            "axes.unicode_minus": False,
            "font.family": list(families),
        }
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the warnings of letters that no font has: they are told once, by us."""
    import warnings

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def _letters(figure: Figure) -> frozenset[str]:
    return frozenset("".join(str(cell) for row in figure.rows for cell in row if isinstance(cell, str)))


def _families(letters: frozenset[str]) -> list[str]:
    """The fonts to take: ours, then those of this machine that have what ours lacks."""
    found = ["DejaVu Sans"]
    missing = {letter for letter in letters if letter.isprintable() and ord(letter) not in _known("DejaVu Sans")}
    for family in _installed() if missing else ():
        known = {letter for letter in missing if ord(letter) in _known(family)}
        if known:
            found.append(family)
            missing -= known
        if not missing:
            break
    _tell_missing("".join(sorted(missing)))
    return found


@cache
def _tell_missing(letters: str) -> None:
    if letters:
        logger.warning(
            "no font of this machine has %s: the figures show boxes there, the CSV files are right; install one, "
            "for example fonts-noto-cjk",
            letters[:40],
        )


@cache
def _installed() -> tuple[str, ...]:
    from matplotlib.font_manager import fontManager

    # The last resort has a box for every letter, which says nothing.
    names = {entry.name for entry in fontManager.ttflist if "Last Resort" not in entry.name}
    return tuple(sorted(names, key=lambda name: ("Sans" not in name, name)))


@cache
def _known(family: str) -> frozenset[int]:
    from matplotlib.font_manager import fontManager
    from matplotlib.ft2font import FT2Font

    files = sorted(entry.fname for entry in fontManager.ttflist if entry.name == family)
    try:
        return frozenset(FT2Font(Path(files[0])).get_charmap()) if files else frozenset()
    except (OSError, RuntimeError):  # matplotlib keeps its list of fonts; this one was removed since, or is torn
        return frozenset()


def _drawn(figure: Figure) -> Canvas:
    from matplotlib.figure import Figure as Canvas

    chart = figure.chart
    canvas = Canvas(figsize=_size(figure), layout="constrained", facecolor="white")
    match chart:
        case None:
            axes = canvas.subplots()
            axes.set_axis_off()
            axes.text(0.5, 0.5, "nothing to show", ha="center", va="center", color="#646b78")
        case Bars(own_axes=True):
            _draw_panels(canvas, chart)
        case Bars():
            _draw_bars(canvas.subplots(), chart)
        case Columns():
            _draw_columns(canvas.subplots(), chart)
        case Matrix():
            _draw_matrix(canvas, chart)
        case Points():
            _draw_points(canvas.subplots(), chart)
    canvas.suptitle(figure.title, fontsize=9, fontweight="bold")
    return canvas


def _size(figure: Figure) -> tuple[float, float]:
    """Width and height, inches: a column wide, as high as its lines need; a large matrix takes more columns."""
    match figure.chart:
        case Bars(own_axes=True) as bars:
            return _COLUMN_IN, 1.0 + len(bars.series) * (0.6 + 0.2 * len(bars.labels))
        case Bars() as bars:
            lines = len(bars.labels) * (1 if bars.stacked else max(len(bars.series), 1))
            return _COLUMN_IN, 1.3 + 0.13 * lines + 0.06 * len(bars.labels)
        case Points() as points:
            return _COLUMN_IN, 1.3 + 0.14 * len(points.labels) * len(points.series)
        case Matrix(is_picture=False) as matrix:
            side = max(_COLUMN_IN, 1.6 + 0.17 * len(matrix.rows))
            return side, side + 0.2
    return _COLUMN_IN, 2.3


def _label(name: str) -> str:
    """A name that leaves room for the numbers: its middle is left out where it is long, and line ends are spaces."""
    line = " ".join(name.split())
    if len(line) <= _LONGEST_LABEL:
        return line
    half = (_LONGEST_LABEL - 1) // 2
    return f"{line[: half + 1]}…{line[-half:]}"


def _draw_bars(axes: Axes, bars: Bars) -> None:
    count = len(bars.labels)
    height = 0.74 if bars.stacked else 0.8 / len(bars.series)
    left = [0.0] * count
    for number, series in enumerate(bars.series):
        shift = 0.0 if bars.stacked else (number - (len(bars.series) - 1) / 2) * height
        places = [line + shift for line in range(count)]
        axes.barh(
            places, series.values, height, left=left if bars.stacked else None, color=_colour(number), label=series.name
        )
        if bars.stacked:
            left = [start + value for start, value in zip(left, series.values, strict=True)]
        else:
            _write_values(axes, places, series.values)
    axes.set_yticks(range(count), [_label(name) for name in bars.labels])
    axes.set_ylim(count - 0.5, -0.5)
    axes.set_xlabel(bars.axis)
    if bars.stacked:
        axes.set_xlim(0, 100)
    else:
        axes.margins(x=0.16)
    if len(bars.series) > 1:
        axes.figure.legend(loc="outside lower center", ncols=min(len(bars.series), 4), fontsize=7)


def _write_values(axes: Axes, places: Sequence[float], values: Sequence[float]) -> None:
    for place, value in zip(places, values, strict=True):
        axes.annotate(f"{value:,g}", (value, place), xytext=(2, 0), textcoords="offset points", va="center", fontsize=6)


def _draw_panels(canvas: Canvas, bars: Bars) -> None:
    panels = canvas.subplots(len(bars.series), 1, squeeze=False)
    for number, series in enumerate(bars.series):
        one = Bars(labels=bars.labels, series=[series], axis=series.name)
        _draw_bars(panels[number, 0], one)


def _draw_columns(axes: Axes, columns: Columns) -> None:
    from matplotlib.ticker import MaxNLocator

    places = range(len(columns.labels))
    axes.bar(places, columns.values, 0.86, color=_colour(0))
    shown = [_label(label) for label in columns.labels]
    wide = sum(map(len, shown)) > 44
    every = max(1, -(-len(shown) // 24))
    axes.set_xticks(places[::every], shown[::every], rotation=90 if wide else 0)
    axes.set_xlabel(columns.below)
    axes.set_ylabel(columns.beside)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))


def _draw_matrix(canvas: Canvas, matrix: Matrix) -> None:
    from matplotlib.ticker import MaxNLocator

    axes = canvas.subplots()
    largest = max((value for row in matrix.values for value in row), default=0)
    image = axes.imshow(
        matrix.values, cmap="Blues", vmin=0, vmax=max(largest, 1), aspect=9 / 16 if matrix.is_picture else "equal"
    )
    axes.spines[["top", "right"]].set_visible(True)
    if matrix.is_picture:
        axes.set_xticks([])
        axes.set_yticks([])
        canvas.colorbar(image, ax=axes, shrink=0.8, ticks=MaxNLocator(integer=True))
    else:
        axes.set_xticks(range(len(matrix.columns)), [_label(name) for name in matrix.columns], rotation=90, fontsize=7)
        axes.set_yticks(range(len(matrix.rows)), [_label(name) for name in matrix.rows], fontsize=7)
        if len(matrix.rows) <= _MOST_NUMBERS:
            _write_fields(axes, matrix, largest)
        else:
            canvas.colorbar(image, ax=axes, shrink=0.5)
    axes.set_xlabel(matrix.meaning)


def _write_fields(axes: Axes, matrix: Matrix, largest: float) -> None:
    for row, values in enumerate(matrix.values):
        for column, value in enumerate(values):
            if value:
                colour = "white" if value > 0.6 * largest else "black"
                axes.text(column, row, f"{value:g}", ha="center", va="center", fontsize=6, color=colour)


def _draw_points(axes: Axes, points: Points) -> None:
    count = len(points.labels)
    for number, (name, values) in enumerate(points.series):
        shift = (number - (len(points.series) - 1) / 2) * 0.8 / max(len(points.series), 1)
        known = [(line + shift, *found) for line, found in enumerate(values)]
        shown = [(place, value, low, high) for place, value, low, high in known if value is not None]
        for place, _, low, high in shown:
            if low is not None and high is not None:
                axes.plot((low, high), (place, place), color=_colour(number), linewidth=1)
        axes.plot(
            [value for _, value, *_ in shown], [place for place, *_ in shown], "o", markersize=3.5,
            color=_colour(number), label=name,
        )  # fmt: skip
    axes.set_yticks(range(count), [_label(name) for name in points.labels])
    axes.set_ylim(count - 0.5, -0.5)
    axes.set_xlabel(points.axis)
    axes.figure.legend(loc="outside lower center", ncols=min(len(points.series), 4), fontsize=7)


def _colour(number: int) -> str:
    return _COLOURS[number % len(_COLOURS)]
