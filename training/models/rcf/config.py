"""What an RCF is made of, and what it learns from. The defaults are R-101 without sound, as for YouTube-VIS 2019."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict

from avis_data.training.models.backbones import BackboneSpec, ResNetSpec
from avis_data.training.ranges import Count, CountOrZero, Share

__all__ = ["Fusion", "RcfConfig", "RcfLossConfig", "SlotOptions"]

Fusion = Literal["reference_tokens", "full_encoder", "full_decoder"]


def _is_square(count: int) -> int:
    if count < 1 or math.isqrt(count) ** 2 != count:
        raise ValueError(f"must be a square (the paper tries 1, 4, 16, 64), is {count}")
    return count


@dataclass(frozen=True, kw_only=True)
class SlotOptions:
    """How objects and identities are made of the slots of a frame."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    least_score: Share = 0.4
    """A slot fires if its highest class probability is at least that."""
    link: Share = 0.5
    """Masks of successive frames with a higher IoU are one object, in whatever slots they are."""


@dataclass(frozen=True, kw_only=True)
class RcfConfig:
    """Architecture; the specification of RCF, sections 2 to 6."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    num_classes: Count = 40
    """Classes without "no object"."""
    backbone: BackboneSpec = field(default_factory=lambda: ResNetSpec(depths=(3, 4, 23, 3)))
    """The image backbone."""
    references: CountOrZero = 1
    """Frames before the target that are its context (delta). Weights are tied to it."""
    fusion: Fusion = "reference_tokens"
    """`reference_tokens`: the context is compressed to a few tokens. `full_encoder`: every reference gives as many as
    the target. `full_decoder`: the same, through an encoder of their own, seen by the decoder alone."""
    reference_tokens: Annotated[int, AfterValidator(_is_square)] = 4
    """Tokens that the context is compressed to, K x K of them (the paper's "token size" is K squared)."""
    weight_map: bool = True
    """Whether a learned map weights the context before it is compressed."""
    positions: Literal["layers", "input"] = "layers"
    """Where positions are added: to queries and keys of every layer, as is usual, or once to the tokens, which is what
    the paper's formula says."""
    channels: Count = 256
    """Width of the tokens; a multiple of 4 and of `heads`."""
    heads: Count = 8
    """Attention heads."""
    encoder_layers: Count = 6
    """Layers of the encoder."""
    decoder_layers: Count = 6
    """Layers of the decoder."""
    feedforward: Count = 2048
    """Feed-forward width of both."""
    dropout: Share = 0.1
    """Dropout in both."""
    queries: Count = 10
    """Slots (N): no frame can have more objects."""
    mask_channels: Count = 256
    """Width of the pyramid, of the segmentation map and of the filters; a multiple of 32 (group norm)."""
    audio: bool = False
    """Whether the sound of target and references gives a token each."""
    audio_channels: Count = 4096
    """Width of the audio vector of a frame: 4096 for VGGish's last hidden layer, 128 for the other kinds."""
    audio_hidden: Count = 512
    """Width of the recurrent layers over the audio vectors, in each direction."""
    order_supervision: bool = False
    """Whether training looks at the frame before the target too, and what is in both has to keep its slot."""
    checkpointing: bool = False
    """Recompute the backbone in the backward pass: less memory, more time."""
    slots: SlotOptions = field(default_factory=SlotOptions)
    """How slots become objects at test."""

    @property
    def supervised(self) -> int:
        """Frames of a training sample that are learned; the others are their context."""
        return 2 if self.order_supervision else 1

    @property
    def needs_audio(self) -> bool:
        """Whether the model reads the audio vectors."""
        return self.audio


@dataclass(frozen=True, kw_only=True)
class RcfLossConfig:
    """Objective: class and dice losses of every decoder layer, all of weight 1."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    no_object_weight: Share = 0.1
    """How much a slot without an object counts in the class losses."""
