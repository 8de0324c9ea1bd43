"""How SAM wants its pictures and prompts, and how its masks come back; without torchvision.

Shapes: H, W pixels of the original, S = side of the network's input, h, w cells of its mask logits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from avis_data.annotation.segmenters.segmenter import Found, Prompt

__all__ = ["Frame", "box_of", "found_in", "points_of", "refined"]

_MEAN = (123.675, 116.28, 103.53)
_SPREAD = (58.395, 57.12, 57.375)
_SURE_LOGIT = 10.0
"""What a binary mask becomes when it is given back as a prompt; its own logits are gone."""


@dataclass(frozen=True)
class Frame:
    """How a picture of some size lies in the square input of a network."""

    height: int
    width: int
    side: int
    keeps_aspect: bool
    """SAM: the long side fills the input, the rest is padding at the right and below. SAM 2: stretched to fill."""

    @property
    def inner_hw(self) -> tuple[int, int]:
        """The part of the input that the picture fills."""
        if not self.keeps_aspect:
            return self.side, self.side
        scale = self.side / max(self.height, self.width)
        return int(self.height * scale + 0.5), int(self.width * scale + 0.5)

    def network_input(self, picture_HW3: NDArray[np.uint8]) -> Tensor:
        """float32 (1, 3, S, S), normalised, then padded with zeros."""
        height, width = self.inner_hw
        resized = Image.fromarray(picture_HW3).resize((width, height), Image.Resampling.BILINEAR)
        pixels = torch.from_numpy(np.asarray(resized, dtype=np.float32).copy())
        normal = (pixels - torch.tensor(_MEAN)) / torch.tensor(_SPREAD)
        return functional.pad(normal.permute(2, 0, 1), (0, self.side - width, 0, self.side - height))[None]

    def scaled(self, points: Tensor) -> Tensor:
        """Points (..., 2), x and y in pixels of the picture, in those of the input."""
        height, width = self.inner_hw
        return points * torch.tensor([width / self.width, height / self.height])

    def whole(self, logits_hw: Tensor) -> Tensor:
        """Mask logits at the size of the picture, (H, W)."""
        height, width = self.inner_hw
        large = functional.interpolate(logits_hw[None, None].float(), (self.side, self.side), mode="bilinear")
        return functional.interpolate(large[..., :height, :width], (self.height, self.width), mode="bilinear")[0, 0]

    def mask_prompt(self, mask_HW: NDArray[np.bool_], cells: int) -> Tensor:
        """A mask as the network's own low-resolution logits, (1, 1, cells, cells)."""
        height, width = self.inner_hw
        mask = torch.from_numpy(mask_HW.astype(np.float32))[None, None]
        inner = functional.interpolate(mask, (height, width), mode="bilinear")
        padded = functional.pad(inner, (0, self.side - width, 0, self.side - height))
        return (functional.interpolate(padded, (cells, cells), mode="bilinear") * 2 - 1) * _SURE_LOGIT


def found_in(logits_HW: Tensor, confidence: float) -> Found:
    """The mask of logits at the size of the picture."""
    return Found(mask_HW=(logits_HW > 0).numpy(), confidence=confidence)


def points_of(prompt: Prompt, frame: Frame) -> tuple[Tensor, Tensor] | None:
    """All points (P, 2) at network size and their labels (P,), 1 inside and 0 outside; None without any."""
    points = [*prompt.inside, *prompt.outside]
    if not points:
        return None
    labels = torch.tensor([1] * len(prompt.inside) + [0] * len(prompt.outside))
    return frame.scaled(torch.tensor(points, dtype=torch.float32)), labels


def box_of(prompt: Prompt, frame: Frame) -> Tensor | None:
    """The box (4,) at network size, x0, y0, x1, y1; None without."""
    if prompt.box is None:
        return None
    return frame.scaled(torch.tensor(prompt.box, dtype=torch.float32).reshape(2, 2)).reshape(4)


def refined(prompt: Prompt) -> Prompt:
    """The prompt as an engine takes it: a mask that is empty is none, and with nothing else than it, its middle helps.

    Raises:
        ValueError: if it says nothing.
    """
    mask = prompt.mask_HW if prompt.mask_HW is not None and prompt.mask_HW.any() else None
    if not prompt.inside and prompt.box is None and mask is None:
        raise ValueError("a prompt needs a point inside, a box or a mask")
    if mask is not None and prompt.box is None and not prompt.inside:
        rows, columns = np.nonzero(mask)
        box = (float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1))
        return Prompt(outside=prompt.outside, box=box, mask_HW=mask)
    return Prompt(inside=prompt.inside, outside=prompt.outside, box=prompt.box, mask_HW=mask)
