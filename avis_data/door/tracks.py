"""One object of a clip: its category, its identity, its masks, and when it is heard.

Shapes: T frames, H, W pixels of a still.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from avis_data.errors import ConfigError
from avis_data.masks.rle import Rle, decode

__all__ = ["Track"]


@dataclass(frozen=True, kw_only=True)
class Track:
    """One object over the frames of a clip; from the truth, or predicted.

    Example:
        >>> clip = avis.open("example/exports/ytvis").split("train")["synth1-0002"]
        >>> track = clip.tracks[0]
        >>> track.category, track.num_frames, track.sounding_frames
        ('dog', 4, (0, 1, 2))
        >>> track.mask(0).shape, track.mask(0).dtype
        ((64, 96), dtype('bool'))
    """

    track_id: str
    """Its identity: one for the whole clip."""
    category: str
    category_id: int
    """The number of the category in the file; the first is 1."""
    size_hw: tuple[int, int]
    """Height and width of the stills, so of every mask, in pixels."""
    masks: tuple[Rle | None, ...] = field(repr=False)
    """One for each frame, run-length encoded; None where the dataset has no mask of it."""
    sounding: tuple[bool | None, ...] = field(repr=False)
    """One for each frame: whether it is heard; None where nobody said so."""
    score: float | None = None
    """The score of a prediction, in [0, 1]; None for truth."""

    @property
    def num_frames(self) -> int:
        """T."""
        return len(self.masks)

    @property
    def sounding_frames(self) -> tuple[int, ...]:
        """The frames in which it is heard."""
        return tuple(frame for frame, heard in enumerate(self.sounding) if heard)

    def mask(self, frame: int) -> NDArray[np.bool_]:
        """The mask of one frame.

        Returns:
            bool (H, W); all False where there is none.

        Raises:
            ConfigError: if the clip has no such frame.
        """
        if not 0 <= frame < self.num_frames:
            raise ConfigError(f"no frame {frame}: the clip has frames 0 to {self.num_frames - 1}")
        rle = self.masks[frame]
        return np.zeros(self.size_hw, dtype=np.bool_) if rle is None else decode(rle)

    def masks_THW(self) -> NDArray[np.bool_]:
        """All masks: bool (T, H, W), all False in frames without one."""
        return np.stack([self.mask(frame) for frame in range(self.num_frames)])
