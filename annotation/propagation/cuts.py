"""Where one scene ends and another begins: both the colours and the arrangement of the picture change at once."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["Look", "is_cut", "look_of"]

_SIDE_PX = 32
_BINS = (8, 8, 8)
_COLOUR_DISTANCE = 0.35
"""Hellinger distance of the colours; a cut between rooms of one house has about 0.5, a pan below 0.25."""
_LIKENESS = 0.5
"""Correlation of two small grey pictures; a flash, a fade of a lamp or a person that steps in keep more."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """A picture in a few numbers."""

    colours: NDArray[np.float32]
    """Histogram in Lab, sum 1."""
    grey: NDArray[np.float32]
    """Small, mean 0, length 1."""


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
