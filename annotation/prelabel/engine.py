"""What a tagger and a detector must offer. Both know categories by the names of the recipe's set.

Shapes: H, W pixels of a picture, N samples, S seconds, C categories.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Box", "Detection", "Detector", "DetectorSpec", "Tagger", "TaggerSpec", "box_iou", "without_doubles"]

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in pixels of the picture."""


@dataclass(frozen=True, kw_only=True)
class Detection:
    """Something that was found in a picture."""

    box: Box
    category: str
    score: float
    """The detector's own, in [0, 1]; those of two detectors do not compare."""


class Tagger(Protocol):
    """Says what is heard; loaded with its weights."""

    @property
    def name(self) -> str:
        """The engine, as it is written into provenance."""

    @property
    def weights_sha256(self) -> str:
        """Hash of the weights."""

    @property
    def heard_from(self) -> float:
        """The chance from which on a category counts as heard: engines are not sure in the same measure."""

    def tag(self, samples_N: NDArray[np.float32], categories: Sequence[str], num_seconds: int) -> NDArray[np.float64]:
        """How likely each category is heard in each second.

        Args:
            samples_N: mono, 16 kHz, in [-1, 1].
            categories: of the category set.
            num_seconds: S.

        Returns:
            float64 (S, C) in [0, 1]; 0 for a category whose sound the engine does not know.
        """


class Detector(Protocol):
    """Finds things in pictures; loaded with its weights."""

    @property
    def name(self) -> str:
        """The engine, as it is written into provenance."""

    @property
    def weights_sha256(self) -> str:
        """Hash of the weights."""

    def findable(self, categories: Sequence[str]) -> tuple[str, ...]:
        """Those of the categories that it can find at all."""

    def detect(self, picture_HW3: NDArray[np.uint8], categories: Sequence[str]) -> list[Detection]:
        """What of these categories is in a picture (RGB, uint8), the surest first, each thing once."""


@dataclass(frozen=True, kw_only=True)
class TaggerSpec:
    """A tagger by its name."""

    name: str
    """What `--tagger` and provenance call it."""
    load: Callable[[Path], Tagger]
    """Loads it from a file or a folder that is there. Nothing is ever downloaded."""
    weights: str | None = None
    """The registered weights that it takes where none are named; None: they have to be named."""


@dataclass(frozen=True, kw_only=True)
class DetectorSpec:
    """A detector by its name."""

    name: str
    """What `--detector` and provenance call it."""
    load: Callable[[Path], Detector]
    """Loads it from a file or a folder that is there. Nothing is ever downloaded."""
    weights: str | None = None
    """The registered weights that it takes where none are named; None: they have to be named."""


def box_iou(one: Box, two: Box) -> float:
    """Area of the intersection over that of the union; 0 where both are empty.

    Example:
        >>> box_iou((0, 0, 2, 2), (1, 0, 3, 2))
        0.3333333333333333
    """
    width = min(one[2], two[2]) - max(one[0], two[0])
    height = min(one[3], two[3]) - max(one[1], two[1])
    shared = max(0.0, width) * max(0.0, height)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, two))
    return shared / (areas - shared) if areas > shared else 0.0


def without_doubles(found: Sequence[Detection], *, most_iou: float = 0.5) -> list[Detection]:
    """The surest of boxes of one category that show the same thing, the surest first."""
    kept: list[Detection] = []
    for one in sorted(found, key=lambda detection: -detection.score):
        if all(one.category != other.category or box_iou(one.box, other.box) < most_iou for other in kept):
            kept.append(one)
    return kept
