"""The pictures of a scene, and which thing is seen at each pixel."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from avis_data.synth.backdrop import draw_backdrop
from avis_data.synth.motion import Placement, place
from avis_data.synth.scene import Scene, Thing
from avis_data.synth.sprites import draw

__all__ = ["NOTHING", "Painter"]

NOTHING = -1
"""The value in a map of what is seen that means background or a prop."""
_POSES = 6


class Painter:
    """Draws the pictures of one scene; the background and every pose of every thing are made once."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        options = scene.options
        self._aspect = options.width / options.height
        rng = np.random.default_rng([options.seed, scene.index, 1])
        self._backdrop = draw_backdrop(scene.backdrop, rng, size_hw=(options.height, options.width))
        order = {thing.thing_id: k for k, thing in enumerate(scene.tracks)}
        far_first = sorted((thing for thing in scene.things if thing.motion), key=lambda thing: -thing.depth)
        self._things = [(thing, order.get(thing.thing_id, NOTHING), self._poses(thing)) for thing in far_first]

    def picture(self, index: int) -> NDArray[np.uint8]:
        """Picture `index` of the media file: uint8 (height, width, 3), RGB."""
        canvas = self._backdrop.copy()
        for thing, _, poses in self._things:
            placement = place(thing, self.scene.time_of(index), aspect=self._aspect)
            if placement and (found := self._sprite(placement, poses)):
                (rows, columns), sprite = found
                under = canvas[rows, columns].astype(np.uint16)
                under *= 255 - sprite[..., 3:].astype(np.uint16)
                canvas[rows, columns] = np.minimum(sprite[..., :3] + (under + 127) // 255, 255).astype(np.uint8)
        return canvas

    def seen(self, index: int) -> NDArray[np.int8]:
        """Which track is seen at each pixel of picture `index`: its place in `scene.tracks`, or `NOTHING`.

        A pixel belongs to the nearest thing that covers at least half of it, so masks of tracks never overlap.
        """
        options = self.scene.options
        owner = np.full((options.height, options.width), NOTHING, np.int8)
        for thing, number, poses in self._things:
            placement = place(thing, self.scene.time_of(index), aspect=self._aspect)
            if placement and (found := self._sprite(placement, poses)):
                (rows, columns), sprite = found
                owner[rows, columns][sprite[..., 3] >= 128] = number
        return owner

    def _poses(self, thing: Thing) -> list[Image.Image]:
        assert thing.motion is not None
        # As large as it is ever shown, so that it is only ever made smaller, by little.
        side_px = math.ceil(thing.motion.size * (1 + thing.motion.breathing[0]) * 1.05 * self.scene.options.height)
        count = 1 if thing.is_prop else _POSES
        return [
            Image.fromarray(draw(thing.kind, look=thing.look, pose=k / max(count - 1, 1), side_px=side_px), "RGBa")
            for k in range(count)
        ]

    def _sprite(
        self, placement: Placement, poses: list[Image.Image]
    ) -> tuple[tuple[slice, slice], NDArray[np.uint8]] | None:
        """The thing turned and scaled, and the part of the picture that it covers; None if it is out of view."""
        height, width = self.scene.options.height, self.scene.options.width
        x, y, size = (value * height for value in (placement.x, placement.y, placement.size))
        cos, sin = math.cos(placement.turn), math.sin(placement.turn)
        reach = size / 2 * (abs(cos) + abs(sin))
        left, right = max(0, math.floor(x - reach)), min(width, math.ceil(x + reach))
        top, low = max(0, math.floor(y - reach)), min(height, math.ceil(y + reach))
        if left >= right or top >= low:
            return None
        pose = poses[round(placement.pose * (len(poses) - 1))]
        zoom = pose.width / size
        # From a pixel of the window to a place on the sprite: undo the shift, the turn and the scaling.
        dx, dy = left - x, top - y
        half = pose.width / 2
        affine = (
            zoom * cos,
            zoom * sin,
            zoom * (cos * dx + sin * dy) + half,
            -zoom * sin,
            zoom * cos,
            zoom * (cos * dy - sin * dx) + half,
        )
        window = pose.transform((right - left, low - top), Image.Transform.AFFINE, affine, Image.Resampling.BILINEAR)
        return (slice(top, low), slice(left, right)), np.asarray(window)
