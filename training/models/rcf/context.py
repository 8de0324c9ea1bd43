"""Tokens of a frame and of its context: what RCF's encoder looks at.

Source: Li et al., "Online Video Instance Segmentation via Robust Context Fusion" (arXiv 2207.05580), section 3; what it
leaves open is settled in its specification, section 4.

Shapes: B frames, R references, C channels, A values of an audio vector, h, w cells at stride 32, S tokens.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from avis_data.training.models.attention import Mlp
from avis_data.training.models.positions import sine_position

__all__ = ["AudioTokens", "ReferenceTokens", "Tokens", "map_tokens"]

_SMALL = 1e-6


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """Some tokens of B frames."""

    tokens_BSC: Tensor
    positions_SC: Tensor
    valid_BS: Tensor
    """bool."""

    @staticmethod
    def joined(parts: Sequence[Tokens]) -> Tokens:
        """One after the other."""
        return Tokens(
            tokens_BSC=torch.cat([part.tokens_BSC for part in parts], dim=1),
            positions_SC=torch.cat([part.positions_SC for part in parts]),
            valid_BS=torch.cat([part.valid_BS for part in parts], dim=1),
        )

    def placed_at_input(self) -> Tokens:
        """The tokens with the positions added once, and none left for the layers."""
        return Tokens(
            tokens_BSC=self.tokens_BSC + self.positions_SC,
            positions_SC=torch.zeros_like(self.positions_SC),
            valid_BS=self.valid_BS,
        )


def map_tokens(map_BChw: Tensor, valid_Bhw: Tensor) -> Tokens:
    """A token for every cell of a map, row by row; cells of padding are not valid."""
    _, channels, height, width = map_BChw.shape
    return Tokens(
        tokens_BSC=map_BChw.flatten(2).transpose(1, 2),
        positions_SC=sine_position(height, width, channels, centred=True, device=map_BChw.device),
        valid_BS=valid_Bhw.flatten(1),
    )


class ReferenceTokens(nn.Module):
    """The references' maps, weighted, compressed to K x K cells, and projected together."""

    def __init__(self, channels: int, out_channels: int, *, references: int, tokens: int, weight_map: bool) -> None:
        """`tokens`: K x K."""
        super().__init__()
        self._side = math.isqrt(tokens)
        self.weight = nn.Conv2d(references * channels, 1, 1) if weight_map else None
        self.project = nn.Conv2d(references * channels, out_channels, 1)

    def forward(self, maps_BRChw: Tensor, valid_Bhw: Tensor) -> Tokens:
        """K x K tokens, all valid.

        Args:
            maps_BRChw: the nearest reference first.
            valid_Bhw: bool, False for cells of padding, which have no part in the means.
        """
        maps = maps_BRChw.flatten(1, 2)
        inside = valid_Bhw[:, None].to(maps.dtype)
        weights = inside if self.weight is None else inside * self.weight(maps).sigmoid()
        shares = functional.adaptive_avg_pool2d(inside, self._side).clamp(min=_SMALL)
        tokens_BCkk = self.project(functional.adaptive_avg_pool2d(maps * weights, self._side) / shares)
        return map_tokens(tokens_BCkk, valid_Bhw.new_ones(len(maps), self._side, self._side))


def _float32(device: str) -> AbstractContextManager[object]:
    """Autocast off, on devices that have it (meta tensors have not)."""
    return torch.autocast(device, enabled=False) if torch.amp.is_autocast_available(device) else nullcontext()


class AudioTokens(nn.Module):
    """A token for the sound of each reference and of the target, by a recurrent network over them."""

    def __init__(self, audio_channels: int, hidden: int, out_channels: int) -> None:
        super().__init__()
        self.recurrent = nn.LSTM(audio_channels, hidden, num_layers=2, batch_first=True, bidirectional=True)
        self.project = Mlp(2 * hidden, hidden, out_channels, 2)

    def forward(self, audio_BRA: Tensor, valid_BR: Tensor) -> Tokens:
        """Give as many tokens, without positions (the recurrent network knows the order).

        Args:
            audio_BRA: the oldest reference first, the target last.
            valid_BR: bool, whether there is any sound.
        """
        heard_BRA = audio_BRA * valid_BR[..., None].to(audio_BRA.dtype)
        with _float32(heard_BRA.device.type):  # few processors have an LSTM in bf16
            states, _ = self.recurrent(heard_BRA)
        tokens = self.project(states)
        return Tokens(tokens_BSC=tokens, positions_SC=torch.zeros_like(tokens[0]), valid_BS=valid_BR)
