"""What an AVISM is made of, and what it learns from. The defaults are the published R-50 model and recipe."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from pydantic import ConfigDict, Field

from avis_data.training.models.backbones import BackboneSpec, ResNetSpec
from avis_data.training.models.matcher import CostWeights
from avis_data.training.models.targets import LateOnsetLabel
from avis_data.training.ranges import Count, CountOrZero, NotNegative, Share

__all__ = ["AvismConfig", "AvismLossConfig"]


@dataclass(frozen=True, kw_only=True)
class AvismConfig:
    """Architecture; the specification of AVISM, section 3."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    num_classes: Count = 26
    """Classes without "no object"."""
    backbone: BackboneSpec = field(default_factory=ResNetSpec)
    """The image backbone."""
    channels: Count = 256
    """Width of everything after the backbone; a multiple of 32 (group norm) and of `heads`."""
    heads: Count = 8
    """Attention heads, everywhere."""
    audio_channels: Count = 128
    """Width of the audio vector of a frame; 128 for VGGish."""
    audio_tokens: Count = 1
    """Ours: so many parts of that vector, in order of time, to each of which both fusions attend by themselves."""
    frame_fusion: bool = True
    """Audio in the frame decoder (FL-AVFM)."""
    video_fusion: bool = True
    """Audio in the tracker (VL-AVFM). Both off: VITA."""
    placed_fusion: bool = False
    """Ours: FL-AVFM knows where its keys lie, so that what is heard from the left can look to the left."""
    sounding_map: bool = False
    """Ours: what is heard says at every place of the maps of a frame whether it sounds there; not without FL-AVFM."""
    panorama: bool = False
    """Ours: both are told how much is heard from the direction of each place; it needs `data.audio=panorama`."""
    sounding_pixels: bool = False
    """Ours: the same for the map of which masks are made, so that a track is drawn where it sounds; so with FL-AVFM."""
    sounding_head: bool = False
    """Ours: every track is asked in every frame whether it sounds, and masks are learnt where it does."""
    counting_head: bool = False
    """Ours: in training, the tokens of every frame have to say whether nothing, one thing or several things sound."""
    pixel_layers: Count = 6
    """Deformable encoder layers of the pixel decoder."""
    pixel_feedforward: Count = 1024
    """Their feed-forward width."""
    frame_queries: Count = 100
    """Queries per frame; the published Swin-L models have 200."""
    frame_layers: Count = 9
    """Layers of the frame decoder."""
    video_queries: Count = 100
    """Queries per clip."""
    encoder_layers: Count = 6
    """Layers of the object encoder, and of the video-level fusion."""
    decoder_layers: Count = 3
    """Layers of the object decoder."""
    window: CountOrZero = 6
    """Frames that attend to each other in the tracker (W); 0: all of the clip, whose length memory then grows with."""
    feedforward: Count = 2048
    """Feed-forward width of the frame decoder and the tracker."""
    tracked_layers: Count = 3
    """So many last layers (L) give their frame queries to the tracker in training; at test the last one does."""
    checkpointing: bool = False
    """Recompute backbone and pixel decoder in the backward pass: less memory for long clips, more time."""

    @property
    def needs_audio(self) -> bool:
        """Whether any part of the model reads the audio vectors."""
        return self.frame_fusion or self.video_fusion


@dataclass(frozen=True, kw_only=True)
class AvismLossConfig:
    """Matching and losses; the specification of AVISM, section 4."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    cost: CostWeights = field(default_factory=CostWeights)
    """The parts of the matching cost."""
    frame_weight: NotNegative = 1.0
    """Weight of all losses of frames together; the paper's λ_frame."""
    video_weight: NotNegative = 1.0
    """Weight of all losses of clips but the similarity loss; the paper's λ_video."""
    class_weight: NotNegative = 2.0
    """Weight of the class losses."""
    mask_weight: NotNegative = 5.0
    """Weight of the mask losses (binary cross-entropy)."""
    dice_weight: NotNegative = 5.0
    """Weight of the dice losses."""
    sounding_weight: NotNegative = 2.0
    """Ours: weight of the losses of the sounding head."""
    map_weight: NotNegative = 5.0
    """Ours: weight of the losses of the sounding map."""
    counting_weight: NotNegative = 0.5
    """Ours: weight of the loss of the counting head."""
    sim_weight: NotNegative = 0.5
    """Weight of the similarity loss, the paper's λ_sim: 0.5 as in the paper; 1.0 is what the published training did."""
    no_object_weight: NotNegative = 0.1
    """How much a query without a target counts in the class losses."""
    points: Count = 12_544
    """Points per mask, in matching and in the mask losses (112 x 112)."""
    oversampling: Annotated[float, Field(ge=1)] = 3.0
    """Candidates per point, of which the most uncertain are kept."""
    uncertain_share: Share = 0.75
    """Share of the points that are chosen for their uncertainty; the others are uniform."""
    late_onset_label: LateOnsetLabel = "true"
    """`no_object` is the label that the published training gave, by mistake, to tracks silent in the first frame."""
