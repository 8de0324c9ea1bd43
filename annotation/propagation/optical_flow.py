"""The engine without weights, `optical-flow`: dense flow (OpenCV's DIS), corrected against the still that was drawn on.

Source: Kroeger et al., "Fast Optical Flow using Dense Inverse Search", ECCV 2016, as OpenCV implements it.

Shapes: H, W pixels of the (reduced) picture, h, w of a box in it, 2 = x, y.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from avis_data.annotation.propagation.carrier import Carried
from avis_data.annotation.propagation.registration import Box, Pixel, box_around, grid, place_in, sampled, smooth_map
from avis_data.annotation.propagation.visibility import Claim, colour_model, seen_of

__all__ = ["OpticalFlow"]

_LONG_PX = 640
"""Larger pictures are made smaller: the time grows with the pixels, the outlines hardly get better."""
_MARGIN_PX = 14
_SMALLEST_PX = 24
"""Side of a box below which flow says nothing."""
_SAME_COLOUR = 12.0
"""Distance in Lab (8 bit) at which a pixel counts half as that of the reference."""
_FEWEST_PX = 12
_MOST_GROWTH = 6.0
"""The most growth in length against the drawn mask: a fit that says more follows something else."""
_HOPELESS = 0.2
"""Below that confidence what is followed is hidden, or another thing."""
_PATIENCE = 9
"""So many pictures in a row an object may be hidden (1.5 s at 6 a second); then it has gone."""


@dataclass(frozen=True, kw_only=True)
class _Picture:
    """A picture as the engine uses it."""

    rgb: NDArray[np.uint8]
    lab: NDArray[np.float32]
    grey: NDArray[np.uint8]

    @property
    def size_hw(self) -> tuple[int, int]:
        return self.grey.shape[0], self.grey.shape[1]


@dataclass
class _Object:
    """One object: the still it was drawn on, and where it is now."""

    reference: _Picture
    drawn_HW: NDArray[np.float32]
    colours: NDArray[np.float32]
    around: NDArray[np.float32]
    """Models of the colours of the object and of what was around it."""
    box: Box
    map_hw2: NDArray[np.float32]
    """The place in the reference of each pixel of the box."""
    seen_hw: NDArray[np.float32]
    """How far each pixel of the box is seen, in [0, 1]."""
    confidence: float = 1.0
    hopeless_steps: int = 0

    @property
    def growth(self) -> float:
        """How much longer it is than when it was drawn, from the map's derivative; at most that of either axis."""
        along_x = np.median(np.diff(self.map_hw2, axis=1), axis=(0, 1))
        along_y = np.median(np.diff(self.map_hw2, axis=0), axis=(0, 1))
        shrunk = sorted(np.linalg.svd(np.stack([along_x, along_y]), compute_uv=False))
        return float(max(1 / max(shrunk[0], 1e-6), shrunk[1]))


class OpticalFlow:
    """Carries masks through small motions well; it knows nothing of what objects are."""

    name = "optical-flow"
    version = 1
    weights_sha256: str | None = None

    def start(self) -> _FlowRun:
        """Begin a way through a clip."""
        return _FlowRun()


class _FlowRun:
    def __init__(self) -> None:
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self._objects: dict[str, _Object] = {}
        self._now: _Picture | None = None
        self._size_hw = (0, 0)

    def step(self, picture_HW3: NDArray[np.uint8], *, is_still: bool) -> dict[str, Carried]:
        """Go on to the next picture."""
        before, self._now = self._now, _reduced(picture_HW3)
        self._size_hw = (picture_HW3.shape[0], picture_HW3.shape[1])
        if before is None or not self._objects:
            return {}
        flow_HW2 = self._moved(self._now.grey, before.grey)
        claims = {}
        for identity, thing in list(self._objects.items()):
            is_lost = thing.hopeless_steps > _PATIENCE
            if not is_lost and self._follow(thing, flow_HW2, rounds=2 if is_still else 1):
                claims[identity] = _claim(thing, self._now)
            else:
                del self._objects[identity]
        carried = {}
        for identity, claim in claims.items():
            thing = self._objects[identity]
            others = [other for name, other in claims.items() if name != identity]
            thing.seen_hw, thing.confidence = seen_of(claim, others, self._now.rgb)
            thing.hopeless_steps = thing.hopeless_steps + 1 if thing.confidence < _HOPELESS else 0
            carried[identity] = Carried(mask_HW=self._whole(thing), confidence=thing.confidence)
        return carried

    def put(self, masks: Mapping[str, NDArray[np.bool_]]) -> None:
        """Take the present picture as the reference of these objects."""
        now = self._now
        assert now is not None, "a mask is put into a picture"
        height, width = now.size_hw
        small = {
            name: np.asarray(
                cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA), dtype=np.float32
            )
            for name, mask in masks.items()
        }
        for identity, drawn_HW in small.items():
            box = box_around(drawn_HW > 0.5, (0, 0), _MARGIN_PX, now.size_hw)
            if box is None:
                continue
            colours, around = colour_model(now.rgb, drawn_HW, box)
            self._objects[identity] = _Object(
                reference=now,
                drawn_HW=drawn_HW,
                colours=colours,
                around=around,
                box=box,
                map_hw2=np.stack(grid(box), axis=-1),
                seen_hw=_cut(drawn_HW, box).copy(),
            )

    def cut(self) -> None:
        """Nothing can be followed over a cut."""
        self._objects.clear()

    def _moved(self, here_hw: NDArray[np.uint8], there_hw: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Where each pixel of one grey picture is in another, relative to its own place: float32 (h, w, 2)."""
        found = self._flow.calc(here_hw, there_hw, None)  # type: ignore[call-overload]  # None, no first guess, is right
        return np.asarray(found, dtype=np.float32)

    def _follow(self, thing: _Object, flow_HW2: NDArray[np.float32], *, rounds: int) -> bool:
        """Move an object's box and map on to the present picture; False if it has gone."""
        assert self._now is not None
        size_hw = self._now.size_hw
        reach = int(min(60.0, float(np.abs(_cut(flow_HW2, thing.box)).max()))) + 2
        x0, y0, x1, y1 = thing.box
        box = (max(0, x0 - reach), max(0, y0 - reach), min(size_hw[1], x1 + reach), min(size_hw[0], y1 + reach))
        source = place_in(thing.box, np.stack(grid(box), axis=-1) + _cut(flow_HW2, box))
        seen = sampled(thing.seen_hw, source, outside=0.0)
        found = smooth_map(sampled(thing.map_hw2, source), _inside(seen), box)
        if found is None:
            return False
        thing.box, thing.map_hw2 = box, found
        for _ in range(rounds):
            if not self._correct(thing):
                return False
        return thing.growth < _MOST_GROWTH

    def _correct(self, thing: _Object) -> bool:
        """Compare with the reference and correct the map; False if the object has left the picture."""
        assert self._now is not None
        now, reference = self._now, thing.reference
        amodal = sampled(thing.drawn_HW, thing.map_hw2, outside=0.0)
        inner = box_around(amodal > 0.5, thing.box[:2], _MARGIN_PX, now.size_hw)
        if inner is None or (amodal > 0.5).sum() < _FEWEST_PX:
            return False
        box = thing.box
        here = np.ascontiguousarray(_cut(now.grey, box))
        there = sampled(reference.grey, thing.map_hw2)
        measured = thing.map_hw2
        if min(here.shape) >= _SMALLEST_PX:
            flow = self._moved(here, there)
            measured = sampled(thing.map_hw2, np.stack(grid((0, 0, box[2] - box[0], box[3] - box[1])), axis=-1) + flow)
        distance = _distance(reference, measured, _cut(now.lab, box), 1.0)
        inside = sampled(thing.drawn_HW, measured, outside=0.0) > 0.9
        weights = (inside / (1 + (distance / _SAME_COLOUR) ** 2)).astype(np.float32)
        found = smooth_map(measured, weights, box, inner)
        if found is not None:
            thing.box, thing.map_hw2 = inner, found
        return found is not None

    def _whole(self, thing: _Object) -> NDArray[np.bool_]:
        """The mask at the size of the picture."""
        assert self._now is not None
        seen: NDArray[np.float32] = np.zeros(self._now.size_hw, dtype=np.float32)
        x0, y0, x1, y1 = thing.box
        seen[y0:y1, x0:x1] = thing.seen_hw
        height, width = self._size_hw
        if seen.shape != (height, width):
            larger = cv2.resize(seen, (width, height), interpolation=cv2.INTER_LINEAR)
            seen = np.asarray(larger, dtype=np.float32)
        return seen > 0.5


def _reduced(picture_HW3: NDArray[np.uint8]) -> _Picture:
    scale = min(1.0, _LONG_PX / max(picture_HW3.shape[:2]))
    rgb = picture_HW3
    if scale < 1:
        size = (round(rgb.shape[1] * scale), round(rgb.shape[0] * scale))
        rgb = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    lab = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB).astype(np.float32)
    return _Picture(rgb=rgb, lab=lab, grey=np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), dtype=np.uint8))


def _cut(array: NDArray[Pixel], box: Box) -> NDArray[Pixel]:
    return array[box[1] : box[3], box[0] : box[2]]


def _inside(seen_hw: NDArray[np.float32]) -> NDArray[np.float32]:
    """1 well within the object, else 0; of a thin object all of it."""
    mask = (seen_hw > 0.5).astype(np.uint8)
    core = cv2.erode(mask, np.ones((3, 3), np.uint8))
    return (core if core.sum() > 0.3 * mask.sum() else mask).astype(np.float32)


def _distance(
    reference: _Picture, map_hw2: NDArray[np.float32], lab_hw3: NDArray[np.float32], blur_px: float
) -> NDArray[np.float32]:
    """How far each pixel's colour is from that of its place in the reference, in Lab."""
    difference = cv2.GaussianBlur(sampled(reference.lab, map_hw2) - lab_hw3, (0, 0), blur_px)
    return np.asarray(np.linalg.norm(difference, axis=-1), dtype=np.float32)


def _claim(thing: _Object, now: _Picture) -> Claim:
    return Claim(
        box=thing.box,
        amodal_hw=sampled(thing.drawn_HW, thing.map_hw2, outside=0.0),
        distance_hw=_distance(thing.reference, thing.map_hw2, _cut(now.lab, thing.box), 1.0),
        colours=thing.colours,
        around=thing.around,
    )
