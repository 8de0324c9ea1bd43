"""The configuration of AVS-BG and of the AVSBench baseline, which are one model with other parts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from pydantic import ConfigDict

from avis_data.training.models.backbones import BackboneSpec, PvtSpec
from avis_data.training.ranges import Count, NotNegative

__all__ = ["AvsBgConfig", "AvsBgLossConfig", "FusionKind"]

FusionKind = Literal["av_corr", "tpavi", "tpavi_unit", "none"]


@dataclass(frozen=True, kw_only=True)
class AvsBgConfig:
    """The architecture; the defaults are AVS-BG with PVT-v2-b5."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    num_classes: Count = 1
    """Maps of the result. 1: sounding or not; more: so many classes, the background first (AVSS: 71)."""
    backbone: BackboneSpec = field(default_factory=PvtSpec)
    """Frame encoder; all of it learns."""
    neck: Literal["conv3", "dilated"] = "conv3"
    """`conv3`: three convolutions with batch norm (AVS-BG); `dilated`: a sum of four dilated ones (AVSBench)."""
    channels: Count = 128
    """Channels after the neck; `av_corr` and `tpavi_unit` need those of the audio, 128."""
    fusion: FusionKind = "av_corr"
    """`av_corr`: the gate of AVS-BG; `tpavi`: AVSBench's attention over the clip; `tpavi_unit`: its form in the code of
    AVS-BG, on vectors of unit length; `none`: no audio at all."""
    audio_bias: bool = True
    """Whether the layer that widens the audio for `tpavi` has a bias; AVSS has none."""
    fusion_frames: Count | None = None
    """Frames that `tpavi` mixes, at most: longer clips are taken apart; null: the whole clip. AVSS: 5."""
    pairwise: bool = False
    """Compute `tpavi` by its product of all positions with all positions, as published: the same numbers with far more
    time and memory; only to compare speeds."""
    motion: bool = True
    """The gate by similarity to a neighbouring frame (visual correlation attention)."""
    generation: bool = True
    """The head that makes the sound from the masked picture, in training (bidirectional generation)."""
    decoder: Literal["bn_nearest", "preact_bilinear"] = "bn_nearest"
    """`bn_nearest`: of AVS-BG; `preact_bilinear`: of AVSBench."""
    head_channels: tuple[Count, Count] = (64, 32)
    """Widths of the last convolutions; AVSBench has (128, 32)."""
    audio_channels: Count = 128
    """Width of the audio vector of a frame; 128 for VGGish."""

    @property
    def needs_audio(self) -> bool:
        """Whether any part of the model reads the audio vectors."""
        return self.fusion != "none" or self.generation


@dataclass(frozen=True, kw_only=True)
class AvsBgLossConfig:
    """The objective; the specification of AVS-BG, sections 6.3 and 7."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    mask: Literal["bce_wiou", "bce"] = "bce_wiou"
    """Of binary masks. `bce_wiou`: AVS-BG's, smoothed cross-entropy and an IoU that weighs edges; `bce`: AVSBench's.
    Models of several classes have the cross-entropy of their classes."""
    kl_weight: NotNegative = 0.0
    """Weight of the distance between what is seen inside the mask and what is heard; 0.5 for MS3 and AVSS, 0 for S4."""
    kl_unit_length: bool = True
    """Whether both are scaled to unit length first, as AVS-BG does; AVSBench does not."""
    generation_weight: NotNegative = 1.0
    """Weight of the distance between the generated and the true sound (eta)."""
    generation_mask: Literal["logits", "probability", "truth"] = "logits"
    """What the picture is masked with: the predicted logits as published for S4, their sigmoid, or (MS3) the truth."""
