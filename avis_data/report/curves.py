"""Line charts as inline SVG: figures of a training run over its iterations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from avis_data.report.html import colour_key, text

__all__ = ["Curve", "line_chart"]

_WIDTH, _HEIGHT = 420, 230  # small, so that its text can be read on a small screen
_LEFT, _RIGHT, _TOP, _BOTTOM = 76, 30, 12, 34
_TICKS = 4


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One line."""

    name: str
    colour: str
    """CSS colour."""
    points: Sequence[tuple[float, float]]
    """(iteration, value), by iteration; values that are no finite numbers are left out."""


def line_chart(title: str, curves: Sequence[Curve], *, unit: str = "") -> str:
    """A chart with a key; the empty text where no curve has a point. The y axis begins at 0.

    Args:
        title: stands above, and is read to those who do not see it.
        curves: drawn in this order.
        unit: after the numbers of the y axis.
    """
    points = [point for curve in curves for point in curve.points if math.isfinite(point[1])]
    if not points:
        return ""
    right, top = max(x for x, _ in points) or 1.0, _round_up(max(y for _, y in points))
    parts = [*_grid(right, top, unit), *(_line(curve, right, top) for curve in curves)]
    key = colour_key((curve.name, curve.colour) for curve in curves)
    return (
        f'<figure><figcaption>{text(title)}</figcaption><svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{text(title)}">{"".join(parts)}</svg>{key}</figure>'
    )


def _grid(right: float, top: float, unit: str) -> list[str]:
    parts = []
    for tick in range(_TICKS + 1):
        share = tick / _TICKS
        y, x = _y(top * share, top), _x(right * share, right)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{top * share:g}{text(unit)}</text>')
        parts.append(f'<text x="{x:.1f}" y="{_HEIGHT - 14}" text-anchor="middle">{right * share:,.0f}</text>')
    return parts


def _line(curve: Curve, right: float, top: float) -> str:
    places = [(_x(x, right), _y(y, top)) for x, y in curve.points if math.isfinite(y)]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{curve.colour}"/>' for x, y in places)
    # Few points are measurements to be seen one by one; many are a curve.
    return f'<polyline points="{path}" fill="none" stroke="{curve.colour}" stroke-width="2"/>' + (
        dots if len(places) <= 30 else ""
    )


def _x(value: float, right: float) -> float:
    return _LEFT + (_WIDTH - _LEFT - _RIGHT) * value / right


def _y(value: float, top: float) -> float:
    return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * value / top


def _round_up(value: float) -> float:
    """The next of 1, 2, 4, 8 times a power of ten: quarters of it are short numbers."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 4, 8, 10) if step * power >= value * (1 - 1e-9))
