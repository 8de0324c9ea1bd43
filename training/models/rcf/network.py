"""RCF's network: from the maps of a frame and of its context to classes and masks of N slots.

    target    --stage 4--> 1x1 --------------------> h x w tokens --+
    references --stage 4--> weighted, K x K, 1x1 ---> K x K tokens -+--> encoder --> decoder --> slots --> classes
    audio     -------------> bi-LSTM, 2 FC ---------> 1 + R tokens -+       |                      |
                                                                            +-> pyramid --> S --> filters . S = masks

Source: Li et al., "Online Video Instance Segmentation via Robust Context Fusion" (arXiv 2207.05580).

Shapes: B frames, R references, C channels of stage 4, A values of an audio vector, h, w cells at stride 32, L decoder
    layers, Q slots, K classes, H, W cells at stride 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from avis_data.training.models.attention import Mlp
from avis_data.training.models.rcf.config import RcfConfig
from avis_data.training.models.rcf.context import AudioTokens, ReferenceTokens, Tokens, map_tokens
from avis_data.training.models.rcf.transformer import SlotDecoder, TokenEncoder

__all__ = ["Heard", "MaskPyramid", "RcfNetwork", "SlotOutput"]


@dataclass(frozen=True, kw_only=True)
class Heard:
    """The sound of B frames and of their references."""

    audio_BRA: Tensor
    """The oldest reference first, the target last; of no meaning where there is no sound."""
    valid_BR: Tensor
    """bool, whether there is sound."""


@dataclass(frozen=True, kw_only=True)
class SlotOutput:
    """What the decoder says of B frames: in training after each of its layers, else after the last (L = 1)."""

    logits_LBQK: Tensor
    """Class logits; the last class is "no object", so there are K + 1."""
    masks_LBQHW: Tensor
    """Mask logits at stride 4."""


class RcfNetwork(nn.Module):
    """Everything behind the backbone."""

    def __init__(self, config: RcfConfig, stage_channels: Sequence[int]) -> None:
        """`stage_channels`: of the backbone's maps from stride 4 to 32."""
        super().__init__()
        *fine, coarse = stage_channels
        sizes = (config.channels, config.heads, config.feedforward, config.encoder_layers, config.dropout)
        self.config = config
        self.target = nn.Conv2d(coarse, config.channels, 1)
        self.references = None
        self.reference_encoder = None
        if config.references and config.fusion == "reference_tokens":
            self.references = ReferenceTokens(
                coarse,
                config.channels,
                references=config.references,
                tokens=config.reference_tokens,
                weight_map=config.weight_map,
            )
        elif config.references and config.fusion == "full_decoder":
            self.reference_encoder = TokenEncoder(*sizes)
        self.audio = None
        if config.audio:
            self.audio = AudioTokens(config.audio_channels, config.audio_hidden, config.channels)
        self.encoder = TokenEncoder(*sizes)
        self.decoder = SlotDecoder(
            config.channels,
            config.heads,
            config.feedforward,
            config.decoder_layers,
            config.dropout,
            queries=config.queries,
        )
        self.class_head = nn.Linear(config.channels, config.num_classes + 1)
        self.pyramid = MaskPyramid(config.channels, fine, width=config.mask_channels, out_channels=config.mask_channels)
        self.filters = Mlp(config.channels, config.mask_channels, config.mask_channels, 2)

    def forward(
        self, target: Sequence[Tensor], references_BRChw: Tensor, valid_Bhw: Tensor, heard: Heard | None
    ) -> SlotOutput:
        """Classes and masks of the slots of B frames, after every decoder layer.

        Args:
            target: the backbone's four maps of the frames, fine to coarse.
            references_BRChw: stage 4 of the frames before, the nearest first.
            valid_Bhw: bool, False for cells of padding.
            heard: None for a model without audio.
        """
        seen = map_tokens(self.target(target[-1]), valid_Bhw)
        context = [*self._context(references_BRChw, valid_Bhw), *self._heard(heard)]
        tokens = self._placed(Tokens.joined([seen, *context]))
        memory = self.encoder(tokens.tokens_BSC, tokens.positions_SC, tokens.valid_BS)
        cells = memory[:, : seen.tokens_BSC.shape[1]].transpose(1, 2).unflatten(2, target[-1].shape[2:])
        remembered = self._remembered(references_BRChw, valid_Bhw)
        codes = self.decoder(
            torch.cat([memory, *(part.tokens_BSC for part in remembered)], dim=1),
            torch.cat([tokens.positions_SC, *(part.positions_SC for part in remembered)]),
            torch.cat([tokens.valid_BS, *(part.valid_BS for part in remembered)], dim=1),
        )
        codes = codes if self.training else codes[-1:]
        segmentation = self.pyramid(cells, target[:-1])
        masks = torch.einsum("lbqc,bchw->lbqhw", self.filters(codes), segmentation)
        return SlotOutput(logits_LBQK=self.class_head(codes), masks_LBQHW=masks)

    def _context(self, references_BRChw: Tensor, valid_Bhw: Tensor) -> list[Tokens]:
        """What the encoder sees of the references."""
        if self.references is not None:
            return [self.references(references_BRChw, valid_Bhw)]
        return self._all_cells(references_BRChw, valid_Bhw) if self.config.fusion == "full_encoder" else []

    def _remembered(self, references_BRChw: Tensor, valid_Bhw: Tensor) -> list[Tokens]:
        """What the decoder alone sees of the references."""
        if self.reference_encoder is None:
            return []
        tokens = self._placed(Tokens.joined(self._all_cells(references_BRChw, valid_Bhw)))
        memory = self.reference_encoder(tokens.tokens_BSC, tokens.positions_SC, tokens.valid_BS)
        return [Tokens(tokens_BSC=memory, positions_SC=tokens.positions_SC, valid_BS=tokens.valid_BS)]

    def _all_cells(self, references_BRChw: Tensor, valid_Bhw: Tensor) -> list[Tokens]:
        return [map_tokens(self.target(reference), valid_Bhw) for reference in references_BRChw.unbind(1)]

    def _heard(self, heard: Heard | None) -> list[Tokens]:
        if self.audio is None or heard is None:
            return []
        return [self.audio(heard.audio_BRA, heard.valid_BR)]

    def _placed(self, tokens: Tokens) -> Tokens:
        return tokens.placed_at_input() if self.config.positions == "input" else tokens


_GROUPS = 32


class MaskPyramid(nn.Module):
    """One map at stride 4, made of a map at stride 32 and the backbone's maps at strides 16, 8 and 4."""

    def __init__(self, coarse_channels: int, fine_channels: Sequence[int], *, width: int, out_channels: int) -> None:
        """`fine_channels`: of the backbone's maps from stride 4 to 16; `width`: of all maps in between."""
        super().__init__()
        self.top = _convolution(coarse_channels, width, 3)
        self.lateral = nn.ModuleList(_convolution(channels, width, 1) for channels in reversed(fine_channels))
        self.output = nn.ModuleList(_convolution(width, width, 3) for _ in fine_channels)
        self.last = nn.Conv2d(width, out_channels, 3, padding=1)

    def forward(self, coarse_NChw: Tensor, fine: Sequence[Tensor]) -> Tensor:
        """(N, out_channels, h, w) at stride 4.

        Args:
            coarse_NChw: at stride 32.
            fine: the backbone's maps from stride 4 to 16; each is twice as large as the next, exactly.
        """
        x = self.top(coarse_NChw).relu()
        for lateral, output, finer in zip(self.lateral, self.output, reversed(fine), strict=True):
            enlarged = functional.interpolate(x, scale_factor=2.0, mode="nearest")
            x = output(lateral(finer) + enlarged).relu()
        mapped: Tensor = self.last(x)
        return mapped


def _convolution(inputs: int, outputs: int, side: int) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, side, padding=side // 2, bias=False)
    nn.init.kaiming_uniform_(conv.weight, a=1)
    return nn.Sequential(conv, nn.GroupNorm(_GROUPS, outputs))
