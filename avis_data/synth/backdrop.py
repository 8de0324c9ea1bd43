"""Busy backgrounds: a room, a street, a meadow, a stage, each with texture and clutter that is never labelled."""

from __future__ import annotations

import colorsys
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from avis_data.synth.shapes import Canvas, Colour, Field

__all__ = ["BACKDROPS", "draw_backdrop"]


def _hue(rng: np.random.Generator, hue: float, saturation: float, value: float, spread: float = 0.04) -> Colour:
    return colorsys.hsv_to_rgb(
        (hue + float(rng.uniform(-spread, spread))) % 1, saturation, min(1.0, value * float(rng.uniform(0.88, 1.1)))
    )


def _band(c: Canvas, top: float | Field, low: float) -> Field:
    """Distance to all that lies between two heights."""
    return np.maximum(top - c.y, c.y - low).astype(np.float32)


def _room(c: Canvas, rng: np.random.Generator) -> None:
    paper = np.sign(np.sin(c.x * rng.uniform(9, 16)) * np.sin(c.y * rng.uniform(9, 16))).astype(np.float32)
    c.part(_band(c, -2, 0.4), _hue(rng, float(rng.uniform()), 0.30, 0.72), texture=paper + c.grain, amount=0.06, ink=0)
    c.part(_band(c, 0.4, 2), _hue(rng, 0.07, 0.45, 0.55), texture=c.wood, amount=0.22, ink=0)
    c.part(_band(c, 0.36, 0.44), (0.85, 0.82, 0.76), ink=0.01)
    for _ in range(4):
        x, y = rng.uniform(-c.aspect, c.aspect), rng.uniform(-0.75, -0.25)
        half = (rng.uniform(0.10, 0.25), rng.uniform(0.10, 0.22))
        c.part(c.box((x, y), half), _hue(rng, 0.08, 0.6, 0.40), ink=0.012)
        c.part(
            c.box((x, y), (half[0] - 0.03, half[1] - 0.03)),
            _hue(rng, float(rng.uniform()), 0.5, 0.7),
            texture=c.grain,
            amount=0.5,
            ink=0,
        )
    for _ in range(3):
        x, high = rng.uniform(-c.aspect, c.aspect), rng.uniform(0.15, 0.4)
        c.part(c.box((x, 0.45 - high), (0.22, high)), _hue(rng, 0.07, 0.5, 0.35), texture=c.wood, amount=0.2)
        for shelf in np.arange(0.45 - 2 * high + 0.16, 0.45, 0.18).tolist():
            for k in range(6):
                tall = rng.uniform(0.04, 0.065)
                c.part(
                    c.box((x - 0.16 + 0.064 * k, shelf - tall), (0.026, tall)),
                    _hue(rng, float(rng.uniform()), 0.55, 0.65),
                    ink=0.005,
                )
    c.part(
        c.ellipse((rng.uniform(-1, 1), 0.8), (0.9, 0.16)),
        _hue(rng, float(rng.uniform()), 0.5, 0.5),
        texture=c.grain,
        amount=0.4,
        ink=0,
    )


def _street(c: Canvas, rng: np.random.Generator) -> None:
    c.part(_band(c, -2, 2), _hue(rng, 0.57, 0.30, 0.85), texture=c.grain * 0.4 - c.y, amount=0.06, ink=0)
    x = -c.aspect - 0.1
    while x < c.aspect:
        half, high = rng.uniform(0.16, 0.32), rng.uniform(0.45, 0.9)
        wall = _hue(rng, float(rng.choice((0.03, 0.08, 0.58))), 0.35, 0.55)
        c.part(c.box((x + half, 0.35 - high), (half, high)), wall, texture=c.grain, amount=0.15, ink=0.014)
        lit = _hue(rng, 0.14, 0.35, 0.95)
        wide = (np.mod(c.x - x, 0.14) - 0.07, np.mod(c.y + 2, 0.19) - 0.095)
        panes = np.maximum(np.abs(wide[0]) - 0.035, np.abs(wide[1]) - 0.055)
        inside = c.box((x + half, 0.30 - high), (half - 0.04, high - 0.06))
        c.part(
            np.maximum(panes, inside),
            lit if rng.uniform() < 0.5 else (0.25, 0.32, 0.40),
            texture=c.grain,
            amount=0.3,
            ink=0,
        )
        x += 2 * half
    c.part(_band(c, 0.35, 0.52), (0.66, 0.64, 0.62), texture=c.grain, amount=0.12, ink=0.01)
    c.part(_band(c, 0.52, 2), (0.34, 0.34, 0.37), texture=c.grain, amount=0.2, ink=0)
    for k in np.arange(-c.aspect, c.aspect, 0.5).tolist():
        c.part(c.box((k + 0.1, 0.78), (0.13, 0.018)), (0.92, 0.90, 0.80), ink=0)
    for _ in range(3):
        x = rng.uniform(-c.aspect, c.aspect)
        c.part(c.stroke((x, 0.42), (x, -0.45), 0.018), (0.22, 0.24, 0.26), ink=0)
        c.part(c.ellipse((x, -0.48), (0.07, 0.06)), (1.0, 0.93, 0.7))
    for _ in range(3):
        c.part(
            c.box((rng.uniform(-c.aspect, c.aspect), 0.36), (0.07, 0.10), corner=0.02),
            _hue(rng, float(rng.uniform()), 0.6, 0.5),
        )


def _meadow(c: Canvas, rng: np.random.Generator) -> None:
    c.part(_band(c, -2, 2), _hue(rng, 0.56, 0.40, 0.90), texture=-c.y, amount=0.08, ink=0)
    for _ in range(4):
        x, y = rng.uniform(-c.aspect, c.aspect), rng.uniform(-0.9, -0.45)
        for k in range(3):
            c.part(c.ellipse((x + 0.14 * k, y + 0.03 * (k % 2)), (0.15, 0.075)), (0.97, 0.97, 0.98), ink=0)
    for level, value in ((-0.25, 0.45), (-0.02, 0.52), (0.22, 0.6)):
        ridge = level + 0.10 * np.sin(c.x * rng.uniform(1.5, 3.5) + rng.uniform(0, 6))
        c.part(
            _band(c, ridge.astype(np.float32), 2), _hue(rng, 0.29, 0.55, value), texture=c.grain, amount=0.22, ink=0.008
        )
    for _ in range(9):
        x, y = rng.uniform(-c.aspect, c.aspect), rng.uniform(-0.05, 0.25)
        size = 0.5 + y
        c.part(c.stroke((x, y), (x, y - 0.35 * size), 0.035 * size), (0.36, 0.24, 0.15), texture=c.wood, ink=0.008)
        c.part(
            c.ellipse((x, y - 0.55 * size), (0.24 * size, 0.34 * size)),
            _hue(rng, 0.33, 0.6, 0.40),
            texture=c.grain,
            amount=0.35,
            ink=0.01,
        )
    for _ in range(26):
        x, y = rng.uniform(-c.aspect, c.aspect), rng.uniform(0.35, 0.98)
        c.part(c.ellipse((x, y), (0.026, 0.02)), _hue(rng, float(rng.uniform()), 0.6, 0.95), ink=0.006)


def _stage(c: Canvas, rng: np.random.Generator) -> None:
    folds = np.sin(c.x * 15 + 1.5 * np.sin(3 * c.x)).astype(np.float32)
    c.part(
        _band(c, -2, 0.42),
        _hue(rng, float(rng.choice((0.0, 0.6, 0.8))), 0.65, 0.48),
        texture=folds + c.grain,
        amount=0.2,
        ink=0,
    )
    c.part(_band(c, 0.42, 2), _hue(rng, 0.08, 0.5, 0.55), texture=c.wood, amount=0.24, ink=0.012)
    for y in np.arange(0.50, 1.0, 0.13).tolist():
        c.part(_band(c, y, y + 0.012), (0.25, 0.17, 0.10), ink=0)
    for x in np.arange(-c.aspect + 0.15, c.aspect, 0.32).tolist():
        c.part(c.ellipse((x, -0.92), (0.06, 0.06)), _hue(rng, float(rng.uniform()), 0.5, 1.0), ink=0.015)
    for side in (-1, 1):
        x = side * (c.aspect - 0.18)
        c.part(c.box((x, 0.10), (0.16, 0.38)), (0.13, 0.13, 0.15), texture=c.grain, amount=0.3)
        for y, radius in ((-0.10, 0.08), (0.20, 0.125)):
            c.part(c.ellipse((x, y), (radius, radius)), (0.30, 0.30, 0.33))
            c.part(c.ellipse((x, y), (radius / 3, radius / 3)), (0.55, 0.55, 0.58), ink=0)
    for _ in range(4):
        x = rng.uniform(-c.aspect, c.aspect)
        c.part(c.stroke((x, 0.50), (x + rng.uniform(-0.1, 0.1), -0.05), 0.014), (0.20, 0.20, 0.22), ink=0)
        c.part(c.box((x, 0.52), (0.10, 0.02)), (0.20, 0.20, 0.22), ink=0)


_DRAWINGS: dict[str, Callable[[Canvas, np.random.Generator], None]] = {
    "room": _room,
    "street": _street,
    "meadow": _meadow,
    "stage": _stage,
}
BACKDROPS: tuple[str, ...] = tuple(_DRAWINGS)


def draw_backdrop(name: str, rng: np.random.Generator, *, size_hw: tuple[int, int]) -> NDArray[np.uint8]:
    """The background picture of a scene.

    Args:
        name: one of `BACKDROPS`.
        rng: chooses colours and places.
        size_hw: height and width in pixels.

    Returns:
        uint8 (height, width, 3), RGB.
    """
    canvas = Canvas(size_hw, rng)
    _DRAWINGS[name](canvas, rng)
    return canvas.rgba()[..., :3]
