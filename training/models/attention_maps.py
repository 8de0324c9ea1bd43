"""Where a model looked: the maps of each frame, taken from outside while it predicts.

Nothing in a model is written for it. Hooks keep what went into an attention, or what came out of a gate; the maps are
computed from that afterwards. A model that nobody asks has no hook, and what it says is the same to the bit either way.

Shapes: T frames, M maps of one kind (attention heads; 1 of a gate), h, w cells, H, W pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["AttentionMap", "FiredSlot", "FrameAttention", "Kept", "kept_inputs", "kept_outputs"]


@dataclass(frozen=True, kw_only=True)
class AttentionMap:
    """One thing that is looked at in a frame, or looks."""

    title: str
    """The same in all frames: `slot 3`."""
    values_Mhw: NDArray[np.float32]
    """Not negative; a map for each head."""
    note: str = ""
    """What the map does not show, of this frame: `references 12 %, sound 3 %`."""


@dataclass(frozen=True, kw_only=True)
class FiredSlot:
    """A slot that gave an object in a frame."""

    slot: int
    label: int
    """0-based class, the most probable one in this frame."""
    probability: float


@dataclass(frozen=True, kw_only=True)
class FrameAttention:
    """What a model looked at in one frame."""

    maps: tuple[AttentionMap, ...]
    padded_hw: tuple[int, int]
    """What the cells of the maps cover: the padded frame."""
    network_hw: tuple[int, int]
    """The frame in it, top left."""
    num_slots: int = 0
    """0 for a model without slots."""
    fired: tuple[FiredSlot, ...] = ()

    def on_frame(self, values_hw: NDArray[np.float32]) -> NDArray[np.float32]:
        """A map at the size of the frame as the network gets it, (H, W): enlarged, without the padding."""
        height, width = self.network_hw
        cells = torch.from_numpy(values_hw)[None, None]
        large = functional.interpolate(cells, size=self.padded_hw, mode="bilinear", align_corners=False)
        found: NDArray[np.float32] = large[0, 0, :height, :width].numpy()
        return found


@dataclass
class Kept:
    """What passed through a module last."""

    tensors: tuple[Tensor | None, ...] = ()


@contextmanager
def kept_inputs(module: nn.Module) -> Iterator[Kept]:
    """The positional arguments of the last call, for as long as the block runs."""
    kept = Kept()

    def keep(_: nn.Module, inputs: tuple[Tensor | None, ...]) -> None:
        kept.tensors = inputs

    handle = module.register_forward_pre_hook(keep)
    try:
        yield kept
    finally:
        handle.remove()


@contextmanager
def kept_outputs(module: nn.Module) -> Iterator[Kept]:
    """What the last call gave, for as long as the block runs."""
    kept = Kept()

    def keep(_: nn.Module, __: tuple[Tensor, ...], output: Tensor) -> None:
        kept.tensors = (output,)

    handle = module.register_forward_hook(keep)
    try:
        yield kept
    finally:
        handle.remove()
