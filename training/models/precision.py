"""Where half precision is not enough."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["at_least_float32"]


def at_least_float32(x: Tensor) -> Tensor:
    """The tensor as float32, or as it is where it is float64 (used to tell rounding from another formula)."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
