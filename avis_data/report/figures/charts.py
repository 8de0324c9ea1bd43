"""What a figure is before it is drawn: a table, and how its numbers are to be seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Bars", "Chart", "Columns", "Figure", "Matrix", "Points", "Series"]

Cell = str | int | float | None


@dataclass(frozen=True, kw_only=True)
class Series:
    """Values of one colour, and what they are."""

    name: str
    values: Sequence[float]
    """One for each label."""


@dataclass(frozen=True, kw_only=True)
class Bars:
    """Bars that lie, one line for each label: for names, which may be long."""

    labels: Sequence[str]
    series: Sequence[Series]
    """Side by side on one line, or one after the other where `stacked`."""
    axis: str
    """What the values are, with their unit."""
    stacked: bool = False
    own_axes: bool = False
    """Each series has a panel of its own, where the numbers are not of one kind."""


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Columns that stand: for classes that have an order."""

    labels: Sequence[str]
    values: Sequence[float]
    below: str
    """What the labels are."""
    beside: str
    """What the values are."""


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """A field for each row and column, the darker the more."""

    rows: Sequence[str]
    columns: Sequence[str]
    values: Sequence[Sequence[float]]
    meaning: str
    """What a field counts."""
    is_picture: bool = False
    """The fields are places in a picture: without numbers, in the shape of one."""


@dataclass(frozen=True, kw_only=True)
class Points:
    """Estimates with their intervals, one line for each label."""

    labels: Sequence[str]
    series: Sequence[tuple[str, Sequence[tuple[float | None, float | None, float | None]]]]
    """Name of a measure; then value, low, high for each label."""
    axis: str


Chart = Bars | Columns | Matrix | Points


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure, and the table behind it."""

    name: str
    """Of its files."""
    title: str
    head: tuple[str, ...]
    """Names of the columns of the table."""
    rows: Sequence[tuple[Cell, ...]]
    chart: Chart | None
    """None: there is nothing to show."""
