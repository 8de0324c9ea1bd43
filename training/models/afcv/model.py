"""AFCV: CrossVIS that hears. Frames are predicted one by one; objects are linked by embeddings.

A frame goes through the backbone and a pyramid; its slice of sound is mixed into every map; at every cell the heads say
class, box, centre-ness, an embedding, and the filters that cut the instance out of eight mask features. Training sees
pairs of frames of one clip: filters of one frame must also cut out their object in the other (crossover), and
embeddings must tell all tracks of the training set apart. At test nothing of that is left but the embeddings, by which
detections are linked. Without sound it is CrossVIS.

    pyramid.py, sound.py     five maps of a frame, and the sound mixed into them
    fcos_head.py             class, box, centre-ness, embedding, filters of every cell
    mask_head.py             mask features, and what filters make of them
    targets.py               which cell learns which object;  losses.py  the losses
    detections.py, boxes.py  from the heads to the objects of a frame
    tracker.py, stream.py    which of them are the same as before
    config.py, spec.py       what all of it is made of, and what follows from the training set

Source: the report of Audio Fusion CrossVIS; Yang et al., "Crossover Learning for Fast Online Video Instance
Segmentation" (ICCV 2021, arXiv 2104.05970); written from the papers.

Shapes: B pairs, N frames, C channels, R positive cells, I identities, M = 64 bands and moments of a slice of sound,
    h, w pixels of a frame, H, W pixels padded.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from avis_data.errors import DataError
from avis_data.features.logmel import NUM_BANDS
from avis_data.training.data.audio_slices import SLICE_MOMENTS
from avis_data.training.data.clips import ClipSource, PredictedTrack, TrainingBatch, TrainingClip
from avis_data.training.models.afcv.config import AfcvConfig, AfcvLossConfig
from avis_data.training.models.afcv.fcos_head import PRIOR_LOGIT, FcosHead, FcosOutput, cell_grid
from avis_data.training.models.afcv.losses import AfcvOutputs, afcv_ratios, mean_losses
from avis_data.training.models.afcv.mask_head import MaskBranch
from avis_data.training.models.afcv.pyramid import Pyramid, pyramid_sizes, scaled_gradient
from avis_data.training.models.afcv.sound import SoundEncoder, SoundFusion
from avis_data.training.models.afcv.stream import AfcvStream
from avis_data.training.models.afcv.targets import limited, pair_targets
from avis_data.training.models.backbones import build_backbone
from avis_data.training.models.frames import FrameNormaliser, common_size, padded_to
from avis_data.training.models.host import sent
from avis_data.training.models.losses import joined
from avis_data.training.models.online import tracks_of_stream
from avis_data.training.models.shared import largest
from avis_data.training.models.spec import PredictOptions

__all__ = ["Afcv", "IdentityClassifier"]

_DEFAULT_LOSS = AfcvLossConfig()
_DEFAULT_OPTIONS = PredictOptions()


class IdentityClassifier(nn.Module):
    """Which track of the training set an embedding is of. Its length does not count; all are scaled to one."""

    def __init__(self, channels: int, identities: int) -> None:
        super().__init__()
        self.scale = math.sqrt(2.0) * math.log(max(identities - 1, 2))
        """11.647 for the 3774 tracks of YouTube-VIS 2019; with fewer than 4 tracks it would vanish."""
        self.linear = nn.Linear(channels, identities)
        nn.init.normal_(self.linear.weight, std=0.01)
        nn.init.constant_(self.linear.bias, PRIOR_LOGIT)

    def forward(self, embed_RC: Tensor) -> Tensor:
        """Logits (R, I)."""
        logits: Tensor = self.linear(self.scale * functional.normalize(embed_RC, dim=1))
        return logits


class Afcv(nn.Module):
    """The whole model; without `audio` it is CrossVIS, without `crossover` either that trained as single frames are."""

    def __init__(self, config: AfcvConfig, loss: AfcvLossConfig = _DEFAULT_LOSS) -> None:
        super().__init__()
        self.config = config
        self.loss_config = loss
        self.normalise = FrameNormaliser()
        self.backbone = build_backbone(config.backbone)
        body = self.backbone.body
        parts = [body.get_submodule("embedder"), *body.get_submodule("encoder.stages").children()]
        for part in parts[: config.frozen_stages]:
            part.requires_grad_(False)
        self.pyramid = Pyramid(self.backbone.channels[1:], config.channels)
        self.sound = None
        self.fusion = None
        if config.audio:
            mean, deviation = config.audio_mean or 0.0, config.audio_deviation or 1.0
            self.sound = SoundEncoder(config.audio_backbone, config.channels, mean=mean, deviation=deviation)
            self.fusion = SoundFusion(config.channels)
        self.head = FcosHead(config.channels, config.num_classes, config.tower_layers)
        self.mask_branch = MaskBranch(config.channels, config.mask_channels)
        self.identities = None
        if config.num_identities is not None:
            self.identities = IdentityClassifier(config.channels, config.num_identities)

    def forward(self, batch: TrainingBatch[TrainingClip]) -> dict[str, Tensor]:
        """The losses of a batch of pairs by name; their sum is what is minimised.

        Landscape and portrait pairs run apart, each padded to the largest of their kind, of all processes; the losses
        are those of all. A process that has none of a kind which others have takes part in it without any pair.

        Raises:
            ValueError: if the model was built without identities, or a clip is no pair of frames.
            DataError: if the sound of a clip has another form than the model reads.
        """
        if self.identities is None:
            raise ValueError("training needs num_identities, the number of tracks of the training set")
        for pair in batch.clips:
            if len(pair.frames_T3HW) != 2:
                raise ValueError(f"clip {pair.clip_id}: {len(pair.frames_T3HW)} frames, a pair is needed")
        device = batch.clips[0].frames_T3HW.device
        groups, sizes = _by_orientation(batch.clips, device)
        targets = [
            pair_targets(pairs, cell_grid(pyramid_sizes(size)), size) for pairs, size in zip(groups, sizes, strict=True)
        ]
        ratios = []
        for pairs, size, target in zip(groups, sizes, limited(targets, self.loss_config.masks, device), strict=True):
            frames = [padded_to(self.normalise(pair.frames_T3HW), size) for pair in pairs]
            images = torch.cat(frames) if frames else self.normalise.mean.new_zeros(0, 3, *size)
            sound = [self._checked_sound(pair.clip_id, pair.audio_TA, 2) for pair in pairs]
            heads, features = self._outputs(images, self._heard(sound, 2, device))
            outputs = AfcvOutputs(heads=heads, features_N8hw=features, identify=self.identities)
            ratios.append(afcv_ratios(outputs, target, crossover=self.loss_config.crossover))
        return mean_losses(joined(ratios))

    def _outputs(self, images_N3HW: Tensor, heard_NC: Tensor | None) -> tuple[FcosOutput, Tensor]:
        """What the heads say of normalised frames, and their mask features."""
        maps = self.pyramid(self.backbone(images_N3HW)[1:])
        maps = tuple(scaled_gradient(x, self.config.pyramid_gradient) for x in maps)
        if self.fusion is not None and heard_NC is not None:
            maps = self.fusion(maps, heard_NC)
        return self.head(maps), self.mask_branch(maps[:3])

    def start(self, size_hw: tuple[int, int], options: PredictOptions = _DEFAULT_OPTIONS) -> AfcvStream:
        """A clip to watch frame by frame, whose masks are wanted at that height and width.

        Args:
            options: none of them is of use here; detections are made by `config.detection`.

        Raises:
            ValueError: if the model is in training mode.
        """
        if self.training:
            raise ValueError("prediction needs the model in evaluation mode: call .eval() first")
        return AfcvStream(self.look, size_hw, self.config.detection)

    def predict(self, clip: ClipSource, options: PredictOptions = _DEFAULT_OPTIONS) -> list[PredictedTrack]:
        """The tracks of a whole clip, highest score first.

        Args:
            options: none of them is of use here; detections are made by `config.detection`.

        Raises:
            ValueError: if the model is in training mode.
            DataError: if the sound of the clip is missing or of another form than the model reads.
        """
        self._checked_sound(clip.clip_id, clip.audio_TA, clip.num_frames)
        return tracks_of_stream(self, clip)

    @torch.no_grad()
    def look(self, frame_3hw: Tensor, slice_MM: Tensor | None) -> tuple[FcosOutput, Tensor]:
        """What the heads say of one frame with its slice of sound, and its mask features.

        Args:
            frame_3hw: RGB in 0..255, not padded.
            slice_MM: log-mel values; None for a frame without sound.
        """
        device = self.normalise.mean.device
        slices = None if slice_MM is None else slice_MM[None]
        return self._outputs(self.normalise(frame_3hw[None].to(device)), self._heard([slices], 1, device))

    def _heard(self, slices: Sequence[Tensor | None], frames: int, device: torch.device) -> Tensor | None:
        """What the frames sound like, (N, C), of clips of so many frames; None for a model without audio.

        Args:
            slices: of each clip (frames, M, M); None where it has no sound.
        """
        if self.sound is None:
            return None
        nothing = self.normalise.mean.new_zeros(frames, NUM_BANDS, SLICE_MOMENTS)
        parts = [(nothing if part is None else part).to(device) for part in slices]
        slices_NMM = torch.cat(parts) if parts else nothing[:0]
        known = [part is not None for part in slices for _ in range(frames)]
        valid_N = sent(torch.tensor(known, dtype=torch.bool), device)
        heard: Tensor = self.sound(slices_NMM, valid_N)
        return heard

    def _checked_sound(self, clip_id: str, audio: Tensor | None, frames: int) -> Tensor | None:
        wanted = (frames, NUM_BANDS, SLICE_MOMENTS)
        if self.sound is None or audio is None:
            return None
        if tuple(audio.shape) != wanted:
            raise DataError(
                f"clip {clip_id}: slices of sound of shape {tuple(audio.shape)}, must be {wanted}",
                hint="--set data.audio=slices",
            )
        return audio


def _by_orientation(
    pairs: Sequence[TrainingClip], device: torch.device
) -> tuple[list[list[TrainingClip]], list[tuple[int, int]]]:
    """Landscape (and square) pairs, portrait pairs, and what each are padded to; the kinds that any process has."""
    wide = [pair for pair in pairs if pair.frames_T3HW.shape[3] >= pair.frames_T3HW.shape[2]]
    tall = [pair for pair in pairs if pair.frames_T3HW.shape[3] < pair.frames_T3HW.shape[2]]
    needed = [side for group in (wide, tall) for side in (common_size(group) if group else (0, 0))]
    sides = largest(needed, device)
    found = [(group, size) for group, size in ((wide, sides[:2]), (tall, sides[2:])) if size != (0, 0)]
    return [group for group, _ in found], [(size[0], size[1]) for _, size in found]
