"""Carry the drawn masks of a clip to its other stills, from both sides, and join what comes from there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from avis_data.annotation.propagation.carrier import Carried, Carrier
from avis_data.annotation.propagation.footage import Shot
from avis_data.masks.rle import Rle, coco_dict, decode, encode

__all__ = ["SPECK_SHARE", "Arrival", "CarriedClip", "Drawn", "Look", "Shots", "carry", "is_cut", "look_of"]

Drawn = Mapping[str, Mapping[int, Rle]]
"""Identity to still to the mask that a person drew there (or a file holds)."""

SPECK_SHARE = 0.0003
"""Share of the picture: what is smaller is nothing that a person could see and judge."""

# A cut: both the colours and the arrangement of the picture change at once.
_SIDE_PX = 32
_BINS = (8, 8, 8)
_COLOUR_DISTANCE = 0.35
"""Hellinger distance of the colours; a cut between rooms of one house has about 0.5, a pan below 0.25."""
_LIKENESS = 0.5
"""Correlation of two small grey pictures; a flash, a fade of a lamp or a person that steps in keep more."""


class Shots(Protocol):
    """What pictures are read from; `Footage` is one."""

    def shots(self, first: int, last: int, *, backward: bool = False) -> Iterator[Shot]:
        """The pictures from one still to another, both included."""


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """What was carried to one still, for one object."""

    rle: Rle | None
    """None: the object is not to be seen there any more."""
    confidence: float
    """In [0, 1]."""
    from_frame: int
    """The drawn still that it comes from."""
    agreement: float | None = None
    """IoU of what came from both sides; None where only one side reached it."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """A picture in a few numbers."""

    colours: NDArray[np.float32]
    """Histogram in Lab, sum 1."""
    grey: NDArray[np.float32]
    """Small, mean 0, length 1."""


@dataclass
class CarriedClip:
    """What became of the drawn masks of a clip."""

    arrivals: dict[str, dict[int, Arrival]] = field(default_factory=dict)
    """Identity to still; stills that nothing was carried to, behind a cut, are not there."""
    cuts: set[int] = field(default_factory=set)
    """Stills that show another scene than the one before."""


def carry(
    carrier: Carrier,
    footage: Shots,
    drawn: Drawn,
    *,
    num_frames: int,
    on_still: Callable[[], None] = lambda: None,
) -> CarriedClip:
    """Carry every drawn mask forwards and backwards until a cut or the next drawn one of the same object.

    Args:
        carrier: the engine.
        footage: the clip's pictures.
        drawn: at least one mask; none is empty.
        num_frames: T.
        on_still: called for every still of both ways.
    """
    frames = [frame for masks in drawn.values() for frame in masks]
    found = CarriedClip()
    ahead = _way(carrier, footage.shots(min(frames), num_frames - 1), drawn, found.cuts, on_still)
    back = _way(carrier, footage.shots(0, max(frames), backward=True), drawn, found.cuts, on_still, backward=True)
    for identity in drawn:
        here, there = ahead.get(identity, {}), back.get(identity, {})
        found.arrivals[identity] = {
            frame: _joined(here.get(frame), there.get(frame), frame) for frame in sorted(here.keys() | there.keys())
        }
    return found


def _way(
    carrier: Carrier,
    shots: Iterator[Shot],
    drawn: Drawn,
    cuts: set[int],
    on_still: Callable[[], None],
    *,
    backward: bool = False,
) -> dict[str, dict[int, Arrival]]:
    """One way through the clip. A cut belongs to the later one of the two stills around it."""
    run, before = carrier.start(), None
    reached: dict[str, dict[int, Arrival]] = {}
    origin: dict[str, int] = {}
    cut_waits = False
    last_still = -1
    for shot in shots:
        now = look_of(shot.picture_HW3)
        if _is_cut(before, now):
            run.cut()
            origin.clear()
            cut_waits = True
        before = now
        carried = run.step(shot.picture_HW3, is_still=shot.frame is not None)
        if shot.frame is None:
            continue
        if cut_waits:
            cuts.add(last_still if backward else shot.frame)
            cut_waits = False
        here = {identity: decode(masks[shot.frame]) for identity, masks in drawn.items() if shot.frame in masks}
        for identity in origin.keys() - here.keys():
            reached.setdefault(identity, {})[shot.frame] = _arrival(carried.get(identity), origin[identity])
        run.put(here)
        origin |= dict.fromkeys(here, shot.frame)
        last_still = shot.frame
        on_still()
    return reached


def _is_cut(before: Look | None, now: Look) -> bool:
    return before is not None and is_cut(before, now)


def _arrival(carried: Carried | None, from_frame: int) -> Arrival:
    if carried is None:
        return Arrival(rle=None, confidence=0.0, from_frame=from_frame)
    enough = carried.mask_HW.sum() >= max(1.0, SPECK_SHARE * carried.mask_HW.size)
    rle = encode(carried.mask_HW) if enough else None
    return Arrival(rle=rle, confidence=float(np.clip(carried.confidence, 0, 1)), from_frame=from_frame)


def _joined(ahead: Arrival | None, back: Arrival | None, frame: int) -> Arrival:
    """The better of two arrivals at a still: what is surer and comes from nearer."""
    if ahead is None or back is None:
        one = ahead or back
        assert one is not None
        return one
    agreement = _iou(ahead.rle, back.rle)
    best = max(ahead, back, key=lambda arrival: _worth(arrival, frame))
    return Arrival(rle=best.rle, confidence=best.confidence, from_frame=best.from_frame, agreement=agreement)


def _worth(arrival: Arrival, frame: int) -> float:
    return arrival.confidence * 0.9 ** abs(arrival.from_frame - frame)


def _iou(a: Rle | None, b: Rle | None) -> float:
    if a is None or b is None:
        return float(a is b)
    return float(coco_mask.iou([coco_dict(a)], [coco_dict(b)], [0])[0, 0])


def look_of(picture_HW3: NDArray[np.uint8]) -> Look:
    """What of a picture (RGB, uint8) is compared."""
    small = cv2.resize(picture_HW3, (2 * _SIDE_PX, 2 * _SIDE_PX), interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB)
    colours = cv2.calcHist([lab], [0, 1, 2], None, list(_BINS), [0, 256] * 3).astype(np.float32)
    # Neighbouring bins share: a slight change of light must not move all pixels to other bins.
    soft = cv2.GaussianBlur(colours.reshape(_BINS[0], -1), (1, 3), 0.7).ravel()
    grey = cv2.resize(lab[..., 0], (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_AREA).astype(np.float32)
    grey -= grey.mean()
    length = float(np.linalg.norm(grey))
    return Look(colours=soft / soft.sum(), grey=grey / length if length > 0 else grey)


def is_cut(before: Look, after: Look) -> bool:
    """Whether there is a cut between two pictures that follow each other."""
    overlap = float(np.sqrt(before.colours * after.colours).sum())
    distance = float(np.sqrt(max(0.0, 1.0 - overlap)))
    return distance > _COLOUR_DISTANCE and float((before.grey * after.grey).sum()) < _LIKENESS
