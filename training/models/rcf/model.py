"""RCF: online video instance segmentation whose context is a few tokens, with tokens for the sound.

Every frame is predicted from itself and the few frames before it, whose features are compressed to K x K tokens. A slot
keeps its object from frame to frame, so there is no tracking loss and no matching network; only where masks of
successive frames overlap in different slots does the identity follow the mask. The sound of each of these frames is one
token more.

    context.py              tokens of the target, of its references, of the sound
    network.py              encoder and decoder (transformer.py), pyramid, dynamic filters
    stream.py               what is remembered of a clip;  identities.py  the rule
    looking.py              where it looks, for those who want to see it
    losses.py               matching and losses;  config.py, spec.py  what all of it is made of

Source: Li et al., "Online Video Instance Segmentation via Robust Context Fusion" (arXiv 2207.05580); written from the
paper, which has no published code.

Shapes: B clips, F = references + supervised frames of a clip, N frames, C channels, A values of an audio vector,
    h, w cells at stride 32, H, W pixels padded.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from avis_data.errors import DataError
from avis_data.training.data.clips import ClipSource, PredictedTrack, TrainingBatch, TrainingClip
from avis_data.training.models.backbones import build_backbone
from avis_data.training.models.frames import FrameNormaliser, common_size, padded_size, padded_to
from avis_data.training.models.host import sent
from avis_data.training.models.losses import means
from avis_data.training.models.online import tracks_of_stream
from avis_data.training.models.rcf.config import RcfConfig, RcfLossConfig
from avis_data.training.models.rcf.losses import rcf_losses
from avis_data.training.models.rcf.network import Heard, RcfNetwork, SlotOutput
from avis_data.training.models.rcf.stream import RcfStream
from avis_data.training.models.shared import largest, recomputed
from avis_data.training.models.spec import PredictOptions
from avis_data.training.models.targets import ClipTarget, clip_target

__all__ = ["Rcf"]

_DEFAULT_LOSS = RcfLossConfig()
_DEFAULT_OPTIONS = PredictOptions()
_STRIDE = 32


class Rcf(nn.Module):
    """The whole model."""

    def __init__(self, config: RcfConfig, loss: RcfLossConfig = _DEFAULT_LOSS) -> None:
        super().__init__()
        self.config = config
        self.loss_config = loss
        self.normalise = FrameNormaliser()
        self.backbone = build_backbone(config.backbone)
        self.network = RcfNetwork(config, self.backbone.channels)

    def forward(self, batch: TrainingBatch[TrainingClip]) -> dict[str, Tensor]:
        """The losses of a batch by name; their sum is what is minimised.

        All clips run together, padded to the largest, of all processes.

        Raises:
            ValueError: if a clip has not the number of frames that a sample of this model has.
            DataError: if the audio of a clip has another form than the model reads.
        """
        wanted = self.config.references + self.config.supervised
        for clip in batch.clips:
            if len(clip.frames_T3HW) != wanted:
                raise ValueError(f"clip {clip.clip_id}: {len(clip.frames_T3HW)} frames, {wanted} are needed")
        height, width = largest(common_size(batch.clips), batch.clips[0].frames_T3HW.device)
        size = (height, width)
        images = torch.stack([padded_to(self.normalise(clip.frames_T3HW), size) for clip in batch.clips])
        valid = torch.stack([_valid_cells(clip.frames_T3HW, size) for clip in batch.clips])
        output = self.outputs(images, valid, self._sound_of(batch.clips))
        targets = [self._target(clip, place, size) for clip in batch.clips for place in self._places]
        return means(rcf_losses(output, targets, self.loss_config, supervised=self.config.supervised))

    def outputs(self, images_BF3HW: Tensor, valid_Bhw: Tensor, heard: Heard | None) -> SlotOutput:
        """What is said of the supervised frames of B clips, those of one clip next to each other.

        Args:
            images_BF3HW: normalised and padded; the oldest reference first.
            valid_Bhw: bool, cells at stride 32 with any pixel of the frame.
            heard: of all F frames; None for a model without audio.
        """
        clips = len(images_BF3HW)
        maps = [torch.unflatten(x, 0, (clips, -1)) for x in self._maps(images_BF3HW.flatten(0, 1))]
        count, places = self.config.references, self._places
        context = torch.stack([maps[-1][:, place - count : place].flip(1) for place in places], dim=1)
        if heard is not None:
            audio = torch.stack([heard.audio_BRA[:, place - count : place + 1] for place in places], dim=1)
            known = torch.stack([heard.valid_BR[:, place - count : place + 1] for place in places], dim=1)
            heard = Heard(audio_BRA=audio.flatten(0, 1), valid_BR=known.flatten(0, 1))
        targets = [x[:, count:].flatten(0, 1) for x in maps]
        output: SlotOutput = self.network(
            targets, context.flatten(0, 1), valid_Bhw.repeat_interleave(len(places), dim=0), heard
        )
        return output

    def start(self, size_hw: tuple[int, int], options: PredictOptions = _DEFAULT_OPTIONS) -> RcfStream:
        """A clip to watch frame by frame, whose masks are wanted at that height and width.

        Args:
            options: none of them is of use here; slots fire by `config.slots`.

        Raises:
            ValueError: if the model is in training mode.
        """
        if self.training:
            raise ValueError("prediction needs the model in evaluation mode: call .eval() first")
        return RcfStream(self, size_hw)

    def predict(self, clip: ClipSource, options: PredictOptions = _DEFAULT_OPTIONS) -> list[PredictedTrack]:
        """The tracks of a whole clip, highest score first.

        Args:
            options: none of them is of use here; slots fire by `config.slots`.

        Raises:
            ValueError: if the model is in training mode.
            DataError: if the audio of the clip has another form than the model reads.
        """
        self._checked_audio(clip.clip_id, clip.audio_TA, clip.num_frames)
        return tracks_of_stream(self, clip)

    def look(self, frame_3hw: Tensor) -> tuple[Tensor, ...]:
        """The backbone's four maps of one frame (RGB in 0..255, not padded), fine to coarse, each (1, C, h, w)."""
        return self._maps(self.normalise(frame_3hw[None].to(self.normalise.mean.device)))

    def decide(self, target: Sequence[Tensor], references: Sequence[Tensor], heard: Heard | None) -> SlotOutput:
        """Classes and masks of one frame, from its maps and stage 4 of the references, the nearest first."""
        coarse = target[-1]
        context = torch.stack(tuple(references), dim=1) if references else coarse[:, None][:, :0]
        valid = coarse.new_ones(1, *coarse.shape[2:], dtype=torch.bool)
        output: SlotOutput = self.network(target, context, valid, heard)
        return output

    @property
    def _places(self) -> range:
        """The places of the supervised frames in a sample."""
        return range(self.config.references, self.config.references + self.config.supervised)

    def _maps(self, images_N3HW: Tensor) -> tuple[Tensor, ...]:
        if self.config.checkpointing and self.training and torch.is_grad_enabled():
            again: tuple[Tensor, ...] = recomputed(self.backbone, images_N3HW)
            return again
        maps: tuple[Tensor, ...] = self.backbone(images_N3HW)
        return maps

    def _target(self, clip: TrainingClip, place: int, size: tuple[int, int]) -> ClipTarget:
        """The objects of one frame."""
        masks = clip.masks_NTHW[:, place : place + 1]
        return clip_target(clip.labels_N, masks, padded_size=size, num_classes=self.config.num_classes)

    def _sound_of(self, clips: Sequence[TrainingClip]) -> Heard | None:
        if not self.config.audio:
            return None
        frames, device = len(clips[0].frames_T3HW), clips[0].frames_T3HW.device
        audio = [self._checked_audio(clip.clip_id, clip.audio_TA, frames) for clip in clips]
        silence = torch.zeros(frames, self.config.audio_channels, device=device)
        return Heard(
            audio_BRA=torch.stack([silence if vectors is None else vectors for vectors in audio]),
            valid_BR=sent(torch.tensor([[vectors is not None] * frames for vectors in audio]), device),
        )

    def _checked_audio(self, clip_id: str, audio_TA: Tensor | None, frames: int) -> Tensor | None:
        wanted = (frames, self.config.audio_channels)
        if not self.config.audio or audio_TA is None:
            return None
        if tuple(audio_TA.shape) != wanted:
            raise DataError(
                f"clip {clip_id}: audio features of shape {tuple(audio_TA.shape)}, must be {wanted}",
                hint=f"--set model.audio_channels={audio_TA.shape[-1]}, or another --set data.audio",
            )
        return audio_TA


def _valid_cells(frames_T3hw: Tensor, size: tuple[int, int]) -> Tensor:
    """Cells at stride 32 of a padded frame that hold any of its pixels, bool (h, w)."""
    height, width = padded_size((frames_T3hw.shape[2], frames_T3hw.shape[3]))
    valid = torch.zeros(size[0] // _STRIDE, size[1] // _STRIDE, dtype=torch.bool, device=frames_T3hw.device)
    valid[: height // _STRIDE, : width // _STRIDE] = True
    return valid
