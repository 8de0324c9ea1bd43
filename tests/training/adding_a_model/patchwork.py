"""A model as small as one can be: a convolution says where something sounds, and what it is throughout the clip."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from avis_data.masks.rle import encode
from avis_data.training.data.clips import ClipSource, PredictedTrack, TrainingBatch, TrainingClip
from avis_data.training.models.spec import ModelSpec, PredictOptions

_DEFAULT_OPTIONS = PredictOptions()


@dataclass(frozen=True, kw_only=True)
class PatchworkConfig:
    num_classes: int = 26
    channels: int = 8
    needs_audio: bool = False


@dataclass(frozen=True, kw_only=True)
class PatchworkLossConfig:
    class_weight: float = 1.0


class Patchwork(nn.Module):
    def __init__(self, config: PatchworkConfig, loss: PatchworkLossConfig) -> None:
        super().__init__()
        self.loss = loss
        self.look = nn.Conv2d(3, config.channels, 3, padding=1)
        self.where = nn.Conv2d(config.channels, 1, 1)
        self.what = nn.Linear(config.channels, config.num_classes)

    def maps(self, frames_T3HW: Tensor) -> tuple[Tensor, Tensor]:
        """Mask logits (T, H, W) and class logits (K,)."""
        seen = self.look(frames_T3HW / 255).relu()
        return self.where(seen)[:, 0], self.what(seen.mean((0, 2, 3)))

    def forward(self, batch: TrainingBatch[TrainingClip]) -> dict[str, Tensor]:
        masks, classes = [], []
        for clip in batch.clips:
            logits_THW, logits_K = self.maps(clip.frames_T3HW)
            truth_THW = clip.masks_NTHW.any(0).float()
            masks.append(functional.binary_cross_entropy_with_logits(logits_THW, truth_THW))
            classes.append(functional.cross_entropy(logits_K.expand(len(clip.labels_N), -1), clip.labels_N))
        return {"mask": torch.stack(masks).mean(), "class": self.loss.class_weight * torch.stack(classes).mean()}

    @torch.no_grad()
    def predict(self, clip: ClipSource, options: PredictOptions = _DEFAULT_OPTIONS) -> list[PredictedTrack]:
        logits_THW, logits_K = self.maps(clip.frames(0, clip.num_frames))
        large = functional.interpolate(logits_THW[:, None], clip.size_hw, mode="bilinear")[:, 0]
        best = logits_K.softmax(0).max(0)
        masks = tuple(encode(mask) for mask in (large > large.mean()).numpy())
        return [PredictedTrack(label=int(best.indices), score=float(best.values), query=0, masks=masks)]


SPEC = ModelSpec(
    name="patchwork",
    config=PatchworkConfig,
    loss=PatchworkLossConfig,
    build=Patchwork,
    default_config="patchwork.yaml",
)
