"""Sine positions of a map's cells.

Shapes: H, W cells of the map, C channels.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["sine_position"]

_TEMPERATURE = 10_000.0
_EPSILON = 1e-6


def sine_position(
    height: int, width: int, channels: int, *, centred: bool = False, device: torch.device | str = "cpu"
) -> Tensor:
    """Position of every cell, float32, shape (H * W, C), row by row.

    The first half of the channels is y, the second x; sine on even and cosine on odd channels. Coordinates are counted
    from 1 and normalised so that the last cell is at 2 pi.

    Args:
        centred: take the cells' centres instead, (i + 0.5) / n of 2 pi, so that maps of different sizes over the same
            picture get positions that can be compared.

    Raises:
        ValueError: if the channels are no multiple of 4.

    Source: Carion et al., DETR (2020), normalised form; Cheng et al., Mask2Former (2022).
    """
    if channels % 4:
        raise ValueError(f"a sine position needs a multiple of 4 channels, not {channels}")
    half = channels // 2
    exponent = torch.arange(half, device=device, dtype=torch.float32) // 2 * 2 / half
    period = _TEMPERATURE**exponent

    def axis(cells: int) -> Tensor:
        if centred:
            place = (torch.arange(cells, device=device, dtype=torch.float32) + 0.5) / cells
        else:
            place = torch.arange(1, cells + 1, device=device, dtype=torch.float32) / (cells + _EPSILON)
        angle = place[:, None] * 2 * math.pi / period
        return torch.stack((angle[:, 0::2].sin(), angle[:, 1::2].cos()), dim=2).flatten(1)

    y_HC = axis(height)[:, None].expand(height, width, half)
    x_WC = axis(width)[None].expand(height, width, half)
    return torch.cat((y_HC, x_WC), dim=2).flatten(0, 1)
