"""What a segmenter must offer: a picture and prompts in, one mask out. It keeps nothing of what it was asked.

Shapes: H, W pixels of a picture, P points.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Embedding", "Found", "Prompt", "Segmenter", "SegmenterSpec"]

Embedding = Mapping[str, NDArray[np.float16]]
"""What an engine works out of a picture before anyone asks; arrays by name, so that they can be kept in a file."""


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """What a person pointed at, all of it for one object; at least a point inside, a box or a mask."""

    inside: tuple[tuple[float, float], ...] = ()
    """Points on the object, (x, y) in pixels of the picture."""
    outside: tuple[tuple[float, float], ...] = ()
    """Points beside it."""
    box: tuple[float, float, float, float] | None = None
    """(x0, y0, x1, y1) in pixels; the object lies in it."""
    mask_HW: NDArray[np.bool_] | None = None
    """The mask so far, to be made better."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """An answer."""

    mask_HW: NDArray[np.bool_]
    """The mask at the size of the picture; may be empty."""
    confidence: float
    """The engine's own opinion of it, in [0, 1]."""


class Segmenter(Protocol):
    """One engine with its weights. May be asked by several threads at once."""

    @property
    def name(self) -> str:
        """The engine, as it is written into provenance."""

    @property
    def weights_sha256(self) -> str | None:
        """Hash of the weights; None for an engine without."""

    @property
    def embeds(self) -> bool:
        """Whether `embed` is worth doing ahead of time."""

    def embed(self, picture_HW3: NDArray[np.uint8]) -> Embedding:
        """What prompts will need of a picture (RGB, uint8)."""

    def segment(self, picture_HW3: NDArray[np.uint8], embedding: Embedding, prompt: Prompt) -> Found:
        """The object that a prompt means. Raises ValueError for a prompt that says nothing."""


@dataclass(frozen=True, kw_only=True)
class SegmenterSpec:
    """An engine by its name: one of the two ways to load it is given."""

    name: str
    """What `--engine` and provenance call it."""
    load: Callable[[], Segmenter] | None = None
    """Loads an engine that needs no weights."""
    load_weights: Callable[[Path], Segmenter] | None = None
    """Loads an engine with weights from a file or a folder that is there. Nothing is ever downloaded."""
    uses_gpu: bool = False
    """Whether it computes on a GPU where there is one."""
    kind_of_weights: str | None = None
    """The kind of registered weights that it takes (`avis_data/weights`); None: its own name."""
