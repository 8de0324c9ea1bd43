"""What an AFCV is made of, and what it learns from. The defaults are R-50 with sound, for YouTube-VIS's 40 classes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from pydantic import ConfigDict, Field

from avis_data.training.models.backbones import ResNetSpec
from avis_data.training.ranges import Count, NotNegative, Positive, Share

__all__ = ["AfcvConfig", "AfcvLossConfig", "DetectionOptions"]


@dataclass(frozen=True, kw_only=True)
class DetectionOptions:
    """How detections and tracks are made of what the heads say."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    least_score: Share = 0.05
    """Class probability times centre-ness must be higher; the score of a detection is the square root of that."""
    per_level: Count = 1000
    """So many (cell, class) pairs of a level are looked at, the best ones."""
    overlap: Share = 0.6
    """The worse of two boxes of one class with a higher IoU is dropped."""
    per_frame: Count = 100
    """Detections that are kept."""
    link: NotNegative = 0.4
    """Least similarity (cosine of embeddings plus IoU of boxes) by which a detection goes on with a track."""
    remembered_tracks: Count = 10_000
    """Tracks of a clip that detections can go on with; beyond that, the one that was not seen for longest is forgotten.
    The published tracker forgets none, and so needs more memory the longer a stream is."""


@dataclass(frozen=True, kw_only=True)
class AfcvConfig:
    """Architecture; with `audio` off it is CrossVIS."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    num_classes: Count = 40
    """Classes."""
    num_identities: Count | None = None
    """Tracks of the training set, each a class of the embedding loss; null: as many as the training set has."""
    backbone: ResNetSpec = field(default_factory=ResNetSpec)
    """The image backbone."""
    frozen_stages: Annotated[int, Field(ge=0, le=5)] = 2
    """So many parts of it stay as they are: 1 is the stem, 2 its first stage too."""
    pyramid_gradient: Annotated[float, Field(gt=0, le=1)] = 0.1
    """What reaches pyramid and backbone of the gradient; the published model has no other backbone rate."""
    channels: Count = 256
    """Width of pyramid, heads and embeddings; a multiple of 32 (group norm), at least 64."""
    tower_layers: Count = 4
    """Convolutions before the outputs of each head."""
    mask_channels: Count = 128
    """Width of the mask branch."""
    audio: bool = True
    """Whether each frame's slice of sound is mixed into its maps."""
    audio_backbone: ResNetSpec = field(
        default_factory=lambda: ResNetSpec(
            block="basic", depths=(2, 2, 2, 2), channels=(64, 128, 256, 512), frozen_norms=False
        )
    )
    """Network of the log-mel slices; freeze its batch norms if it starts from trained weights."""
    audio_mean: float | None = None
    """Mean of the log-mel values; null: measured on the training set."""
    audio_deviation: Positive | None = None
    """Their standard deviation; null: measured on the training set."""
    empty_frames: bool = False
    """Whether frames without any mask are trained on; the published training left them out."""
    detection: DetectionOptions = field(default_factory=DetectionOptions)
    """How detections are made at test."""

    @property
    def needs_audio(self) -> bool:
        """Whether the model reads the sound."""
        return self.audio


@dataclass(frozen=True, kw_only=True)
class AfcvLossConfig:
    """Objective: class, box, centre-ness, mask, crossover and embedding losses, all of weight 1."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    crossover: bool = True
    """Whether the mask filters of one frame must also cut out their object in the other."""
    masks: Count = 500
    """Positive cells of a process and frame whose masks are compared, at most; a random choice of them."""
