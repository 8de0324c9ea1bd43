"""Everything after the encoder: neck, fusion with the sound, motion gate, decoder; in training the generated sound too.

Shapes: N frames of all clips, C channels, A audio channels, K maps of the result, h, w cells of a stage's map,
    P = h * w, R of them in a chunk, H, W pixels at network size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from avis_data.training.models.avs_bg.config import AvsBgConfig
from avis_data.training.models.avs_bg.decoder import MaskDecoder
from avis_data.training.models.avs_bg.frames import ClipFrames
from avis_data.training.models.avs_bg.fusion import build_fusion
from avis_data.training.models.avs_bg.neck import build_neck
from avis_data.training.models.host import sent

__all__ = ["AvsHead", "AvsMaps", "MotionGate", "SoundGenerator"]


@dataclass(frozen=True, kw_only=True)
class AvsMaps:
    """Results of all N frames."""

    neck: tuple[Tensor, ...]
    """Maps of one width, fine to coarse."""
    fused: tuple[Tensor, ...]
    """The maps with the sound in them."""
    heard: tuple[Tensor, ...]
    """The sound as each stage has it, (N, C); empty without fusion."""
    moved: tuple[Tensor, ...]
    """After the motion gate; what the decoder gets."""
    logits_NKHW: Tensor

    def cut(self, height: int, width: int) -> AvsMaps:
        """The output with the logits of the frames alone, without what they were padded to."""
        return replace(self, logits_NKHW=self.logits_NKHW[..., :height, :width])


class AvsHead(nn.Module):
    """The part that makes mask logits of encoder maps and sound."""

    def __init__(self, config: AvsBgConfig, in_channels: Sequence[int]) -> None:
        """`in_channels`: of the encoder's four maps, fine to coarse."""
        super().__init__()
        self._config = config
        stages = range(len(in_channels))
        self.neck = nn.ModuleList(build_neck(config.neck, width, config.channels) for width in in_channels)
        self.fusion = nn.ModuleList(build_fusion(config) for _ in stages)
        self.motion = nn.ModuleList(MotionGate() for _ in stages) if config.motion else None
        self.decoder = MaskDecoder(config.decoder, config.channels, config.head_channels, config.num_classes)
        self.generator = SoundGenerator(config.channels, config.audio_channels) if config.generation else None
        if config.fusion == "av_corr":
            # Published checkpoints hold this layer, and published counts include it. Nothing was ever fed to it.
            self.unused_audio = nn.Linear(config.audio_channels, config.audio_channels).requires_grad_(False)

    def forward(
        self,
        maps: Sequence[Tensor],
        audio_NA: Tensor | None,
        clips: ClipFrames,
        exists_N: Tensor | None = None,
    ) -> AvsMaps:
        """Everything but the generated sound.

        Args:
            maps: of the encoder, fine to coarse, (N, channels, h, w).
            audio_NA: the sound of each frame; None for a model without audio.
            exists_N: 0 where a frame only fills a clip up, else 1; None: all exist.
        """
        flags = None if exists_N is None else exists_N.to(maps[0].dtype)[:, None, None, None]
        neck = [_where(flags, reduce(x)) for reduce, x in zip(self.neck, maps, strict=True)]
        pairs = [fuse(x, audio_NA, clips) for fuse, x in zip(self.fusion, neck, strict=True)]
        fused = [_where(flags, picture) for picture, _ in pairs]
        moved = fused
        if self.motion is not None:
            moved = [gate(x, clips) for gate, x in zip(self.motion, fused, strict=True)]
        return AvsMaps(
            neck=tuple(neck),
            fused=tuple(fused),
            heard=tuple(sound for _, sound in pairs) if self._config.fusion != "none" else (),
            moved=tuple(moved),
            logits_NKHW=self.decoder(moved, flags),
        )

    def compared(self, maps: AvsMaps) -> tuple[Tensor, ...]:
        """The fused maps as the distance to the sound sees them: the published baseline's decoder rectifies them."""
        if self._config.decoder == "preact_bilinear":
            return tuple(x.relu() for x in maps.fused)
        return maps.fused


def _where(flags_N111: Tensor | None, x_NChw: Tensor) -> Tensor:
    return x_NChw if flags_N111 is None else x_NChw * flags_N111


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
        partner_NCP = own_NCP[sent(clips.partners(), z_NChw.device)]
        rows = max(1, _PRODUCTS_AT_ONCE // (len(own_NCP) * height * width))
        similar = [_similarity(chunk, partner_NCP) for chunk in torch.split(own_NCP, rows, dim=2)]
        similar_N1hw = torch.unflatten(torch.cat(similar, dim=1)[:, None], 2, (height, width))
        gate: Tensor = self.scale(similar_N1hw).sigmoid()
        return z_NChw * (1 + gate)


def _similarity(own_NCR: Tensor, partner_NCP: Tensor) -> Tensor:
    """(N, R): the mean over the partner's cells of the product, where that is positive."""
    if torch.is_grad_enabled() and own_NCR.requires_grad:
        recomputed: Tensor = checkpoint(_mean_positive, own_NCR, partner_NCP, use_reentrant=False)
        return recomputed
    return _mean_positive(own_NCR, partner_NCP)


def _mean_positive(own_NCR: Tensor, partner_NCP: Tensor) -> Tensor:
    return torch.bmm(own_NCR.transpose(1, 2), partner_NCP).clamp(min=0).mean(2)


_SIDE = 7
_HIDDEN = 64


class SoundGenerator(nn.Module):
    """Three convolutions, then for each channel the same weighted sum over 7 x 7 cells. All of it is linear.

    Source: AVS-BG (Hao et al. 2023), visual-to-audio projection; specs/avs_bg.md, section 6.3.
    """

    def __init__(self, channels: int, audio_channels: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(channels, _HIDDEN, 1, bias=False),
            nn.Conv2d(_HIDDEN, _HIDDEN, 3, padding=1, bias=False),
            nn.Conv2d(_HIDDEN, audio_channels, 1, bias=False),
        )
        self.cells = nn.Linear(_SIDE * _SIDE, 1)

    def forward(self, z_NChw: Tensor, mask_N1HW: Tensor) -> Tensor:
        """The sound of each frame, (N, A).

        Args:
            z_NChw: the coarsest map; of other sizes than 7 x 7 it is pooled to that after masking.
            mask_N1HW: logits, probabilities or a true mask, at network size; averaged over the cells of the map.
        """
        masked = z_NChw * functional.adaptive_avg_pool2d(mask_N1HW, (z_NChw.shape[2], z_NChw.shape[3]))
        if masked.shape[2:] != (_SIDE, _SIDE):
            masked = functional.adaptive_avg_pool2d(masked, _SIDE)
        sound_NA: Tensor = self.cells(self.encoder(masked).flatten(2)).squeeze(2)
        return sound_NA
