"""What an engine that carries masks must offer. It sees the pictures of a clip in turn, forwards or backwards.

Shapes: H, W pixels of a picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Carried", "Carrier", "Run"]


@dataclass(frozen=True, kw_only=True)
class Carried:
    """Where an object is now."""

    mask_HW: NDArray[np.bool_]
    """The mask at the size of the picture; empty where the object is not to be seen."""
    confidence: float
    """The engine's own opinion of it, in [0, 1]; of an empty mask, of the object being gone."""


class Run(Protocol):
    """One way through a clip. Its memory does not grow with the length of the clip."""

    def step(self, picture_HW3: NDArray[np.uint8], *, is_still: bool) -> dict[str, Carried]:
        """Go on to the next picture (RGB, uint8); where each object that was put is in it.

        Args:
            picture_HW3: close in time to the one before.
            is_still: whether the masks of this one will be kept, so are worth some work.
        """

    def put(self, masks: Mapping[str, NDArray[np.bool_]]) -> None:
        """Say where objects are in the picture of the last step: drawn by a person, so right. None of them is empty."""

    def cut(self) -> None:
        """Forget where objects are: the next picture shows another scene. What they look like may be kept."""


class Carrier(Protocol):
    """One engine with its weights."""

    @property
    def name(self) -> str:
        """The engine, as it is written into provenance."""

    @property
    def version(self) -> int:
        """Raised when the same pictures would give other masks."""

    @property
    def weights_sha256(self) -> str | None:
        """Hash of the weights; None for an engine without."""

    def start(self) -> Run:
        """Begin a way through a clip."""
