"""Audio-visual segmentation as a task: AVSBench datasets, whole clips, mIoU and F, pictures of masks.

Shapes: T frames, H, W pixels at network size, h, w pixels of the files.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn
from torch.utils.data import Dataset

from avis_data.errors import AvisError, DataError
from avis_data.io import atomic_path
from avis_data.metrics.avs import AvsClip, AvsFrames, measure_avs, summarise_avs
from avis_data.metrics.avss import AvssClip, AvssSums, measure_avss, summarise_avss
from avis_data.metrics.counting import Rank
from avis_data.metrics.table import mask_values
from avis_data.training.config import RunConfig
from avis_data.training.data.avsbench import (
    AvsClipSource,
    AvsSplit,
    label_of,
    open_avs_split,
    read_frame,
    square_label,
)
from avis_data.training.data.avsbench_layout import AvsFiles
from avis_data.training.data.clips import AvsTrainingClip
from avis_data.training.data.sampling import ClipOrder
from avis_data.training.predict.avs_masks import mask_picture
from avis_data.training.run.distributed import Processes
from avis_data.training.run.validation import Figures, evaluating

__all__ = ["AvsSamples", "AvsTask", "predict_avs_clip"]

_CLIPS_PER_GROUP = 1
"""Of the reference's F; AVS-BG measures so."""


class AvsSamples(Dataset[AvsTrainingClip | AvisError]):
    """Training sample n of a split, for any n >= 0: every clip once per round, in an order of the seed."""

    def __init__(self, split: AvsSplit, config: RunConfig) -> None:
        self._split, self._config = split, config
        self._order = ClipOrder(len(split.clips), config.loop.seed)

    @property
    def per_round(self) -> int:
        """After so many samples all were seen once."""
        return len(self._split.clips)

    def __getitem__(self, number: int) -> AvsTrainingClip | AvisError:
        """An error of the data is given, not raised: on its way out of a worker it would lose its form."""
        try:
            return self.sample(self._split.clips[self._order.clip_of(number)])
        except AvisError as error:
            return error

    def sample(self, clip: AvsFiles) -> AvsTrainingClip:
        """A whole clip, filled up to its slots. Raises DataError if a file of it is bad."""
        side, crop = self._config.data.side, self._split.layout == "avss"
        frames = np.zeros((clip.slots, side, side, 3), dtype=np.uint8)
        labels = np.zeros((clip.slots, side, side), dtype=np.int64)
        exists, labelled = np.zeros(clip.slots, dtype=bool), np.zeros(clip.slots, dtype=bool)
        for place, (path, mask) in enumerate(zip(clip.frames, clip.masks, strict=True)):
            frames[place], exists[place] = read_frame(path, side, crop=crop), True
            if mask is not None:
                stored = label_of(mask, self._split.layout, self._config.model.num_classes)
                labels[place], labelled[place] = square_label(stored, side, crop=crop), True
        audio_TA = self._split.audio(clip)
        if audio_TA is not None:
            audio_TA = nn.functional.pad(audio_TA, (0, 0, 0, clip.slots - len(audio_TA)))
        return AvsTrainingClip(
            clip_id=clip.clip_id,
            frames_T3HW=torch.from_numpy(np.ascontiguousarray(frames.transpose(0, 3, 1, 2))),
            audio_TA=audio_TA,
            labels_THW=torch.from_numpy(labels),
            labelled_T=torch.from_numpy(labelled),
            exists_T=torch.from_numpy(exists),
        )


class AvsTask:
    """One mask per frame, or one class per pixel."""

    def open(self, data: Path, split: str, config: RunConfig) -> AvsSplit:
        """A split of an AVSBench dataset."""
        model = config.model
        return open_avs_split(data, split, config.data, num_classes=model.num_classes, needs_audio=model.needs_audio)

    def samples(self, config: RunConfig, train: AvsSplit) -> AvsSamples:
        """Whole clips."""
        return AvsSamples(train, config)

    def validate(
        self, model: nn.Module, split: AvsSplit, config: RunConfig, processes: Processes, device: torch.device
    ) -> Figures:
        """`strict`: mIoU and F that depend on neither order nor grouping; `reference`: as the published code has them.

        Masks are measured at the size of their files, which for S4 and MS3 is the network's.
        """
        clips = split.clips[: config.validation.clips]
        with evaluating(model):
            return _figures(processes.spread(len(clips), lambda n: _measured(model, split, clips[n], config, device)))

    def draw(
        self, model: nn.Module, split: AvsSplit, config: RunConfig, device: torch.device, folder: Path, iteration: int
    ) -> Sequence[Path]:
        """The first clips: frames, true masks and predicted ones below each other, `<iteration>-<clip>.png`."""
        paths = []
        for clip in split.clips[: config.validation.draw_clips]:
            with evaluating(model):
                predicted = predict_avs_clip(model, split, clip, config, device)
            path = folder / f"{iteration:07d}-{clip.clip_id.replace('/', '-')}.png"
            with atomic_path(path) as part:
                _sheet(split, clip, predicted, config).save(part, format="PNG")
            paths.append(path)
        return paths


def predict_avs_clip(
    model: nn.Module, split: AvsSplit, clip: AvsFiles, config: RunConfig, device: torch.device
) -> NDArray[np.generic]:
    """What a model in evaluation mode sees sounding, at the size of the clip's frames, (T, h, w): float32 logits, or
    uint8 classes.

    Raises:
        DataError: if a file of the clip is bad.
    """
    source = AvsClipSource(split, clip, config.data.side)
    with torch.autocast(device.type, torch.bfloat16, enabled=config.loop.precision == "bf16"):
        result: NDArray[np.generic] = model.predict(source, config.predict)  # type: ignore[operator]  # models.avs_bg
    return result


def _measured(
    model: nn.Module, split: AvsSplit, clip: AvsFiles, config: RunConfig, device: torch.device
) -> AvsFrames | AvssSums:
    predicted = predict_avs_clip(model, split, clip, config, device)
    num_classes = config.model.num_classes
    known = [place for place, mask in enumerate(clip.masks) if mask is not None]
    truth = np.stack([label_of(mask, split.layout, num_classes) for mask in clip.masks if mask is not None])
    if truth.shape[1:] != predicted.shape[1:]:
        raise DataError(f"clip {clip.clip_id}: masks of {truth.shape[1:]} pixels, frames of {predicted.shape[1:]}")
    if num_classes == 1:
        return measure_avs(AvsClip(name=clip.clip_id, truth_THW=truth, score_THW=predicted[known]))
    filling = ((0, clip.slots - len(known)), (0, 0), (0, 0))  # the published code measures it too, as right background
    label, classes = (np.pad(values.astype(int), filling) for values in (truth, predicted[known]))
    exists = np.arange(clip.slots) < len(known)
    return measure_avss(
        AvssClip(name=clip.clip_id, label_THW=label, predicted_THW=classes, exists_T=exists), num_classes
    )


def _figures(measured: Sequence[Any]) -> Figures:
    if isinstance(measured[0], AvssSums):
        result = summarise_avss(measured)
        return _by_mode(result.figures, result.reference)
    binary = summarise_avs(measured, clips_per_group=_CLIPS_PER_GROUP)
    return _by_mode(binary, binary.reference)


def _by_mode(own: object, reference: object) -> Figures:
    return {"strict": mask_values(own, Rank.OVERVIEW), "reference": mask_values(reference, Rank.HEADLINE)}


def _sheet(split: AvsSplit, clip: AvsFiles, predicted: NDArray[np.generic], config: RunConfig) -> Image.Image:
    side, num_classes = config.data.side, config.model.num_classes
    page = Image.new("RGB", (side * len(clip.frames), side * 3))
    for place, (path, mask) in enumerate(zip(clip.frames, clip.masks, strict=True)):
        rows = [Image.fromarray(read_frame(path, side, crop=False))]
        truth = None if mask is None else label_of(mask, split.layout, num_classes)
        rows += [mask_picture(values, num_classes) for values in (truth, predicted[place]) if values is not None]
        for row, picture in zip((0, 1, 2) if truth is not None else (0, 2), rows, strict=True):
            page.paste(picture.convert("RGB").resize((side, side)), (place * side, row * side))
    return page
