"""Soft-edged shapes and textures on a canvas, from distance functions in plain numpy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Canvas", "Colour", "Field", "Point", "smooth_noise"]

Field = NDArray[np.floating[Any]]
"""One value per pixel; distances are negative inside a shape, in units of half the canvas height."""
Colour = tuple[float, float, float]
Point = tuple[float, float]

_INK: Colour = (0.10, 0.09, 0.10)


def smooth_noise(rng: np.random.Generator, shape_hw: tuple[int, int], cells: tuple[int, int]) -> Field:
    """Lattice noise in [-1, 1], smooth between the points of a `cells` (down, across) grid."""
    lattice = rng.uniform(-1, 1, (cells[0] + 2, cells[1] + 2)).astype(np.float32)
    rows, cols = (np.linspace(0, count, size, endpoint=False) for count, size in zip(cells, shape_hw, strict=True))
    i, j = rows.astype(int), cols.astype(int)
    v, u = ((part - whole).astype(np.float32) for part, whole in ((rows, i), (cols, j)))
    v, u = (v * v * (3 - 2 * v))[:, None], (u * u * (3 - 2 * u))[None, :]
    top = lattice[np.ix_(i, j)] * (1 - u) + lattice[np.ix_(i, j + 1)] * u
    low = lattice[np.ix_(i + 1, j)] * (1 - u) + lattice[np.ix_(i + 1, j + 1)] * u
    noise: Field = top * (1 - v) + low * v
    return noise


class Canvas:
    """A picture over [-width/height, width/height] x [-1, 1] (y down), premultiplied by its coverage.

    Args:
        size_hw: height and width in pixels.
        rng: makes the grain of the textures; the same generator state gives the same grain.
    """

    def __init__(self, size_hw: tuple[int, int], rng: np.random.Generator) -> None:
        height, width = size_hw
        across, down = (((np.arange(n) + 0.5) * 2 - n).astype(np.float32) / height for n in (width, height))
        self.x, self.y = np.meshgrid(across, down)
        self.rgb = np.zeros((height, width, 3), np.float32)
        self.alpha = np.zeros((height, width), np.float32)
        self._pixel = 2 / height
        self.aspect = width / height
        cells = (24, round(24 * self.aspect))
        self.grain = smooth_noise(rng, size_hw, cells)
        """Fine, even in all directions: fur, cloth."""
        self.wood = np.sin(9 * self.x + 34 * self.y + 5 * smooth_noise(rng, size_hw, (3, 3))).astype(np.float32)
        """Bands that wander: wood, lacquer."""

    def part(
        self, distance: Field, colour: Colour, *, texture: Field | None = None, amount: float = 0.12, ink: float = 0.022
    ) -> None:
        """Paint a shape with a dark outline of width `ink`, lit from above, its colour modulated by `texture`."""
        if ink:
            self.paint(distance - ink, np.broadcast_to(np.asarray(_INK, np.float32), self.rgb.shape))
        light = 1.06 - 0.16 * self.y
        if texture is not None:
            light = light * (1 + amount * texture)
        self.paint(distance, np.clip(np.asarray(colour, np.float32) * light[..., None], 0, 1))

    def paint(self, distance: Field, colour_HW3: Field) -> None:
        """Lay a colour over what is there, wherever `distance` is negative; the edge is one pixel soft."""
        cover = np.clip(0.5 - distance / self._pixel, 0, 1)
        self.rgb += cover[..., None] * (colour_HW3 - self.rgb)
        self.alpha += cover * (1 - self.alpha)

    def ellipse(self, centre: Point, radii: Point, *, turn: float = 0.0) -> Field:
        """Distance to an ellipse turned by `turn` radians; exact on its edge, near enough elsewhere."""
        x, y = self.x - centre[0], self.y - centre[1]
        cos, sin = np.cos(turn), np.sin(turn)
        u, v = (x * cos + y * sin) / radii[0], (y * cos - x * sin) / radii[1]
        distance: Field = ((np.sqrt(u * u + v * v) - 1) * min(radii)).astype(np.float32)
        return distance

    def stroke(self, start: Point, end: Point, width: float) -> Field:
        """Distance to a round-ended line of half-width `width`."""
        dx, dy = end[0] - start[0], end[1] - start[1]
        x, y = self.x - start[0], self.y - start[1]
        along = np.clip((x * dx + y * dy) / max(dx * dx + dy * dy, 1e-9), 0, 1)
        distance: Field = (np.hypot(x - along * dx, y - along * dy) - width).astype(np.float32)
        return distance

    def box(self, centre: Point, half: Point, *, corner: float = 0.0) -> Field:
        """Distance to an upright rectangle with rounded corners."""
        x = np.abs(self.x - centre[0]) - half[0] + corner
        y = np.abs(self.y - centre[1]) - half[1] + corner
        outside = np.hypot(np.maximum(x, 0), np.maximum(y, 0))
        distance: Field = (outside + np.minimum(np.maximum(x, y), 0) - corner).astype(np.float32)
        return distance

    def polygon(self, points: Sequence[Point]) -> Field:
        """Distance to a simple polygon: nearest edge, with the sign by the even-odd rule."""
        nearest = np.full(self.x.shape, np.inf, np.float32)
        inside = np.zeros(self.x.shape, bool)
        for (ax, ay), (bx, by) in zip(points, [*points[1:], points[0]], strict=True):
            nearest = np.minimum(nearest, self.stroke((ax, ay), (bx, by), 0.0))
            if ay != by:
                crosses = (self.y >= min(ay, by)) & (self.y < max(ay, by))
                inside ^= crosses & (self.x < ax + (self.y - ay) * (bx - ax) / (by - ay))
        return np.where(inside, -nearest, nearest)

    def rgba(self) -> NDArray[np.uint8]:
        """uint8 (height, width, 4), colour premultiplied by coverage."""
        # What was painted over nothing is mixed with black already, that is: premultiplied.
        picture = np.concatenate([self.rgb, self.alpha[..., None]], axis=2)
        return np.round(picture * 255).astype(np.uint8)
