"""Everything after the encoder: neck, fusion with the sound, motion gate, decoder.

Shapes: N frames of all clips, C channels, A audio channels, K maps of the result, h, w cells of a stage's map,
    H, W pixels at network size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor, nn

from avis_data.training.models.avs_bg.config import AvsBgConfig
from avis_data.training.models.avs_bg.decoder import MaskDecoder
from avis_data.training.models.avs_bg.frames import ClipFrames
from avis_data.training.models.avs_bg.fusion import build_fusion
from avis_data.training.models.avs_bg.generation import SoundGenerator
from avis_data.training.models.avs_bg.motion import MotionGate
from avis_data.training.models.avs_bg.neck import build_neck

__all__ = ["AvsHead", "AvsMaps"]


@dataclass(frozen=True, kw_only=True)
class AvsMaps:
    """Results of all N frames."""

    neck: tuple[Tensor, ...]
    """Maps of one width, fine to coarse."""
    fused: tuple[Tensor, ...]
    """With the sound in them."""
    heard: tuple[Tensor, ...]
    """The sound as each stage has it, (N, C); empty without fusion."""
    moved: tuple[Tensor, ...]
    """After the motion gate; what the decoder gets."""
    logits_NKHW: Tensor

    def cut(self, height: int, width: int) -> AvsMaps:
        """With the logits of the frames alone, without what they were padded to."""
        return replace(self, logits_NKHW=self.logits_NKHW[..., :height, :width])


class AvsHead(nn.Module):
    """From encoder maps and sound to mask logits."""

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
