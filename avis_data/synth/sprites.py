"""How each category looks: one drawing function per category, with a pose that moves while the thing sounds.

`pose` in [0, 1] is the articulation: the bow's place, the open mouth, the pressed key. A silent thing also takes every
pose, only slowly (see `motion`), so that one still does not give away what sounds.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avis_data.synth.shapes import Canvas, Colour

__all__ = ["CATEGORIES", "PROPS", "draw"]

_EYE: Colour = (0.07, 0.06, 0.08)
_WHITE: Colour = (0.96, 0.95, 0.92)
_SKIN: tuple[Colour, ...] = ((0.95, 0.78, 0.65), (0.82, 0.60, 0.44), (0.55, 0.37, 0.26), (0.38, 0.25, 0.18))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Style:
    """What differs between two things of one category."""

    hue: float
    """In [0, 1)."""
    shade: float
    """In [0.85, 1.15]."""
    pick: int
    """Chooses among variants."""

    def tint(self, hue: float, saturation: float, value: float, *, spread: float = 0.0) -> Colour:
        """A colour near `hue`, at most `spread` away, brighter or darker by the style's shade."""
        return colorsys.hsv_to_rgb((hue + spread * (2 * self.hue - 1)) % 1, saturation, min(1, value * self.shade))


def _darker(colour: Colour, factor: float) -> Colour:
    return colour[0] * factor, colour[1] * factor, colour[2] * factor


def _person(c: Canvas, s: _Style, pose: float) -> None:
    skin, shirt = _SKIN[s.pick % len(_SKIN)], s.tint(s.hue, 0.75, 0.85)
    trousers, hair = s.tint(0.62, 0.45, 0.40, spread=0.2), s.tint(0.07, 0.6, 0.12 + 0.3 * (s.pick % 3))
    lift = 0.22 * pose
    for side in (-1, 1):
        c.part(c.stroke((0.13 * side, 0.35), (0.17 * side, 0.86), 0.095), trousers, texture=c.grain)
        c.part(c.ellipse((0.21 * side, 0.90), (0.15, 0.07)), (0.15, 0.12, 0.12))
        c.part(c.stroke((0.27 * side, -0.17), (0.46 * side, 0.16 - lift), 0.075), shirt, texture=c.grain)
        c.part(c.stroke((0.46 * side, 0.16 - lift), (0.56 * side, 0.10 - 2 * lift), 0.06), skin, ink=0.018)
    torso = c.polygon([(-0.31, -0.25), (0.31, -0.25), (0.25, 0.42), (-0.25, 0.42)]) - 0.03
    c.part(torso, shirt, texture=np.sign(np.sin(30 * c.y + 0 * c.x)).astype(np.float32), amount=0.13)
    c.part(c.box((0, -0.30), (0.09, 0.09)), skin, ink=0)
    c.part(c.ellipse((0, -0.66), (0.27, 0.30)), hair, texture=c.grain, amount=0.3)
    c.part(c.ellipse((0, -0.58), (0.22, 0.26)), skin, ink=0.012)
    for side in (-1, 1):
        c.part(c.ellipse((0.09 * side, -0.63), (0.035, 0.045)), _EYE, ink=0)
        c.part(c.stroke((0.05 * side, -0.73), (0.14 * side, -0.73), 0.014), hair, ink=0)
    c.part(c.ellipse((0, -0.45), (0.07 + 0.03 * pose, 0.02 + 0.075 * pose)), (0.55, 0.12, 0.14), ink=0.01)


def _violin(c: Canvas, s: _Style, pose: float) -> None:
    wood, dark = s.tint(0.05, 0.82, 0.66, spread=0.025), (0.13, 0.09, 0.08)
    c.part(c.stroke((0, -0.05), (0, -0.80), 0.05), dark)
    c.part(c.ellipse((0, -0.86), (0.085, 0.085)), wood)
    for side in (-1, 1):
        for y in (-0.76, -0.66):
            c.part(c.stroke((0, y), (0.14 * side, y), 0.02), dark, ink=0)
    bouts = np.minimum(c.ellipse((0, 0.03), (0.30, 0.23)), c.ellipse((0, 0.60), (0.39, 0.31)))
    body = np.minimum(bouts, c.box((0, 0.28), (0.21, 0.31)))
    c.part(body, wood, texture=c.wood, amount=0.16, ink=0.03)
    c.part(c.stroke((0, -0.70), (0, 0.30), 0.042), dark, ink=0)
    c.part(c.polygon([(-0.06, 0.55), (0.06, 0.55), (0.035, 0.85), (-0.035, 0.85)]), dark, ink=0)
    for side in (-1, 1):
        c.part(c.stroke((0.15 * side, 0.27), (0.20 * side, 0.50), 0.02), dark, ink=0)
        c.part(c.stroke((0.018 * side, -0.70), (0.018 * side, 0.80), 0.006), _WHITE, ink=0)
    c.part(c.box((0, 0.42), (0.10, 0.02)), (0.85, 0.70, 0.45), ink=0.012)
    shift = 0.34 * (2 * pose - 1)
    c.part(c.stroke((-0.62 + shift, 0.42), (0.62 + shift, 0.20), 0.012), _WHITE, ink=0.012)
    c.part(c.stroke((-0.62 + shift, 0.36), (0.62 + shift, 0.14), 0.02), (0.45, 0.2, 0.08), ink=0.012)


def _guitar(c: Canvas, s: _Style, pose: float) -> None:
    top, rim = s.tint(0.11, 0.55, 0.92, spread=0.03), s.tint(0.06, 0.7, 0.42)
    c.part(c.stroke((-0.02, 0.02), (0.66, -0.66), 0.055), rim, texture=c.wood)
    c.part(c.polygon([(0.60, -0.70), (0.70, -0.60), (0.92, -0.80), (0.80, -0.92)]), rim)
    for k in range(3):
        at = 0.70 + 0.07 * k
        c.part(c.ellipse((at - 0.08, -at - 0.04), (0.03, 0.03)), _WHITE, ink=0.01)
        c.part(c.ellipse((at + 0.06, -at + 0.09), (0.03, 0.03)), _WHITE, ink=0.01)
    body = np.minimum(c.ellipse((-0.40, 0.40), (0.50, 0.42), turn=-0.785), c.ellipse((-0.06, 0.06), (0.31, 0.31)))
    c.part(body - 0.03, rim, ink=0.025)
    c.part(body + 0.02, top, texture=c.wood, amount=0.08, ink=0)
    c.part(c.ellipse((-0.16, 0.16), (0.145, 0.145)), rim, ink=0.02)
    c.part(c.ellipse((-0.16, 0.16), (0.11, 0.11)), (0.10, 0.06, 0.04), ink=0)
    c.part(c.stroke((-0.60, 0.40), (-0.40, 0.60), 0.03), rim, ink=0)
    for k in range(4):
        off = 0.022 * (k - 1.5)
        c.part(c.stroke((-0.50 + off, 0.50 + off), (0.72 + off, -0.72 + off), 0.006), (0.9, 0.9, 0.85), ink=0)
    for k in range(6):
        at = 0.16 + 0.085 * k
        c.part(c.stroke((at - 0.04, -at - 0.04), (at + 0.04, -at + 0.04), 0.007), (0.85, 0.8, 0.6), ink=0)
    shift = 0.17 * (2 * pose - 1)
    c.part(c.ellipse((-0.30 + shift, 0.28 + shift), (0.11, 0.085), turn=0.8), _SKIN[s.pick % 4], ink=0.018)


def _piano(c: Canvas, s: _Style, pose: float) -> None:
    case = s.tint(0.04, 0.55 * (s.pick % 2), 0.17 + 0.18 * (s.pick % 2))
    for x in (-0.78, 0.78):
        c.part(c.box((x, 0.60), (0.07, 0.30)), case, texture=c.wood)
    c.part(c.box((0, -0.28), (0.90, 0.46), corner=0.04), case, texture=c.wood, amount=0.2, ink=0.03)
    c.part(c.box((0, -0.72), (0.94, 0.05), corner=0.02), case)
    c.part(c.box((0, -0.34), (0.62, 0.25), corner=0.02), s.tint(0.09, 0.5, 0.5), texture=c.wood, ink=0.012)
    for x in (-0.25, 0.25):
        c.part(c.box((x, -0.36), (0.20, 0.16)), _WHITE, ink=0.01)
    c.part(c.box((0, 0.55), (0.70, 0.22)), case, texture=c.wood, amount=0.2)
    c.part(c.box((0, 0.26), (0.93, 0.17), corner=0.03), case, ink=0.03)
    count = 12
    for k in range(count):
        x = -0.78 + 1.56 * (k + 0.5) / count
        down = (pose > 0.5 and k in (2, 5, 9)) or (pose <= 0.5 and k in (3, 7, 10))
        c.part(c.box((x, 0.27 + 0.03 * down), (0.062, 0.12)), (0.80, 0.78, 0.70) if down else _WHITE, ink=0.008)
    for k in range(count - 1):
        if k % 7 not in (2, 6):
            c.part(c.box((-0.78 + 1.56 * (k + 1) / count, 0.215), (0.034, 0.065)), (0.06, 0.06, 0.07), ink=0)
    for x in (-0.12, 0.0, 0.12):
        c.part(c.ellipse((x, 0.84), (0.04, 0.025)), (0.85, 0.68, 0.25), ink=0.01)


def _trumpet(c: Canvas, s: _Style, pose: float) -> None:
    brass, shine = s.tint(0.125, 0.72, 0.95, spread=0.02), (1.0, 0.94, 0.66)
    ring = np.abs(c.box((-0.02, 0.12), (0.46, 0.22), corner=0.2)) - 0.055
    c.part(ring, brass, texture=c.grain, amount=0.06)
    c.part(c.stroke((-0.80, -0.10), (0.50, -0.10), 0.055), brass)
    bell = [(0.42, -0.17), (0.60, -0.22), (0.76, -0.36), (0.90, -0.58), (0.96, -0.58)]
    c.part(c.polygon([*bell, *((x, -0.20 - y) for x, y in reversed(bell))]), brass, texture=c.grain, amount=0.06)
    c.part(c.stroke((0.92, -0.52), (0.92, 0.32), 0.05), shine)
    c.part(c.stroke((0.93, -0.44), (0.93, 0.24), 0.018), (0.45, 0.30, 0.08), ink=0)
    c.part(c.polygon([(-0.95, -0.19), (-0.80, -0.14), (-0.80, -0.06), (-0.95, -0.01)]), shine)
    for k in range(3):
        x = -0.20 + 0.19 * k
        press = 0.14 * (pose if k != 1 else 1 - pose)
        c.part(c.stroke((x, -0.40 + press), (x, -0.20), 0.025), (0.82, 0.82, 0.84), ink=0.012)
        c.part(c.box((x, -0.42 + press), (0.06, 0.03), corner=0.02), _WHITE)
        c.part(c.box((x, 0.02), (0.07, 0.26), corner=0.03), brass)
        c.part(c.stroke((x - 0.03, -0.16), (x - 0.03, 0.20), 0.012), shine, ink=0)
    c.part(c.stroke((-0.70, -0.12), (0.40, -0.12), 0.012), shine, ink=0)


def _dog(c: Canvas, s: _Style, pose: float) -> None:
    fur = s.tint(0.08, 0.35 + 0.15 * (s.pick % 3), 0.45 + 0.2 * (s.pick % 3), spread=0.02)
    dark = _darker(fur, 0.6)
    c.part(c.stroke((-0.62, 0.0), (-0.86, -0.36 - 0.12 * pose), 0.06), fur, texture=c.grain, amount=0.2)
    for x in (-0.48, -0.28, 0.16, 0.34):
        c.part(c.stroke((x, 0.25), (x + 0.02, 0.80), 0.075), fur, texture=c.grain, amount=0.2)
        c.part(c.ellipse((x + 0.06, 0.86), (0.11, 0.055)), dark)
    c.part(c.ellipse((-0.10, 0.16), (0.60, 0.30)), fur, texture=c.grain, amount=0.28)
    c.part(c.ellipse((-0.26, 0.08), (0.22, 0.17)), dark, texture=c.grain, amount=0.25, ink=0)
    c.part(c.stroke((0.34, 0.06), (0.46, -0.24), 0.16), fur, texture=c.grain, amount=0.28, ink=0)
    c.part(c.stroke((0.56, -0.18), (0.80, -0.08 + 0.17 * pose), 0.085), fur, texture=c.grain)
    if pose > 0.35:
        c.part(c.stroke((0.62, -0.19), (0.78, -0.15 + 0.08 * pose), 0.05), (0.85, 0.35, 0.38), ink=0)
    c.part(c.ellipse((0.50, -0.36), (0.27, 0.24)), fur, texture=c.grain, amount=0.2)
    c.part(c.stroke((0.58, -0.28), (0.84, -0.26 - 0.07 * pose), 0.10), fur, texture=c.grain, ink=0.02)
    c.part(c.ellipse((0.92, -0.30 - 0.07 * pose), (0.06, 0.05)), _EYE)
    c.part(c.ellipse((0.58, -0.42), (0.045, 0.05)), _EYE, ink=0)
    c.part(c.ellipse((0.30, -0.30), (0.11, 0.27), turn=0.25), dark, texture=c.grain, amount=0.2)


def _cat(c: Canvas, s: _Style, pose: float) -> None:
    fur = s.tint(0.07, (0.75, 0.05, 0.12, 0.45)[s.pick % 4], (0.92, 0.38, 0.85, 0.55)[s.pick % 4], spread=0.015)
    stripes = np.sign(np.sin(20 * c.y + 6 * np.abs(c.x))).astype(np.float32)
    sway = 0.16 * (2 * pose - 1)
    c.part(c.stroke((0.30, 0.78), (0.72, 0.62), 0.08), fur, texture=stripes, amount=0.2)
    c.part(c.stroke((0.72, 0.62), (0.78 + 0.5 * sway, 0.10 + sway), 0.075), fur, texture=stripes, amount=0.2)
    c.part(c.ellipse((0, 0.42), (0.42, 0.50)), fur, texture=stripes, amount=0.2)
    c.part(c.ellipse((0, 0.50), (0.20, 0.34)), _WHITE, texture=c.grain, ink=0)
    for side in (-1, 1):
        c.part(c.stroke((0.15 * side, 0.55), (0.15 * side, 0.84), 0.085), fur, texture=stripes)
        c.part(c.polygon([(0.42 * side, -0.90), (0.46 * side, -0.42), (0.10 * side, -0.62)]), fur, texture=c.grain)
        c.part(c.polygon([(0.38 * side, -0.78), (0.40 * side, -0.52), (0.20 * side, -0.62)]), (0.95, 0.6, 0.6), ink=0)
    c.part(c.ellipse((0, -0.30), (0.50, 0.40)), fur, texture=stripes, amount=0.12)
    for side in (-1, 1):
        c.part(c.ellipse((0.20 * side, -0.36), (0.10, 0.11)), (0.70, 0.85, 0.30), ink=0.015)
        c.part(c.ellipse((0.20 * side, -0.36), (0.035, 0.10)), _EYE, ink=0)
        for k in (-1, 0, 1):
            c.part(c.stroke((0.18 * side, -0.14 + 0.02 * k), (0.60 * side, -0.14 + 0.09 * k), 0.008), _WHITE, ink=0)
    c.part(c.ellipse((0, -0.09), (0.09, 0.03 + 0.09 * pose)), (0.45, 0.10, 0.14), ink=0.012)
    c.part(c.polygon([(-0.06, -0.22), (0.06, -0.22), (0, -0.15)]), (0.9, 0.45, 0.5), ink=0.01)


def _car(c: Canvas, s: _Style, pose: float) -> None:
    paint, glass = s.tint(s.hue, 0.85, 0.85), (0.62, 0.80, 0.90)
    puff = 0.05 + 0.10 * pose
    c.part(c.ellipse((-0.90 + 0.02 * pose, 0.36), (puff * 0.8, puff)), (0.72, 0.72, 0.74), texture=c.grain, ink=0.012)
    cabin = [(-0.50, 0.0), (-0.34, -0.40), (0.22, -0.40), (0.52, 0.0)]
    c.part(c.polygon(cabin) - 0.04, paint, texture=c.grain, amount=0.05)
    c.part(c.polygon([(-0.40, -0.02), (-0.28, -0.33), (-0.06, -0.33), (-0.06, -0.02)]), glass, ink=0.014)
    c.part(c.polygon([(0.02, -0.02), (0.02, -0.33), (0.19, -0.33), (0.42, -0.02)]), glass, ink=0.014)
    hull = [(-0.86, 0.08), (-0.50, -0.02), (0.52, -0.02), (0.86, 0.12), (0.90, 0.36), (-0.86, 0.36)]
    c.part(c.polygon(hull) - 0.04, paint, texture=c.grain, amount=0.05, ink=0.03)
    c.part(c.stroke((-0.84, 0.22), (0.88, 0.22), 0.02), _darker(paint, 0.55), ink=0)
    c.part(c.ellipse((0.86, 0.16), (0.06, 0.055)), (1.0, 0.95, 0.6), ink=0.012)
    c.part(c.box((-0.87, 0.16), (0.03, 0.06)), (0.9, 0.15, 0.12), ink=0.01)
    c.part(c.stroke((-0.14, 0.08), (-0.06, 0.08), 0.015), (0.2, 0.2, 0.2), ink=0)
    for x in (-0.52, 0.54):
        c.part(c.ellipse((x, 0.40), (0.215, 0.215)), (0.12, 0.12, 0.13))
        c.part(c.ellipse((x, 0.40), (0.115, 0.115)), (0.75, 0.76, 0.78), ink=0)
        for k in range(3):
            turn = np.pi * (pose + k / 3)
            dx, dy = 0.10 * np.cos(turn), 0.10 * np.sin(turn)
            c.part(c.stroke((x - dx, 0.40 - dy), (x + dx, 0.40 + dy), 0.014), (0.25, 0.25, 0.27), ink=0)


def _ball(c: Canvas, s: _Style, pose: float) -> None:
    stripe = np.sign(np.sin(7 * c.x + 3 * np.sin(4 * c.y))).astype(np.float32)
    c.part(c.ellipse((0, 0), (0.9, 0.9)), s.tint(s.hue, 0.6, 0.9), texture=stripe, amount=0.25)
    c.part(c.ellipse((-0.3, -0.35), (0.2, 0.13), turn=-0.6), _WHITE, ink=0)


def _balloon(c: Canvas, s: _Style, pose: float) -> None:
    c.part(c.stroke((0, 0.4), (0.08 * (2 * pose - 1), 0.95), 0.02), (0.3, 0.3, 0.3), ink=0)
    c.part(c.ellipse((0, -0.25), (0.5, 0.66)), s.tint(s.hue, 0.8, 0.95), texture=c.grain, amount=0.05)
    c.part(c.ellipse((-0.17, -0.5), (0.09, 0.18), turn=0.3), _WHITE, ink=0)


def _leaf(c: Canvas, s: _Style, pose: float) -> None:
    c.part(c.ellipse((0, 0), (0.85, 0.36), turn=0.5), s.tint(0.22, 0.7, 0.65, spread=0.13), texture=c.wood)
    c.part(c.stroke((-0.8, -0.42), (0.75, 0.42), 0.035), (0.35, 0.3, 0.1), ink=0)


def _post(c: Canvas, s: _Style, pose: float) -> None:
    c.part(c.box((0, 0), (0.13, 0.97)), s.tint(0.08, 0.25, 0.55), texture=c.wood, amount=0.25, ink=0.02)
    for y in (-0.9, 0.9):
        c.part(c.box((0, y), (0.18, 0.07), corner=0.02), s.tint(0.08, 0.25, 0.45), ink=0.02)


def _plant(c: Canvas, s: _Style, pose: float) -> None:
    for k in range(7):
        angle = np.pi * (0.12 + 0.76 * k / 6)
        tip = (0.8 * np.cos(angle), 0.2 - 1.0 * np.sin(angle))
        c.part(c.stroke((0, 0.35), tip, 0.075), s.tint(0.32, 0.6, 0.5, spread=0.05), texture=c.grain, amount=0.25)
    c.part(c.polygon([(-0.32, 0.32), (0.32, 0.32), (0.22, 0.92), (-0.22, 0.92)]), s.tint(0.03, 0.65, 0.65), ink=0.03)


_DRAWINGS: dict[str, Callable[[Canvas, _Style, float], None]] = {
    "person": _person,
    "violin": _violin,
    "guitar": _guitar,
    "piano": _piano,
    "trumpet": _trumpet,
    "dog": _dog,
    "cat": _cat,
    "car": _car,
    "ball": _ball,
    "balloon": _balloon,
    "leaf": _leaf,
    "post": _post,
    "plant": _plant,
}
CATEGORIES: tuple[str, ...] = ("person", "violin", "guitar", "piano", "trumpet", "dog", "cat", "car")
"""What can sound; each name is one of the category set `aviseg-26`."""
PROPS: tuple[str, ...] = ("ball", "balloon", "leaf", "post", "plant")
"""What never sounds and is never labelled, but moves or stands in the way."""


def draw(kind: str, *, look: int, pose: float, side_px: int) -> NDArray[np.uint8]:
    """The picture of one thing on a transparent square.

    Args:
        kind: one of `CATEGORIES` or `PROPS`.
        look: seed of its colours and texture; equal looks give equal pictures.
        pose: in [0, 1], see the module's first lines.
        side_px: height and width.

    Returns:
        uint8 (side, side, 4), colour premultiplied by coverage.
    """
    rng = np.random.default_rng(look)
    style = _Style(hue=float(rng.uniform()), shade=float(rng.uniform(0.85, 1.15)), pick=int(rng.integers(12)))
    canvas = Canvas((side_px, side_px), rng)
    _DRAWINGS[kind](canvas, style, pose)
    return canvas.rgba()
