"""AVISM: a frame-level localizer and a video-level tracker, both hearing the sound.

    pixel_decoder.py          maps of a frame, by attention to a few places (deformable.py, row_sums.py): Mask2Former's
    frame_decoder.py          what is in each frame: queries that heard its sound
    tracker.py                what goes on through the clip, over windows of frames (windows.py)
    long_clips.py             a clip for the tracker, of any length
    stream.py                 ours: a clip frame by frame
    kept_pixels.py            maps of a long clip, until its tracks are known
    sounding.py               ours: what is heard within a second, and when each track sounds
    losses.py                 the objective;  config.py, spec.py  what all of it is made of
    official_names.py         names in published checkpoints; official_shapes.py  their architecture

Source: "Audio-Visual Instance Segmentation" (CVPR 2025, arXiv 2310.18709); its code where the two differ.

Shapes: B clips, T frames, N frames of several clips or a piece of one, Q frame queries, C channels, A audio channels,
    h, w cells at stride 4, H, W pixels at network size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from avis_data.errors import DataError
from avis_data.training.data.clips import ClipSource, PredictedTrack, TrainingBatch, TrainingClip
from avis_data.training.models.avism.config import AvismConfig, AvismLossConfig
from avis_data.training.models.avism.frame_decoder import FrameDecoder
from avis_data.training.models.avism.kept_pixels import KeptPixels
from avis_data.training.models.avism.long_clips import LongClip, ShortClip
from avis_data.training.models.avism.losses import AvismPredictions, avism_losses, weighted
from avis_data.training.models.avism.pixel_decoder import PixelDecoder, PixelMaps
from avis_data.training.models.avism.sounding import SoundingMap
from avis_data.training.models.avism.stream import AvismStream, LookedAt
from avis_data.training.models.avism.tracker import Tracker
from avis_data.training.models.backbones import build_backbone
from avis_data.training.models.frames import FrameNormaliser, padded_size
from avis_data.training.models.inference import MaskSizes, gated_tracks, tracks_of
from avis_data.training.models.losses import Ratio, joined, means
from avis_data.training.models.online import tracks_of_stream
from avis_data.training.models.points import PointSource, SeededPoints, at_least_float32
from avis_data.training.models.positions import sine_position
from avis_data.training.models.shared import dropping_for, keys_of, recomputed
from avis_data.training.models.spec import PredictOptions
from avis_data.training.models.targets import ClipTarget, clip_target

__all__ = ["Avism", "build_frame_decoder", "build_pixel_decoder", "build_tracker"]

_PIXELS_AT_ONCE = 2**18
"""A CPU gains nothing by more, and its memory is handed out anew for each map of more than 32 MB."""
_DEFAULT_LOSS = AvismLossConfig()
_DEFAULT_OPTIONS = PredictOptions()


@dataclass(frozen=True, kw_only=True)
class _WatchedClip:
    """What masks and a gate ask of a whole clip."""

    heard_TK: Tensor
    """How probable each class is in each frame."""
    size_hw: tuple[int, int]
    """Of the frames at network size."""


class Avism(nn.Module):
    """The whole model; without both fusions it is VITA."""

    def __init__(self, config: AvismConfig, loss: AvismLossConfig = _DEFAULT_LOSS) -> None:
        super().__init__()
        self.config = config
        self.loss_config = loss
        self.normalise = FrameNormaliser()
        self.backbone = build_backbone(config.backbone)
        self.pixel_decoder = build_pixel_decoder(config, self.backbone.channels)
        self.frame_decoder = build_frame_decoder(config)
        self.sounding_pixels = build_sounding_pixels(config)
        if config.panorama and self.sounding_pixels is None and self.frame_decoder.sounding_map is None:
            raise ValueError("model.panorama is for model.sounding_map or model.sounding_pixels, and there is neither")
        self.tracker = build_tracker(config)

    def forward(self, batch: TrainingBatch[TrainingClip], points: PointSource | None = None) -> dict[str, Tensor]:
        """The weighted losses of a batch by name; their sum is what is minimised.

        Clips of one size and length run together; the losses are those of all clips, however they are grouped.

        Args:
            points: where matching and mask losses look; None: drawn from each clip's seed.

        Raises:
            DataError: if a clip has no audio, or of another length, and the model needs it.
        """
        clips = batch.clips
        device = clips[0].frames_T3HW.device
        points = points or SeededPoints([clip.seed for clip in clips], device)
        parts = [self._group_losses([clips[place] for place in group], group, points) for group in _groups(clips)]
        return weighted(means(joined(parts)), self.loss_config)

    def predictions(self, frames_BT3HW: Tensor, audio_BTA: Tensor | None) -> AvismPredictions:
        """Everything the losses need, of B clips of one size and length; in training mode.

        Args:
            frames_BT3HW: RGB in 0..255, not padded.
        """
        clips = len(frames_BT3HW)
        audio_NA = None if audio_BTA is None else audio_BTA.flatten(0, 1)
        maps, sounding = self.heard_maps(frames_BT3HW.flatten(0, 1), audio_NA)
        mask_NChw = self.pixel_decoder.mask_embedding(maps.fpn_NChw)
        frames = self.frame_decoder(
            maps.scales,
            mask_NChw,
            audio_NA,
            keep_layers=self.config.tracked_layers,
            shown=_shown(frames_BT3HW),
        )
        tracker = self.tracker(torch.unflatten(frames.queries_LNQC, 1, (clips, -1)), audio_BTA)
        pixels = torch.unflatten(self.tracker.pixel_embedding(maps.fpn_NChw), 0, (clips, -1))
        return AvismPredictions(
            frame_heads=frames.heads,
            mask_NChw=mask_NChw,
            tracker=tracker,
            pixels_BTChw=pixels,
            sounding_maps=(*frames.sounding_maps, *sounding),
        )

    def maps(self, frames_N3HW: Tensor) -> PixelMaps:
        """Backbone and pixel decoder: the maps of N frames (RGB in 0..255, not padded)."""
        images = self.normalise(frames_N3HW)
        if self.config.checkpointing and self.training and torch.is_grad_enabled():
            return recomputed(self._maps, images)
        return self._maps(images)

    def heard_maps(self, frames_N3HW: Tensor, audio_NA: Tensor | None) -> tuple[PixelMaps, tuple[Tensor, ...]]:
        """The maps of N frames, that of which masks are made told where it sounds; and logits of that, (N, h, w)."""
        maps = self.maps(frames_N3HW)
        if self.sounding_pixels is None or audio_NA is None:
            return maps, ()
        size = (maps.fpn_NChw.shape[2], maps.fpn_NChw.shape[3])
        cells_NSC = maps.fpn_NChw.flatten(2).transpose(1, 2)
        position = sine_position(*size, cells_NSC.shape[2], device=cells_NSC.device)
        added_NSC, logits_NS = self.sounding_pixels(audio_NA, cells_NSC + position, size, _shown(frames_N3HW))
        fpn_NChw = maps.fpn_NChw + torch.unflatten(added_NSC.transpose(1, 2), 2, size)
        return replace(maps, fpn_NChw=fpn_NChw), (torch.unflatten(logits_NS, 1, size),)

    @torch.no_grad()
    def predict(self, clip: ClipSource, options: PredictOptions = _DEFAULT_OPTIONS) -> list[PredictedTrack]:
        """The tracks of a whole clip of any length, highest score first.

        Of all frames their queries are kept (long_clips.py), and the maps that masks are made of (kept_pixels.py) until
        the tracker has said which queries need them. Maps that found no room are computed a second time.

        Raises:
            ValueError: if the model is in training mode.
            DataError: if the clip has no audio, or of another length, and the model needs it.
        """
        if self.training:
            raise ValueError("predict needs the model in evaluation mode: call .eval() first")
        audio_TA = self._checked_audio(clip.clip_id, clip.audio_TA, clip.num_frames)
        if options.online:
            return tracks_of_stream(self, clip, options)
        short = clip.num_frames <= options.kept_frames
        tokens = ShortClip(self.tracker) if short else LongClip(self.tracker, clip.num_frames)
        with KeptPixels(clip.num_frames, options.kept_frames) as kept, tokens:
            watched = self._watched(clip, audio_TA, tokens, kept, options)
            head = tokens.head(audio_TA)
            tracks = tracks_of(
                head.logits_LBPK[0, 0],
                head.mask_embed_LBPC[0, 0],
                self._pixels(clip, audio_TA, kept, options),
                MaskSizes(padded=padded_size(watched.size_hw), network=watched.size_hw, original=clip.size_hw),
                options,
            )
        if options.frame_gate is None:
            return tracks
        sounds = [head.sound_of(track.query, track.label, watched.heard_TK, options.gate_by) for track in tracks]
        return gated_tracks(tracks, sounds, options.frame_gate)

    def start(self, size_hw: tuple[int, int], options: PredictOptions = _DEFAULT_OPTIONS) -> AvismStream:
        """A clip to watch frame by frame, whose masks are wanted at that height and width.

        Raises:
            ValueError: if the model is in training mode.
        """
        if self.training:
            raise ValueError("prediction needs the model in evaluation mode: call .eval() first")
        return AvismStream(self, size_hw, options)

    def look(self, frames_N3HW: Tensor, audio_NA: Tensor | None) -> LookedAt:
        """Some frames (RGB in 0..255, not padded) by themselves; the model is in evaluation mode."""
        maps, _ = self.heard_maps(frames_N3HW, audio_NA)
        masks = self.pixel_decoder.small_mask_embeddings(maps)
        found = self.frame_decoder(maps.scales, masks, audio_NA, keep_layers=1, shown=_shown(frames_N3HW))
        queries_NQC = found.queries_LNQC[-1]
        logits_NQK = at_least_float32(self.frame_decoder.class_head(queries_NQC))
        return LookedAt(
            queries_NQC=queries_NQC,
            pixels_NChw=self.tracker.pixel_embedding(maps.fpn_NChw),
            heard_NK=logits_NQK.softmax(-1)[..., :-1].amax(1).cpu(),
        )

    def _watched(
        self,
        clip: ClipSource,
        audio_TA: Tensor | None,
        tokens: ShortClip | LongClip,
        kept: KeptPixels,
        options: PredictOptions,
    ) -> _WatchedClip:
        heard: list[Tensor] = []
        size = (0, 0)
        for span, frames in self._pieces(clip, options):
            size = (frames.shape[2], frames.shape[3])
            audio = None if audio_TA is None else audio_TA[span].to(frames.device)
            found = self.look(frames, audio)
            tokens.add(found.queries_NQC)
            heard.append(found.heard_NK)
            kept.add(found.pixels_NChw)
        return _WatchedClip(heard_TK=torch.cat(heard), size_hw=size)

    def _maps(self, images_N3HW: Tensor) -> PixelMaps:
        maps: PixelMaps = self.pixel_decoder(self.backbone(images_N3HW))
        return maps

    def _pieces(self, clip: ClipSource, options: PredictOptions, first: int = 0) -> Iterator[tuple[slice, Tensor]]:
        device = self.tracker.input_proj.weight.device
        for start in range(first, clip.num_frames, options.frames_per_pass):
            frames = clip.frames(start, min(start + options.frames_per_pass, clip.num_frames))
            for part in torch.split(frames, _at_once(frames, device)):
                yield slice(start, start + len(part)), part.to(device)
                start += len(part)

    def _pixels(
        self, clip: ClipSource, audio_TA: Tensor | None, kept: KeptPixels, options: PredictOptions
    ) -> Iterator[Tensor]:
        yield from kept.pieces(self.tracker.input_proj.weight.device)
        for span, frames in self._pieces(clip, options, first=kept.frames):
            maps, _ = self.heard_maps(frames, None if audio_TA is None else audio_TA[span].to(frames.device))
            yield self.tracker.pixel_embedding(maps.fpn_NChw)

    def _group_losses(
        self, clips: Sequence[TrainingClip], places: Sequence[int], points: PointSource
    ) -> dict[str, Ratio]:
        frames = torch.stack([clip.frames_T3HW for clip in clips])
        audio = [self._checked_audio(clip.clip_id, clip.audio_TA, len(clip.frames_T3HW)) for clip in clips]
        heard = [vectors for vectors in audio if vectors is not None]
        with dropping_for(keys_of(places)):
            predictions = self.predictions(frames, torch.stack(heard) if heard else None)
        targets = [self._target(clip) for clip in clips]
        return avism_losses(predictions, targets, places, points, self.loss_config)

    def _target(self, clip: TrainingClip) -> ClipTarget:
        return clip_target(
            clip.labels_N,
            clip.masks_NTHW,
            padded_size=padded_size((clip.frames_T3HW.shape[2], clip.frames_T3HW.shape[3])),
            num_classes=self.config.num_classes,
            late_onset_label=self.loss_config.late_onset_label,
        )

    def _checked_audio(self, clip_id: str, audio_TA: Tensor | None, num_frames: int) -> Tensor | None:
        if not self.config.needs_audio:
            return None
        if audio_TA is None:
            raise DataError(f"clip {clip_id}: no audio features", hint="avis-data embed, then avis-data export")
        wanted = (num_frames, self.config.audio_channels)
        if tuple(audio_TA.shape) != wanted:
            raise DataError(f"clip {clip_id}: audio features of shape {tuple(audio_TA.shape)}, must be {wanted}")
        return audio_TA


def build_pixel_decoder(config: AvismConfig, in_channels: Sequence[int]) -> PixelDecoder:
    """The pixel decoder of a configuration, for backbone maps of those widths (fine to coarse)."""
    return PixelDecoder(
        in_channels,
        channels=config.channels,
        heads=config.heads,
        layers=config.pixel_layers,
        feedforward=config.pixel_feedforward,
    )


def build_frame_decoder(config: AvismConfig) -> FrameDecoder:
    """The frame-level localizer of a configuration."""
    return FrameDecoder(
        channels=config.channels,
        num_classes=config.num_classes,
        queries=config.frame_queries,
        heads=config.heads,
        feedforward=config.feedforward,
        layers=config.frame_layers,
        audio_channels=config.audio_channels if config.frame_fusion else None,
        audio_tokens=config.audio_tokens,
        placed_fusion=config.placed_fusion,
        sounding_map=config.sounding_map,
        panorama=config.panorama,
    )


def build_sounding_pixels(config: AvismConfig) -> SoundingMap | None:
    """What tells the maps of which masks are made where it sounds; None where they are not told."""
    if not (config.sounding_pixels and config.frame_fusion):
        return None
    return SoundingMap(config.channels, config.heads, config.audio_channels, config.panorama)


def build_tracker(config: AvismConfig) -> Tracker:
    """The video-level tracker of a configuration."""
    return Tracker(
        channels=config.channels,
        num_classes=config.num_classes,
        queries=config.video_queries,
        frame_queries=config.frame_queries,
        heads=config.heads,
        feedforward=config.feedforward,
        encoder_layers=config.encoder_layers,
        decoder_layers=config.decoder_layers,
        window=config.window,
        audio_channels=config.audio_channels if config.video_fusion else None,
        audio_tokens=config.audio_tokens,
        sounding_head=config.sounding_head,
        counting_head=config.counting_head,
    )


def _shown(frames: Tensor) -> float:
    """The share of the width of padded frames (..., H, W) that is no padding."""
    height, width = frames.shape[-2:]
    return width / padded_size((height, width))[1]


def _at_once(frames_N3HW: Tensor, device: torch.device) -> int:
    """How many of the frames go through the network together."""
    height, width = padded_size((frames_N3HW.shape[2], frames_N3HW.shape[3]))
    return max(1, _PIXELS_AT_ONCE // (height * width)) if device.type == "cpu" else len(frames_N3HW)


def _groups(clips: Sequence[TrainingClip]) -> list[list[int]]:
    """The places of the clips of one length and size, in order of their first."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for place, clip in enumerate(clips):
        groups.setdefault(tuple(clip.frames_T3HW.shape), []).append(place)
    return list(groups.values())
