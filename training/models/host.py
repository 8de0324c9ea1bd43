"""Values between the host and a device. A read makes the host wait for all that the device was asked before, so values
are fetched together; what is sent does not make it wait.

Shapes: X any values.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["fetched", "sent", "sent_together"]


def fetched(tensors: Sequence[Tensor]) -> list[NDArray[np.float32]]:
    """The values of tensors of one device as float32 on the host, by one copy."""
    if not tensors:
        return []
    values_X = torch.cat([tensor.detach().flatten().float() for tensor in tensors]).cpu().numpy()
    ends = np.cumsum([tensor.numel() for tensor in tensors])
    parts = np.split(values_X, ends[:-1])
    return [part.reshape(tensor.shape) for part, tensor in zip(parts, tensors, strict=True)]


def sent(values: Tensor, device: torch.device) -> Tensor:
    """A tensor of the host on a device."""
    if device.type == "cuda" and values.device.type == "cpu":
        values = values if values.is_pinned() else values.pin_memory()
    return values.to(device, non_blocking=True)


def sent_together(numbers: Sequence[NDArray[np.int64]], device: torch.device) -> list[Tensor]:
    """Arrays of whole numbers on a device, int64, by one copy."""
    joined_X = sent(torch.from_numpy(np.concatenate([array.reshape(-1) for array in numbers])), device)
    parts = torch.split(joined_X, [array.size for array in numbers])
    return [part.view(array.shape) for part, array in zip(parts, numbers, strict=True)]
