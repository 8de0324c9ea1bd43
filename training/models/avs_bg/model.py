"""AVS-BG, and with other parts the AVSBench baseline: one mask per frame of what sounds, or one class per pixel.

    head.py                 everything after the encoder: neck.py, fusion.py (sound), motion gate, decoder.py; and, in
                            training, the sound made again from the masked picture
    frames.py               which frames of a batch are one clip's;  looking.py  where it looks
    losses.py               the losses;  config.py, spec.py  what all of it is made of
    official_names.py       names in published checkpoints; official_shapes.py  their architecture

Sources: Hao et al., "Improving Audio-Visual Segmentation with Bidirectional Generation" (2023), and Zhou et al.,
"Audio-Visual Segmentation" (2022); their code where it differs from the text.

Shapes: B clips, T frames of one, N of all, A audio channels, K maps of the result, H, W pixels at network size.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from avis_data.errors import DataError
from avis_data.training.data.clips import AvsTrainingClip, ClipSource, TrainingBatch
from avis_data.training.models.avs_bg.config import AvsBgConfig, AvsBgLossConfig
from avis_data.training.models.avs_bg.frames import ClipFrames
from avis_data.training.models.avs_bg.head import AvsHead, AvsMaps
from avis_data.training.models.avs_bg.losses import (
    class_mask_loss,
    generation_loss,
    heard_distance,
    mask_entropy,
    mask_entropy_and_iou,
    seen_vectors,
)
from avis_data.training.models.backbones import build_backbone
from avis_data.training.models.frames import FrameNormaliser
from avis_data.training.models.host import sent
from avis_data.training.models.points import at_least_float32
from avis_data.training.models.shared import part_of_mean, summed, world_size
from avis_data.training.models.spec import PredictOptions

__all__ = ["AvsBg"]

_DEFAULT_LOSS = AvsBgLossConfig()
_DEFAULT_OPTIONS = PredictOptions()


class AvsBg(nn.Module):
    """The whole model."""

    def __init__(self, config: AvsBgConfig, loss: AvsBgLossConfig = _DEFAULT_LOSS) -> None:
        super().__init__()
        self.config = config
        self.loss_config = loss
        self.normalise = FrameNormaliser()
        self.backbone = build_backbone(config.backbone)
        self.head = AvsHead(config, self.backbone.channels)

    def forward(self, batch: TrainingBatch[AvsTrainingClip]) -> dict[str, Tensor]:
        """The weighted losses of a batch by name; their sum is what is minimised.

        Where several processes share the batch they are a part of its losses: the mean of the parts is those.

        Raises:
            DataError: if a clip has no audio, or of another length or width, and the model needs it; or if it has not
                the labels that the losses need.
        """
        clips = batch.clips
        heard = [self._checked_audio(clip.clip_id, clip.audio_TA, len(clip.frames_T3HW)) for clip in clips]
        audio_NA = torch.cat([audio for audio in heard if audio is not None]) if self.config.needs_audio else None
        exists_N = torch.cat([clip.exists_T for clip in clips])
        maps = self._maps(
            torch.cat([clip.frames_T3HW for clip in clips]),
            audio_NA,
            ClipFrames(tuple(len(clip.frames_T3HW) for clip in clips)),
            None if exists_N.numpy().all() else sent(exists_N, clips[0].frames_T3HW.device),
        )
        losses = {"mask": self._mask_loss(maps, clips)}
        if self.loss_config.kl_weight and maps.heard:
            losses["heard"] = self.loss_config.kl_weight * self._heard_loss(maps, clips)
        if self.head.generator is not None and audio_NA is not None:
            mask_N1HW = self._generation_mask(maps, clips)
            generated_NA = self.head.generator(maps.moved[-1], mask_N1HW)
            existing = _places(exists_N, audio_NA.device)
            distance = generation_loss(generated_NA[existing], audio_NA[existing])
            distance = part_of_mean(distance, _count(existing))
            losses["generation"] = self.loss_config.generation_weight * distance
        return losses

    @torch.no_grad()
    def predict(self, clip: ClipSource, options: PredictOptions = _DEFAULT_OPTIONS) -> NDArray[np.generic]:
        """What sounds in each frame of a whole clip, at its original size.

        Returns:
            With one map float32 logits (T, H, W); with several uint8 classes, the most probable of each pixel.

        Raises:
            ValueError: if the model is in training mode.
            DataError: if the clip has no audio, or of another length or width, and the model needs it.
        """
        if self.training:
            raise ValueError("predict needs the model in evaluation mode: call .eval() first")
        device = self.head.decoder.masks.weight.device
        audio = self._checked_audio(clip.clip_id, clip.audio_TA, clip.num_frames)
        frames = clip.frames(0, clip.num_frames).to(device)
        maps = self._maps(frames, None if audio is None else audio.to(device), ClipFrames((clip.num_frames,)), None)
        return np.stack([self._frame_result(logits_KHW, clip.size_hw) for logits_KHW in maps.logits_NKHW])

    def _maps(
        self, frames_N3HW: Tensor, audio_NA: Tensor | None, clips: ClipFrames, exists_N: Tensor | None
    ) -> AvsMaps:
        height, width = frames_N3HW.shape[2:]
        maps: AvsMaps = self.head(self.backbone(self.normalise(frames_N3HW)), audio_NA, clips, exists_N)
        return maps.cut(height, width)

    def _frame_result(self, logits_KHW: Tensor, size_hw: tuple[int, int]) -> NDArray[np.generic]:
        enlarged = at_least_float32(logits_KHW)[None]
        if enlarged.shape[2:] != size_hw:
            enlarged = functional.interpolate(enlarged, size_hw, mode="bilinear", align_corners=False)
        if self.config.num_classes == 1:
            return enlarged[0, 0].cpu().numpy()
        return enlarged[0].argmax(0).to(torch.uint8).cpu().numpy()

    def _mask_loss(self, maps: AvsMaps, clips: Sequence[AvsTrainingClip]) -> Tensor:
        labelled_L = _places(torch.cat([clip.labelled_T for clip in clips]), maps.logits_NKHW.device)
        count = _count(labelled_L)
        everywhere = len(labelled_L) if world_size() == 1 else int(summed(count))
        if not everywhere:
            raise DataError(f"no frame of {', '.join(clip.clip_id for clip in clips)} has a label")
        logits_LKHW = maps.logits_NKHW[labelled_L]
        labels_LHW = torch.cat([clip.labels_THW for clip in clips])[labelled_L]
        if not len(labels_LHW):
            return part_of_mean(0.0 * maps.logits_NKHW.sum(), count)  # only other processes have labels
        if self.config.num_classes > 1:
            return part_of_mean(class_mask_loss(logits_LKHW, labels_LHW), count)
        loss = mask_entropy_and_iou if self.loss_config.mask == "bce_wiou" else mask_entropy
        return part_of_mean(loss(logits_LKHW[:, 0], (labels_LHW > 0).to(torch.float32)), count)

    def _heard_loss(self, maps: AvsMaps, clips: Sequence[AvsTrainingClip]) -> Tensor:
        """The sum over all frames as published; of semantic masks the mean over frames with a label."""
        seen = seen_vectors(self.head.compared(maps), maps.logits_NKHW)
        distance_N = heard_distance(seen, maps.heard, scale_to_unit=self.loss_config.kl_unit_length)
        if self.config.num_classes == 1:
            existing = _places(torch.cat([clip.exists_T for clip in clips]), distance_N.device)
            return distance_N[existing].sum() * world_size()
        labelled_L = _places(torch.cat([clip.labelled_T for clip in clips]), distance_N.device)
        mean = distance_N[labelled_L].mean() if len(labelled_L) else 0.0 * distance_N.sum()
        return part_of_mean(mean, _count(labelled_L))

    def _generation_mask(self, maps: AvsMaps, clips: Sequence[AvsTrainingClip]) -> Tensor:
        kind = self.loss_config.generation_mask
        if kind == "truth":
            without = [clip.clip_id for clip in clips if (clip.exists_T & ~clip.labelled_T).numpy().any()]
            if without:
                raise DataError(
                    f"clip {without[0]}: not every frame has a label, and loss.generation_mask is the truth",
                    hint="--set loss.generation_mask=logits",
                )
            return (torch.cat([clip.labels_THW for clip in clips]) > 0)[:, None].to(maps.logits_NKHW.dtype)
        logits_N1HW = maps.logits_NKHW
        if self.config.num_classes > 1:
            logits_N1HW = _foreground_logits(logits_N1HW)
        return logits_N1HW if kind == "logits" else logits_N1HW.sigmoid()

    def _checked_audio(self, clip_id: str, audio_TA: Tensor | None, num_frames: int) -> Tensor | None:
        if not self.config.needs_audio:
            return None
        if audio_TA is None:
            raise DataError(
                f"clip {clip_id}: has no sound, and this model needs it",
                hint="without sound: --set model.fusion=none --set model.generation=false",
            )
        wanted = (num_frames, self.config.audio_channels)
        if tuple(audio_TA.shape) != wanted:
            raise DataError(f"clip {clip_id}: audio features of shape {tuple(audio_TA.shape)}, must be {wanted}")
        return audio_TA


def _places(flags_N: Tensor, device: torch.device) -> Tensor:
    """Where flags of the host are set, int64, on a device."""
    return sent(torch.from_numpy(np.flatnonzero(flags_N.numpy())), device)


def _count(places: Tensor) -> Tensor:
    return torch.full((), float(len(places)), device=places.device)


def _foreground_logits(logits_NKHW: Tensor) -> Tensor:
    """How much more probable any class is than the background, (N, 1, H, W)."""
    return logits_NKHW[:, 1:].logsumexp(1, keepdim=True) - logits_NKHW[:, :1]
