"""The motion gate of AVS-BG: a cell counts more, the more of a neighbouring frame is like it.

Shapes: N frames of all clips, C channels, h, w cells of a map, P = h * w, R of them in a chunk.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from avis_data.training.models.avs_bg.frames import ClipFrames

__all__ = ["MotionGate"]

_PRODUCTS_AT_ONCE = 2**24
"""64 MiB of float32."""


class MotionGate(nn.Module):
    """Visual correlation attention: one scale and one offset make a gate of the mean similarity.

    The products of all cells with all cells are never in memory together, neither forward nor backward: they are made
    in chunks, and again for the gradients.

    Source: AVS-BG (Hao et al. 2023), "cost attention" as its code does it; specs/avs_bg.md, section 6.1.
    """

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Conv2d(1, 1, 1)

    def forward(self, z_NChw: Tensor, clips: ClipFrames) -> Tensor:
        """The gated map, same shape."""
        height, width = z_NChw.shape[2:]
        own_NCP = z_NChw.flatten(2)
        partner_NCP = own_NCP[clips.partners().to(z_NChw.device)]
        rows = max(1, _PRODUCTS_AT_ONCE // (len(own_NCP) * height * width))
        similar = [_similarity(chunk, partner_NCP) for chunk in own_NCP.split(rows, dim=2)]
        similar_N1hw = torch.cat(similar, dim=1)[:, None].unflatten(2, (height, width))
        return z_NChw * (1 + self.scale(similar_N1hw).sigmoid())


def _similarity(own_NCR: Tensor, partner_NCP: Tensor) -> Tensor:
    """(N, R): the mean over the partner's cells of the product, where that is positive."""
    if torch.is_grad_enabled() and own_NCR.requires_grad:
        recomputed: Tensor = checkpoint(_mean_positive, own_NCR, partner_NCP, use_reentrant=False)
        return recomputed
    return _mean_positive(own_NCR, partner_NCP)


def _mean_positive(own_NCR: Tensor, partner_NCP: Tensor) -> Tensor:
    return torch.bmm(own_NCR.transpose(1, 2), partner_NCP).clamp(min=0).mean(2)
